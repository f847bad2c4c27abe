//! The file behind a jail that has a file system of its own: the same on every system.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::{Result, SysError};

/// For root alone: whoever reads the file reads the jail.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes `file` with `bytes` bytes that take no room yet, and the directory above it. What a call that was cut off left is
/// made anew.
pub(crate) fn make_sparse(file: &Path, bytes: u64) -> Result<()> {
    let error = |e: std::io::Error| SysError::new(format!("make {}", file.display()), e);
    if let Some(dir) = file.parent().filter(|d| !d.is_dir()) {
        DirBuilder::new().mode(DIR_MODE).create(dir).map_err(error)?;
    }
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(file)
        .map_err(error)?;
    made.set_permissions(Permissions::from_mode(FILE_MODE))
        .and_then(|()| made.set_len(bytes))
        .map_err(error)
}

/// How many bytes root can still write in the file system of `dir`.
///
/// # Errors
/// When the system does not tell.
pub fn room(dir: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(dir).map_err(|e| {
        SysError::new(
            format!("ask for the room in {}", dir.display()),
            std::io::Error::from(e),
        )
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
