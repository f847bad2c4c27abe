//! The hidden command `__jail`: a process with one thread that does what a process with many cannot.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::catch_unwind;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::create::{self, StartRequest};
use super::enter::{self, ExecRequest};
use super::raw;

/// What the caller wants of its helper: the first message, with the descriptors that belong to it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    Start(StartRequest),
    Exec(ExecRequest),
}

/// The status of a helper that could not even read its request.
const MISUSED: i32 = 2;
const PANICKED: i32 = 101;

/// Runs a helper: the program was started by [`super::Runtime`], with a socket as its standard input. To be called
/// before any thread exists. Returns the exit status; nobody looks at it but for a helper that ended without a word.
#[must_use]
pub(crate) fn helper_main() -> i32 {
    let served = catch_unwind(|| {
        let control = isolate()?;
        match control.receive::<Request>()? {
            Some((Request::Start(request), files)) => Ok(create::serve(&control, &request, files)),
            Some((Request::Exec(request), files)) => Ok(enter::serve(&control, &request, files)),
            None => Ok(0),
        }
    });
    served.map_or(PANICKED, |done: io::Result<i32>| done.unwrap_or(MISUSED))
}

/// Leaves everything of the caller behind but the socket: descriptors, session, signal actions, umask.
fn isolate() -> io::Result<Channel> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    raw::close_all_but(&[])?;
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = null()?;
    rustix::stdio::dup2_stdin(&null)?;
    // Fails for the leader of a process group, which a helper is not.
    let _ = rustix::process::setsid();
    raw::default_signals();
    raw::ignore_broken_pipes();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // Jails are not protected from the kernel's hunt for memory where their starter is. Raising it is always allowed.
    if std::fs::read_to_string("/proc/self/oom_score_adj").is_ok_and(|score| score.starts_with('-')) {
        let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    }
    Ok(Channel::from(control))
}

/// Whichever `/dev/null` is the present root's.
pub(super) fn null() -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        "/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Waits until `first` or `second` has something to read or was closed, at most until `end`: whether each has.
pub(super) fn either(
    first: &impl AsFd,
    second: &impl AsFd,
    end: Option<std::time::Instant>,
) -> io::Result<(bool, bool)> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    loop {
        let mut fds = [
            PollFd::new(first, PollFlags::IN),
            PollFd::new(second, PollFlags::IN),
        ];
        let left = end.map(|end| end.saturating_duration_since(std::time::Instant::now()));
        let left = left
            .map(Timespec::try_from)
            .transpose()
            .map_err(io::Error::other)?;
        match poll(&mut fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok((!fds[0].revents().is_empty(), !fds[1].revents().is_empty())),
        }
    }
}
