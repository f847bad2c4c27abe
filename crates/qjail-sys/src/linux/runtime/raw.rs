//! System calls that have no safe wrapper, each made safe for the helpers: processes with one thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use libc::c_int;

/// The signal that the host asks process 1 to shut its jail down with.
pub(super) fn shutdown_signal() -> c_int {
    libc::SIGRTMIN() + 3
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Ends this process without running anything that was registered for its end.
pub(super) fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) takes any status and does not return.
    unsafe { libc::_exit(status) }
}

/// A copy of this process: its number, or none in the copy. Only to be called while there is one thread.
pub(super) fn fork() -> io::Result<Option<i32>> {
    // SAFETY: with one thread no lock of the allocator or the library can be held by a thread that the copy lacks.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid != 0).then_some(pid))
}

/// Closes every descriptor from 3 on but those of `keep`.
pub(super) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd >= 3).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        close_range(first, fd - 1, 0)?;
        first = fd + 1;
    }
    close_range(first, c_int::MAX, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: integers only. Callers close what no live value owns, or are about to execute or end.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Takes a descriptor that the caller knows to be its own.
pub(super) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: used once each for descriptors that a helper inherited or that were kept open across a fork for this
    // process, which no other value of it owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A mount namespace of this process's own.
pub(super) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: the flag concerns mounts, not descriptors, and there is one thread.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }?)
}

/// A namespace in which the control groups of this process are the roots.
pub(super) fn unshare_groups() -> io::Result<()> {
    // SAFETY: the flag concerns names of control groups, not descriptors, and there is one thread.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWCGROUP) }?)
}

/// A user namespace and, belonging to it, a network namespace.
pub(super) fn unshare_stack() -> io::Result<()> {
    use rustix::thread::UnshareFlags;
    // SAFETY: the flags do not concern descriptors, and there is one thread.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET) }?)
}

/// Sets attributes (`MOUNT_ATTR_*`) of the mount at `fd`, of all below it too where `recursive`; mount_setattr(2).
pub(super) fn mount_setattr(fd: BorrowedFd<'_>, recursive: bool, set: u64) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, the structure lives through the call and has the size that is told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Installs a filter for this thread without setting no_new_privs, which would make sudo useless in the jail.
pub(super) fn install_filter(program: &[seccompiler::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `sock_filter` of both crates is the kernel's structure; the kernel reads `len` of them and writes nothing.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Blocks every signal.
pub(super) fn block_signals() -> io::Result<()> {
    // SAFETY: the set is initialised by sigfillset before it is read.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        check(libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const all,
            ptr::null_mut(),
        ))?;
    }
    Ok(())
}

/// Gives every signal its default action and blocks none: how a program expects to be started.
pub(super) fn default_signals() {
    // SAFETY: SIG_DFL is valid for every signal; those that cannot be set (SIGKILL, the library's own) are refused.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
    }
}

/// Blocked signals, read as events.
#[derive(Debug)]
pub(super) struct Signals(OwnedFd);

impl Signals {
    /// The events of `signals`, which have to be blocked.
    pub(super) fn new(signals: &[c_int]) -> io::Result<Signals> {
        // SAFETY: the set is initialised by sigemptyset before it is read; the new descriptor is owned here alone.
        let fd = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                libc::sigaddset(&raw mut set, *signal);
            }
            let fd = check(libc::signalfd(
                -1,
                &raw const set,
                libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
            ))?;
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Signals(fd))
    }

    /// The next signal that waits, with the number of its sender: 0 for one outside of this process's pid namespace, which
    /// nobody inside can claim (a sender may choose the number only together with another code than `SI_USER`).
    pub(super) fn next(&self) -> Option<(c_int, i32)> {
        let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
        let got = rustix::io::read(&self.0, &mut bytes).ok()?;
        if got < bytes.len() {
            return None;
        }
        // SAFETY: the kernel wrote a whole structure, of integers only, into the bytes.
        let info: libc::signalfd_siginfo = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
        let sender = if info.ssi_code == libc::SI_USER {
            i32::try_from(info.ssi_pid).ok()?
        } else {
            -1
        };
        Some((c_int::try_from(info.ssi_signo).ok()?, sender))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Sends a signal to exactly the process of a pidfd.
pub(super) fn signal_process(pidfd: BorrowedFd<'_>, signal: c_int) -> io::Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    // SAFETY: no information is passed, the rest are integers.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// kill(2): `pid` may be -1 (everything that can be seen) or a negative process group.
pub(super) fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: integers only.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// What waitpid(2) found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// This child ended with that status, 128 + N when signal N ended it.
    Ended(i32, i32),
    /// No child has ended.
    Nothing,
    /// There is no child.
    NoChild,
}

/// Reaps `pid`, or any child for -1; waits for it where `block`.
pub(super) fn wait(pid: i32, block: bool) -> Wait {
    let mut status = 0;
    loop {
        // SAFETY: the status is written to a local variable.
        let ended = unsafe {
            libc::waitpid(
                pid,
                &raw mut status,
                if block { 0 } else { libc::WNOHANG } | libc::__WALL,
            )
        };
        return match ended {
            0 => Wait::Nothing,
            ended if ended > 0 && libc::WIFEXITED(status) => Wait::Ended(ended, libc::WEXITSTATUS(status)),
            ended if ended > 0 => Wait::Ended(ended, 128 + libc::WTERMSIG(status)),
            _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => continue,
            _ => Wait::NoChild,
        };
    }
}

/// Ends the wait for a terminal to be the session's own; ioctl(2) `TIOCSCTTY`.
pub(super) fn take_terminal(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::process::ioctl_tiocsctty(fd)?)
}

/// execve(2). Returns only when it failed.
pub(super) fn execute(
    path: &std::ffi::CStr,
    argv: &[*const libc::c_char],
    envp: &[*const libc::c_char],
) -> io::Error {
    debug_assert!(argv.last().is_some_and(|p| p.is_null()) && envp.last().is_some_and(|p| p.is_null()));
    // SAFETY: both arrays end with a null pointer and the strings live in the caller's `Program`.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Lets writing to a closed socket fail instead of ending the process.
pub(super) fn ignore_broken_pipes() {
    // SAFETY: SIG_IGN is valid for SIGPIPE.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Gives the calling thread new mount, host name and ipc namespaces. For a thread that ends afterwards.
pub(super) fn try_namespaces() -> io::Result<()> {
    use rustix::thread::UnshareFlags;
    // SAFETY: the flags do not concern descriptors.
    Ok(unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC)
    }?)
}

/// Makes a call that takes descriptors and pointers with none that are valid: how it fails.
pub(super) fn call_with_nonsense(call: libc::c_long) -> io::Error {
    // SAFETY: the kernel refuses -1 as descriptor, process, or address before it does anything.
    unsafe { libc::syscall(call, -1, -1_isize, -1, -1_isize, -1) };
    io::Error::last_os_error()
}
