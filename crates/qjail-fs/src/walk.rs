//! Walking a tree of any depth with a bounded number of descriptors, and what only counts.

use crate::Cancelled;
use crate::error::{ErrorKind, Result};
use crate::meta::{Entry, Kind};
use crate::path::RelPath;
use crate::root::{Root, open_subdir, read_dir};
use qjail_os::{FileInfo, MountId};
use rustix::fs::{Mode, OFlags, openat};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Directories of the way down that stay open. Deeper trees are climbed through `..`, checked against what was left.
const OPEN: usize = 48;

type Outcome<T> = std::result::Result<T, ErrorKind>;

/// What [`Root::tree_size`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TreeSize {
    /// Names that are no directories.
    pub files: u64,
    /// Bytes in regular files, each file once however many names it has.
    pub bytes: u64,
}

impl Root {
    /// Counts the files of a tree and their bytes; nothing that is mounted below is counted.
    ///
    /// # Errors
    /// A directory cannot be read; cancelled.
    pub fn tree_size(&self, path: &RelPath, cancelled: Cancelled<'_>) -> Result<TreeSize> {
        let fail = |kind| self.error("count", path, kind);
        let mut walk = Walk::start(self.walk(path).map_err(fail)?).map_err(fail)?;
        let (mut size, mut seen) = (TreeSize::default(), HashSet::new());
        loop {
            let Some(entry) = walk.next_entry() else {
                match walk.leave().map_err(fail)? {
                    Some(_) => continue,
                    None => return Ok(size),
                }
            };
            if cancelled() {
                return Err(fail(ErrorKind::Cancelled));
            }
            count(&mut walk, &entry, &mut size, &mut seen).map_err(fail)?;
        }
    }
}

fn count(walk: &mut Walk, entry: &Entry, size: &mut TreeSize, seen: &mut HashSet<(u64, u64)>) -> Outcome<()> {
    let found = match qjail_os::info_at(walk.dir()?, &entry.name) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
    };
    if found.mount != walk.mount {
        return Ok(());
    }
    match Kind::of_mode(found.mode) {
        Kind::Dir => {
            let dir = open_subdir(walk.dir()?, &entry.name)?;
            return walk.enter(dir, &entry.name);
        }
        Kind::File if found.nlink < 2 || seen.insert((found.dev, found.ino)) => size.bytes += found.size,
        _ => {}
    }
    size.files += 1;
    Ok(())
}

/// A walk in progress: the directories from its start down to the current one.
pub(crate) struct Walk {
    frames: Vec<Frame>,
    /// The mount of the start; nobody is led to another one.
    pub(crate) mount: MountId,
}

struct Frame {
    name: OsString,
    fd: Option<OwnedFd>,
    identity: (u64, u64, MountId),
    entries: std::vec::IntoIter<Entry>,
}

impl Walk {
    pub(crate) fn start(dir: OwnedFd) -> Outcome<Walk> {
        let mount = qjail_os::info(dir.as_fd())?.mount;
        let mut walk = Walk {
            frames: Vec::new(),
            mount,
        };
        walk.enter(dir, OsStr::new(""))?;
        Ok(walk)
    }

    /// The current directory.
    pub(crate) fn dir(&self) -> Outcome<BorrowedFd<'_>> {
        let fd = self.frames.last().and_then(|f| f.fd.as_ref());
        fd.map(AsFd::as_fd).ok_or(ErrorKind::Changed)
    }

    /// The next unseen name in the current directory.
    pub(crate) fn next_entry(&mut self) -> Option<Entry> {
        self.frames.last_mut()?.entries.next()
    }

    /// Goes down into a directory that was opened from the current one.
    pub(crate) fn enter(&mut self, dir: OwnedFd, name: &OsStr) -> Outcome<()> {
        let found = qjail_os::info(dir.as_fd())?;
        if found.mount != self.mount {
            return Err(ErrorKind::Mounted);
        }
        let entries = read_dir(dir.as_fd())?.into_iter();
        self.frames.push(Frame {
            name: name.to_owned(),
            fd: Some(dir),
            identity: identity(&found),
            entries,
        });
        if let Some(above) = self.frames.len().checked_sub(OPEN + 1) {
            self.frames[above].fd = None;
        }
        Ok(())
    }

    /// Reads the current directory again.
    pub(crate) fn rewind(&mut self) -> Outcome<()> {
        let entries = read_dir(self.dir()?)?.into_iter();
        if let Some(frame) = self.frames.last_mut() {
            frame.entries = entries;
        }
        Ok(())
    }

    /// Goes up; returns the name of the directory that was left, `None` at the start.
    pub(crate) fn leave(&mut self) -> Outcome<Option<OsString>> {
        let Some(left) = self.frames.pop() else {
            return Ok(None);
        };
        let Some(above) = self.frames.last_mut() else {
            return Ok(None);
        };
        if above.fd.is_none() {
            let below = left.fd.as_ref().ok_or(ErrorKind::Changed)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = openat(below, "..", flags, Mode::empty())?;
            // Somebody may have moved the directory that we stand in: then `..` is not where we came from.
            if identity(&qjail_os::info(fd.as_fd())?) != above.identity {
                return Err(ErrorKind::Changed);
            }
            above.fd = Some(fd);
        }
        Ok(Some(left.name))
    }

    /// The current directory and a name in it, relative to the start.
    pub(crate) fn path_of(&self, name: &OsStr) -> RelPath {
        self.frames
            .iter()
            .skip(1)
            .fold(RelPath::root(), |path, f| path.push(&f.name))
            .push(name)
    }
}

fn identity(found: &FileInfo) -> (u64, u64, MountId) {
    (found.dev, found.ino, found.mount)
}
