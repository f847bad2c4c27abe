//! Names in a directory: device nodes, modes and renames that the two systems spell differently.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;

/// Whether the process acts with root's rights over files.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes a FIFO, socket or device node; `mode` holds the type bits, `major` and `minor` count for devices only.
///
/// # Errors
/// `AlreadyExists`, or `PermissionDenied` where the process may make no devices.
pub fn mknodat(dir: BorrowedFd<'_>, name: &OsStr, mode: u32, major: u32, minor: u32) -> io::Result<()> {
    let kind = rustix::fs::FileType::from_raw_mode(bits(mode));
    let permissions = rustix::fs::Mode::from_raw_mode(bits(mode));
    Ok(rustix::fs::mknodat(
        dir,
        name,
        kind,
        permissions,
        rustix::fs::makedev(major, minor),
    )?)
}

/// Sets the permission bits of `name`, which may be of any type; a link is refused and never followed.
///
/// # Errors
/// `Unsupported` for a symbolic link on Linux.
pub fn chmod_at(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<()> {
    sys::chmod_at(dir, name, rustix::fs::Mode::from_raw_mode(bits(mode & 0o7777)))
}

/// Renames, and refuses when the new name exists.
///
/// Linux does both in one step. FreeBSD before 15 has no such call: a file gets its second name by link(2), which
/// refuses, before the first is dropped; for a directory the name is looked up first, and another process can come between.
///
/// # Errors
/// `AlreadyExists`, and those of rename(2).
pub fn rename_no_replace(
    from_dir: BorrowedFd<'_>,
    from: &OsStr,
    to_dir: BorrowedFd<'_>,
    to: &OsStr,
) -> io::Result<()> {
    sys::rename_no_replace(from_dir, from, to_dir, to)
}

/// Lets two existing names change places in one step.
///
/// # Errors
/// `Unsupported` on FreeBSD.
pub fn exchange(a_dir: BorrowedFd<'_>, a: &OsStr, b_dir: BorrowedFd<'_>, b: &OsStr) -> io::Result<()> {
    sys::exchange(a_dir, a, b_dir, b)
}

// mode_t is 16 bits on FreeBSD, 32 on Linux; type and permissions fit both.
fn bits(mode: u32) -> rustix::fs::RawMode {
    (mode & 0o177_777) as rustix::fs::RawMode
}

#[cfg(target_os = "linux")]
mod sys {
    use rustix::fs::{CWD, Mode, OFlags, RenameFlags, openat, renameat_with};
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};

    pub(super) fn chmod_at(dir: BorrowedFd<'_>, name: &OsStr, mode: Mode) -> io::Result<()> {
        // fchmodat2(2) is younger (6.6) than the kernels to serve: a path descriptor is pinned, then named through /proc.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let pinned = openat(dir, name, flags, Mode::empty())?;
        let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&pinned)?.st_mode);
        if kind == rustix::fs::FileType::Symlink {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "links have no mode of their own",
            ));
        }
        let path = format!("/proc/self/fd/{}", pinned.as_raw_fd());
        Ok(rustix::fs::chmodat(
            CWD,
            path,
            mode,
            rustix::fs::AtFlags::empty(),
        )?)
    }

    pub(super) fn rename_no_replace(
        from_dir: BorrowedFd<'_>,
        from: &OsStr,
        to_dir: BorrowedFd<'_>,
        to: &OsStr,
    ) -> io::Result<()> {
        Ok(renameat_with(from_dir, from, to_dir, to, RenameFlags::NOREPLACE)?)
    }

    pub(super) fn exchange(
        a_dir: BorrowedFd<'_>,
        a: &OsStr,
        b_dir: BorrowedFd<'_>,
        b: &OsStr,
    ) -> io::Result<()> {
        Ok(renameat_with(a_dir, a, b_dir, b, RenameFlags::EXCHANGE)?)
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use rustix::fs::{AtFlags, FileType, Mode, chmodat, linkat, renameat, statat, unlinkat};
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn chmod_at(dir: BorrowedFd<'_>, name: &OsStr, mode: Mode) -> io::Result<()> {
        Ok(chmodat(dir, name, mode, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    pub(super) fn rename_no_replace(
        from_dir: BorrowedFd<'_>,
        from: &OsStr,
        to_dir: BorrowedFd<'_>,
        to: &OsStr,
    ) -> io::Result<()> {
        let kind = FileType::from_raw_mode(statat(from_dir, from, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        if kind != FileType::Directory {
            linkat(from_dir, from, to_dir, to, AtFlags::empty())?;
            return Ok(unlinkat(from_dir, from, AtFlags::empty())?);
        }
        match statat(to_dir, to, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(rustix::io::Errno::NOENT) => Ok(renameat(from_dir, from, to_dir, to)?),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn exchange(_: BorrowedFd<'_>, _: &OsStr, _: BorrowedFd<'_>, _: &OsStr) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system cannot exchange two names in one step",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn a_device_node_keeps_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let d = File::open(dir.path()).unwrap();
        mknodat(d.as_fd(), name("null"), 0o020_666, 1, 3).unwrap();
        let found = crate::info_at(d.as_fd(), name("null")).unwrap();
        assert_eq!((found.mode & 0o170_000, found.rdev), (0o020_000, (1, 3)));
        assert_eq!(
            fs::metadata(dir.path().join("null")).unwrap().rdev(),
            fs::metadata("/dev/null").unwrap().rdev()
        );
        mknodat(d.as_fd(), name("pipe"), 0o010_600, 0, 0).unwrap();
        assert_eq!(
            crate::info_at(d.as_fd(), name("pipe")).unwrap().mode & 0o170_000,
            0o010_000
        );
    }

    #[test]
    fn a_mode_is_set_on_a_fifo_and_never_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let d = File::open(dir.path()).unwrap();
        mknodat(d.as_fd(), name("pipe"), 0o010_600, 0, 0).unwrap();
        chmod_at(d.as_fd(), name("pipe"), 0o4_666).unwrap();
        assert_eq!(
            fs::metadata(dir.path().join("pipe"))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777,
            0o4_666
        );
        fs::write(dir.path().join("file"), b"").unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        chmod_at(d.as_fd(), name("file"), 0o600).unwrap();
        let _ = chmod_at(d.as_fd(), name("link"), 0o777);
        assert_eq!(
            fs::metadata(dir.path().join("file"))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777,
            0o600
        );
    }

    #[test]
    fn a_rename_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let d = File::open(dir.path()).unwrap();
        for entry in ["a", "b"] {
            fs::write(dir.path().join(entry), entry).unwrap();
        }
        fs::create_dir(dir.path().join("d1")).unwrap();
        fs::create_dir(dir.path().join("d2")).unwrap();
        for (from, to) in [("a", "b"), ("d1", "d2")] {
            let e = rename_no_replace(d.as_fd(), name(from), d.as_fd(), name(to)).unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::AlreadyExists);
        }
        rename_no_replace(d.as_fd(), name("a"), d.as_fd(), name("c")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("c")).unwrap(), "a");
        assert!(!dir.path().join("a").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn two_names_change_places() {
        let dir = tempfile::tempdir().unwrap();
        let d = File::open(dir.path()).unwrap();
        for entry in ["a", "b"] {
            fs::write(dir.path().join(entry), entry).unwrap();
        }
        exchange(d.as_fd(), name("a"), d.as_fd(), name("b")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "b");
    }
}
