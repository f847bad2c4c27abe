//! The directories that entries go into, kept open: archives name one file of a directory after the other.

use crate::error::EntryError;
use qjail_fs::{ErrorKind, RelPath, Root};

/// Directories that stay open.
const OPEN: usize = 16;

/// A directory that an extraction has opened stays what its path names, because an extraction never removes one.
pub(super) struct Places<'r> {
    root: &'r Root,
    /// The last used comes last.
    open: Vec<(RelPath, Root)>,
}

impl<'r> Places<'r> {
    pub(super) fn new(root: &'r Root) -> Self {
        Places {
            root,
            open: Vec::with_capacity(OPEN),
        }
    }

    /// Opens the directory that holds `path`, and makes it and those above it when they are missing.
    pub(super) fn enter(&mut self, path: &RelPath) -> Result<(), EntryError> {
        let Some(dir) = path.parent().filter(|dir| !dir.is_root()) else {
            return Ok(());
        };
        if let Some(at) = self.open.iter().rposition(|(known, _)| *known == dir) {
            self.open[at..].rotate_left(1);
            return Ok(());
        }
        let opened = match self.root.open_dir(&dir) {
            Err(e) if e.is_not_found() => {
                self.root.make_dirs(&dir, 0o755, None).map_err(through_link)?;
                self.root.open_dir(&dir)
            }
            other => other,
        };
        if self.open.len() == OPEN {
            self.open.remove(0);
        }
        self.open.push((dir, opened.map_err(through_link)?));
        Ok(())
    }

    /// The directory that was entered for `path`, and its last component.
    pub(super) fn of(&self, path: &RelPath) -> Result<(&Root, RelPath), EntryError> {
        let name = RelPath::new(path.file_name().unwrap_or_default())?;
        let dir = path.parent().unwrap_or_else(RelPath::root);
        let known = self.open.iter().rev().find(|(known, _)| *known == dir);
        Ok((known.map_or(self.root, |(_, root)| root), name))
    }
}

fn through_link(e: qjail_fs::Error) -> EntryError {
    match e.kind() {
        ErrorKind::Link { name } => EntryError::ThroughLink { name: name.clone() },
        _ => EntryError::Fs(e),
    }
}
