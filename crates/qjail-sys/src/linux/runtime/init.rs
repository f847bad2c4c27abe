//! Process 1 of a jail: runs `exec.start`, then reaps for as long as the jail runs.
//!
//! It is this program, not one of the jail's, and executes nothing itself: the jail can neither read nor trace it (not
//! dumpable, and the jail has no `SYS_PTRACE`), so that no descriptor, memory or program file of the host can be had
//! through `/proc/1`. Of the host it keeps the lock file and, for the console, the log file; the jail's processes get a
//! pipe, for a descriptor of the log would let the jail's root give it another mode or owner.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, fcntl_lock, open};
use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::cgroup;
use super::channel::Channel;
use super::console::Log;
use super::harden;
use super::helper;
use super::program::Program;
use super::raw::{self, Signals, Wait};
use super::roots;
use super::spec::{Attempt, Failure, Isolation};
use super::stack::{self, Stack};

/// What process 1 tells the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// The command of that number ended.
    Command(usize, i32),
    /// All commands succeeded.
    Done,
    /// It goes on without the helper.
    Committed,
}

/// What the helper tells process 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// The jail is to stay.
    Commit,
}

/// The device files of a jail.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// `MOUNT_ATTR_NOEXEC` of mount_setattr(2).
const NOEXEC: u64 = 8;

/// The environment of `exec.start`, as `exec.clean` of jail(8) makes it.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("HOME", "/"),
    (
        "PATH",
        "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin",
    ),
    ("SHELL", "/bin/sh"),
    ("USER", "root"),
];

/// The command that runs a line of `exec.start` or `exec.stop`, and its environment.
pub(super) fn shell(line: &str) -> (Vec<String>, Vec<(String, String)>) {
    let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    (
        argv,
        ENVIRONMENT
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

/// What `libcontainer` calls in the process that it made.
#[derive(Debug, Clone)]
pub(super) struct ProcessOne {
    pub(super) isolation: Isolation,
    /// Whether it must be in its control groups.
    pub(super) limited: bool,
    pub(super) exec_start: Vec<String>,
    /// Process 1's end of the socket to the helper.
    pub(super) control: Rc<OwnedFd>,
    /// Descriptors of the helper that this process has copies of: its end of that socket, its socket to the caller.
    pub(super) not_ours: [RawFd; 2],
    /// The helper itself, as a pidfd.
    pub(super) helper: Rc<OwnedFd>,
    pub(super) alive: Rc<OwnedFd>,
    pub(super) console: Option<Rc<OwnedFd>>,
    /// To join the jail's control groups through.
    pub(super) doors: Rc<Vec<OwnedFd>>,
    /// The network stack that the jail's root configures, if it does.
    pub(super) stack: Option<Rc<Stack>>,
}

impl Executor for ProcessOne {
    /// Called in the finished root, with all privileges, before the start is reported: errors still reach the user.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        self.prepare()
            .map_err(|failure| ExecutorValidationError::ArgValidationError(failure.to_string()))
    }

    /// The helper was started with an empty environment.
    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }

    /// Called when the helper says go. Does not return.
    fn exec(&self, _: &Spec) -> Result<(), ExecutorError> {
        let _ = catch_unwind(AssertUnwindSafe(|| self.run()));
        raw::exit(1)
    }
}

impl ProcessOne {
    fn prepare(&self) -> Result<(), Failure> {
        self.not_ours.into_iter().map(raw::own).for_each(drop);
        self.tie_to_helper()?;
        fcntl_lock(&self.alive, FlockOperation::NonBlockingLockExclusive)
            .attempt(|| "lock the file that tells that the jail runs".to_owned())?;
        let joined = cgroup::join(&self.doors);
        if self.limited {
            joined.attempt(|| "join the control groups that limit the jail".to_owned())?;
        }
        harden::outlive_out_of_memory();
        raw::unshare_groups().attempt(|| "make a namespace of control groups".to_owned())?;
        confine_devices()?;
        if let Some(stack) = &self.stack {
            stack::enter(stack.users.as_fd())?;
            // Other rights may have loosened it.
            self.tie_to_helper()?;
        }
        harden::restrict(self.isolation)?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable).attempt(|| "hide process 1".to_owned())
    }

    /// This process ends with its helper for as long as the start lasts.
    fn tie_to_helper(&self) -> Result<(), Failure> {
        set_parent_process_death_signal(Some(Signal::KILL))
            .attempt(|| "tie process 1 to its helper".to_owned())?;
        // The helper may have died before that. Its sockets do not tell: others may hold copies for a moment.
        let mut helper = [PollFd::new(&self.helper, PollFlags::IN)];
        let nothing = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if poll(&mut helper, Some(&nothing)).is_ok_and(|ready| ready > 0) {
            return Err(Failure::new("start process 1", "its helper has ended"));
        }
        Ok(())
    }

    fn run(&self) -> io::Result<()> {
        let console = self.console.as_ref().map(AsRawFd::as_raw_fd);
        let keep = [
            Some(self.control.as_raw_fd()),
            Some(self.alive.as_raw_fd()),
            console,
        ];
        raw::close_all_but(&keep.into_iter().flatten().collect::<Vec<_>>())?;
        let null = helper::null()?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        let _ = rustix::thread::set_name(c"qjail-init");
        raw::block_signals()?;
        let log = console.map(raw::own);
        let mut init = Init {
            control: Some(Channel::from(raw::own(self.control.as_raw_fd()))),
            console: log.map(Console::new).transpose()?,
            signals: Signals::new(&[libc::SIGCHLD, raw::shutdown_signal()])?,
            watched: None,
            stopping: false,
        };
        init.start(&self.exec_start, &null)?;
        drop(null);
        loop {
            init.turn()?;
        }
    }
}

/// Leaves the six device files as the only place of the jail where a device file works: each gets a mount of its own,
/// then the file system that holds them refuses devices. The jail keeps `MKNOD`, but nothing it makes can be opened.
fn confine_devices() -> Result<(), Failure> {
    for name in DEVICES {
        let path = format!("/dev/{name}");
        rustix::mount::mount_bind(&path, &path).attempt(|| format!("mount {path} of the jail"))?;
    }
    let attempt = || "take device files away from /dev of the jail".to_owned();
    let dev = open("/dev", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    raw::mount_setattr(dev.attempt(attempt)?.as_fd(), false, roots::NODEV | NOEXEC).attempt(attempt)
}

/// The console: what the jail's processes write into the pipe goes to the log.
#[derive(Debug)]
struct Console {
    log: Log,
    reader: OwnedFd,
    writer: Option<OwnedFd>,
}

impl Console {
    fn new(log: OwnedFd) -> io::Result<Console> {
        let (reader, writer) = io::pipe()?;
        let reader = OwnedFd::from(reader);
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok(Console {
            log: log.into(),
            reader,
            writer: Some(writer.into()),
        })
    }

    /// Moves what there is, a bounded part at a time. False when nobody can write any more.
    fn pump(&mut self) -> bool {
        let mut buffer = [0; 4096];
        for _ in 0..16 {
            match rustix::io::read(&self.reader, &mut buffer) {
                Ok(0) => return false,
                Ok(n) => self.log.append(&buffer[..n]),
                Err(_) => return true,
            }
        }
        true
    }
}

/// The running process 1.
#[derive(Debug)]
struct Init {
    control: Option<Channel>,
    console: Option<Console>,
    signals: Signals,
    /// The child that is waited for, and its status once it ended.
    watched: Option<(i32, Option<i32>)>,
    stopping: bool,
}

impl Init {
    /// Runs the commands, and stays only if the helper says so.
    fn start(&mut self, lines: &[String], null: &OwnedFd) -> io::Result<()> {
        for (number, line) in lines.iter().enumerate() {
            let status = self.command(line, null)?;
            self.tell(&Report::Command(number, status))?;
            if status != 0 {
                // The helper ends the start, and with it this process.
                while !self.turn()? {}
                raw::exit(1);
            }
        }
        self.tell(&Report::Done)?;
        while !self.turn()? {}
        match self
            .control
            .as_ref()
            .map(Channel::receive::<Order>)
            .transpose()?
            .flatten()
        {
            Some((Order::Commit, _)) => {}
            None => raw::exit(1),
        }
        set_parent_process_death_signal(None)?;
        self.tell(&Report::Committed)?;
        self.control = None;
        if let Some(console) = &mut self.console {
            console.writer = None;
        }
        Ok(())
    }

    fn tell(&self, report: &Report) -> io::Result<()> {
        self.control
            .as_ref()
            .map_or(Ok(()), |control| control.send(report, &[]))
    }

    /// Runs one command line to its end: its status.
    fn command(&mut self, line: &str, null: &OwnedFd) -> io::Result<i32> {
        let (argv, env) = shell(line);
        let program = Program::new(&argv, None, &env)?;
        let output = self
            .console
            .as_ref()
            .and_then(|console| console.writer.as_ref())
            .unwrap_or(null);
        let Some(child) = raw::fork()? else {
            become_command(&program, output)
        };
        self.watched = Some((child, None));
        loop {
            if let Some((_, Some(status))) = self.watched.take_if(|(_, status)| status.is_some()) {
                if let Some(console) = &mut self.console {
                    console.pump();
                }
                return Ok(status);
            }
            if self.turn()? {
                // Before the end of the commands the helper has nothing to say: it is gone.
                raw::exit(1);
            }
        }
    }

    /// Waits for something to happen and sees to it. Whether the helper spoke or is gone.
    fn turn(&mut self) -> io::Result<bool> {
        let (mut signal, mut output, mut helper) = (false, false, false);
        {
            let reader = self
                .console
                .as_ref()
                .map_or(self.signals.as_fd(), |console| console.reader.as_fd());
            let control = self.control.as_ref().map_or(self.signals.as_fd(), AsFd::as_fd);
            let mut fds =
                [self.signals.as_fd(), reader, control].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => [signal, output, helper] = fds.map(|fd| !fd.revents().is_empty()),
            }
        }
        if output && self.console.as_mut().is_some_and(|console| !console.pump()) {
            self.console = None;
        }
        if signal {
            self.signalled();
        }
        Ok(helper && self.control.is_some())
    }

    /// The jail is empty: nothing that was written is lost.
    fn end(&mut self) -> ! {
        if let Some(console) = &mut self.console {
            console.pump();
        }
        raw::exit(0)
    }

    fn signalled(&mut self) {
        while let Some((signal, sender)) = self.signals.next() {
            // Sender 0 is outside of the jail: the host. The jail's own processes cannot shut it down this way.
            if signal == raw::shutdown_signal() && sender == 0 {
                self.stopping = true;
                let _ = raw::kill(-1, libc::SIGTERM);
                let _ = raw::kill(-1, libc::SIGCONT);
            }
        }
        loop {
            match raw::wait(-1, false) {
                Wait::Ended(pid, status) => match &mut self.watched {
                    Some((watched, ended)) if *watched == pid => *ended = Some(status),
                    _ => {}
                },
                Wait::NoChild if self.stopping => self.end(),
                Wait::Nothing | Wait::NoChild => return,
            }
        }
    }
}

/// In the child: a session of its own, nothing but its standard files, every signal as usual.
fn become_command(program: &Program, output: &OwnedFd) -> ! {
    raw::default_signals();
    let ready = harden::mortal_again().is_ok()
        && rustix::process::setsid().is_ok()
        && rustix::stdio::dup2_stdout(output).is_ok()
        && rustix::stdio::dup2_stderr(output).is_ok()
        && raw::close_all_but(&[]).is_ok();
    let (status, _) = if ready {
        program.execute()
    } else {
        (1, io::Error::last_os_error())
    };
    raw::exit(status)
}
