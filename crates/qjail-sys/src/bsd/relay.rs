//! A terminal of its own for a command, connected to the caller's files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

use crate::terminal::{Heard, Raw, Typed, copy};

/// How often the size of the caller's terminal and the end of the command are looked at.
const TICK: Duration = Duration::from_millis(100);
/// How long output may still come after the command ended, when something it left behind keeps the terminal open.
const AFTERMATH: Duration = Duration::from_millis(200);

/// A pair of terminal ends.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// The end to read what the command says from.
    pub(crate) master: OwnedFd,
    /// The end for the command.
    pub(crate) slave: OwnedFd,
}

impl Terminal {
    /// Makes a terminal of the size of `model`, where that is one.
    pub(crate) fn open(model: BorrowedFd<'_>) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let slave = rustix::fs::open(ptsname(&master, Vec::new())?, flags, rustix::fs::Mode::empty())?;
        if let Ok(size) = tcgetwinsize(model) {
            tcsetwinsize(&slave, size)?;
        }
        Ok(Self { master, slave })
    }
}

/// Connects `master` to `input` and `output` until `child` ends. The other end must be closed in this process.
///
/// # Errors
/// When the system does not let it wait.
pub(crate) fn run(
    master: &OwnedFd,
    child: &mut Child,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> io::Result<ExitStatus> {
    let _raw = Raw::new(input);
    rustix::io::ioctl_fionbio(master, true)?;
    let mut typed = Typed::new();
    let mut talking = true;
    let mut until: Option<(Instant, ExitStatus)> = None;
    loop {
        let listen = typed.wants_more() && until.is_none();
        let [from_caller, from_jail] = wait(listen.then_some(input), talking.then(|| master.as_fd()))?;
        if from_caller {
            typed.fill(input);
        }
        typed.empty_into(master);
        let mut said = false;
        if from_jail {
            let heard = copy(master, output);
            (talking, said) = (heard != Heard::Closed, heard == Heard::Output);
        }
        if let (Ok(size), Ok(now)) = (tcgetwinsize(input), tcgetwinsize(master))
            && (size.ws_row, size.ws_col) != (now.ws_row, now.ws_col)
        {
            let _ = tcsetwinsize(master, size);
        }
        if until.is_none() {
            until = child
                .try_wait()?
                .map(|status| (Instant::now() + AFTERMATH, status));
        }
        if let Some((end, status)) = until
            && (!talking || !said || Instant::now() > end)
        {
            return Ok(status);
        }
    }
}

/// Which of two files have something to read or were closed, waiting at most one tick.
fn wait(caller: Option<BorrowedFd<'_>>, jail: Option<BorrowedFd<'_>>) -> io::Result<[bool; 2]> {
    let files = [caller, jail];
    let mut fds: Vec<PollFd<'_>> = files
        .into_iter()
        .flatten()
        .map(|f| PollFd::from_borrowed_fd(f, PollFlags::IN))
        .collect();
    let tick = Timespec::try_from(TICK).ok();
    match poll(&mut fds, tick.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    let mut found = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(files.map(|file| file.is_some() && found.next().unwrap_or(false)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bsd::enter;
    use rustix::termios::tcgetattr;
    use std::io::{Read, Seek, Write};
    use std::process::{Command, Stdio};

    /// Runs a shell script on a terminal of its own and gives its output and status.
    fn on_terminal(script: &str, typed: &[u8]) -> (String, i32) {
        let (input, mut keyboard) = io::pipe().unwrap();
        let mut output = tempfile::tempfile().unwrap();
        let terminal = Terminal::open(input.as_fd()).unwrap();
        let end = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let Terminal { master, slave } = terminal;
        drop(slave);
        keyboard.write_all(typed).unwrap();
        drop(keyboard);
        let status = run(&master, &mut child, input.as_fd(), output.as_fd()).unwrap();
        let mut text = String::new();
        output.rewind().unwrap();
        output.read_to_string(&mut text).unwrap();
        (text.replace('\r', ""), enter::status(status))
    }

    #[test]
    fn a_terminal_with_input_and_status() {
        let (text, status) = on_terminal("tty; stty -echo; read x; echo \"got $x\"; exit 7", b"hello\n");
        assert!(text.contains("/dev/pts/") && text.contains("got hello"), "{text}");
        assert_eq!(status, 7);
    }

    #[test]
    fn the_end_of_input_reaches_the_command() {
        let (text, status) = on_terminal("stty -echo; cat | tr a-z A-Z; kill -TERM $$", b"no line break");
        assert!(text.contains("NO LINE BREAK"), "{text}");
        assert_eq!(status, 143);
    }

    #[test]
    fn long_output_is_complete_and_a_daemon_holds_nobody_up() {
        let begun = Instant::now();
        let (text, status) = on_terminal("seq 20000; (trap '' HUP; sleep 5) & exit 3", b"");
        assert!(text.contains("\n19999\n20000\n"), "{}", text.len());
        assert_eq!(status, 3);
        assert!(begun.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn a_callers_terminal_is_put_back_and_its_size_followed() {
        let caller = Terminal::open(tempfile::tempfile().unwrap().as_fd()).unwrap();
        let before = tcgetattr(&caller.slave).unwrap().local_modes;
        let inner = Terminal::open(caller.slave.as_fd()).unwrap();
        let script = "while [ \"$(stty size)\" != '33 111' ]; do sleep 0.05; done; echo grown";
        let end = || Stdio::from(inner.slave.try_clone().unwrap());
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let Terminal { master, slave } = inner;
        drop(slave);
        let mut size = tcgetwinsize(&caller.slave).unwrap();
        (size.ws_row, size.ws_col) = (33, 111);
        tcsetwinsize(&caller.slave, size).unwrap();
        let output = tempfile::tempfile().unwrap();
        let status = run(&master, &mut child, caller.slave.as_fd(), output.as_fd()).unwrap();
        assert!(status.success());
        assert_eq!(tcgetattr(&caller.slave).unwrap().local_modes, before);
    }
}
