//! Between the caller's files and the terminal of a command in a jail: what both systems do alike.
//!
//! The caller's own terminal never gets into the jail: who has it can type into it. Making the jail's terminal and waiting
//! for the command is each system's own.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// What a terminal sends for the end of input (^D).
const END_OF_INPUT: u8 = 4;

/// The caller's terminal, raw until this value goes; a file that is no terminal is left alone.
#[derive(Debug)]
pub(crate) struct Raw<'a> {
    file: BorrowedFd<'a>,
    before: Option<Termios>,
}

impl<'a> Raw<'a> {
    pub(crate) fn new(file: BorrowedFd<'a>) -> Self {
        let before = tcgetattr(file).ok();
        if let Some(mut raw) = before.clone() {
            raw.make_raw();
            let _ = tcsetattr(file, OptionalActions::Now, &raw);
        }
        Self { file, before }
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(self.file, OptionalActions::Drain, before);
        }
    }
}

/// Input on its way: not more is read before it is taken, so that a command that does not read stops the caller's input.
#[derive(Debug)]
pub(crate) struct Typed {
    bytes: Vec<u8>,
    open: bool,
    last: u8,
}

impl Typed {
    pub(crate) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            open: true,
            last: b'\n',
        }
    }

    /// Whether more should be read from the caller.
    pub(crate) fn wants_more(&self) -> bool {
        self.open && !self.waits()
    }

    /// Whether something waits for the terminal to take it.
    pub(crate) fn waits(&self) -> bool {
        !self.bytes.is_empty()
    }

    pub(crate) fn fill(&mut self, input: BorrowedFd<'_>) {
        let mut buffer = [0; 4096];
        match rustix::io::read(input, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            Ok(n) if n > 0 => {
                self.bytes.extend_from_slice(&buffer[..n]);
                self.last = buffer[n - 1];
            }
            Ok(_) | Err(_) => {
                self.open = false;
                // In the middle of a line the first ends the line only, see termios(4) VEOF.
                let ends = if self.last == b'\n' { 1 } else { 2 };
                self.bytes.extend(std::iter::repeat_n(END_OF_INPUT, ends));
            }
        }
    }

    pub(crate) fn empty_into(&mut self, master: &OwnedFd) {
        if !self.waits() {
            return;
        }
        match rustix::io::write(master, &self.bytes) {
            Ok(n) => drop(self.bytes.drain(..n)),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.bytes.clear(),
        }
    }
}

/// What a look at the jail's terminal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Something was there, and was copied.
    Output,
    /// Nothing is there now.
    Silence,
    /// Nobody has it open any more.
    Closed,
}

/// Copies what the jail's terminal has to the caller's output.
pub(crate) fn copy(master: &OwnedFd, output: BorrowedFd<'_>) -> Heard {
    let mut buffer = [0; 16384];
    match rustix::io::read(master, &mut buffer) {
        Ok(n) if n > 0 => {
            // A closed output does not end the command: it may have more to do than to talk.
            write_all(output, &buffer[..n]);
            Heard::Output
        }
        Err(Errno::INTR | Errno::AGAIN) => Heard::Silence,
        Ok(_) | Err(_) => Heard::Closed,
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None);
            }
            Err(_) => return,
        }
    }
}
