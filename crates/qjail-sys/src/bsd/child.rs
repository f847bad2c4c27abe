//! The way of a child from fork(2) into a jail and to execve(2), and back with its status.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::enter::{Enter, Step};
use super::relay::{self, Terminal};

/// How often a command that may be killed is asked whether it has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Runs a command: `attach` takes the child into the jail. With `tty` it gets a terminal of its own, otherwise the
/// caller's standard files.
///
/// # Errors
/// [`super::enter::not_run`] reads the number of an error.
pub(crate) fn run(
    plan: Enter,
    tty: bool,
    attach: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<ExitStatus> {
    let mut command = command(plan, tty, attach)?;
    if !tty {
        return command.status();
    }
    let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let Terminal { master, slave } = Terminal::open(stdin)?;
    let end = || slave.try_clone().map(Stdio::from);
    command.stdin(end()?).stdout(end()?).stderr(end()?);
    let mut child = command.spawn()?;
    // Both keep the child's end of the terminal open.
    drop(command);
    drop(slave);
    relay::run(&master, &mut child, stdin.as_fd(), stdout.as_fd())
}

/// Runs a command with nothing to read, its output appended to `log`; kills it after `limit`.
///
/// # Errors
/// As [`run`]; `TimedOut` when it had to be killed.
pub(crate) fn run_logged(
    plan: Enter,
    log: &File,
    limit: Duration,
    attach: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<ExitStatus> {
    let mut command = command(plan, false, attach)?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?);
    let mut child = command.spawn()?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// The command with all that the child does on its way. Everything it needs is made before the fork.
fn command(
    plan: Enter,
    tty: bool,
    attach: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) -> io::Result<Command> {
    let dirs: Vec<CString> = plan
        .dirs
        .iter()
        .map(|d| CString::new(d.as_str()))
        .collect::<Result<_, _>>()?;
    let (uid, gid, mut groups) = (plan.uid, plan.gid, plan.groups);
    // initgroups(3) of FreeBSD: the first is the effective one.
    groups.insert(0, gid);
    let bounds = plan.bounds;
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
        step(Step::Attach, attach())?;
        // While still root: what follows is for root only. Not before: the jail's files shall not ask for what the jail may not have.
        bounds.set();
        // SAFETY: so many numbers, which live as long as the closure.
        let grouped = unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) };
        step(Step::Groups, check(grouped))?;
        // SAFETY: a number.
        let group = unsafe { libc::setgid(gid) };
        step(Step::Group, check(group))?;
        // SAFETY: a number.
        let user = unsafe { libc::setuid(uid) };
        step(Step::User, check(user))?;
        step(Step::Directory, change_directory(&dirs))
    };
    // SAFETY: between fork and exec only system calls are made; nothing is allocated, no lock is taken.
    unsafe { command.pre_exec(enter) };
    Ok(command)
}

/// The error with the step in its number: nothing else comes back from a child.
fn step(step: Step, done: io::Result<()>) -> io::Result<()> {
    done.map_err(|e| io::Error::from_raw_os_error(step.code(e.raw_os_error().unwrap_or(libc::EINVAL))))
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A session of its own, with standard input as its terminal.
fn own_terminal() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
}

/// A directory of the host that stays open is a way out of the jail. Not closed at once: one descriptor is the way on
/// which this child reports that it could not run the command.
fn close_on_exec() -> io::Result<()> {
    let flag = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: numbers only.
    if unsafe { libc::close_range(3, libc::c_uint::MAX, flag) } == 0 {
        return Ok(());
    }
    // Older kernels know the call and not the flag (FreeBSD 13), or neither.
    close_each_on_exec()
}

fn close_each_on_exec() -> io::Result<()> {
    // SAFETY: a number.
    let limit = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    let limit = libc::c_int::try_from(limit).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    for fd in 3..limit {
        // SAFETY: numbers only; a descriptor that is not open is no matter.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// The first directory that there is.
fn change_directory(dirs: &[CString]) -> io::Result<()> {
    let mut done = Err(io::Error::from_raw_os_error(libc::ENOENT));
    for dir in dirs {
        // SAFETY: a C string.
        done = check(unsafe { libc::chdir(dir.as_ptr()) });
        if done.is_ok() {
            break;
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::super::enter::{NotRun, not_run, status};
    use super::super::login_class::{Bounds, Rlimit};
    use super::*;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use qjail_passwd::Amount;

    fn plan(script: &str) -> Enter {
        Enter {
            program: "sh".to_owned(),
            arg0: Some("-sh".to_owned()),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("PATH".to_owned(), "/bin:/usr/bin".to_owned())],
            dirs: vec!["/nonexistent".to_owned(), "/tmp".to_owned()],
            uid: 12345,
            gid: 23456,
            groups: vec![34567],
            bounds: Bounds::default(),
        }
    }

    fn said(plan: Enter, attach: fn() -> io::Result<()>) -> String {
        let done = command(plan, false, attach).unwrap().output().unwrap();
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Files are inherited through fork only in a test of its own process: here the descriptor is looked for by number.
    fn open_in_child(close: fn() -> io::Result<()>) -> bool {
        let file = File::open("/").unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        let fd = file.as_raw_fd();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("test -e /dev/fd/{fd}/etc")]);
        // SAFETY: only system calls.
        unsafe { command.pre_exec(close) };
        command.status().unwrap().success()
    }

    #[test]
    fn who_where_and_with_what() {
        let text = said(
            plan("id -u; id -g; id -G; pwd; echo $0; echo ${HOME-none}"),
            || Ok(()),
        );
        assert_eq!(text, "12345\n23456\n23456 34567\n/tmp\n-sh\nnone\n");
    }

    /// By the numbers of the system that the test runs on.
    fn rlimit(resource: impl TryInto<i32>, soft: Option<Amount>, hard: Option<Amount>) -> Rlimit {
        Rlimit {
            resource: resource.try_into().ok().unwrap(),
            soft,
            hard,
        }
    }

    #[test]
    fn limits_priority_and_umask_of_a_class() {
        let exactly = |n| Some(Amount::Exactly(n));
        let limits = || {
            vec![
                rlimit(libc::RLIMIT_NOFILE, exactly(50), exactly(60)),
                // Above the hard limit: that one holds.
                rlimit(libc::RLIMIT_FSIZE, exactly(1 << 20), exactly(4096)),
                rlimit(libc::RLIMIT_CORE, exactly(0), Some(Amount::Unlimited)),
                rlimit(libc::RLIMIT_CPU, None, exactly(1000)),
                // One that the kernel does not know takes nothing from the others.
                rlimit(15i32, exactly(1), exactly(1)),
                rlimit(libc::RLIMIT_STACK, exactly(1 << 20), None),
            ]
        };
        let bound = |script: &str, nice| Enter {
            bounds: Bounds {
                limits: limits(),
                nice,
                umask: Some(0o027),
            },
            ..plan(script)
        };
        // A nice value below 0 is root's to set: the user of the command is not there yet.
        let script = "ulimit -Sn; ulimit -Hn; ulimit -Sf; ulimit -Sc; ulimit -Hc; ulimit -Ht; ulimit -Ss; umask; nice; id -u";
        assert_eq!(
            said(bound(script, Some(-5)), || Ok(())),
            "50\n60\n8\n0\nunlimited\n1000\n1024\n0027\n-5\n12345\n"
        );
        // What is not set stays as it is when the jail is entered.
        let lowered = || {
            rlimit(
                libc::RLIMIT_NOFILE,
                Some(Amount::Exactly(20)),
                Some(Amount::Exactly(20)),
            )
            .set();
            Ok(())
        };
        let mut half = bound("ulimit -Sn; ulimit -Hn; nice", None);
        half.bounds.limits = vec![rlimit(libc::RLIMIT_NOFILE, exactly(15), None)];
        assert_eq!(
            said(half, lowered),
            format!("15\n20\n{}\n", nice_of_this_process())
        );
    }

    fn nice_of_this_process() -> String {
        let said = Command::new("nice").output().unwrap().stdout;
        String::from_utf8_lossy(&said).trim().to_owned()
    }

    #[test]
    fn a_log_takes_the_output_and_a_limit_the_life() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = File::options().append(true).create(true).open(&path).unwrap();
        let logged = |script: &str| {
            run_logged(plan(script), &log, Duration::from_millis(300), || Ok(()))
                .map(|done| done.code())
                .map_err(|e| e.kind())
        };
        assert_eq!(logged("echo out; echo err >&2; cat; exit 3"), Ok(Some(3)));
        assert_eq!(logged("echo more; exec sleep 20"), Err(io::ErrorKind::TimedOut));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "out\nerr\nmore\n");
    }

    #[test]
    fn attaching_comes_before_all_that_looks_at_files() {
        let dir = "/usr/bin";
        let mut inside = plan("");
        (inside.program, inside.args, inside.dirs) = ("./true".to_owned(), Vec::new(), vec!["/".to_owned()]);
        let attach = move || {
            rustix::process::chdir(dir)
                .and_then(|()| rustix::process::chroot("."))
                .map_err(Into::into)
        };
        // Below the new root there is neither this program's interpreter nor /tmp.
        let e = run(inside, false, attach).unwrap_err();
        assert_eq!(
            not_run("a", "./true", e.raw_os_error().unwrap()),
            NotRun::Status(127)
        );
        let mut inside = plan("");
        inside.dirs = vec!["/tmp".to_owned()];
        let e = run(inside, false, attach).unwrap_err();
        let NotRun::Failed(error) = not_run("a", "sh", e.raw_os_error().unwrap()) else {
            panic!("a status")
        };
        assert!(error.attempt.ends_with("change to its directory"), "{error}");
    }

    #[test]
    fn what_can_not_be_run() {
        let of = |program: &str, attach: fn() -> io::Result<()>| {
            let e = run(
                Enter {
                    program: program.to_owned(),
                    ..plan("")
                },
                false,
                attach,
            )
            .unwrap_err();
            not_run("a", program, e.raw_os_error().unwrap())
        };
        assert_eq!(of("no-such-program", || Ok(())), NotRun::Status(127));
        assert_eq!(of("/nonexistent/x", || Ok(())), NotRun::Status(127));
        assert_eq!(of("/etc/passwd", || Ok(())), NotRun::Status(126));
        assert_eq!(of("/etc", || Ok(())), NotRun::Status(126));
        let refused = of("sh", || Err(io::Error::from_raw_os_error(libc::EPERM)));
        let NotRun::Failed(error) = refused else {
            panic!("a status")
        };
        assert_eq!(
            error.to_string(),
            "run sh in a: enter the jail: Operation not permitted (os error 1)"
        );
    }

    #[test]
    fn no_file_of_the_host_stays_open() {
        assert!(open_in_child(|| Ok(())));
        assert!(!open_in_child(close_on_exec));
        assert!(!open_in_child(close_each_on_exec));
    }

    #[test]
    fn a_terminal_and_a_status() {
        let in_session = plan("test -t 0 && test \"$(ps -o sid= -p $$ | tr -d ' ')\" = $$ && exit 9");
        assert_eq!(status(run(in_session, true, || Ok(())).unwrap()), 9);
        assert_eq!(status(run(plan("kill -TERM $$"), false, || Ok(())).unwrap()), 143);
    }
}
