//! Deleting a tree: looked through first, never across a mount, never through a link.

use crate::Cancelled;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::{Entry, Kind};
use crate::path::RelPath;
use crate::root::{Root, open_subdir};
use crate::walk::Walk;
use qjail_os::FileInfo;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How often a directory is read again because somebody keeps adding to it.
const AGAIN: usize = 8;

type Outcome<T> = std::result::Result<T, ErrorKind>;

impl Root {
    /// Deletes a file or a whole tree; false when there is nothing of that name.
    ///
    /// First the whole tree is looked through: when anything is mounted in it, a file mounted on a file too, nothing is
    /// deleted and the error names it. Links are deleted, not followed. FreeBSD's flags against deleting are cleared. Depth is
    /// not limited; of a directory with very many names, all names are held in memory.
    ///
    /// # Errors
    /// [`ErrorKind::Mounted`], with nothing deleted; [`ErrorKind::Changed`] when somebody moved directories meanwhile; cancelled.
    pub fn remove_tree(&self, path: &RelPath, cancelled: Cancelled<'_>) -> Result<bool> {
        let fail = |kind| self.error(WHAT, path, kind);
        let (parent, name) = self.place(path).map_err(fail)?;
        match find_top(parent.as_fd(), name).map_err(fail)? {
            Top::Gone => return Ok(false),
            Top::Single => return unlink(parent.as_fd(), name).map(|()| true).map_err(fail),
            Top::Dir(top) => {
                let again = top.try_clone().map_err(|e| fail(e.into()))?;
                self.refuse_mounts(path, again, cancelled)?;
                self.empty(path, top, cancelled)?;
            }
        }
        match remove_dir(parent.as_fd(), name).map_err(fail)? {
            true => Ok(true),
            false => Err(fail(ErrorKind::Changed)),
        }
    }

    /// Looks through a tree for mounts without changing anything: what [`Root::remove_tree`] does first.
    ///
    /// # Errors
    /// [`ErrorKind::Mounted`] with the mount; a directory cannot be read; cancelled. Nothing of that name is no error.
    pub fn check_unmounted(&self, path: &RelPath, cancelled: Cancelled<'_>) -> Result<()> {
        let fail = |kind| self.error(WHAT, path, kind);
        let (parent, name) = self.place(path).map_err(fail)?;
        match find_top(parent.as_fd(), name).map_err(fail)? {
            Top::Gone | Top::Single => Ok(()),
            Top::Dir(top) => self.refuse_mounts(path, top, cancelled),
        }
    }

    fn refuse_mounts(&self, path: &RelPath, top: OwnedFd, cancelled: Cancelled<'_>) -> Result<()> {
        let fail = |kind| self.error(WHAT, path, kind);
        let mut walk = Walk::start(top).map_err(fail)?;
        loop {
            let Some(entry) = walk.next_entry() else {
                match walk.leave().map_err(fail)? {
                    Some(_) => continue,
                    None => return Ok(()),
                }
            };
            check(&mut walk, &entry, cancelled).map_err(|kind| self.below(path, &walk, &entry.name, kind))?;
        }
    }

    /// Deletes all that is in the directory, not the directory.
    fn empty(&self, path: &RelPath, top: OwnedFd, cancelled: Cancelled<'_>) -> Result<()> {
        let fail = |kind| self.error(WHAT, path, kind);
        clear_flags(top.as_fd()).map_err(fail)?;
        let mut walk = Walk::start(top).map_err(fail)?;
        let mut again = AGAIN;
        loop {
            if let Some(entry) = walk.next_entry() {
                delete(&mut walk, &entry, cancelled)
                    .map_err(|kind| self.below(path, &walk, &entry.name, kind))?;
                continue;
            }
            let Some(name) = walk.leave().map_err(fail)? else {
                return Ok(());
            };
            let gone = walk.dir().and_then(|dir| remove_dir(dir, &name));
            if gone.map_err(|kind| self.below(path, &walk, &name, kind))? {
                continue;
            }
            // Somebody added to it behind our back: once more from where we stand.
            again = again
                .checked_sub(1)
                .ok_or_else(|| self.below(path, &walk, &name, ErrorKind::Changed))?;
            walk.rewind().map_err(fail)?;
        }
    }

    fn below(&self, path: &RelPath, walk: &Walk, name: &OsStr, kind: ErrorKind) -> Error {
        self.error(WHAT, &path.join_path(&walk.path_of(name)), kind)
    }
}

const WHAT: &str = "delete";

fn check(walk: &mut Walk, entry: &Entry, cancelled: Cancelled<'_>) -> Outcome<()> {
    if cancelled() {
        return Err(ErrorKind::Cancelled);
    }
    match qjail_os::info_at(walk.dir()?, &entry.name) {
        Ok(found) if found.mount != walk.mount => return Err(ErrorKind::Mounted),
        Ok(found) if Kind::of_mode(found.mode) == Kind::Dir => {}
        Ok(_) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    match open_for_removal(walk.dir()?, &entry.name)? {
        Some(dir) => walk.enter(dir, &entry.name),
        None => Ok(()),
    }
}

fn delete(walk: &mut Walk, entry: &Entry, cancelled: Cancelled<'_>) -> Outcome<()> {
    if cancelled() {
        return Err(ErrorKind::Cancelled);
    }
    if entry.kind != Kind::Dir {
        match unlink(walk.dir()?, &entry.name) {
            Err(ErrorKind::WrongKind { .. }) => {}
            other => return other,
        }
    }
    match open_for_removal(walk.dir()?, &entry.name) {
        Ok(Some(dir)) => {
            // Before anything is changed in it: only directories of the tree's own mount are ours.
            if qjail_os::mount_id(dir.as_fd())? != walk.mount {
                return Err(ErrorKind::Mounted);
            }
            clear_flags(dir.as_fd())?;
            walk.enter(dir, &entry.name)
        }
        Ok(None) => Ok(()),
        // No directory any more.
        Err(ErrorKind::Link { .. } | ErrorKind::WrongKind { .. }) => unlink(walk.dir()?, &entry.name),
        Err(e) => Err(e),
    }
}

/// Opens a directory, after giving its owner (us) the right to when it has none; `None` when it is gone.
/// What stands at the name that is to be deleted.
enum Top {
    Gone,
    Single,
    Dir(OwnedFd),
}

/// Opens a directory that is to be deleted; a mount point is refused.
fn find_top(parent: BorrowedFd<'_>, name: &OsStr) -> Outcome<Top> {
    let found = match qjail_os::info_at(parent, name) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Top::Gone),
        Err(e) => return Err(e.into()),
    };
    if found.mount != qjail_os::mount_id(parent)? {
        return Err(ErrorKind::Mounted);
    }
    if Kind::of_mode(found.mode) != Kind::Dir {
        return Ok(Top::Single);
    }
    let Some(top) = open_for_removal(parent, name)? else {
        return Ok(Top::Gone);
    };
    if same_file(&found, top.as_fd())? {
        Ok(Top::Dir(top))
    } else {
        Err(ErrorKind::Changed)
    }
}

fn open_for_removal(dir: BorrowedFd<'_>, name: &OsStr) -> Outcome<Option<OwnedFd>> {
    let opened = match open_subdir(dir, name) {
        Err(ErrorKind::Io(e)) if e.kind() == io::ErrorKind::PermissionDenied => {
            qjail_os::chmod_at(dir, name, 0o700)?;
            open_subdir(dir, name)
        }
        other => other,
    };
    match opened {
        Err(ErrorKind::Io(e)) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn clear_flags(dir: BorrowedFd<'_>) -> Outcome<()> {
    if qjail_os::supports_file_flags() && qjail_os::info(dir)?.flags != 0 {
        qjail_os::set_file_flags(dir, 0)?;
    }
    Ok(())
}

/// Deletes a name that is no directory; it may be gone. [`ErrorKind::WrongKind`] for a directory.
pub(crate) fn unlink(dir: BorrowedFd<'_>, name: &OsStr) -> Outcome<()> {
    let e = match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY) => return Err(ErrorKind::Mounted),
        Err(e) => e,
    };
    let Ok(found) = qjail_os::info_at(dir, name) else {
        return Err(e.into());
    };
    if Kind::of_mode(found.mode) == Kind::Dir {
        return Err(ErrorKind::WrongKind {
            name: name.to_owned(),
            expected: Kind::File,
            found: Kind::Dir,
        });
    }
    if !matches!(e, Errno::PERM | Errno::ACCESS) {
        return Err(e.into());
    }
    allow_changes(dir)?;
    qjail_os::set_file_flags_at(dir, name, 0)?;
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// A directory of our own without write permission: its names can be removed once it has it.
fn allow_changes(dir: BorrowedFd<'_>) -> Outcome<()> {
    let mode = qjail_os::info(dir)?.mode;
    if mode & 0o300 != 0o300 {
        rustix::fs::fchmod(dir, crate::write::permissions(mode | 0o700))?;
    }
    Ok(())
}

/// Deletes a directory; false when it is not empty.
fn remove_dir(dir: BorrowedFd<'_>, name: &OsStr) -> Outcome<bool> {
    let remove = || rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR);
    let first = match remove() {
        Err(Errno::PERM | Errno::ACCESS) => {
            allow_changes(dir)?;
            remove()
        }
        other => other,
    };
    match first {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(Errno::BUSY) => Err(ErrorKind::Mounted),
        // Replaced by a link or file meanwhile.
        Err(Errno::NOTDIR) => unlink(dir, name).map(|()| true),
        Err(e) => Err(e.into()),
    }
}

fn same_file(expected: &FileInfo, opened: BorrowedFd<'_>) -> Outcome<bool> {
    let found = qjail_os::info(opened)?;
    Ok((found.dev, found.ino, found.mount) == (expected.dev, expected.ino, expected.mount))
}
