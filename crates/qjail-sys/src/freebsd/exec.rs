//! Running a command in a jail.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use super::kernel;
use crate::bsd::enter::{self, Enter, NotRun};
use crate::bsd::{child, users};
use crate::{ExecSpec, Result, SysError};

/// See [`crate::System::exec`].
pub(super) fn exec(name: &str, spec: &ExecSpec) -> Result<i32> {
    let (plan, jid) = prepare(name, spec)?;
    let program = plan.program.clone();
    let done = child::run(plan, spec.tty, move || kernel::attach(jid));
    ended(name, &program, done)
}

/// See [`crate::System::exec_logged`].
pub(super) fn exec_logged(name: &str, spec: &ExecSpec, log: &Path, limit: Duration) -> Result<i32> {
    let (plan, jid) = prepare(name, spec)?;
    let program = plan.program.clone();
    let log = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(log)
        .map_err(|e| SysError::new(format!("open {}", log.display()), e))?;
    match child::run_logged(plan, &log, limit, move || kernel::attach(jid)) {
        Err(e) if e.kind() == io::ErrorKind::TimedOut => {
            let why = format!("it did not end within {} seconds", limit.as_secs());
            Err(SysError::new(format!("run {program} in {name}"), why))
        }
        done => ended(name, &program, done),
    }
}

/// What is to be run, and the id of the jail that it is to be run in.
fn prepare(name: &str, spec: &ExecSpec) -> Result<(Enter, i32)> {
    let attempt = || format!("run a command in {name}");
    let jail = kernel::find(name)?.ok_or_else(|| SysError::new(attempt(), "it is not running"))?;
    if jail.dying {
        return Err(SysError::new(
            attempt(),
            "it is dying: only its last resources are left",
        ));
    }
    let who = users::identity(name, Path::new(&jail.path), spec.user.as_deref())?;
    Ok((enter::plan(name, who, spec)?, jail.jid))
}

fn ended(name: &str, program: &str, done: io::Result<ExitStatus>) -> Result<i32> {
    match done {
        Ok(status) => Ok(enter::status(status)),
        Err(e) => match enter::not_run(name, program, e.raw_os_error().unwrap_or(libc::EINVAL)) {
            NotRun::Status(status) => Ok(status),
            NotRun::Failed(error) => Err(error),
        },
    }
}
