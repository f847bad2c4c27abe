//! The helper that runs a command in a running jail.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, fstatfs, open};
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use rustix::thread::ThreadNameSpaceType;
use serde::{Deserialize, Serialize};

use super::cgroup::{self, Groups};
use super::channel::Channel;
use super::harden;
use super::helper::either;
use super::program::Program;
use super::raw::{self, Signals, Wait};
use super::spec::{Attempt, ExecSpec, Failure, Isolation, Resources, plain};
use super::stack;

/// What the helper is asked to do. With it come the pidfd of process 1 and, without a terminal, the three standard files.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ExecRequest {
    pub(super) command: ExecSpec,
    pub(super) isolation: Isolation,
    /// The name of the jail's control groups.
    pub(super) group: String,
    /// What the jail may use, and with it this command.
    pub(super) resources: Resources,
    /// Rows and columns of the caller's terminal.
    pub(super) window: Option<(u16, u16)>,
}

/// What the helper tells the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The terminal's other side comes with this.
    Terminal,
    /// The command ended with that status.
    Ended(i32),
    /// A step failed.
    Failed(Failure),
}

/// What the caller tells the helper. Closing the socket hangs up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Send that signal to the command's process group.
    Signal(i32),
}

/// `DEVPTS_SUPER_MAGIC` of statfs(2).
const DEVPTS: rustix::fs::FsWord = 0x1cd1;
/// The device number of ptmx: character device 5, 2.
const PTMX: (u32, u32) = (5, 2);

/// Serves one request; the status is for nobody.
pub(super) fn serve(caller: &Channel, request: &ExecRequest, files: Vec<OwnedFd>) -> i32 {
    let reply = match run(caller, request, files) {
        Ok(status) => Reply::Ended(status),
        Err(failure) => Reply::Failed(failure),
    };
    i32::from(caller.send(&reply, &[]).is_err())
}

fn run(caller: &Channel, request: &ExecRequest, files: Vec<OwnedFd>) -> Result<i32, Failure> {
    let command = &request.command;
    let mut files = files.into_iter();
    let jail = files
        .next()
        .ok_or_else(|| Failure::new("enter the jail", "its process is missing"))?;
    let program = Program::new(&command.argv, command.arg0.as_deref(), &command.env)
        .map_err(|_| Failure::new("run a command in the jail", "a word of it has a NUL character"))?;
    let groups = Groups::new(request.group.clone());
    groups.limits_hold(&request.resources)?;
    let doors = groups.doors();
    rustix::thread::move_into_thread_name_spaces(jail.as_fd(), NAMESPACES)
        .attempt(|| "enter the namespaces of the jail".to_owned())?;
    let stdio = if command.tty {
        terminal(caller, request)?
    } else {
        files.collect()
    };
    let [input, output, errors] = stdio.as_slice() else {
        return Err(Failure::new(
            "run a command in the jail",
            "its standard files are missing",
        ));
    };
    raw::block_signals().attempt(|| "block signals".to_owned())?;
    let signals = Signals::new(&[libc::SIGCHLD]).attempt(|| "wait for signals".to_owned())?;
    let (mut trouble, report) = io::pipe().attempt(|| "make a pipe".to_owned())?;
    let Some(child) = raw::fork().attempt(|| "fork".to_owned())? else {
        let kept = Kept {
            jail: &jail,
            report: report.as_fd(),
        };
        let failure = become_command(request, &program, [input, output, errors], &doors, &kept);
        let text = serde_json::to_vec(&failure).unwrap_or_default();
        let _ = rustix::io::write(&report, &text);
        raw::exit(1)
    };
    drop((stdio, doors, report, jail));
    let mut text = Vec::new();
    // The pipe closes without a word when the child becomes its program, or said itself why it does not.
    trouble
        .read_to_end(&mut text)
        .attempt(|| "listen to the command".to_owned())?;
    let status = attend(caller, &signals, child).attempt(|| "wait for the command".to_owned())?;
    if text.is_empty() {
        return Ok(status);
    }
    Err(serde_json::from_slice(&text).unwrap_or_else(|e| Failure::new("run a command in the jail", e)))
}

/// Everything that a jail may have of its own; where it shares the host's, joining changes nothing.
const NAMESPACES: ThreadNameSpaceType = ThreadNameSpaceType::MOUNT
    .union(ThreadNameSpaceType::CONTROL_GROUP)
    .union(ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME)
    .union(ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION)
    .union(ThreadNameSpaceType::PROCESS_ID)
    .union(ThreadNameSpaceType::NETWORK);

/// Waits for the child, passing on what the caller says: its status.
fn attend(caller: &Channel, signals: &Signals, child: i32) -> io::Result<i32> {
    loop {
        if let Wait::Ended(_, status) = raw::wait(child, false) {
            return Ok(status);
        }
        let (spoke, _) = either(caller, signals, None)?;
        while signals.next().is_some() {}
        if spoke {
            match caller.receive::<Order>()? {
                Some((Order::Signal(signal), _)) => signal_group(child, signal),
                None => {
                    signal_group(child, libc::SIGHUP);
                    raw::exit(0);
                }
            }
        }
    }
}

/// The child leads a process group once it has its session.
fn signal_group(child: i32, signal: i32) {
    if raw::kill(-child, signal).is_err() {
        let _ = raw::kill(child, signal);
    }
}

/// Makes a terminal in the jail and sends its other side to the caller: the three standard files.
///
/// The jail's root may put anything into the jail's /dev, but not over what is mounted at /dev/pts.
fn terminal(caller: &Channel, request: &ExecRequest) -> Result<Vec<OwnedFd>, Failure> {
    let attempt = || "make a terminal in the jail".to_owned();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let master = open("/dev/pts/ptmx", flags, Mode::empty()).attempt(attempt)?;
    let what = fstat(&master).attempt(attempt)?;
    let number = (rustix::fs::major(what.st_rdev), rustix::fs::minor(what.st_rdev));
    let on_devpts = fstatfs(&master).attempt(attempt)?.f_type == DEVPTS;
    if !on_devpts || !FileType::from_raw_mode(what.st_mode).is_char_device() || number != PTMX {
        return Err(Failure::new(
            attempt(),
            "/dev/pts of the jail is not what it should be",
        ));
    }
    rustix::pty::unlockpt(&master).attempt(attempt)?;
    if let Some((rows, columns)) = request.window {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&master, size).attempt(attempt)?;
    }
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).attempt(attempt)?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(request.command.uid)), None).attempt(attempt)?;
    caller
        .send(&Reply::Terminal, &[master.as_fd()])
        .attempt(attempt)?;
    let again = || slave.try_clone().attempt(attempt);
    Ok(vec![again()?, again()?, slave])
}

/// What the child keeps beside its standard files until it is the command.
#[derive(Debug)]
struct Kept<'a> {
    /// Process 1 of the jail.
    jail: &'a OwnedFd,
    report: BorrowedFd<'a>,
}

/// In the child: becomes the command, or tells what could not be done for it. That the command itself cannot be executed
/// is said where the command's own errors would go, as sh(1) and env(1) do.
fn become_command(
    request: &ExecRequest,
    program: &Program,
    stdio: [&OwnedFd; 3],
    doors: &[OwnedFd],
    kept: &Kept<'_>,
) -> Failure {
    let joined = cgroup::join(doors).attempt(|| "join the control groups that limit the jail".to_owned());
    if let Err(failure) = joined
        && request.resources != Resources::default()
    {
        return failure;
    }
    if let Err(failure) = set_up(request, stdio, kept) {
        return failure;
    }
    let (status, why) = program.execute();
    let name = request.command.argv.first().map_or("", String::as_str);
    let text = format!("qjail: {name}: {}\n", plain(&why));
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    raw::exit(status)
}

fn set_up(
    request: &ExecRequest,
    [input, output, errors]: [&OwnedFd; 3],
    kept: &Kept<'_>,
) -> Result<(), Failure> {
    let attempt = || "prepare the command".to_owned();
    let command = &request.command;
    raw::default_signals();
    rustix::process::setsid().attempt(attempt)?;
    rustix::stdio::dup2_stdin(input).attempt(attempt)?;
    rustix::stdio::dup2_stdout(output).attempt(attempt)?;
    rustix::stdio::dup2_stderr(errors).attempt(attempt)?;
    raw::close_all_but(&[kept.report.as_raw_fd(), kept.jail.as_raw_fd()]).attempt(attempt)?;
    if command.tty {
        raw::take_terminal(rustix::stdio::stdin()).attempt(|| "take the terminal".to_owned())?;
    }
    if request.isolation.vnet {
        stack::enter_that_of(kept.jail.as_fd())?;
    }
    harden::restrict(request.isolation)?;
    become_user(command)?;
    // Changing the user made this process, which is still ours, one that the user may trace.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).attempt(attempt)?;
    rustix::process::chdir(&command.cwd)
        .attempt(|| format!("enter the directory {} of the jail", command.cwd))
}

/// For any other user than root the kernel takes the capabilities away.
fn become_user(command: &ExecSpec) -> Result<(), Failure> {
    let groups: Vec<Gid> = command.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(command.uid), Gid::from_raw(command.gid));
    let attempt = || format!("become the user {}", command.uid);
    rustix::thread::set_thread_groups(&groups).attempt(attempt)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).attempt(attempt)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).attempt(attempt)
}
