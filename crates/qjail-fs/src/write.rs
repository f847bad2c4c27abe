//! Writing a file in one step: it is there with its whole content, or as it was before.

use crate::error::{ErrorKind, Result};
use crate::meta::{Entry, Kind};
use crate::path::RelPath;
use crate::root::{Root, expect_kind, read_dir};
use qjail_os::FileInfo;
use rustix::fs::{AtFlags, Mode, OFlags, openat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;

/// What [`Root::write`] does when the file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfExists {
    /// Put the new content in its place.
    #[default]
    Replace,
    /// Leave it as it is.
    Keep,
    /// Fail with [`ErrorKind::Exists`].
    Fail,
}

/// How [`Root::write`] writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOptions {
    /// Permission bits; `None` keeps those of a replaced file, and gives 0644 to a new one. Not touched by the umask.
    pub mode: Option<u32>,
    /// Owner and group; `None` keeps those of a replaced file, and gives the process's own to a new one.
    pub owner: Option<(u32, u32)>,
    /// What to do when the file exists.
    pub if_exists: IfExists,
    /// Wait until the content is on the disk before it takes the name. A crash of the machine right afterwards may bring
    /// back the former file, never half of one.
    pub sync: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            mode: None,
            owner: None,
            if_exists: IfExists::Replace,
            sync: true,
        }
    }
}

/// What [`Root::write`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The file is new.
    Created,
    /// The file had another content before, or the same.
    Replaced,
    /// The file existed and was left alone.
    Kept,
}

impl Root {
    /// Writes a whole file: into a temporary file in the same directory, then renamed.
    ///
    /// Extended attributes of a replaced file are not carried over.
    ///
    /// # Errors
    /// The name is a directory, link, FIFO, socket or device; the directory does not exist; no space.
    pub fn write(&self, path: &RelPath, content: &[u8], options: &WriteOptions) -> Result<Written> {
        self.in_parent("write", path, |dir, name| write_at(dir, name, content, options))
    }

    /// Makes a symbolic link, or puts it in the place of another link or regular file, in one step.
    ///
    /// # Errors
    /// The name is a directory, FIFO, socket or device.
    pub fn replace_symlink(&self, target: impl AsRef<OsStr>, at: &RelPath) -> Result<()> {
        self.in_parent("make link", at, |dir, name| {
            replace_symlink_at(dir, target.as_ref(), name)
        })
    }

    /// Removes the temporary files that writers of `path` have left which were killed. The caller knows that nobody
    /// writes to `path` now; writers of other files in the same directory are not disturbed.
    ///
    /// # Errors
    /// The directory does not exist, is a link, or can not be changed.
    pub fn remove_leftovers(&self, path: &RelPath) -> Result<()> {
        self.in_parent("clear up after", path, |dir, name| {
            let prefix = temporary_prefix(name);
            // A directory of such a name is not ours, whoever made it.
            let leftover =
                |e: &Entry| e.kind != Kind::Dir && e.name.as_bytes().starts_with(prefix.as_bytes());
            for entry in read_dir(dir)?.into_iter().filter(leftover) {
                rustix::fs::unlinkat(dir, &entry.name, AtFlags::empty())?;
            }
            Ok(())
        })
    }
}

fn write_at(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    content: &[u8],
    options: &WriteOptions,
) -> std::result::Result<Written, ErrorKind> {
    let existing = existing_file(dir, name)?;
    match (options.if_exists, existing.is_some()) {
        (IfExists::Keep, true) => return Ok(Written::Kept),
        (IfExists::Fail, true) => return Err(ErrorKind::Exists),
        _ => {}
    }
    let (file, temporary) = create_temporary(dir, name)?;
    let done = fill(file, content, existing.as_ref(), options).and_then(|()| match options.if_exists {
        IfExists::Replace => Ok(rustix::fs::renameat(dir, &temporary, dir, name)?),
        IfExists::Keep | IfExists::Fail => qjail_os::rename_no_replace(dir, &temporary, dir, name),
    });
    let Err(e) = done else {
        return Ok(if existing.is_some() {
            Written::Replaced
        } else {
            Written::Created
        });
    };
    // The first error is the one to tell; the leftover is only a leftover.
    let _ = rustix::fs::unlinkat(dir, &temporary, AtFlags::empty());
    match (e.kind(), options.if_exists) {
        (io::ErrorKind::AlreadyExists, IfExists::Keep) => Ok(Written::Kept),
        (io::ErrorKind::AlreadyExists, IfExists::Fail) => Err(ErrorKind::Exists),
        _ => Err(e.into()),
    }
}

fn existing_file(dir: BorrowedFd<'_>, name: &OsStr) -> std::result::Result<Option<FileInfo>, ErrorKind> {
    match qjail_os::info_at(dir, name) {
        Ok(found) => expect_kind(name, &found, Kind::File).map(|()| Some(found)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn fill(
    mut file: File,
    content: &[u8],
    existing: Option<&FileInfo>,
    options: &WriteOptions,
) -> io::Result<()> {
    file.write_all(content)?;
    if let Some((uid, gid)) = options.owner.or(existing.map(|f| (f.uid, f.gid))) {
        std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
    }
    // After the owner: a change of owner drops setuid.
    let mode = options.mode.or(existing.map(|f| f.mode)).unwrap_or(0o644);
    rustix::fs::fchmod(&file, permissions(mode))?;
    if options.sync {
        file.sync_all()?;
    }
    Ok(())
}

fn replace_symlink_at(
    dir: BorrowedFd<'_>,
    target: &OsStr,
    name: &OsStr,
) -> std::result::Result<(), ErrorKind> {
    match qjail_os::info_at(dir, name) {
        Ok(found) if Kind::of_mode(found.mode) == Kind::Link => {}
        Ok(found) => expect_kind(name, &found, Kind::File)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e.into()),
    }
    loop {
        let temporary = temporary_name(name);
        match rustix::fs::symlinkat(target, dir, &temporary) {
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
            Ok(()) => {
                return rustix::fs::renameat(dir, &temporary, dir, name).map_err(|e| {
                    let _ = rustix::fs::unlinkat(dir, &temporary, AtFlags::empty());
                    e.into()
                });
            }
        }
    }
}

fn create_temporary(dir: BorrowedFd<'_>, target: &OsStr) -> io::Result<(File, OsString)> {
    loop {
        let name = temporary_name(target);
        match create_new(dir, &name, 0o600) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (file, name)),
        }
    }
}

/// Makes a file that did not exist; never opens what is there.
pub(crate) fn create_new(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(dir, name, flags, permissions(mode))?))
}

/// A name that nobody can guess and that is recognised when a crash left it behind.
pub(crate) fn temporary_name(target: &OsStr) -> OsString {
    let random = RandomState::new().build_hasher().finish();
    format!("{}{random:016x}", temporary_prefix(target)).into()
}

/// How the names of temporary files for `target` begin: a sum of its name (FNV-1a), which may be too long to hold.
fn temporary_prefix(target: &OsStr) -> String {
    let sum = target.as_bytes().iter().fold(0x811c_9dc5_u32, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    });
    format!(".qjail-tmp-{sum:08x}-")
}

// mode_t is 16 bits on FreeBSD, 32 on Linux; the permission bits fit both.
pub(crate) fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode((mode & 0o7777) as rustix::fs::RawMode)
}
