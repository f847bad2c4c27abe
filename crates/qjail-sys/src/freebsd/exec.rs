//! Running a command in a jail.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::kernel;
use crate::bsd::enter::{self, Enter, NotRun, Step};
use crate::bsd::relay::{self, Terminal};
use crate::bsd::users;
use crate::{ExecSpec, Result, SysError};

/// See [`crate::System::exec`].
pub(super) fn exec(name: &str, spec: &ExecSpec) -> Result<i32> {
    let attempt = || format!("run a command in {name}");
    let jail = kernel::find(name)?.ok_or_else(|| SysError::new(attempt(), "it is not running"))?;
    if jail.dying {
        return Err(SysError::new(attempt(), "it is dying: only its last resources are left"));
    }
    let who = users::identity(name, Path::new(&jail.path), spec.user.as_deref())?;
    let plan = enter::plan(name, who, spec)?;
    let program = plan.program.clone();
    let ended = command(plan, jail.jid, spec.tty).and_then(|command| run(command, spec.tty));
    match ended {
        Ok(status) => Ok(enter::status(status)),
        Err(e) => match enter::not_run(name, &program, e.raw_os_error().unwrap_or(libc::EINVAL)) {
            NotRun::Status(status) => Ok(status),
            NotRun::Failed(error) => Err(error),
        },
    }
}

fn run(mut command: Command, tty: bool) -> io::Result<std::process::ExitStatus> {
    if !tty {
        return command.status();
    }
    let Terminal { master, slave } = Terminal::open(rustix::stdio::stdin())?;
    command.stdin(Stdio::from(slave.try_clone()?)).stdout(Stdio::from(slave.try_clone()?)).stderr(Stdio::from(slave));
    let mut child = command.spawn()?;
    // It keeps the ends for the child open.
    drop(command);
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    relay::run(&master, &mut child, stdin.as_fd(), stdout.as_fd())
}

/// The command with all that the child does on its way into the jail. Everything it needs is made before the fork.
fn command(plan: Enter, jid: i32, tty: bool) -> io::Result<Command> {
    let dirs = plan.dirs.iter().map(|d| CString::new(d.as_str())).collect::<std::result::Result<Vec<_>, _>>()?;
    let (uid, gid, mut groups) = (plan.uid, plan.gid, plan.groups);
    // initgroups(3) of FreeBSD: the first is the effective one.
    groups.insert(0, gid);
    let mut command = Command::new(&plan.program);
    command.args(&plan.args).env_clear().envs(plan.env);
    if let Some(arg0) = plan.arg0 {
        command.arg0(arg0);
    }
    let enter = move || {
        if tty {
            step(Step::Terminal, own_terminal())?;
        }
        step(Step::Descriptors, close_on_exec())?;
        // SAFETY: jail_attach(2), with a number.
        step(Step::Attach, check(unsafe { libc::jail_attach(jid) }))?;
        // setgroups(2) and what follows are for root only.
        let count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `count` numbers that live as long as the closure.
        step(Step::Groups, check(unsafe { libc::setgroups(count, groups.as_ptr()) }))?;
        // SAFETY: a number.
        step(Step::Group, check(unsafe { libc::setgid(gid) }))?;
        // SAFETY: a number.
        step(Step::User, check(unsafe { libc::setuid(uid) }))?;
        step(Step::Directory, change_directory(&dirs))
    };
    // SAFETY: between fork and exec only system calls are made; nothing is allocated, no lock is taken.
    unsafe { command.pre_exec(enter) };
    Ok(command)
}

fn step(step: Step, done: io::Result<()>) -> io::Result<()> {
    done.map_err(|e| io::Error::from_raw_os_error(step.code(e.raw_os_error().unwrap_or(libc::EINVAL))))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A session of its own, with standard input as its terminal.
fn own_terminal() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
}

/// A directory of the host that stays open is a way out of the jail. The descriptor on which this child reports that it
/// could not run the command is closed by a successful exec only.
fn close_on_exec() -> io::Result<()> {
    // SAFETY: numbers only.
    let done = unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if done == 0 {
        return Ok(());
    }
    // 13.2 knows the call and not the flag.
    // SAFETY: no arguments.
    let limit = unsafe { libc::getdtablesize() };
    for fd in 3..limit {
        // SAFETY: numbers only; a descriptor that is not open is no matter.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// jail_attach(2) leaves the working directory at the jail's root.
fn change_directory(dirs: &[CString]) -> io::Result<()> {
    let mut done = Err(io::ErrorKind::NotFound.into());
    for dir in dirs {
        // SAFETY: a C string.
        done = check(unsafe { libc::chdir(dir.as_ptr()) });
        if done.is_ok() {
            break;
        }
    }
    done
}
