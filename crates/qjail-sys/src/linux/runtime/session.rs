//! Running a command in a jail, as seen by the caller.

use std::os::fd::{AsFd, BorrowedFd};

use super::Runtime;
use super::channel::Channel;
use super::enter::{ExecRequest, Order, Reply};
use super::helper::Request;
use super::launch::Helper;
use super::relay;
use super::spec::{Attempt, ExecSpec, Failure, RuntimeError};
use super::stdio::Stdio;

impl Runtime {
    /// Runs a command in a running jail with what this process's standard files say and take, or with a terminal of the jail that is
    /// connected to them. Signals that ask this process to end are passed on to the command.
    ///
    /// Returns its status; 128 + N when signal N ended it, 126 when it could not be executed, 127 when it was not found,
    /// and then it was said on the standard error of the command.
    ///
    /// # Errors
    /// When the jail does not run, or the command could not even be tried.
    pub(crate) fn exec(&self, name: &str, spec: &ExecSpec) -> Result<i32, RuntimeError> {
        let window = if spec.tty { relay::window() } else { None };
        let watch = relay::Watch::new(spec.tty).attempt(|| "watch for signals".to_owned())?;
        if spec.tty {
            let helper = self.enter(name, spec, window, None)?;
            let status = relay::terminal(&helper.channel, &watch);
            helper.end();
            return Ok(status?);
        }
        let mut stdio = Stdio::new().attempt(|| "make pipes for the command".to_owned())?;
        let files = stdio.take();
        let given = files.as_ref().map(|f| f.each_ref().map(AsFd::as_fd));
        let helper = self.enter(name, spec, window, given)?;
        drop(files);
        let status = relay::plain(&helper.channel, &watch);
        helper.end();
        stdio.finish().attempt(|| "pass on the output".to_owned())?;
        Ok(status?)
    }

    /// Asks a helper to run a command.
    pub(super) fn enter(
        &self,
        name: &str,
        spec: &ExecSpec,
        window: Option<(u16, u16)>,
        stdio: Option<[BorrowedFd<'_>; 3]>,
    ) -> Result<Helper, RuntimeError> {
        let attempt = || format!("enter {name}");
        let dir = self.jail(name);
        let first = dir.process_one().attempt(attempt)?;
        let first = first.ok_or_else(|| RuntimeError::NotRunning {
            name: name.to_owned(),
        })?;
        let record = dir.record()?;
        let request = ExecRequest {
            command: spec.clone(),
            isolation: record.isolation,
            resources: record.resources,
            group: dir.group(),
            window,
        };
        let mut files = vec![first.pidfd.as_fd()];
        files.extend(stdio.into_iter().flatten());
        let helper = self.helper("exec")?;
        helper
            .channel
            .send(&Request::Exec(request), &files)
            .attempt(attempt)?;
        Ok(helper)
    }
}

/// What a reply that ends the command says; none for one that does not.
pub(super) fn ended(reply: Option<Reply>) -> Result<Option<i32>, Failure> {
    match reply {
        None => Err(Failure::new(
            "run a command in the jail",
            "the helper ended unexpectedly",
        )),
        Some(Reply::Failed(failure)) => Err(failure),
        Some(Reply::Ended(status)) => Ok(Some(status)),
        Some(Reply::Terminal) => Ok(None),
    }
}

/// Passes a signal on; a helper that is gone has nobody to pass it to.
pub(super) fn pass_on(helper: &Channel, signal: i32) {
    let _ = helper.send(&Order::Signal(signal), &[]);
}
