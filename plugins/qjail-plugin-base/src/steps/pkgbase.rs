//! A FreeBSD host whose base system is made of packages (pkgbase, 15.0 and later).
//!
//! Its package database stays on the host. pkg(8) takes a system for pkgbase when its database has `/usr/bin/uname`
//! (<https://github.com/freebsd/pkg/pull/2386>): in a jail with a copy of it, `pkg upgrade` would want to write below the
//! read-only `/sharedfs`. Without one it looks at the libraries in `/lib` and `/usr/lib` instead, as on a system that was
//! installed from distribution sets.

use std::io::Read;

use qjail_fs::{Kind, Root};
use qjail_plugin_api::PluginError;

use super::keep::write;
use super::layout::kind;
use crate::bases::rel;

/// What pkg(8) knows of installed packages: an SQLite database, in which texts stand as they are.
const DATABASE: &str = "var/db/pkg/local.sqlite";

/// Both are in the database of a pkgbase system only: the package of the C library and the first programs, and the file by
/// which pkg(8) itself tells.
const MARKS: [&[u8]; 2] = [b"FreeBSD-runtime", b"/usr/bin/uname"];

/// Bytes that are looked at together.
const CHUNK: usize = 1 << 20;

/// Overrides what `/etc/pkg` says of the repository (pkg.conf(5): the directory is read after it).
const NO_REPOSITORY: &str = "usr/local/etc/pkg/repos/FreeBSD-base.conf";

/// What it says.
const DISABLED: &str =
    "# Made by qjail: this jail's base is a copy of the host's and shared; pkg(8) must not install one.
FreeBSD-base: { enabled: no }
";

/// Whether the system below `root` is made of packages.
pub(super) fn is_used(root: &Root) -> Result<bool, PluginError> {
    if kind(root, DATABASE)? != Some(Kind::File) {
        return Ok(false);
    }
    let mut file = root.open_file(&rel(DATABASE)?).map_err(PluginError::new)?;
    has_all(&mut file, CHUNK).map_err(|e| PluginError::new(format!("read /{DATABASE}: {e}")))
}

/// Keeps pkg(8) in jails from base packages, also where the host's `/etc/pkg` switches their repository on.
pub(super) fn without_repository(template: &Root) -> Result<(), PluginError> {
    let dir = NO_REPOSITORY.rsplit_once('/').map_or("", |(dir, _)| dir);
    template
        .make_dirs(&rel(dir)?, 0o755, None)
        .map_err(PluginError::new)?;
    write(template, NO_REPOSITORY, DISABLED.as_bytes(), 0o644)
}

/// Whether all marks are in a file, wherever its chunks divide them.
fn has_all(file: &mut impl Read, chunk: usize) -> std::io::Result<bool> {
    let overlap = MARKS.iter().map(|m| m.len()).max().unwrap_or(0) - 1;
    let mut found = [false; MARKS.len()];
    let mut window: Vec<u8> = Vec::new();
    loop {
        let kept = window.len().saturating_sub(overlap);
        window.drain(..kept);
        let read = file.take(chunk as u64).read_to_end(&mut window)?;
        for (seen, mark) in found.iter_mut().zip(MARKS) {
            *seen = *seen || window.windows(mark.len()).any(|w| w == mark);
        }
        if read == 0 || found == [true; MARKS.len()] {
            return Ok(found == [true; MARKS.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_wherever_they_are() {
        let text = [
            b"\0\x01baseFreeBSD-runtime15.0p1\0".as_slice(),
            b"xx/usr/bin/unameyy",
        ]
        .concat();
        for chunk in 1..=text.len() + 1 {
            assert!(has_all(&mut text.as_slice(), chunk).unwrap(), "{chunk}");
            for one in MARKS {
                let only: Vec<u8> = [b"..".as_slice(), one, b".."].concat();
                assert!(!has_all(&mut only.as_slice(), chunk).unwrap(), "{chunk}");
            }
        }
        assert!(!has_all(&mut b"".as_slice(), 4).unwrap());
    }
}
