//! Making what was written last through a loss of power.

use std::io;
use std::os::fd::BorrowedFd;

/// Writes all that the file system of an open file or directory holds in memory to its disk.
///
/// Linux: syncfs(2), which returns when it is there and tells of a failed write. FreeBSD has no such call: sync(2) starts
/// the writing of every file system, and fsync(2) waits for the directory `fd` itself.
///
/// # Errors
/// The disk failed.
pub fn flush_file_system(fd: BorrowedFd<'_>) -> io::Result<()> {
    sys::flush_file_system(fd)
}

/// Makes the names in an open directory last: what was made, renamed and removed in it.
///
/// # Errors
/// The disk failed.
pub fn flush_names(dir: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::fs::fsync(dir)?)
}

#[cfg(target_os = "linux")]
mod sys {
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn flush_file_system(fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fd)?)
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn flush_file_system(fd: BorrowedFd<'_>) -> io::Result<()> {
        rustix::fs::sync();
        super::flush_names(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn directories_can_be_flushed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), b"12345").unwrap();
        let open = File::open(dir.path()).unwrap();
        flush_file_system(open.as_fd()).unwrap();
        flush_names(open.as_fd()).unwrap();
    }
}
