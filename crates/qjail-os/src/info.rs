//! What a file is and which mount it is on, in one system call where the system allows it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;

/// Names one mount: two files with equal ids are reached through the same mount.
///
/// Linux: the kernel's mount id, which tells two bind mounts of one file system apart. FreeBSD: the device number,
/// because every mount there, nullfs too, has a file system id of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MountId(u64);

/// The metadata of one file, with the same types on every system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileInfo {
    /// Type and permission bits (`st_mode`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Allocated units of 512 bytes: fewer than `size` needs when the file has holes.
    pub blocks: u64,
    /// Number of names.
    pub nlink: u64,
    /// Last access: seconds since 1970 and nanoseconds.
    pub atime: (i64, u32),
    /// Last modification: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Device the file is on.
    pub dev: u64,
    /// Number of the file on its device.
    pub ino: u64,
    /// Major and minor number, for a device node.
    pub rdev: (u32, u32),
    /// FreeBSD's file flags (`st_flags`); 0 on Linux.
    pub flags: u32,
    /// The mount the file was reached through.
    pub mount: MountId,
}

/// Metadata of an open file.
pub fn info(fd: BorrowedFd<'_>) -> io::Result<FileInfo> {
    sys::info(fd)
}

/// Metadata of `name` in the directory `dir`; a link is described, not followed.
pub fn info_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<FileInfo> {
    sys::info_at(dir, name)
}

/// The mount that an open file was reached through.
pub fn mount_id(fd: BorrowedFd<'_>) -> io::Result<MountId> {
    info(fd).map(|i| i.mount)
}

/// Whether two open files were reached through the same mount.
pub fn same_mount(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> io::Result<bool> {
    sys::same_mount(a, b)
}

#[cfg(target_os = "linux")]
mod sys {
    use super::{FileInfo, MountId};
    use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, makedev, openat, statx};
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

    pub(super) fn info(fd: BorrowedFd<'_>) -> io::Result<FileInfo> {
        let found = statx(fd, "", AtFlags::EMPTY_PATH, wanted())?;
        let mount = match known_mount(&found) {
            Some(id) => id,
            None => mount_of_descriptor(fd)?,
        };
        Ok(convert(&found, mount))
    }

    pub(super) fn info_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<FileInfo> {
        let found = statx(
            dir,
            name,
            AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT,
            wanted(),
        )?;
        let mount = match known_mount(&found) {
            Some(id) => id,
            None => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                mount_of_descriptor(openat(dir, name, flags, Mode::empty())?.as_fd())?
            }
        };
        Ok(convert(&found, mount))
    }

    pub(super) fn same_mount(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> io::Result<bool> {
        Ok(info(a)?.mount == info(b)?.mount)
    }

    fn wanted() -> StatxFlags {
        StatxFlags::BASIC_STATS | StatxFlags::MNT_ID
    }

    // statx(2) has the mount id since Linux 5.8.
    fn known_mount(found: &Statx) -> Option<MountId> {
        StatxFlags::from_bits_retain(found.stx_mask)
            .contains(StatxFlags::MNT_ID)
            .then_some(MountId(found.stx_mnt_id))
    }

    /// proc_pid_fdinfo(5): a line `mnt_id:` and the number.
    pub(super) fn mount_of_descriptor(fd: BorrowedFd<'_>) -> io::Result<MountId> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
        text.lines()
            .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
            .map(MountId)
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "the kernel names no mount ids"))
    }

    fn convert(s: &Statx, mount: MountId) -> FileInfo {
        FileInfo {
            mode: u32::from(s.stx_mode),
            uid: s.stx_uid,
            gid: s.stx_gid,
            size: s.stx_size,
            blocks: s.stx_blocks,
            nlink: u64::from(s.stx_nlink),
            atime: (s.stx_atime.tv_sec, s.stx_atime.tv_nsec),
            mtime: (s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec),
            dev: makedev(s.stx_dev_major, s.stx_dev_minor),
            ino: s.stx_ino,
            rdev: (s.stx_rdev_major, s.stx_rdev_minor),
            flags: 0,
            mount,
        }
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use super::{FileInfo, MountId};
    use rustix::fs::{AtFlags, Stat, fstat, fstatfs, major, minor, statat};
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn info(fd: BorrowedFd<'_>) -> io::Result<FileInfo> {
        Ok(convert(&fstat(fd)?))
    }

    pub(super) fn info_at(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<FileInfo> {
        Ok(convert(&statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    pub(super) fn same_mount(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> io::Result<bool> {
        Ok(info(a)?.mount == info(b)?.mount && fstatfs(a)?.f_mntonname == fstatfs(b)?.f_mntonname)
    }

    fn convert(s: &Stat) -> FileInfo {
        FileInfo {
            mode: u32::from(s.st_mode),
            uid: s.st_uid,
            gid: s.st_gid,
            size: u64::try_from(s.st_size).unwrap_or(0),
            blocks: u64::try_from(s.st_blocks).unwrap_or(0),
            nlink: s.st_nlink,
            atime: (s.st_atime, nanoseconds(s.st_atime_nsec)),
            mtime: (s.st_mtime, nanoseconds(s.st_mtime_nsec)),
            dev: s.st_dev,
            ino: s.st_ino,
            rdev: (major(s.st_rdev), minor(s.st_rdev)),
            flags: s.st_flags,
            mount: MountId(s.st_dev),
        }
    }

    fn nanoseconds(value: i64) -> u32 {
        u32::try_from(value).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    #[test]
    fn the_same_file_looks_the_same_by_name_and_by_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), b"12345").unwrap();
        let by_fd = info(File::open(dir.path().join("a")).unwrap().as_fd()).unwrap();
        let d = File::open(dir.path()).unwrap();
        let by_name = info_at(d.as_fd(), OsStr::new("a")).unwrap();
        assert_eq!(by_fd, by_name);
        assert_eq!(
            (by_fd.size, by_fd.nlink, by_fd.mode & 0o170_000),
            (5, 1, 0o100_000)
        );
    }

    #[test]
    fn a_link_is_described_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("l")).unwrap();
        let d = File::open(dir.path()).unwrap();
        assert_eq!(
            info_at(d.as_fd(), OsStr::new("l")).unwrap().mode & 0o170_000,
            0o120_000
        );
    }

    #[test]
    fn proc_is_another_mount_than_a_temporary_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (here, other) = (File::open(dir.path()).unwrap(), File::open("/proc").unwrap());
        assert!(same_mount(here.as_fd(), here.as_fd()).unwrap());
        assert!(!same_mount(here.as_fd(), other.as_fd()).unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_fallback_for_old_kernels_gives_the_same_id() {
        let dir = tempfile::tempdir().unwrap();
        let here = File::open(dir.path()).unwrap();
        assert_eq!(
            sys::mount_of_descriptor(here.as_fd()).unwrap(),
            mount_id(here.as_fd()).unwrap()
        );
    }
}
