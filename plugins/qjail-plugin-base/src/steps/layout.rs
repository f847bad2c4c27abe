//! Which parts of a system are shared, and how the two systems are told apart.

use std::path::Path;

use qjail_fs::{ErrorKind, Kind, RelPath, Root};
use qjail_plugin_api::{Context, PluginError};

use crate::bases::rel;

/// FreeBSD: what jails share (qjail 5.x's list), and two directories that may be filled later.
const FREEBSD: [&str; 15] = [
    "bin",
    "lib",
    "libexec",
    "sbin",
    "sys",
    "usr/bin",
    "usr/include",
    "usr/lib",
    "usr/lib32",
    "usr/libdata",
    "usr/libexec",
    "usr/sbin",
    "usr/share",
    "usr/src",
    "usr/ports",
];

/// Linux: what jails share where it is a directory of its own; where `/usr` is merged, the links stay in the template.
const LINUX: [&str; 16] = [
    "bin",
    "sbin",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "usr/lib32",
    "usr/lib64",
    "usr/libx32",
    "usr/libexec",
    "usr/share",
    "usr/include",
    "usr/games",
];

/// Programs and files that only FreeBSD's base has.
const FREEBSD_MARKS: [&str; 2] = ["bin/freebsd-version", "libexec/ld-elf.so.1"];

/// Run-time linkers of Linux's C libraries, by the beginning of their names.
const LINUX_LINKERS: [&str; 2] = ["ld-linux", "ld-musl-"];

/// The system that jails run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    FreeBsd,
    Linux,
}

impl System {
    /// That of the host.
    pub(super) fn of(context: &Context) -> Self {
        if context.os == "freebsd" {
            Self::FreeBsd
        } else {
            Self::Linux
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FreeBsd => "FreeBSD",
            Self::Linux => "Linux",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::FreeBsd => Self::Linux,
            Self::Linux => Self::FreeBsd,
        }
    }

    /// The shared parts.
    pub(super) fn shared(self) -> &'static [&'static str] {
        match self {
            Self::FreeBsd => &FREEBSD,
            Self::Linux => &LINUX,
        }
    }

    /// Whether an entry of an archive belongs to a base of the other system.
    pub(super) fn is_foreign(self, path: &Path) -> bool {
        let Some(text) = path.to_str() else { return false };
        let path = text.trim_start_matches("./").trim_start_matches('/');
        match self {
            Self::Linux => FREEBSD_MARKS.contains(&path),
            Self::FreeBsd => {
                let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
                let in_lib = dir.split('/').next_back().is_some_and(|d| d.starts_with("lib"))
                    || dir.starts_with("lib/")
                    || dir.starts_with("usr/lib/");
                // FreeBSD keeps its Linux emulation below compat.
                in_lib && !dir.starts_with("compat") && LINUX_LINKERS.iter().any(|l| name.starts_with(l))
            }
        }
    }
}

/// The refusal of a base of the other system.
pub(super) fn other_system(host: System) -> PluginError {
    let base = host.other().name();
    let hint = match host {
        System::Linux => "install a Linux base, or share the running system: qjail install --from-host",
        System::FreeBsd => "install the base.txz of a FreeBSD release",
    };
    PluginError::new(format!("this is a {base} base; this host runs {}", host.name())).hint(hint)
}

/// What stands at a path; none also where a link is on the way, which is never followed.
pub(super) fn kind(root: &Root, path: &str) -> Result<Option<Kind>, PluginError> {
    match root.metadata(&rel(path)?) {
        Ok(meta) => Ok(meta.map(|m| m.kind)),
        Err(e) if matches!(e.kind(), ErrorKind::Link { .. }) || is_no_dir(&e) => Ok(None),
        Err(e) => Err(PluginError::new(e)),
    }
}

fn is_no_dir(e: &qjail_fs::Error) -> bool {
    matches!(e.kind(), ErrorKind::WrongKind { .. })
}

/// Makes a directory unless something is there.
pub(super) fn ensure_dir(root: &Root, path: &str, mode: u32) -> Result<(), PluginError> {
    let at = rel(path)?;
    if root.metadata(&at).map_err(PluginError::new)?.is_none() {
        root.make_dir(&at, mode, None).map_err(PluginError::new)?;
    }
    Ok(())
}

/// The directories that every jail has: mount points, and what programs take for granted.
pub(super) const SKELETON: [(&str, u32); 15] = [
    ("sharedfs", 0o755),
    ("proc", 0o555),
    ("dev", 0o755),
    ("etc", 0o755),
    ("root", 0o700),
    ("tmp", 0o1777),
    ("mnt", 0o755),
    ("media", 0o755),
    ("usr", 0o755),
    ("usr/local", 0o755),
    ("var", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
    ("var/db", 0o755),
    ("var/empty", 0o555),
];

/// More of them on Linux.
pub(super) const LINUX_SKELETON: [(&str, u32); 7] = [
    ("sys", 0o555),
    ("run", 0o755),
    ("opt", 0o755),
    ("srv", 0o755),
    ("home", 0o755),
    ("var/lib", 0o755),
    ("var/cache", 0o755),
];

/// Files are written below these from outside of the jail, where no link is followed.
const NO_LINKS: [&str; 4] = ["etc", "root", "usr", "var"];

/// Makes what is missing of the skeleton.
pub(super) fn skeleton(template: &Root, system: System) -> Result<(), PluginError> {
    for path in NO_LINKS {
        if kind(template, path)?.is_some_and(|k| k != Kind::Dir) {
            let message = format!("/{path} in the base is no directory");
            return Err(PluginError::new(message).hint("the archive must hold the root of a system"));
        }
    }
    let own = |path: &str| system == System::FreeBsd || !["var/db", "var/empty"].contains(&path);
    for (path, mode) in SKELETON.into_iter().filter(|(p, _)| own(p)) {
        ensure_dir(template, path, mode)?;
    }
    if system == System::Linux {
        LINUX_SKELETON
            .into_iter()
            .try_for_each(|(path, mode)| ensure_dir(template, path, mode))?;
    }
    Ok(())
}

/// Visits every entry of a tree below `start`, directories before what is in them; no link is followed.
pub(super) fn walk(
    root: &Root,
    start: &RelPath,
    visit: &mut dyn FnMut(&RelPath, Kind) -> Result<(), PluginError>,
) -> Result<(), PluginError> {
    let mut waiting = vec![start.clone()];
    while let Some(dir) = waiting.pop() {
        for entry in root.list(&dir).map_err(PluginError::new)? {
            let path = dir.join(&entry.name).map_err(PluginError::new)?;
            visit(&path, entry.kind)?;
            if entry.kind == Kind::Dir {
                waiting.push(path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_told_by_their_files() {
        let on_linux = |p: &str| System::Linux.is_foreign(Path::new(p));
        assert!(on_linux("./bin/freebsd-version") && on_linux("/libexec/ld-elf.so.1"));
        assert!(!on_linux("usr/share/doc/bin/freebsd-version") && !on_linux("lib64/ld-linux-x86-64.so.2"));
        let on_freebsd = |p: &str| System::FreeBsd.is_foreign(Path::new(p));
        for linker in [
            "./lib64/ld-linux-x86-64.so.2",
            "lib/ld-musl-x86_64.so.1",
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        ] {
            assert!(on_freebsd(linker), "{linker}");
        }
        assert!(!on_freebsd("./bin/freebsd-version") && !on_freebsd("usr/share/man/ld-linux.8"));
        assert!(!on_freebsd("compat/linux/lib64/ld-linux-x86-64.so.2"));
        let told = other_system(System::Linux).message;
        assert_eq!(told, "this is a FreeBSD base; this host runs Linux");
    }
}
