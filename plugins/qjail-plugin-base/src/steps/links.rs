//! Relative links in the shared part: jails see it below `/sharedfs`, so a link that climbs out of it would miss its target.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use qjail_fs::{Kind, RelPath, Root};
use qjail_plugin_api::PluginError;

use super::layout::walk;

/// Makes every relative link in `shared` absolute that leads to none of the `moved` parts. Those that stay within remain.
pub(super) fn rewrite(shared: &Root, moved: &[&str]) -> Result<u64, PluginError> {
    let mut rewritten = 0;
    walk(shared, &RelPath::root(), &mut |path, kind| {
        if kind != Kind::Link {
            return Ok(());
        }
        let target = shared.read_link(path).map_err(PluginError::new)?;
        if let Some(absolute) = outside(path, &target, moved) {
            shared.replace_symlink(absolute, path).map_err(PluginError::new)?;
            rewritten += 1;
        }
        Ok(())
    })?;
    Ok(rewritten)
}

/// The absolute form of the target of a link at `path`, when it leads out of the `moved` parts.
fn outside(path: &RelPath, target: &OsStr, moved: &[&str]) -> Option<OsString> {
    if target.as_bytes().starts_with(b"/") {
        return None;
    }
    let mut parts: Vec<&OsStr> = path.components().collect();
    parts.pop();
    for part in target.as_bytes().split(|b| *b == b'/').map(OsStr::from_bytes) {
        match part.as_bytes() {
            b"" | b"." => {}
            // At the top it stays there, as the kernel does.
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let bytes: Vec<&[u8]> = parts.iter().map(|p| p.as_bytes()).collect();
    let joined = bytes.join(&b'/');
    let within = |m: &&str| {
        joined
            .strip_prefix(m.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    if moved.iter().any(within) {
        return None;
    }
    Some(OsString::from_vec([b"/".as_slice(), &joined].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_that_leave_are_made_absolute() {
        let moved = ["bin", "lib", "usr/bin", "usr/lib", "usr/share"];
        for (path, target, want) in [
            ("usr/share/out", "../../etc/passwd", Some("/etc/passwd")),
            ("usr/lib/libx.so", "libx.so.1", None),
            ("usr/lib/libx.so", "../../lib/libx.so.1", None),
            ("usr/lib/a/b", "../c", None),
            ("usr/bin/awk", "/etc/alternatives/awk", None),
            ("usr/bin/x", "../local/bin/x", Some("/usr/local/bin/x")),
            ("usr/bin/y", "../../../../../var/y", Some("/var/y")),
            ("usr/share/top", "../..", Some("/")),
            ("usr/share/usr", "..", Some("/usr")),
            ("usr/lib/sbin", "../sbin/x", Some("/usr/sbin/x")),
            ("bin/sh", "./bash", None),
            ("usr/lib/n", "../lib64/n", Some("/usr/lib64/n")),
        ] {
            let told = outside(&RelPath::new(path).unwrap(), OsStr::new(target), &moved);
            assert_eq!(told.as_deref(), want.map(OsStr::new), "{path} -> {target}");
        }
    }
}
