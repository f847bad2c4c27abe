//! The jail's root directory before anything is mounted on it.
//!
//! Whoever was root in the jail may have put links where `libcontainer` mounts and makes device files, and it follows
//! some of them out of the root (`dev` as a link to the host's `/dev` has the host's `ptmx` replaced). So every place
//! that is mounted on is looked at first, on descriptors and without following any link, and made where it is missing.
//! The jail does not run yet: nobody of it can change its mind in between.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, open, openat2};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use super::raw;
use super::spec::{Attempt, Failure, Mount};

/// `MOUNT_ATTR_NODEV` of mount_setattr(2).
pub(super) const NODEV: u64 = 4;

/// Places that every jail has something mounted on.
const OWN: &[&str] = &["proc", "dev", "sys", "run"];

/// Those of them that nothing else may be mounted in.
const RESERVED: &[&str] = &["proc", "dev", "sys"];

/// Checks that the root and all sources are directories and that what is mounted on can be: the jail's own places, then
/// `mounts`. `libcontainer` would fail too, but not say where.
pub(super) fn prepare(root: &Path, mounts: &[Mount]) -> Result<(), Failure> {
    let dir = directory(root).attempt(|| format!("open the root {}", root.display()))?;
    for one in mounts {
        directory(&one.source).attempt(|| format!("mount {}", one.source.display()))?;
    }
    for one in mounts {
        let first = one.target.split('/').next().unwrap_or_default();
        if RESERVED.contains(&first) {
            let attempt = format!("mount on {}", root.join(&one.target).display());
            return Err(Failure::new(attempt, format!("/{first} is the jail's own")));
        }
    }
    for target in OWN
        .iter()
        .copied()
        .chain(mounts.iter().map(|one| one.target.as_str()))
    {
        place(&dir, target)
            .map_err(|why| Failure::new(format!("mount on {}", root.join(target).display()), why))?;
    }
    Ok(())
}

fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Walks `target` below `root`, making what is missing.
fn place(root: &OwnedFd, target: &str) -> Result<(), String> {
    let names: Vec<&str> = target.split('/').collect();
    if names.iter().any(|name| matches!(*name, "" | "." | "..")) {
        return Err("it is not a plain path below the root".to_owned());
    }
    let mut at: Option<OwnedFd> = None;
    for (depth, name) in names.iter().enumerate() {
        let parent = at.as_ref().unwrap_or(root).as_fd();
        at = Some(enter(parent, name).map_err(|e| refusal(&names[..=depth], e))?);
    }
    Ok(())
}

fn enter(parent: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let open = || openat2(parent, name, flags, Mode::empty(), resolve);
    match open() {
        Err(Errno::NOENT) => {
            mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
            open()
        }
        opened => opened,
    }
}

fn refusal(names: &[&str], error: Errno) -> String {
    let what = match error {
        // With O_NOFOLLOW and O_DIRECTORY, openat2(2) tells a link by ELOOP or ENOTDIR, as kernels differ.
        Errno::LOOP | Errno::NOTDIR => "a link or no directory".to_owned(),
        error => return super::spec::plain(&io::Error::from(error)),
    };
    format!("/{} of the jail is {what}", names.join("/"))
}

/// Mounts the root on itself so that no device file in it or in what is mounted below it works.
pub(super) fn bind_without_devices(root: &Path) -> Result<(), Failure> {
    let attempt = || format!("mount {}", root.display());
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, root, flags).attempt(attempt)?;
    raw::mount_setattr(tree.as_fd(), true, NODEV).attempt(attempt)?;
    move_mount(&tree, "", CWD, root, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).attempt(attempt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn on(target: &str) -> Mount {
        Mount {
            source: "/".into(),
            target: target.to_owned(),
            read_only: true,
        }
    }

    fn refused(make: impl FnOnce(&Path), target: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        prepare(dir.path(), &[on(target)]).unwrap_err().to_string()
    }

    #[test]
    fn missing_places_are_made() {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path(), &[on("a/b")]).unwrap();
        prepare(dir.path(), &[on("a/b")]).unwrap();
        let missing = Mount {
            source: dir.path().join("none"),
            ..on("a")
        };
        assert!(
            prepare(dir.path(), &[missing])
                .unwrap_err()
                .to_string()
                .contains("/none")
        );
        for made in ["proc", "dev", "sys", "run", "a/b"] {
            assert!(dir.path().join(made).is_dir(), "{made}");
        }
    }

    #[test]
    fn links_and_files_are_refused_by_name() {
        let out = tempfile::tempdir().unwrap();
        let to = out.path().to_owned();
        let text = refused(|root| symlink(&to, root.join("dev")).unwrap(), "x");
        assert!(text.contains("/dev of the jail is a link"), "{text}");
        let text = refused(|root| symlink(&to, root.join("a")).unwrap(), "a/b");
        assert!(text.contains("/a of the jail is a link"), "{text}");
        let text = refused(|root| fs::write(root.join("f"), "").unwrap(), "f");
        assert!(text.contains("no directory"), "{text}");
        for own in ["dev", "dev/x", "proc/1", "sys"] {
            let text = refused(|_| {}, own);
            assert!(text.ends_with("is the jail's own"), "{text}");
        }
        for odd in ["..", "a/../b", "/etc", "", "a//b", "."] {
            refused(|_| {}, odd);
        }
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }
}
