//! Running a command in a jail.

use std::path::Path;

use super::kernel;
use crate::bsd::enter::{self, NotRun};
use crate::bsd::{child, users};
use crate::{ExecSpec, Result, SysError};

/// See [`crate::System::exec`].
pub(super) fn exec(name: &str, spec: &ExecSpec) -> Result<i32> {
    let attempt = || format!("run a command in {name}");
    let jail = kernel::find(name)?.ok_or_else(|| SysError::new(attempt(), "it is not running"))?;
    if jail.dying {
        return Err(SysError::new(
            attempt(),
            "it is dying: only its last resources are left",
        ));
    }
    let who = users::identity(name, Path::new(&jail.path), spec.user.as_deref())?;
    let plan = enter::plan(name, who, spec)?;
    let program = plan.program.clone();
    match child::run(plan, spec.tty, move || kernel::attach(jail.jid)) {
        Ok(status) => Ok(enter::status(status)),
        Err(e) => match enter::not_run(name, &program, e.raw_os_error().unwrap_or(libc::EINVAL)) {
            NotRun::Status(status) => Ok(status),
            NotRun::Failed(error) => Err(error),
        },
    }
}
