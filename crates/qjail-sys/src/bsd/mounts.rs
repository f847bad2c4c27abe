//! Which mounts belong to a jail.

use std::path::{Path, PathBuf};

use qjail_model::Params;

/// A mounted file system, from getfsstat(2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Where it is mounted, links resolved.
    pub(crate) on: PathBuf,
    /// `nullfs`, `devfs`, ….
    pub(crate) kind: String,
    /// The number of this very mount.
    pub(crate) fsid: [i32; 2],
}

impl Mounted {
    /// The name by which unmount(2) takes it with `MNT_BYFSID`: no link that a jail has planted is followed.
    pub(crate) fn by_fsid(&self) -> String {
        format!("FSID:{}:{}", self.fsid[0], self.fsid[1])
    }
}

/// What jail(8) mounts for a file: path below `root` and type.
fn expected(root: &Path, params: &Params) -> Vec<(PathBuf, String)> {
    let written = root.as_os_str();
    let own = params.text("path").map_or(written, |p| p.as_ref());
    let line = |text: String| {
        let mut words = text.split_whitespace().skip(1);
        let target = Path::new(words.next()?).strip_prefix(own).ok()?.to_owned();
        Some((root.join(target), words.next()?.to_owned()))
    };
    let mut all: Vec<_> = params.list("mount").into_iter().filter_map(line).collect();
    for (key, target, kind) in [
        ("mount.devfs", "dev", "devfs"),
        ("mount.fdescfs", "dev/fd", "fdescfs"),
        ("mount.procfs", "proc", "procfs"),
    ] {
        if params.is_on(key) {
            all.push((root.join(target), kind.to_owned()));
        }
    }
    all
}

/// The mounts of a jail that is gone, the newest first. `root` is its directory with links resolved, `params` those of
/// its file. A mount of another type, or at another place, is somebody else's.
pub(crate) fn leftovers<'a>(root: &Path, params: &Params, mounted: &'a [Mounted]) -> Vec<&'a Mounted> {
    // The host's own /dev is none of a jail's.
    if root.parent().is_none() {
        return Vec::new();
    }
    let expected = expected(root, params);
    let below = |m: &Mounted| m.on != root && m.on.starts_with(root);
    let ours = |m: &Mounted| expected.iter().any(|(on, kind)| *on == m.on && *kind == m.kind);
    mounted.iter().rev().filter(|m| below(m) && ours(m)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{conf, golden};
    use super::*;

    /// The host of the transcript.
    fn host() -> Vec<Mounted> {
        let line = |(n, line): (usize, &str)| {
            let mut words = line.split_whitespace().skip(1);
            let on = words.next().unwrap().into();
            Mounted {
                on,
                kind: words.next().unwrap().to_owned(),
                fsid: [i32::try_from(n).unwrap(), 7],
            }
        };
        include_str!("../../fixtures/freebsd-13.2/mount-p.txt")
            .lines()
            .enumerate()
            .map(line)
            .collect()
    }

    fn params(jail: &str) -> Params {
        conf::basic(&golden::spec(jail, &[])).unwrap()
    }

    #[test]
    fn those_of_one_jail_and_no_other() {
        let host = host();
        let found = leftovers(Path::new("/usr/jails/room-002"), &params("room-002"), &host);
        let names: Vec<String> = found.iter().map(|m| m.on.display().to_string()).collect();
        assert_eq!(names, ["/usr/jails/room-002/dev", "/usr/jails/room-002/sharedfs"]);
        assert_eq!(found[0].by_fsid(), "FSID:5:7");
        assert!(leftovers(Path::new("/usr/jails/room-00"), &params("room-00"), &host).is_empty());
        assert!(leftovers(Path::new("/"), &params("x"), &host).is_empty());
    }

    #[test]
    fn a_directory_behind_a_link() {
        let mut params = params("room-002");
        params.set("path", "/jails/room-002");
        params.set(
            "mount",
            "/usr/jails/sharedfs /jails/room-002/sharedfs nullfs ro 0 0",
        );
        assert_eq!(
            leftovers(Path::new("/usr/jails/room-002"), &params, &host()).len(),
            2
        );
    }

    #[test]
    fn other_types_and_places_stay() {
        let root = Path::new("/usr/jails/a");
        let at = |on: &str, kind: &str| Mounted {
            on: root.join(on),
            kind: kind.to_owned(),
            fsid: [1, 2],
        };
        let strange = [
            at("sharedfs", "zfs"),
            at("dev", "tmpfs"),
            at("usr/ports", "nullfs"),
            at("", "ufs"),
        ];
        assert!(leftovers(root, &params("a"), &strange).is_empty());
        let ours = [at("proc", "procfs"), at("dev/fd", "fdescfs")];
        let mut p = params("a");
        assert!(leftovers(root, &p, &ours).is_empty());
        p.set("mount.procfs", true);
        p.set("mount.fdescfs", true);
        assert_eq!(leftovers(root, &p, &ours).len(), 2);
    }
}
