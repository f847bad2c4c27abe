//! The jail.conf(5) that a jail has whether it runs or not: `STATE/jail.conf.d/NAME.conf`.
//!
//! It is for jail(8) without qjail, and to be linked into /etc/jail.conf.d. It says what the last start said, and before
//! the first one what a start would say then.

use std::path::{Path, PathBuf};

use qjail_fs::{RelPath, Root, WriteOptions};
use qjail_model::Params;

use super::conf;
use crate::{Result, SysError};

/// Below the state directory.
const DIR: &str = "jail.conf.d";
/// No jail.conf(5) of one jail is longer.
const LONGEST: u64 = 1 << 20;

/// Writes the file, whole or not at all, and tells its path.
pub(crate) fn write(state: &Path, name: &str, params: &Params) -> Result<PathBuf> {
    let text = conf::render(name, params)?;
    let fail = |e: qjail_fs::Error| SysError::new(format!("write the jail.conf of {name}"), e);
    let root = Root::open(state).map_err(fail)?;
    let dir = RelPath::new(DIR).map_err(|e| SysError::new("make a directory", e))?;
    root.make_dirs(&dir, 0o700, None).map_err(fail)?;
    let options = WriteOptions {
        mode: Some(0o600),
        ..WriteOptions::default()
    };
    let file = path(name)?;
    root.write(&file, text.as_bytes(), &options).map_err(fail)?;
    Ok(state.join(file.as_os_str()))
}

/// What the file says; none where there is none that can be read.
pub(crate) fn read(state: &Path, name: &str) -> Option<Params> {
    let text = Root::open(state).ok()?.read_to_string(&path(name).ok()?, LONGEST);
    conf::parse(name, &text.ok()?).ok()
}

/// Removes the file; that there is none is no error.
pub(crate) fn remove(state: &Path, name: &str) -> Result<()> {
    let fail = |e: qjail_fs::Error| SysError::new(format!("remove the jail.conf of {name}"), e);
    let file = path(name)?;
    match Root::open(state).and_then(|root| root.remove_file(&file)) {
        Err(e) if !e.is_not_found() => Err(fail(e)),
        _ => Ok(()),
    }
}

fn path(name: &str) -> Result<RelPath> {
    RelPath::new(format!("{DIR}/{name}.conf"))
        .map_err(|e| SysError::new(format!("name the jail.conf of {name}"), e))
}
