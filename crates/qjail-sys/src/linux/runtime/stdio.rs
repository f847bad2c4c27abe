//! The caller's standard files on their way into a jail: never the files themselves.
//!
//! Whoever is root in the jail can give an open file another mode, write to one that was opened for reading, and climb from an
//! open directory to the host's root. So the jail gets pipes, and what is written to them is copied. Only pipes and sockets of
//! the caller go in as they are: there is nothing behind them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};

/// How long output may still come after the command ended, when something it left behind keeps the pipe open.
const AFTERMATH: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// The three files that a command gets, and the threads that copy.
pub(super) struct Stdio {
    files: Option<[OwnedFd; 3]>,
    outputs: Vec<JoinHandle<io::Result<()>>>,
    ended: Arc<AtomicBool>,
}

impl Stdio {
    /// Stand-ins for the caller's own files. A closed one is empty.
    pub(super) fn new() -> io::Result<Stdio> {
        let ended = Arc::new(AtomicBool::new(false));
        let input = input(rustix::stdio::stdin())?;
        let mut outputs = Vec::new();
        let out = output(rustix::stdio::stdout(), &ended, &mut outputs)?;
        let err = output(rustix::stdio::stderr(), &ended, &mut outputs)?;
        Ok(Stdio {
            files: Some([input, out, err]),
            outputs,
            ended,
        })
    }

    /// What the command gets. Once: afterwards only the jail holds it, so that its end shows.
    pub(super) fn take(&mut self) -> Option<[OwnedFd; 3]> {
        self.files.take()
    }

    /// The command has ended: waits until what it wrote has been passed on.
    ///
    /// # Errors
    /// Not all of it could be written, to a full disk for example.
    pub(super) fn finish(self) -> io::Result<()> {
        self.ended.store(true, Ordering::Release);
        drop(self.files);
        let all = self
            .outputs
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Ok(())));
        all.fold(Ok(()), Result::and)
    }
}

/// Whether a file can go in as it is.
fn harmless(file: BorrowedFd<'_>) -> bool {
    fstat(file).is_ok_and(|s| {
        matches!(
            FileType::from_raw_mode(s.st_mode),
            FileType::Fifo | FileType::Socket
        )
    })
}

fn input(from: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    if harmless(from) {
        return from.try_clone_to_owned();
    }
    let (reader, writer) = io::pipe()?;
    let writer = OwnedFd::from(writer);
    if let Ok(from) = from.try_clone_to_owned() {
        // It ends with the process: a terminal may never say anything again.
        std::thread::spawn(move || while pass(&from, &writer).unwrap_or(false) {});
    }
    Ok(reader.into())
}

fn output(
    to: BorrowedFd<'_>,
    ended: &Arc<AtomicBool>,
    threads: &mut Vec<JoinHandle<io::Result<()>>>,
) -> io::Result<OwnedFd> {
    if harmless(to) {
        return to.try_clone_to_owned();
    }
    let (reader, writer) = io::pipe()?;
    let reader = OwnedFd::from(reader);
    if let Ok(to) = to.try_clone_to_owned() {
        let ended = Arc::clone(ended);
        threads.push(std::thread::spawn(move || {
            while more(&reader, &ended) && pass(&reader, &to)? {}
            Ok(())
        }));
    }
    Ok(writer.into())
}

/// Whether there is something to read, or may still come.
fn more(from: &OwnedFd, ended: &AtomicBool) -> bool {
    loop {
        let over = ended.load(Ordering::Acquire);
        match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&AFTERMATH)) {
            Ok(0) if over => return false,
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// Copies what there is; false at the end.
///
/// # Errors
/// It can not be written.
fn pass(from: impl AsFd, to: impl AsFd) -> io::Result<bool> {
    let mut buffer = [0; 64 << 10];
    let read = loop {
        match rustix::io::read(&from, &mut buffer) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&from, PollFlags::IN)], None);
            }
            other => break other,
        }
    };
    let Ok(length @ 1..) = read else { return Ok(false) };
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        match rustix::io::write(&to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}
