//! Between the caller's terminal and the jail's, and between signals and the command.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{tcgetwinsize, tcsetwinsize};
use signal_hook::SigId;

use super::channel::Channel;
use super::enter::Reply;
use super::session::{ended, pass_on};
use super::spec::{Attempt, Failure};
use crate::terminal::{Heard, Raw, Typed, copy};

/// How long output may still come after the command ended, when something it left behind keeps the terminal open.
const AFTERMATH: Duration = Duration::from_millis(100);

/// Signals that arrived, each as a flag, and a socket that wakes poll(2).
#[derive(Debug)]
pub(super) struct Watch {
    wake: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
    ids: Vec<SigId>,
}

impl Watch {
    /// Watches for what should end the command and, for a terminal, for its change of size.
    pub(super) fn new(terminal: bool) -> io::Result<Watch> {
        let (wake, bell) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut watch = Watch {
            wake,
            flags: Vec::new(),
            ids: Vec::new(),
        };
        let last = terminal.then_some(libc::SIGWINCH);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT]
            .into_iter()
            .chain(last)
        {
            let flag = Arc::new(AtomicBool::new(false));
            watch
                .ids
                .push(signal_hook::flag::register(signal, Arc::clone(&flag))?);
            watch
                .ids
                .push(signal_hook::low_level::pipe::register(signal, bell.try_clone()?)?);
            watch.flags.push((signal, flag));
        }
        Ok(watch)
    }

    /// The signals that arrived since the last call.
    fn take(&self) -> Vec<i32> {
        let mut bytes = [0; 64];
        while rustix::io::read(&self.wake, &mut bytes).is_ok_and(|n| n > 0) {}
        let arrived = self
            .flags
            .iter()
            .filter(|(_, flag)| flag.swap(false, Ordering::SeqCst));
        arrived.map(|(signal, _)| *signal).collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for id in self.ids.drain(..) {
            signal_hook::low_level::unregister(id);
        }
    }
}

/// Waits for a command with the caller's own standard files.
pub(super) fn plain(helper: &Channel, watch: &Watch) -> Result<i32, Failure> {
    loop {
        let [spoke, signalled] = wait([Some(helper.as_fd()), Some(watch.wake.as_fd())], None)?;
        if signalled {
            watch
                .take()
                .into_iter()
                .for_each(|signal| pass_on(helper, signal));
        }
        if spoke && let Some(status) = listen(helper)? {
            return Ok(status);
        }
    }
}

/// The size of the caller's terminal: rows and columns.
pub(super) fn window() -> Option<(u16, u16)> {
    let files = [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ];
    let size = files.into_iter().find_map(|file| tcgetwinsize(file).ok())?;
    Some((size.ws_row, size.ws_col))
}

/// Connects the caller's standard files to a terminal of the jail until the command ends.
///
/// A request to end this process hangs up.
pub(super) fn terminal(helper: &Channel, watch: &Watch) -> Result<i32, Failure> {
    let first = helper
        .receive::<Reply>()
        .attempt(|| "run a command in the jail".to_owned())?;
    let (reply, files) = first.map_or((None, Vec::new()), |(reply, files)| (Some(reply), files));
    if let Some(status) = ended(reply)? {
        return Ok(status);
    }
    let master = files.into_iter().next();
    let master =
        master.ok_or_else(|| Failure::new("run a command in the jail", "the terminal is missing"))?;
    rustix::io::ioctl_fionbio(&master, true).attempt(|| "use the terminal".to_owned())?;
    let _raw = Raw::new(rustix::stdio::stdin());
    let mut input = Typed::new();
    let mut output_open = true;
    loop {
        let source = input.wants_more().then(rustix::stdio::stdin);
        let output = output_open.then(|| master.as_fd());
        let blocked = input.waits().then(|| master.as_fd());
        let waited = [Some(helper.as_fd()), Some(watch.wake.as_fd()), source, output];
        let ([spoke, signalled, typed, wrote], room) = wait_with(waited, blocked, None)?;
        if signalled {
            for signal in watch.take() {
                if signal == libc::SIGWINCH {
                    resize(&master);
                } else {
                    pass_on(helper, libc::SIGHUP);
                    return Ok(128 + signal);
                }
            }
        }
        if typed {
            input.fill(rustix::stdio::stdin());
        }
        if room {
            input.empty_into(&master);
        }
        if wrote {
            output_open = copy(&master, rustix::stdio::stdout()) != Heard::Closed;
        }
        if spoke && let Some(status) = listen(helper)? {
            drain(&master, output_open)?;
            return Ok(status);
        }
    }
}

fn resize(master: &OwnedFd) {
    let files = [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ];
    if let Some(size) = files.into_iter().find_map(|file| tcgetwinsize(file).ok()) {
        let _ = tcsetwinsize(master, size);
    }
}

/// Output that the command left in the terminal.
fn drain(master: &OwnedFd, mut open: bool) -> Result<(), Failure> {
    let end = Instant::now() + AFTERMATH;
    while open {
        let [wrote] = wait([Some(master.as_fd())], Some(end))?;
        open = wrote && copy(master, rustix::stdio::stdout()) != Heard::Closed && Instant::now() < end;
    }
    Ok(())
}

fn listen(helper: &Channel) -> Result<Option<i32>, Failure> {
    let heard = helper
        .receive::<Reply>()
        .attempt(|| "run a command in the jail".to_owned())?;
    ended(heard.map(|(reply, _)| reply))
}

/// Which of `files` have something to read or were closed, waiting at most until `end`.
fn wait<const N: usize>(
    files: [Option<BorrowedFd<'_>>; N],
    end: Option<Instant>,
) -> Result<[bool; N], Failure> {
    wait_with(files, None, end).map(|(ready, _)| ready)
}

/// The same, and whether `sink` takes more.
fn wait_with<const N: usize>(
    files: [Option<BorrowedFd<'_>>; N],
    sink: Option<BorrowedFd<'_>>,
    end: Option<Instant>,
) -> Result<([bool; N], bool), Failure> {
    let some = files
        .into_iter()
        .flatten()
        .map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN));
    let mut fds: Vec<_> = some
        .chain(sink.map(|file| PollFd::from_borrowed_fd(file, PollFlags::OUT)))
        .collect();
    let left = end.map(|end| end.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut fds, left.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(Failure::new("wait for the jail", io::Error::from(error))),
    }
    let mut found = fds.iter().map(|fd| !fd.revents().is_empty());
    let ready = files.map(|file| file.is_some() && found.next().unwrap_or(false));
    Ok((ready, sink.is_some() && found.next().unwrap_or(false)))
}
