//! What must wait until every entry is there: metadata of directories, which children would change or which would keep
//! them out, and file flags, which would refuse links and children.

use super::places::Places;
use super::{Extracted, apply};
use crate::entry::EntryInfo;
use crate::error::{ArchiveError, EntryError};
use qjail_fs::{RelPath, Root};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

/// Bytes of names, attributes and flags that are kept: a million directories' worth, and no more than an archive may make us hold.
const MOST_HELD: usize = 128 << 20;

#[derive(Default)]
pub(super) struct Later {
    dirs: BTreeMap<RelPath, EntryInfo>,
    flags: BTreeMap<RelPath, String>,
    held: usize,
}

impl Later {
    /// The last entry for a directory counts.
    pub(super) fn dir(&mut self, path: &RelPath, info: &EntryInfo) -> Result<(), EntryError> {
        self.flags(path, &info.flags)?;
        let attributes: usize = info
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.hold(2 * path.as_os_str().len() + attributes)?;
        self.dirs.insert(path.clone(), info.clone());
        Ok(())
    }

    pub(super) fn flags(&mut self, path: &RelPath, flags: &str) -> Result<(), EntryError> {
        if !flags.is_empty() {
            self.hold(path.as_os_str().len() + flags.len())?;
            self.flags.insert(path.clone(), flags.to_owned());
        }
        Ok(())
    }

    fn hold(&mut self, bytes: usize) -> Result<(), EntryError> {
        self.held = self.held.saturating_add(bytes);
        if self.held > MOST_HELD {
            return Err(EntryError::TooMuchMetadata);
        }
        Ok(())
    }

    pub(super) fn forget_flags(&mut self, path: &RelPath) {
        self.flags.remove(path);
    }

    /// Deepest first: a directory may shut its owner out.
    pub(super) fn apply(
        &self,
        root: &Root,
        places: &mut Places<'_>,
        done: &mut Extracted,
    ) -> Result<(), ArchiveError> {
        for (path, info) in self.dirs.iter().rev() {
            finish(root, places, path, info, done)
                .map_err(|why| ArchiveError::entry(info.path.clone(), why))?;
        }
        for (path, flags) in self.flags.iter().rev() {
            set_flags(root, path, flags, done)
                .map_err(|why| ArchiveError::entry(PathBuf::from(path.as_os_str()), why))?;
        }
        Ok(())
    }
}

fn finish(
    root: &Root,
    places: &mut Places<'_>,
    path: &RelPath,
    info: &EntryInfo,
    done: &mut Extracted,
) -> Result<(), EntryError> {
    let file = |dir: &Root| {
        dir.as_fd()
            .try_clone_to_owned()
            .map(File::from)
            .map_err(EntryError::Write)
    };
    if path.is_root() {
        return apply::to_open(&file(root)?, info, done);
    }
    places.enter(path)?;
    let (dir, name) = places.of(path)?;
    apply::to_open(&file(&dir.open_dir(&name)?)?, info, done)
}

fn set_flags(root: &Root, path: &RelPath, flags: &str, done: &mut Extracted) -> Result<(), EntryError> {
    match qjail_os::parse_file_flags(flags) {
        Ok(bits) if qjail_os::supports_file_flags() => Ok(root.set_flags(path, bits)?),
        _ => {
            done.skipped_flags += 1;
            Ok(())
        }
    }
}
