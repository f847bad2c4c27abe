//! Copying a file's data: shared blocks where the file system has them, a copy inside the kernel, or by hand; holes kept.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Which cheap ways are still worth trying between two trees.
///
/// A copy of many files between the same two file systems shares one: what was refused once is not asked again. Values may
/// be read and written by several threads; a stale one costs one refused call.
#[derive(Debug)]
pub struct CopyWays {
    clone: AtomicBool,
    range: AtomicBool,
}

impl CopyWays {
    /// Nothing refused yet.
    #[must_use]
    pub fn new() -> Self {
        CopyWays {
            clone: AtomicBool::new(true),
            range: AtomicBool::new(true),
        }
    }

    /// As [`copy_data`]; `sparse` says whether to look for holes (fewer allocated blocks than the length needs).
    ///
    /// # Errors
    /// Those of the system's calls.
    pub fn copy(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: u64, sparse: bool) -> io::Result<u64> {
        if len == 0 {
            return Ok(0);
        }
        if self.clone.load(Relaxed) {
            match sys::clone(from, to) {
                Ok(()) => return Ok(len),
                Err(e) if sys::is_refusal(&e) => self.clone.store(false, Relaxed),
                Err(e) => return Err(e),
            }
        }
        if sparse {
            return self.copy_sparse(from, to, len);
        }
        self.copy_range(from, to, 0, len)
    }

    fn copy_sparse(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: u64) -> io::Result<u64> {
        let mut at = 0;
        while at < len {
            let Some(data) = seek_data(from, at)? else { break };
            let end = seek_hole(from, data)?.min(len);
            if data >= len || self.copy_range(from, to, data, end - data)? < end - data {
                break;
            }
            at = end;
        }
        rustix::fs::ftruncate(to, len)?;
        Ok(len)
    }

    fn copy_range(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<u64> {
        // For a file that fits the buffer, one read and one write beat the call that sets up a splice.
        if len <= SMALL || !self.range.load(Relaxed) {
            return copy_by_hand(from, to, start, len);
        }
        let mut done = 0;
        while done < len {
            match sys::copy_file_range(from, to, start + done, len - done) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if sys::is_refusal(&e) => {
                    self.range.store(false, Relaxed);
                    return Ok(done + copy_by_hand(from, to, start + done, len - done)?);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }
}

impl Default for CopyWays {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies `len` bytes from the start of `from` to the start of `to`, a new and empty file, the cheapest way there is.
///
/// Returns the number of bytes copied, less than `len` when `from` became shorter meanwhile. Holes stay holes. On Linux
/// FICLONE, then copy_file_range(2), then read and write; on FreeBSD copy_file_range(2), which clones blocks on ZFS by itself.
///
/// # Errors
/// Those of the system's calls: a full disk, an input or output error.
pub fn copy_data(from: BorrowedFd<'_>, to: BorrowedFd<'_>, len: u64) -> io::Result<u64> {
    let found = crate::info(from)?;
    CopyWays::new().copy(from, to, len, found.blocks.saturating_mul(512) < found.size)
}

const SMALL: u64 = 64 * 1024;

fn copy_by_hand(from: BorrowedFd<'_>, to: BorrowedFd<'_>, start: u64, len: u64) -> io::Result<u64> {
    let mut buffer = vec![0; usize::try_from(len.min(SMALL)).unwrap_or(0)];
    let mut done = 0;
    while done < len {
        let want = usize::try_from((len - done).min(SMALL)).unwrap_or(0);
        let n = retry(|| rustix::io::pread(from, &mut buffer[..want], start + done))?;
        if n == 0 {
            break;
        }
        write_all_at(to, &buffer[..n], start + done)?;
        done += n as u64;
    }
    Ok(done)
}

fn write_all_at(to: BorrowedFd<'_>, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = retry(|| rustix::io::pwrite(to, bytes, at))?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[n..];
        at += n as u64;
    }
    Ok(())
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

// lseek(2): ENXIO means that no data follows; a file system without holes calls everything data.
fn seek_data(fd: BorrowedFd<'_>, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(fd, rustix::fs::SeekFrom::Data(at)) {
        Ok(n) => Ok(Some(n)),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOTTY) => Ok(Some(at)),
        Err(e) => Err(e.into()),
    }
}

fn seek_hole(fd: BorrowedFd<'_>, at: u64) -> io::Result<u64> {
    match rustix::fs::seek(fd, rustix::fs::SeekFrom::Hole(at)) {
        Ok(n) => Ok(n),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOTTY | rustix::io::Errno::NXIO) => Ok(u64::MAX),
        Err(e) => Err(e.into()),
    }
}

#[cfg(target_os = "linux")]
mod sys {
    use rustix::io::Errno;
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) fn clone(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
        Ok(rustix::fs::ioctl_ficlone(to, from)?)
    }

    pub(super) fn copy_file_range(
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        at: u64,
        len: u64,
    ) -> io::Result<u64> {
        let (mut read, mut write) = (at, at);
        let want = usize::try_from(len.min(1 << 30)).unwrap_or(1 << 30);
        let n =
            super::retry(|| rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut write), want))?;
        Ok(n as u64)
    }

    // ioctl_ficlonerange(2), copy_file_range(2): "not here, not between these two, not known".
    pub(super) fn is_refusal(e: &io::Error) -> bool {
        [
            Errno::OPNOTSUPP,
            Errno::XDEV,
            Errno::INVAL,
            Errno::NOTTY,
            Errno::NOSYS,
            Errno::PERM,
            Errno::BADF,
        ]
        .iter()
        .any(|r| e.raw_os_error() == Some(r.raw_os_error()))
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};

    // There is no call of its own for it: copy_file_range(2) clones where it can.
    pub(super) fn clone(_: BorrowedFd<'_>, _: BorrowedFd<'_>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn copy_file_range(
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        at: u64,
        len: u64,
    ) -> io::Result<u64> {
        let want = usize::try_from(len.min(1 << 30)).unwrap_or(1 << 30);
        loop {
            let start = i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let (mut read, mut write) = (start, start);
            // SAFETY: both descriptors are open for the time of the call, both offsets are our own variables.
            let n = unsafe {
                libc::copy_file_range(from.as_raw_fd(), &mut read, to.as_raw_fd(), &mut write, want, 0)
            };
            match u64::try_from(n) {
                Ok(n) => return Ok(n),
                Err(_) => {
                    let e = io::Error::last_os_error();
                    if e.kind() != io::ErrorKind::Interrupted {
                        return Err(e);
                    }
                }
            }
        }
    }

    pub(super) fn is_refusal(e: &io::Error) -> bool {
        e.kind() == io::ErrorKind::Unsupported
            || [libc::EOPNOTSUPP, libc::EXDEV, libc::EINVAL, libc::ENOSYS]
                .iter()
                .any(|r| e.raw_os_error() == Some(*r))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{FileExt, MetadataExt};

    fn copied(from: &File, ways: &CopyWays, sparse: bool) -> Vec<u8> {
        let len = from.metadata().unwrap().len();
        let mut to = tempfile::tempfile().unwrap();
        assert_eq!(ways.copy(from.as_fd(), to.as_fd(), len, sparse).unwrap(), len);
        let mut back = Vec::new();
        to.rewind().unwrap();
        to.read_to_end(&mut back).unwrap();
        back
    }

    fn sample(len: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7 % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn every_way_gives_the_same_bytes() {
        for len in [0, 1, 4096, 65_536, 65_537, 3_000_001] {
            let (file, bytes) = sample(len);
            assert_eq!(copied(&file, &CopyWays::new(), false), bytes);
            assert_eq!(copied(&file, &CopyWays::new(), true), bytes);
            let by_hand = CopyWays {
                clone: AtomicBool::new(false),
                range: AtomicBool::new(false),
            };
            assert_eq!(copied(&file, &by_hand, false), bytes);
        }
    }

    #[test]
    fn holes_stay_holes() {
        let from = tempfile::tempfile().unwrap();
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"middle", 20 << 20).unwrap();
        from.write_all_at(b"late", 50 << 20).unwrap();
        let to = tempfile::tempfile().unwrap();
        assert_eq!(copy_data(from.as_fd(), to.as_fd(), 64 << 20).unwrap(), 64 << 20);
        assert_eq!(to.metadata().unwrap().len(), 64 << 20);
        assert!(
            to.metadata().unwrap().blocks() < 1024,
            "{} blocks",
            to.metadata().unwrap().blocks()
        );
        let mut buffer = [0; 6];
        to.read_exact_at(&mut buffer, 20 << 20).unwrap();
        assert_eq!(&buffer, b"middle");
        to.read_exact_at(&mut buffer[..4], 50 << 20).unwrap();
        assert_eq!(&buffer[..4], b"late");
    }

    #[test]
    fn a_file_of_one_hole_is_copied_without_data() {
        let from = tempfile::tempfile().unwrap();
        from.set_len(10 << 20).unwrap();
        let to = tempfile::tempfile().unwrap();
        copy_data(from.as_fd(), to.as_fd(), 10 << 20).unwrap();
        assert_eq!(to.metadata().unwrap().len(), 10 << 20);
        assert!(to.metadata().unwrap().blocks() < 64);
    }

    #[test]
    fn a_file_that_became_shorter_ends_the_copy() {
        let (file, bytes) = sample(100_000);
        let to = tempfile::tempfile().unwrap();
        assert_eq!(
            copy_data(file.as_fd(), to.as_fd(), 500_000).unwrap(),
            bytes.len() as u64
        );
    }

    #[test]
    fn a_copy_out_of_proc_falls_back_to_read_and_write() {
        let from = File::open("/proc/self/status").unwrap();
        let to = tempfile::tempfile().unwrap();
        assert!(
            CopyWays::new()
                .copy(from.as_fd(), to.as_fd(), 100, false)
                .unwrap()
                == 100
        );
    }
}
