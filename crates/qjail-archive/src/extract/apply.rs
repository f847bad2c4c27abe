//! Giving an open file or directory the metadata of its entry.

use super::Extracted;
use crate::entry::EntryInfo;
use crate::error::EntryError;
use std::fs::{File, FileTimes, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, fchown};
use std::time::{Duration, SystemTime};

/// Owner before mode and attributes: a new owner takes setuid and capabilities away. The time last.
pub(super) fn to_open(file: &File, info: &EntryInfo, done: &mut Extracted) -> Result<(), EntryError> {
    let all = || -> io::Result<()> {
        fchown(file, Some(info.uid), Some(info.gid))?;
        file.set_permissions(Permissions::from_mode(info.mode))?;
        for (name, value) in &info.xattrs {
            match qjail_os::set_xattr(file.as_fd(), name, value) {
                // Another system's namespace, or a file system without attributes.
                Err(e) if matches!(e.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {
                    done.skipped_xattrs += 1;
                }
                set => set?,
            }
        }
        file.set_times(FileTimes::new().set_modified(time(info.mtime)?))
    };
    let mut all = all;
    all().map_err(EntryError::Write)
}

fn time((seconds, nanoseconds): (i64, u32)) -> io::Result<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    start
        .and_then(|at| at.checked_add(Duration::from_nanos(nanoseconds.into())))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its time is out of range"))
}
