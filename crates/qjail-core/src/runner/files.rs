//! Files, directories and links: what steps do with them, what is remembered of them, how they are brought back.

use std::path::Path;

use qjail_fs::{CopyOptions, IfExists as FsIfExists, RelPath, Root, WriteOptions};
use qjail_plugin_api::{At, IfExists};
use serde::{Deserialize, Serialize};

use super::{Runner, Undo};
use crate::places::rel;
use crate::{Error, Result};

/// The largest file whose old content is kept for undo.
const KEEP_LIMIT: u64 = 4 << 20;
/// For root alone: whoever reads an image reads the jail.
const IMAGES_MODE: u32 = 0o700;

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldFile {
    content: Vec<u8>,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Runner<'_> {
    pub(super) fn was_there(&self, at: &At) -> Result<Undo> {
        let there = at.path.is_empty() || {
            let (root, path) = self.places.resolve(at)?;
            root.metadata(&path)?.is_some()
        };
        Ok(if there { Undo::There } else { Undo::Nothing })
    }

    /// How many directories [`Step::MakeDir`] is going to make.
    pub(super) fn missing_dirs(&self, at: &At) -> Result<Undo> {
        let (root, path) = self.places.resolve(at)?;
        let mut missing = 0;
        let mut next = Some(path).filter(|p| !p.is_root());
        while let Some(path) = next.filter(|p| !p.is_root()) {
            match root.metadata(&path) {
                Ok(Some(_)) => break,
                Ok(None) => missing += 1,
                Err(e) if e.is_not_found() => missing += 1,
                Err(e) => return Err(e.into()),
            }
            next = path.parent();
        }
        Ok(match missing {
            0 => Undo::There,
            n => Undo::Missing { above: n - 1 },
        })
    }

    pub(super) fn old_file(&self, at: &At) -> Result<Option<OldFile>> {
        let (root, path) = self.places.resolve(at)?;
        let Some(meta) = root.metadata(&path)? else {
            return Ok(None);
        };
        let content = root.read(&path, KEEP_LIMIT)?;
        Ok(Some(OldFile {
            content,
            mode: meta.mode & 0o7777,
            uid: meta.uid,
            gid: meta.gid,
        }))
    }

    pub(super) fn old_link(&self, at: &At) -> Result<Option<String>> {
        let (root, path) = self.places.resolve(at)?;
        if root.metadata(&path)?.is_none() {
            return Ok(None);
        }
        let target = root.read_link(&path)?;
        target
            .into_string()
            .map(Some)
            .map_err(|t| Error::new(format!("{at}: the link's target {} is not UTF-8", t.display())))
    }

    pub(super) fn remember_removed(&self, at: &At) -> Result<Undo> {
        let (root, path) = self.places.resolve(at)?;
        let is_link = root
            .metadata(&path)?
            .is_some_and(|m| m.kind == qjail_fs::Kind::Link);
        if is_link {
            Ok(Undo::Link {
                old: self.old_link(at)?,
            })
        } else {
            Ok(Undo::File {
                old: self.old_file(at)?,
            })
        }
    }

    pub(super) fn make_dir(&self, at: &At, mode: u32) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        root.make_dirs(&path, mode, None)?;
        Ok(())
    }

    pub(super) fn write_file(
        &self,
        at: &At,
        content: &str,
        mode: Option<u32>,
        if_exists: IfExists,
    ) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        let if_exists = match if_exists {
            IfExists::Replace => FsIfExists::Replace,
            IfExists::Keep => FsIfExists::Keep,
            IfExists::Fail => FsIfExists::Fail,
        };
        // The staging directory is removed as a whole when it does not get that far, and flushed as a whole when it does.
        let sync = !self.in_staging(at);
        root.write(
            &path,
            content.as_bytes(),
            &WriteOptions {
                mode,
                if_exists,
                sync,
                ..WriteOptions::default()
            },
        )?;
        Ok(())
    }

    pub(super) fn remove_file(&self, at: &At) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        root.remove_file(&path)?;
        Ok(())
    }

    pub(super) fn copy_tree(&self, from: &At, to: &At) -> Result<()> {
        let source = self.places.open_dir(from)?;
        let (root, path) = self.places.resolve(to)?;
        root.make_dirs(&path, 0o755, None)?;
        let target = root.open_dir(&path)?;
        let cancelled = || self.engine.cancelled();
        let options = CopyOptions {
            cancelled: &cancelled,
            ..CopyOptions::default()
        };
        qjail_fs::copy_tree(&source, &target, &options)?;
        Ok(())
    }

    pub(super) fn remove_tree(&self, at: &At) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        root.remove_tree(&path, &qjail_fs::never)?;
        Ok(())
    }

    /// Removes a directory that a step made, and those above it that it made too; one that something was put into since
    /// stays.
    pub(super) fn remove_empty_dirs(&self, at: &At, above: usize) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        let mut next = Some(path);
        for _ in 0..=above {
            let Some(path) = next else { return Ok(()) };
            match root.remove_dir(&path) {
                Err(e)
                    if e.io()
                        .is_some_and(|e| e.kind() == std::io::ErrorKind::DirectoryNotEmpty) =>
                {
                    return Ok(());
                }
                // It was not reached, or is gone already; one above it may be there.
                Err(e) if e.is_not_found() => {}
                other => drop(other?),
            }
            next = path.parent();
        }
        Ok(())
    }

    pub(super) fn rename(&self, from: &At, to: &At) -> Result<()> {
        let (root, source, target) = self.both(from, to)?;
        let renamed_before = root.metadata(&source)?.is_none() && root.metadata(&target)?.is_some();
        if renamed_before {
            return Ok(());
        }
        Ok(root.rename_no_replace(&source, &root, &target)?)
    }

    pub(super) fn rename_back(&self, from: &At, to: &At) -> Result<()> {
        let (root, source, target) = self.both(from, to)?;
        if root.metadata(&source)?.is_some() || root.metadata(&target)?.is_none() {
            return Ok(());
        }
        Ok(root.rename_no_replace(&target, &root, &source)?)
    }

    pub(super) fn link_image(&self, from: &At, to: &At) -> Result<()> {
        let (root, source, target) = self.both(from, to)?;
        second_name(&root, &source, &target)
    }

    pub(super) fn unlink_image(&self, from: &At, to: &At) -> Result<()> {
        let (root, source, target) = self.both(from, to)?;
        no_second_name(&root, &source, &target)
    }

    pub(super) fn both(&self, from: &At, to: &At) -> Result<(Root, RelPath, RelPath)> {
        if from.place != to.place {
            return Err(Error::new(format!(
                "{from} and {to}: both must be in the same place"
            )));
        }
        Ok((self.places.open(from.place)?, rel(&from.path)?, rel(&to.path)?))
    }

    /// Takes away what a writer left that was killed in the middle.
    pub(super) fn remove_leftovers(&self, at: &At) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        match root.remove_leftovers(&path) {
            Err(e) if e.is_not_found() => Ok(()),
            other => Ok(other?),
        }
    }

    pub(super) fn restore_file(&self, at: &At, old: Option<&OldFile>) -> Result<()> {
        let Some(old) = old else {
            return self.remove_file(at);
        };
        let (root, path) = self.places.resolve(at)?;
        let options = WriteOptions {
            mode: Some(old.mode),
            owner: Some((old.uid, old.gid)),
            ..WriteOptions::default()
        };
        root.write(&path, &old.content, &options)?;
        Ok(())
    }

    /// Brings back every file that is not as it was; one failure does not keep the others from being brought back.
    pub(super) fn restore_files(&self, files: &[At], old: &[Option<OldFile>]) -> Result<()> {
        let errors = files
            .iter()
            .zip(old)
            .filter_map(|(at, old)| self.restore_changed(at, old.as_ref()).err());
        Error::all(errors.collect()).map_or(Ok(()), Err)
    }

    pub(super) fn restore_changed(&self, at: &At, old: Option<&OldFile>) -> Result<()> {
        self.remove_leftovers(at)?;
        match self.old_file(at) {
            Ok(now) if now.as_ref() == old => Ok(()),
            _ => self.restore_file(at, old),
        }
    }

    pub(super) fn restore_link(&self, at: &At, old: Option<&str>) -> Result<()> {
        self.remove_leftovers(at)?;
        let (root, path) = self.places.resolve(at)?;
        match old {
            Some(target) => Ok(root.replace_symlink(target, &path)?),
            None => {
                root.remove_file(&path)?;
                Ok(())
            }
        }
    }
}

/// Gives a file a second name, and makes the directory for it.
fn second_name(root: &Root, source: &RelPath, target: &RelPath) -> Result<()> {
    if is_same_file(root, source, target)? {
        return Ok(());
    }
    if let Some(dir) = target.parent() {
        root.make_dirs(&dir, IMAGES_MODE, None)?;
    }
    Ok(root.hard_link(source, target)?)
}

/// Takes the second name away; another file of that name stays.
fn no_second_name(root: &Root, source: &RelPath, target: &RelPath) -> Result<()> {
    if is_same_file(root, source, target)? {
        root.remove_file(target)?;
    }
    if let Some(dir) = target.parent() {
        // Others are in it, or it was not made.
        let _ = root.remove_dir(&dir);
    }
    Ok(())
}

/// Whether two names are of one file.
fn is_same_file(root: &Root, a: &RelPath, b: &RelPath) -> Result<bool> {
    let number = |path| -> Result<_> { Ok(root.metadata(path)?.map(|m| (m.dev, m.ino))) };
    let (a, b) = (number(a)?, number(b)?);
    Ok(a.is_some() && a == b)
}

/// A file that is not there has been removed before, or there was none.
pub(super) fn remove_file(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(format!("remove {}: {e}", file.display())))
        }
        _ => Ok(()),
    }
}

/// Removes the file of an image jail, and the directory of such files when it was the last.
pub(super) fn remove_image(file: &Path) -> Result<()> {
    remove_file(file)?;
    if let Some(dir) = file.parent() {
        // Others are in it, or it is gone.
        let _ = std::fs::remove_dir(dir);
    }
    Ok(())
}

/// A file that is not there has been moved before, or there was none.
pub(super) fn move_file(from: &Path, to: &Path) -> Result<()> {
    match std::fs::rename(from, to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::new(format!(
            "rename {} to {}: {e}",
            from.display(),
            to.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_name_comes_and_goes_and_no_other_file_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let (source, target) = (rel("a.img").unwrap(), rel(".images/a.img").unwrap());
        std::fs::write(dir.path().join("a.img"), "old").unwrap();
        let images = dir.path().join(".images");
        no_second_name(&root, &source, &target).unwrap();
        for _ in 0..2 {
            second_name(&root, &source, &target).unwrap();
        }
        assert_eq!(std::fs::read(images.join("a.img")).unwrap(), b"old");
        for _ in 0..2 {
            no_second_name(&root, &source, &target).unwrap();
        }
        assert!(!images.exists());
        std::fs::create_dir(&images).unwrap();
        std::fs::write(images.join("a.img"), "another's").unwrap();
        assert!(second_name(&root, &source, &target).is_err());
        no_second_name(&root, &source, &target).unwrap();
        assert_eq!(std::fs::read(images.join("a.img")).unwrap(), b"another's");
        // The only name is not taken away.
        std::fs::remove_file(dir.path().join("a.img")).unwrap();
        no_second_name(&root, &source, &target).unwrap();
        assert!(images.join("a.img").exists());
    }
}
