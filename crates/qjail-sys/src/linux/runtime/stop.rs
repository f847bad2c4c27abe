//! Stopping a jail and removing what one left behind.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};

use super::cgroup::Groups;
use super::channel::Channel;
use super::console::{self, Log};
use super::enter::Reply;
use super::launch::LOOK;
use super::rundir::{Holder, RunDir};
use super::session::{ended, pass_on};
use super::spec::{Attempt, ExecSpec, Failure, RuntimeError, StopSpec};
use super::{Runtime, helper, init, raw};

/// `stop.timeout` of jail(8) where it is not set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a killed process may take to be gone: the kernel may have to finish what it does for it.
const DEATH: Duration = Duration::from_secs(30);

impl Runtime {
    /// Stops a jail: `exec.stop`, SIGTERM to its processes, SIGKILL to those that stay, then removes what it had. A jail
    /// that does not run is cleaned up. Nothing is waited for any more once `cancelled` is true: the rest is killed.
    ///
    /// # Errors
    /// When something of it cannot be ended or removed.
    pub(crate) fn stop(
        &self,
        name: &str,
        how: &StopSpec,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), RuntimeError> {
        let first = self
            .jail(name)
            .process_one()
            .attempt(|| format!("look for {name}"))?;
        if let Some(first) = first
            && !how.force
        {
            self.stop_commands(name, how, cancelled);
            // Anything that goes wrong here ends with SIGKILL below.
            if !how.timeout.is_zero()
                && raw::signal_process(first.pidfd.as_fd(), raw::shutdown_signal()).is_ok()
            {
                gone(&first, how.timeout, cancelled)?;
            }
        }
        self.cleanup(name)
    }

    /// Removes whatever a jail or a start that was killed left behind: processes, control groups, files. Idempotent.
    ///
    /// # Errors
    /// When something cannot be ended or removed.
    pub(crate) fn cleanup(&self, name: &str) -> Result<(), RuntimeError> {
        let dir = self.jail(name);
        let _lock = end_processes(&dir)?;
        Groups::new(dir.group()).remove()?;
        Ok(dir.remove()?)
    }

    /// Runs `exec.stop`. Nothing that goes wrong there keeps the jail from stopping; its output tells.
    fn stop_commands(&self, name: &str, how: &StopSpec, cancelled: &dyn Fn() -> bool) {
        let limit = how.exec_timeout.unwrap_or(if how.timeout.is_zero() {
            DEFAULT_TIMEOUT
        } else {
            how.timeout
        });
        let end = Instant::now() + limit;
        let mut log = how
            .console
            .as_deref()
            .and_then(|path| console::open(path).ok())
            .map(Log::from);
        for line in &how.exec_stop {
            if Instant::now() >= end || cancelled() {
                return;
            }
            let wait = Wait { end, cancelled };
            if let Err(error) = self.stop_command(name, line, wait, log.as_mut())
                && let Some(log) = &mut log
            {
                log.append(format!("qjail: exec.stop `{line}`: {error}\n").as_bytes());
            }
        }
    }

    fn stop_command(
        &self,
        name: &str,
        line: &str,
        wait: Wait<'_>,
        log: Option<&mut Log>,
    ) -> Result<(), RuntimeError> {
        let (argv, env) = init::shell(line);
        let spec = ExecSpec {
            argv,
            env,
            cwd: "/".to_owned(),
            ..ExecSpec::default()
        };
        match self.followed(name, &spec, wait, log)? {
            0 => Ok(()),
            status => Err(Failure::new("run it", format!("exit status {status}")).into()),
        }
    }

    /// Runs a command in a running jail with nothing to read; what it says is appended to `log`. Returns its status.
    ///
    /// # Errors
    /// When the jail does not run, the log can not be opened, or the command does not end within `limit`; it is killed then.
    pub(crate) fn exec_logged(
        &self,
        name: &str,
        spec: &ExecSpec,
        log: &Path,
        limit: Duration,
    ) -> Result<i32, RuntimeError> {
        let mut log = Log::from(console::open(log)?);
        let wait = Wait {
            end: Instant::now() + limit,
            cancelled: &|| false,
        };
        self.followed(name, spec, wait, Some(&mut log))
    }

    fn followed(
        &self,
        name: &str,
        spec: &ExecSpec,
        wait: Wait<'_>,
        log: Option<&mut Log>,
    ) -> Result<i32, RuntimeError> {
        let null = helper::null().attempt(|| "open /dev/null".to_owned())?;
        let (reader, writer) = std::io::pipe().attempt(|| "make a pipe".to_owned())?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        rustix::io::ioctl_fionbio(&reader, true).attempt(|| "make a pipe".to_owned())?;
        let helper = self.enter(
            name,
            spec,
            None,
            Some([null.as_fd(), writer.as_fd(), writer.as_fd()]),
        )?;
        drop(writer);
        let done = follow(&helper.channel, &reader, wait, log);
        if done.is_err() {
            pass_on(&helper.channel, libc::SIGKILL);
        }
        helper.end();
        Ok(done?)
    }
}

/// How long a command is waited for.
#[derive(Clone, Copy)]
struct Wait<'a> {
    end: Instant,
    cancelled: &'a dyn Fn() -> bool,
}

/// Copies the output of a command to the log until it ends.
fn follow(
    helper: &Channel,
    output: &OwnedFd,
    wait: Wait<'_>,
    mut log: Option<&mut Log>,
) -> Result<i32, Failure> {
    let attempt = || "run it".to_owned();
    let mut open = true;
    let mut copy = |buffer: &mut [u8]| match rustix::io::read(output, &mut *buffer) {
        Ok(0) => Said::Last,
        Ok(n) => {
            if let Some(log) = log.as_mut() {
                log.append(&buffer[..n]);
            }
            Said::Something
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Said::Nothing,
        Err(_) => Said::Last,
    };
    let mut buffer = [0; 4096];
    loop {
        let second = if open { output.as_fd() } else { helper.as_fd() };
        let look = wait.end.min(Instant::now() + LOOK);
        let (spoke, wrote) = helper::either(helper, &second, Some(look)).attempt(attempt)?;
        if Instant::now() >= wait.end {
            return Err(Failure::new(attempt(), "it took too long"));
        }
        if (wait.cancelled)() {
            return Err(Failure::new(attempt(), "interrupted"));
        }
        if open && wrote && !spoke {
            open = copy(&mut buffer) != Said::Last;
            continue;
        }
        if !spoke {
            continue;
        }
        let reply = helper
            .receive::<Reply>()
            .attempt(attempt)?
            .map(|(reply, _)| reply);
        // Its last words may have come together with its end; what it left behind and goes on is not waited for.
        let mut left = LAST_WORDS;
        while left > 0 && copy(&mut buffer) == Said::Something {
            left -= 1;
        }
        return Ok(ended(reply)?.unwrap_or(0));
    }
}

/// What one look at the output of a command found.
#[derive(PartialEq, Eq)]
enum Said {
    Something,
    Nothing,
    Last,
}

/// How many buffers are read after the end of a command: as much as a pipe holds (pipe(7)).
const LAST_WORDS: usize = 16;

/// Whether the process of a holder was gone in time, and with it everything in its pid namespace.
fn gone(holder: &Holder, limit: Duration, cancelled: &dyn Fn() -> bool) -> Result<bool, Failure> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let look = Timespec::try_from(left.min(LOOK)).ok();
        match poll(&mut [PollFd::new(&holder.pidfd, PollFlags::IN)], look.as_ref()) {
            Ok(0) if left.is_zero() || cancelled() => return Ok(false),
            Ok(ready) if ready > 0 => return Ok(true),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).attempt(|| format!("wait for process {}", holder.pid)),
        }
    }
}

fn kill(holder: &Holder) -> Result<(), Failure> {
    let _ = raw::signal_process(holder.pidfd.as_fd(), libc::SIGKILL);
    if gone(holder, DEATH, &|| false)? {
        return Ok(());
    }
    Err(Failure::new(
        format!("kill process {}", holder.pid),
        "it does not end",
    ))
}

/// Kills the helper of a start that is going on, all that it forked, and process 1. Returns the lock that keeps a helper
/// which comes late from going on, to be held until the directory is removed.
fn end_processes(dir: &RunDir) -> Result<Option<std::fs::File>, Failure> {
    if !dir.path().exists() {
        return Ok(None);
    }
    let end = Instant::now() + DEATH;
    loop {
        let attempt = || format!("look into {}", dir.path().display());
        if let Some(helper) = dir.helper().attempt(attempt)? {
            kill(&helper)?;
        }
        if let Some(first) = dir.process_one().attempt(attempt)? {
            kill(&first)?;
        }
        // What a helper forked shares its flock(2) until it is gone, or is process 1 and holds the other lock.
        let starting = dir.starting()?;
        if flock(&starting, FlockOperation::NonBlockingLockExclusive).is_ok()
            && dir.process_one().attempt(attempt)?.is_none()
        {
            return Ok(Some(starting));
        }
        if Instant::now() > end {
            return Err(Failure::new(attempt(), "a start of this jail does not end"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
