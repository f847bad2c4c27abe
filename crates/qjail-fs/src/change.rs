//! Making, renaming and removing names, and setting what belongs to them.

use crate::error::{ErrorKind, Result};
use crate::meta::Kind;
use crate::path::RelPath;
use crate::root::{Root, expect_kind, open_regular_at, open_subdir};
use crate::write::{create_new, permissions};
use rustix::fs::{AtFlags, Gid, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

type Outcome<T> = std::result::Result<T, ErrorKind>;

impl Root {
    /// Makes a directory; false when it exists, which is then left as it is. `mode` is not touched by the umask.
    ///
    /// # Errors
    /// The name is something else than a directory; the directory above does not exist.
    pub fn make_dir(&self, path: &RelPath, mode: u32, owner: Option<(u32, u32)>) -> Result<bool> {
        self.in_parent("make directory", path, |dir, name| {
            make_dir_at(dir, name, mode, owner).map(|(made, _)| made)
        })
    }

    /// Makes a directory and those above it that are missing, all with the same mode and owner; false when all existed.
    ///
    /// # Errors
    /// As [`Root::make_dir`].
    pub fn make_dirs(&self, path: &RelPath, mode: u32, owner: Option<(u32, u32)>) -> Result<bool> {
        let fail = |kind| self.error("make directory", path, kind);
        let mut at = self.as_fd().try_clone_to_owned().map_err(|e| fail(e.into()))?;
        let mut any = false;
        for name in path.components() {
            let (made, next) = make_dir_at(at.as_fd(), name, mode, owner).map_err(fail)?;
            at = next;
            any |= made;
        }
        Ok(any)
    }

    /// Makes a symbolic link with any target; the target is not looked at.
    ///
    /// # Errors
    /// The name exists.
    pub fn symlink(&self, target: impl AsRef<OsStr>, at: &RelPath) -> Result<()> {
        self.in_parent("make link", at, |dir, name| {
            exists(rustix::fs::symlinkat(target.as_ref(), dir, name))
        })
    }

    /// Gives a file a second name; a link gets one itself, its target is not looked at.
    ///
    /// # Errors
    /// The new name exists; the two are on different file systems.
    pub fn hard_link(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        self.between("link", from, self, to, |from_dir, old, to_dir, new| {
            exists(rustix::fs::linkat(from_dir, old, to_dir, new, AtFlags::empty()))
        })
    }

    /// Renames below this root, replacing a file of the new name as rename(2) does.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn rename(&self, from: &RelPath, to: &RelPath) -> Result<()> {
        self.between("rename", from, self, to, |from_dir, old, to_dir, new| {
            Ok(rustix::fs::renameat(from_dir, old, to_dir, new)?)
        })
    }

    /// Moves a name to another root on the same file system; an existing new name is never replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`], and those of rename(2). On FreeBSD the check for a directory is not one step with the rename.
    pub fn rename_no_replace(&self, from: &RelPath, to_root: &Root, to: &RelPath) -> Result<()> {
        self.between("rename", from, to_root, to, |from_dir, old, to_dir, new| {
            qjail_os::rename_no_replace(from_dir, old, to_dir, new).map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => ErrorKind::Exists,
                _ => e.into(),
            })
        })
    }

    /// Lets two existing names change places in one step.
    ///
    /// # Errors
    /// Unsupported on FreeBSD.
    pub fn exchange(&self, a: &RelPath, b: &RelPath) -> Result<()> {
        self.between("exchange", a, self, b, |a_dir, a, b_dir, b| {
            Ok(qjail_os::exchange(a_dir, a, b_dir, b)?)
        })
    }

    /// Removes a name that is no directory, a link itself; false when there is none.
    ///
    /// # Errors
    /// It is a directory.
    pub fn remove_file(&self, path: &RelPath) -> Result<bool> {
        self.in_parent("remove", path, |dir, name| {
            match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
                Ok(()) => Ok(true),
                Err(Errno::NOENT) => Ok(false),
                Err(e) => match qjail_os::info_at(dir, name) {
                    Ok(found) if Kind::of_mode(found.mode) == Kind::Dir => Err(ErrorKind::WrongKind {
                        name: name.to_owned(),
                        expected: Kind::File,
                        found: Kind::Dir,
                    }),
                    _ => Err(e.into()),
                },
            }
        })
    }

    /// Removes an empty directory; false when there is none.
    ///
    /// # Errors
    /// It is not empty, or no directory.
    pub fn remove_dir(&self, path: &RelPath) -> Result<bool> {
        self.in_parent("remove directory", path, |dir, name| {
            match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
                Ok(()) => Ok(true),
                Err(Errno::NOENT) => Ok(false),
                Err(e) => Err(e.into()),
            }
        })
    }

    /// Makes a new file and opens it for writing; `mode` is subject to the umask.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`], whatever stands there.
    pub fn create_file(&self, path: &RelPath, mode: u32) -> Result<File> {
        self.in_parent("make", path, |dir, name| {
            create_new(dir, name, mode).map_err(|e| match e.kind() {
                std::io::ErrorKind::AlreadyExists => ErrorKind::Exists,
                _ => e.into(),
            })
        })
    }

    /// Makes a FIFO or a device node; `numbers` are major and minor, used for devices. `mode` is not touched by the umask.
    ///
    /// # Errors
    /// The name exists; `kind` is none of the three; the process may make no devices.
    pub fn make_node(&self, path: &RelPath, kind: Kind, mode: u32, numbers: (u32, u32)) -> Result<()> {
        self.in_parent("make", path, |dir, name| {
            let kind_bits = match kind {
                Kind::Fifo => 0o010_000,
                Kind::CharDevice => 0o020_000,
                Kind::BlockDevice => 0o060_000,
                _ => return Err(ErrorKind::Io(std::io::ErrorKind::InvalidInput.into())),
            };
            qjail_os::mknodat(dir, name, kind_bits | mode & 0o7777, numbers.0, numbers.1).map_err(
                |e| match e.kind() {
                    std::io::ErrorKind::AlreadyExists => ErrorKind::Exists,
                    _ => e.into(),
                },
            )?;
            Ok(qjail_os::chmod_at(dir, name, mode)?)
        })
    }

    /// Sets owner and group of a name, of a link itself. The system drops setuid and setgid: set the mode afterwards.
    ///
    /// # Errors
    /// The name does not exist; the process is not root.
    pub fn set_owner(&self, path: &RelPath, uid: u32, gid: u32) -> Result<()> {
        self.in_parent("set the owner of", path, |dir, name| {
            Ok(chown_at(dir, name, uid, gid)?)
        })
    }

    /// Sets the permission bits (`0o7777`) of a name that is no link.
    ///
    /// # Errors
    /// The name does not exist or is a link.
    pub fn set_mode(&self, path: &RelPath, mode: u32) -> Result<()> {
        self.in_parent("set the mode of", path, |dir, name| {
            if Kind::of_mode(qjail_os::info_at(dir, name)?.mode) == Kind::Link {
                return Err(ErrorKind::Link {
                    name: name.to_owned(),
                });
            }
            Ok(qjail_os::chmod_at(dir, name, mode)?)
        })
    }

    /// Sets the time of the last modification (seconds since 1970, nanoseconds) of a name, of a link itself.
    ///
    /// # Errors
    /// The name does not exist.
    pub fn set_mtime(&self, path: &RelPath, mtime: (i64, u32)) -> Result<()> {
        let times = times(mtime, mtime);
        self.in_parent("set the time of", path, |dir, name| {
            Ok(rustix::fs::utimensat(
                dir,
                name,
                &times,
                AtFlags::SYMLINK_NOFOLLOW,
            )?)
        })
    }

    /// Sets an extended attribute of a regular file or directory.
    ///
    /// # Errors
    /// The name is anything else; the file system has no attributes, or no space for this one.
    pub fn set_xattr(&self, path: &RelPath, attribute: &OsStr, value: &[u8]) -> Result<()> {
        self.in_parent("set an attribute of", path, |dir, name| {
            Ok(qjail_os::set_xattr(
                open_any(dir, name)?.as_fd(),
                attribute,
                value,
            )?)
        })
    }

    /// Sets FreeBSD's file flags of a name, of a link itself.
    ///
    /// # Errors
    /// Unsupported on Linux, unless `bits` is 0.
    pub fn set_flags(&self, path: &RelPath, bits: u32) -> Result<()> {
        self.in_parent("set the flags of", path, |dir, name| {
            Ok(qjail_os::set_file_flags_at(dir, name, bits)?)
        })
    }

    fn between(
        &self,
        what: &'static str,
        from: &RelPath,
        to_root: &Root,
        to: &RelPath,
        act: impl FnOnce(BorrowedFd<'_>, &OsStr, BorrowedFd<'_>, &OsStr) -> Outcome<()>,
    ) -> Result<()> {
        let (from_dir, old) = self.place(from).map_err(|k| self.error(what, from, k))?;
        let (to_dir, new) = to_root.place(to).map_err(|k| to_root.error(what, to, k))?;
        act(from_dir.as_fd(), old, to_dir.as_fd(), new).map_err(|kind| match kind {
            // What stands in the way is at the new name.
            ErrorKind::Exists => to_root.error(what, to, kind),
            kind => self.error(what, from, kind),
        })
    }
}

pub(crate) fn make_dir_at(
    dir: BorrowedFd<'_>,
    name: &OsStr,
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Outcome<(bool, OwnedFd)> {
    match rustix::fs::mkdirat(dir, name, permissions(0o700)) {
        Err(Errno::EXIST) => return Ok((false, open_subdir(dir, name)?)),
        other => other?,
    }
    let made = open_subdir(dir, name)?;
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::fchown(&made, Some(uid), Some(gid))?;
    }
    rustix::fs::fchmod(&made, permissions(mode))?;
    Ok((true, made))
}

pub(crate) fn chown_at(dir: BorrowedFd<'_>, name: &OsStr, uid: u32, gid: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

pub(crate) fn times(atime: (i64, u32), mtime: (i64, u32)) -> Timestamps {
    let spec = |(seconds, nanoseconds): (i64, u32)| Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds.into(),
    };
    Timestamps {
        last_access: spec(atime),
        last_modification: spec(mtime),
    }
}

fn open_any(dir: BorrowedFd<'_>, name: &OsStr) -> Outcome<OwnedFd> {
    let found = qjail_os::info_at(dir, name)?;
    if Kind::of_mode(found.mode) == Kind::Dir {
        return open_subdir(dir, name);
    }
    expect_kind(name, &found, Kind::File)?;
    Ok(open_regular_at(dir, name)?.0.into())
}

fn exists(done: rustix::io::Result<()>) -> Outcome<()> {
    done.map_err(|e| {
        if e == Errno::EXIST {
            ErrorKind::Exists
        } else {
            e.into()
        }
    })
}
