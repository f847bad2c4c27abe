//! Running a command in a jail.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use qjail_fs::Root;
use qjail_passwd::Identity;

use super::child;
use super::enter::{self, Enter, NotRun};
use super::host::{Attach, Host};
use super::login_class;
use crate::{ExecSpec, Result, SysError, users};

/// jail_attach_jd(2) came with 15.0.
const DESCRIPTORS: i32 = 1_500_000;

/// See [`crate::System::exec`].
pub(super) fn exec(host: &dyn Host, name: &str, spec: &ExecSpec) -> Result<i32> {
    let (plan, attach) = prepare(host, name, spec)?;
    let program = plan.program.clone();
    let done = child::run(plan, spec.tty, attach);
    ended(name, &program, done)
}

/// See [`crate::System::exec_logged`].
pub(super) fn exec_logged(
    host: &dyn Host,
    name: &str,
    spec: &ExecSpec,
    log: &Path,
    limit: Duration,
) -> Result<i32> {
    let (plan, attach) = prepare(host, name, spec)?;
    let program = plan.program.clone();
    let log = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(log)
        .map_err(|e| SysError::new(format!("open {}", log.display()), e))?;
    match child::run_logged(plan, &log, limit, attach) {
        Err(e) if e.kind() == io::ErrorKind::TimedOut => {
            let why = format!("it did not end within {} seconds", limit.as_secs());
            Err(SysError::new(format!("run {program} in {name}"), why))
        }
        done => ended(name, &program, done),
    }
}

/// What is to be run, and the way into the jail that it is to be run in.
fn prepare(host: &dyn Host, name: &str, spec: &ExecSpec) -> Result<(Enter, Attach)> {
    let attempt = || format!("run a command in {name}");
    let descriptor = host.sysctl_int("kern.osreldate").unwrap_or(0) >= DESCRIPTORS;
    let (jail, attach) = host
        .entrance(name, descriptor)?
        .ok_or_else(|| SysError::new(attempt(), "it is not running").hint(format!("qjail start {name}")))?;
    if jail.dying {
        return Err(
            SysError::new(attempt(), "it is dying: only its last resources are left")
                .hint("start it again when they are gone"),
        );
    }
    let root = Root::open(Path::new(&jail.path)).map_err(|e| SysError::new(format!("enter {name}"), e))?;
    let who = users::identity(name, &root, spec.user.as_deref())?;
    let class = |who: &Identity| login_class::read(name, &root, who);
    Ok((enter::plan(name, who, spec, class)?, attach))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::rehearsal::Rehearsal;

    fn spec(script: &str) -> ExecSpec {
        ExecSpec {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            ..ExecSpec::default()
        }
    }

    /// A jail whose root is that of the host of the test.
    fn host() -> Rehearsal {
        let host = Rehearsal::new();
        host.foreign_jail("a", Path::new("/"));
        host.doors_lead_nowhere();
        host
    }

    #[test]
    fn the_status_of_the_command_is_passed_on() {
        let host = host();
        assert_eq!(exec(&host, "a", &spec("exit 7")).unwrap(), 7);
        let unknown = ExecSpec {
            argv: vec!["no-such-program".to_owned()],
            ..ExecSpec::default()
        };
        assert_eq!(exec(&host, "a", &unknown).unwrap(), 127);
        let error = exec(&host, "b", &spec("exit 7")).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("qjail start b"));
    }

    #[test]
    fn the_class_of_the_jails_user_is_set() {
        let (host, jail) = (Rehearsal::new(), tempfile::tempdir().unwrap());
        host.foreign_jail("a", jail.path());
        host.doors_lead_nowhere();
        std::fs::create_dir(jail.path().join("etc")).unwrap();
        for (file, text) in [
            ("passwd", "tom:*:1001:1001::/home/tom:/bin/sh\n"),
            ("master.passwd", "tom:*:1001:1001:small:0:0::/home/tom:/bin/sh\n"),
            (
                "login.conf",
                "default:umask=022:\nsmall:\\\n\t:umask=077:priority=6:setenv=EDITOR=~/vi:tc=default:\n",
            ),
        ] {
            std::fs::write(jail.path().join("etc").join(file), text).unwrap();
        }
        let as_tom = |script| ExecSpec {
            user: Some("tom".to_owned()),
            ..spec(script)
        };
        let says = "test \"$(umask) $(nice) $EDITOR\" = '0077 6 /home/tom/vi'";
        assert_eq!(exec(&host, "a", &as_tom(says)).unwrap(), 0);
        let other = "test \"$(umask)\" = 0022 && test -z \"$EDITOR\"";
        assert_eq!(exec(&host, "a", &spec(other)).unwrap(), 0);
    }

    #[test]
    fn a_command_with_a_log_has_a_limit() {
        let (host, dir) = (host(), tempfile::tempdir().unwrap());
        let log = dir.path().join("log");
        let run = |script| exec_logged(&host, "a", &spec(script), &log, Duration::from_secs(1));
        assert_eq!(run("echo here; exit 3").unwrap(), 3);
        let error = run("exec sleep 20").unwrap_err();
        assert_eq!(
            error.to_string(),
            "run /bin/sh in a: it did not end within 1 seconds"
        );
        assert_eq!(fs::read_to_string(&log).unwrap(), "here\n");
    }
}
