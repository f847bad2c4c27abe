//! Work inside another network namespace: by a thread that joins it, does the work and ends. The namespace of the other
//! threads stays what it is.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// The network namespace of a process.
pub(super) fn namespace_of(pid: i32) -> io::Result<File> {
    File::open(format!("/proc/{pid}/ns/net"))
}

/// The network namespace of the calling thread.
pub(super) fn own_namespace() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Does `work` inside a network namespace. The outer error is that of entering it.
pub(super) fn in_namespace<T: Send>(
    namespace: BorrowedFd<'_>,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    in_thread(|| {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
        Ok(work())
    })
}

/// Does `work` inside a network namespace that is made for it and vanishes after it.
pub(super) fn in_new_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    in_thread(|| {
        // SAFETY: this thread was made for the work, ends after it, and shares no descriptor that names its namespace.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        Ok(work())
    })
}

fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("qjail-netns".to_owned())
            .spawn_scoped(scope, work)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the network namespace panicked")))
    })
}
