//! Files that are replaced whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Where the new text of `path` is written first. One name for each file, so that a cut-off writer leaves nothing
/// that the next one does not clear; whoever writes holds the lock of what the file belongs to.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// Replaces `path` by `bytes`: after a crash at any instant it holds the old text or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let new = temporary(path);
    let written = write_new(&new, bytes, mode)
        .and_then(|_| fs::rename(&new, path).map_err(Error::io("replace", path)))
        .and_then(|()| sync_parent(path));
    if written.is_err() {
        // The error that is reported is the first one; the leftover is cleared by the next writer if not now.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Makes `path` anew with `bytes`, on disk when this returns. Errors name what the file is for.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<File> {
    remove(path)?;
    let fail = |e| Error::Io {
        action: "write",
        path: path.to_owned(),
        source: e,
    };
    let mut file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(fail)?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)?;
    Ok(file)
}

/// Removes `path` where it exists, and tells whether it did.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("remove", path)(e)),
    }
}

/// Makes what happened to the name of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(Error::io("write", dir))
}

/// The text of `path`; none when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}
