//! Extended attributes of open files.
//!
//! Names carry their namespace on both systems (`user.x`, `system.posix_acl_access`, `security.capability`; FreeBSD:
//! `user.x`, `system.x`). Attributes of symbolic links are not reached: neither system opens a link for them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;

/// Names of the attributes of an open file.
///
/// # Errors
/// `Unsupported` where the file system has none.
pub fn list_xattrs(fd: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    sys::list(fd)
}

/// The value of one attribute, `None` where the file has none of that name.
pub fn get_xattr(fd: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
    sys::get(fd, name)
}

/// Sets one attribute, replacing a former value.
pub fn set_xattr(fd: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> io::Result<()> {
    sys::set(fd, name, value)
}

#[cfg(target_os = "linux")]
mod sys {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
    use rustix::io::Errno;
    use std::ffi::{OsStr, OsString};
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::os::unix::ffi::OsStrExt;

    // Most files have none or one: a buffer on the stack saves the call that asks for the size.
    const FIRST: usize = 512;
    // xattr(7): no list and no value is larger.
    const LARGEST: usize = 64 * 1024;

    pub(super) fn list(fd: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
        let names = read(|buffer| flistxattr(fd, buffer))?;
        Ok(names
            .split(|b| *b == 0)
            .filter(|n| !n.is_empty())
            .map(|n| OsStr::from_bytes(n).to_owned())
            .collect())
    }

    pub(super) fn get(fd: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        match read(|buffer| fgetxattr(fd, name, buffer)) {
            Ok(value) => Ok(Some(value)),
            Err(Errno::NODATA) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn set(fd: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> io::Result<()> {
        Ok(fsetxattr(fd, name, value, XattrFlags::empty())?)
    }

    fn read(ask: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
        let mut small = [0; FIRST];
        match ask(&mut small) {
            Ok(n) => return Ok(small[..n].to_vec()),
            Err(Errno::RANGE) => {}
            Err(e) => return Err(e),
        }
        let mut large = vec![0; LARGEST];
        let n = ask(&mut large)?;
        large.truncate(n);
        Ok(large)
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use std::ffi::{OsStr, OsString};
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
    use xattr::FileExt;

    struct Open<'a>(BorrowedFd<'a>);

    impl AsRawFd for Open<'_> {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_raw_fd()
        }
    }

    impl FileExt for Open<'_> {}

    pub(super) fn list(fd: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
        Open(fd).list_xattr().map(Iterator::collect)
    }

    pub(super) fn get(fd: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Vec<u8>>> {
        Open(fd).get_xattr(name)
    }

    pub(super) fn set(fd: BorrowedFd<'_>, name: &OsStr, value: &[u8]) -> io::Result<()> {
        Open(fd).set_xattr(name, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn attributes_come_back_as_they_were_set_small_and_large() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fd = file.as_file().as_fd();
        assert!(list_xattrs(fd).unwrap().is_empty());
        assert_eq!(get_xattr(fd, OsStr::new("user.none")).unwrap(), None);
        set_xattr(fd, OsStr::new("user.small"), b"\0\xff value").unwrap();
        set_xattr(fd, OsStr::new("user.large"), &[7; 2000]).unwrap();
        let mut names = list_xattrs(fd).unwrap();
        names.sort();
        assert_eq!(names, ["user.large", "user.small"]);
        assert_eq!(
            get_xattr(fd, OsStr::new("user.small")).unwrap().unwrap(),
            b"\0\xff value"
        );
        assert_eq!(
            get_xattr(fd, OsStr::new("user.large")).unwrap().unwrap(),
            [7; 2000]
        );
    }

    #[test]
    fn a_list_longer_than_the_first_buffer_is_complete() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let fd = file.as_file().as_fd();
        for i in 0..60 {
            set_xattr(fd, OsStr::new(&format!("user.attribute-number-{i:03}")), b"x").unwrap();
        }
        assert_eq!(list_xattrs(fd).unwrap().len(), 60);
    }

    #[test]
    fn a_file_system_without_attributes_refuses() {
        let e = set_xattr(File::open("/dev/pts").unwrap().as_fd(), OsStr::new("user.x"), b"").unwrap_err();
        assert_eq!(e.kind(), std::io::ErrorKind::Unsupported);
    }
}
