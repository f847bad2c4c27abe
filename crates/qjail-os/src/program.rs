//! A copy of the running program that nobody can write to.

use std::io;
use std::os::fd::OwnedFd;

/// Copies the running program into sealed memory; the descriptor closes on exec.
///
/// A jail's process 1 started from this copy can show the jail no writable way to the host's program file
/// (CVE-2019-5736): the seals refuse every write, growth and shrinking, and refuse to be lifted.
///
/// # Errors
/// `Unsupported` on FreeBSD, where nothing executes memory files and a jail cannot reach the program that entered it.
pub fn sealed_memfd_copy_of_self() -> io::Result<OwnedFd> {
    sys::copy_of_self()
}

#[cfg(target_os = "linux")]
mod sys {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    pub(super) fn copy_of_self() -> io::Result<OwnedFd> {
        let program = std::fs::File::open("/proc/self/exe")?;
        let len = program.metadata()?.len();
        let copy = memfd_create("qjail", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let copied = crate::copy_data(program.as_fd(), copy.as_fd(), len)?;
        if copied != len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the program file changed while it was copied",
            ));
        }
        // The mode that memfd_create(2) gives has no execute bits under every kernel setting.
        rustix::fs::fchmod(&copy, rustix::fs::Mode::from_raw_mode(0o500))?;
        fcntl_add_seals(
            &copy,
            SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        Ok(copy)
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use std::io;
    use std::os::fd::OwnedFd;

    pub(super) fn copy_of_self() -> io::Result<OwnedFd> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system does not execute memory files",
        ))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;

    #[test]
    fn the_copy_is_the_program_and_cannot_be_changed() {
        let copy = sealed_memfd_copy_of_self().unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), copy.as_raw_fd());
        assert_eq!(
            std::fs::read(&path).unwrap(),
            std::fs::read("/proc/self/exe").unwrap()
        );
        let mut file = File::from(copy);
        assert!(file.write_all(b"x").is_err());
        assert!(file.write_all_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(1 << 30).is_err());
        let again = std::fs::OpenOptions::new().write(true).open(&path);
        assert!(again.and_then(|mut f| f.write_all(b"x")).is_err());
    }

    #[test]
    fn the_copy_runs() {
        let copy = sealed_memfd_copy_of_self().unwrap();
        let path = format!("/proc/{}/fd/{}", std::process::id(), copy.as_raw_fd());
        let out = std::process::Command::new(path).arg("--list").output().unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).contains("the_copy_runs"));
    }

    #[test]
    fn the_copy_is_closed_on_exec() {
        let copy = sealed_memfd_copy_of_self().unwrap();
        let flags = rustix::io::fcntl_getfd(&copy).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}
