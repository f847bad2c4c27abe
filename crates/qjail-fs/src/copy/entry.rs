//! Copying one name that is no directory.

use super::CopyStats;
use super::tree::{Copy, Fault, Outcome, Pair};
use crate::change::{chown_at, times};
use crate::error::ErrorKind;
use crate::meta::{Entry, Kind};
use crate::remove::unlink;
use crate::root::open_regular_at;
use crate::write::{create_new, permissions};
use qjail_os::FileInfo;
use rustix::fs::AtFlags;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering::Relaxed;

type Done = Result<(), Fault>;

pub(super) fn copy(copy: &Copy<'_>, pair: &Pair, entry: &Entry, stats: &mut CopyStats) -> Done {
    match entry.kind {
        Kind::File => file(copy, pair, entry, stats),
        Kind::Link | Kind::Fifo | Kind::CharDevice | Kind::BlockDevice => special(copy, pair, entry, stats),
        Kind::Socket => {
            stats.sockets_skipped += 1;
            Ok(())
        }
        found @ (Kind::Dir | Kind::Other) => {
            let name = entry.name.clone();
            Err(Fault::Source(ErrorKind::WrongKind {
                name,
                expected: Kind::File,
                found,
            }))
        }
    }
}

fn file(copy: &Copy<'_>, pair: &Pair, entry: &Entry, stats: &mut CopyStats) -> Done {
    let (from, found) = open_regular_at(pair.from.as_fd(), &entry.name).map_err(Fault::Source)?;
    if is_left_out(copy, pair, entry, &found, stats) {
        return Ok(());
    }
    let to = make_new(copy, pair.to.as_fd(), &entry.name, || {
        create_new(pair.to.as_fd(), &entry.name, 0o600)
    })
    .map_err(Fault::Destination)?;
    let sparse = found.blocks.saturating_mul(512) < found.size;
    let copied = copy.ways.copy(from.as_fd(), to.as_fd(), found.size, sparse);
    if copied.map_err(|e| Fault::Destination(e.into()))? != found.size {
        return Err(Fault::Source(ErrorKind::Changed));
    }
    let lost = set_metadata(copy, from.as_fd(), to.as_fd(), &found).map_err(Fault::Destination)?;
    flags(copy, pair, entry, &found);
    stats.attributes_lost += u64::from(lost);
    stats.files += 1;
    stats.bytes += found.size;
    Ok(())
}

/// Links and nodes: all that has no content to open.
fn special(copy: &Copy<'_>, pair: &Pair, entry: &Entry, stats: &mut CopyStats) -> Done {
    let found = qjail_os::info_at(pair.from.as_fd(), &entry.name).map_err(|e| Fault::Source(e.into()))?;
    if is_left_out(copy, pair, entry, &found, stats) {
        return Ok(());
    }
    let (name, to) = (entry.name.as_os_str(), pair.to.as_fd());
    match Kind::of_mode(found.mode) {
        Kind::Link => {
            let target = rustix::fs::readlinkat(&pair.from, name, Vec::new());
            let target = target.map_err(|e| Fault::Source(e.into()))?;
            make_new(copy, to, name, || Ok(rustix::fs::symlinkat(&target, to, name)?))
                .map_err(Fault::Destination)?;
            stats.links += 1;
        }
        Kind::Fifo | Kind::CharDevice | Kind::BlockDevice => {
            let (major, minor) = found.rdev;
            make_new(copy, to, name, || {
                qjail_os::mknodat(to, name, found.mode, major, minor)
            })
            .map_err(Fault::Destination)?;
            stats.nodes += 1;
        }
        _ => return Err(Fault::Source(ErrorKind::Changed)),
    }
    set_metadata_at(copy, to, name, &found).map_err(Fault::Destination)?;
    flags(copy, pair, entry, &found);
    Ok(())
}

/// A mount point, or a further name of a file that has been copied.
fn is_left_out(copy: &Copy<'_>, pair: &Pair, entry: &Entry, found: &FileInfo, stats: &mut CopyStats) -> bool {
    if found.mount != copy.mount() {
        stats.mounts_skipped += 1;
        return true;
    }
    found.nlink > 1 && copy.link_later(pair, entry, found)
}

fn flags(copy: &Copy<'_>, pair: &Pair, entry: &Entry, found: &FileInfo) {
    if found.flags != 0 {
        copy.flags_later(pair.path.push(&entry.name), found.flags);
    }
}

/// Makes a name, in a merge in the place of what is no directory.
pub(super) fn make_new<T>(
    copy: &Copy<'_>,
    dir: BorrowedFd<'_>,
    name: &OsStr,
    make: impl Fn() -> io::Result<T>,
) -> Outcome<T> {
    match make() {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if !copy.replaces() {
                return Err(ErrorKind::Exists);
            }
            unlink(dir, name)?;
            Ok(make()?)
        }
        other => Ok(other?),
    }
}

/// Gives an open file or directory what its original has; true when attributes could not be held.
///
/// The order matters: a change of owner drops setuid and capabilities, everything changes the times.
pub(super) fn set_metadata(
    copy: &Copy<'_>,
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    found: &FileInfo,
) -> Outcome<bool> {
    if copy.owners {
        std::os::unix::fs::fchown(to, Some(found.uid), Some(found.gid))?;
    }
    let lost = copy.attributes.load(Relaxed) && copy_attributes(copy, from, to)?;
    rustix::fs::fchmod(to, permissions(found.mode))?;
    rustix::fs::futimens(to, &times(found.atime, found.mtime))?;
    Ok(lost)
}

fn copy_attributes(copy: &Copy<'_>, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Outcome<bool> {
    let names = match qjail_os::list_xattrs(from) {
        Ok(names) => names,
        Err(e) if e.kind() == io::ErrorKind::Unsupported => {
            copy.attributes.store(false, Relaxed);
            return Ok(false);
        }
        Err(e) => return Err(e.into()),
    };
    let mut lost = false;
    for name in names {
        let Some(value) = qjail_os::get_xattr(from, &name)? else {
            continue;
        };
        match qjail_os::set_xattr(to, &name, &value) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Unsupported => lost = true,
            // Some namespaces are root's alone.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && !copy.owners => lost = true,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(lost)
}

fn set_metadata_at(copy: &Copy<'_>, dir: BorrowedFd<'_>, name: &OsStr, found: &FileInfo) -> Outcome<()> {
    if copy.owners {
        chown_at(dir, name, found.uid, found.gid)?;
    }
    if Kind::of_mode(found.mode) != Kind::Link {
        qjail_os::chmod_at(dir, name, found.mode)?;
    }
    let times = times(found.atime, found.mtime);
    Ok(rustix::fs::utimensat(
        dir,
        name,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}
