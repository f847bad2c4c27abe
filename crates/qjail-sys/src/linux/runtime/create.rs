//! The helper that starts a jail.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::oci_spec::runtime::Spec;
use libcontainer::syscall::syscall::SyscallType;
use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use serde::{Deserialize, Serialize};

use super::cgroup::{self, Groups};
use super::channel::Channel;
use super::helper::either;
use super::init::{self, ProcessOne};
use super::oci;
use super::raw;
use super::roots;
use super::rundir::RunDir;
use super::spec::{Attempt, Failure, Resources, StartSpec};
use super::stack::Stack;

/// What the helper is asked to do; the descriptor with it, if any, is the console's log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StartRequest {
    pub(super) jail: StartSpec,
    pub(super) run_dir: PathBuf,
}

/// What the helper tells the caller.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Process 1 is there, with that number, and waits; what the jail has to do without.
    Created(i32, Option<String>),
    /// The jail runs and no longer depends on the helper.
    Started,
    /// The command of that number failed with that status.
    Command(usize, i32),
    /// The command of that number took too long.
    Timeout(usize),
    /// A step failed.
    Failed(Failure),
}

/// What the caller tells the helper. Closing the socket ends the start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// The network is there: run `exec.start`.
    Go,
}

/// How long another helper may take to notice that its caller is gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where libcontainer looks for control groups.
const GROUP_ROOT: &str = "/sys/fs/cgroup";

/// Serves one request; the status is for nobody.
pub(super) fn serve(caller: &Channel, request: &StartRequest, files: Vec<OwnedFd>) -> i32 {
    let reply = start(caller, request, files.into_iter().next()).unwrap_or_else(Reply::Failed);
    i32::from(caller.send(&reply, &[]).is_err())
}

/// A child that dies with this value.
#[derive(Debug)]
struct Child(i32);

impl Child {
    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = raw::kill(self.0, libc::SIGKILL);
        raw::wait(self.0, true);
    }
}

fn start(caller: &Channel, request: &StartRequest, console: Option<OwnedFd>) -> Result<Reply, Failure> {
    let jail = &request.jail;
    let dir = RunDir::new(&request.run_dir, &jail.name);
    let _starting = claim(&dir)?;
    let alive = OwnedFd::from(dir.alive()?);
    take_own_mounts()?;
    roots::prepare(&jail.path, &jail.mounts)?;
    roots::bind_without_devices(&jail.path)?;
    // A run that ended by itself left its groups, and their limits.
    Groups::new(dir.group()).remove()?;
    let groups = Groups::to_join(dir.group(), &jail.resources);
    let (doors, note) = groups.make();
    groups.limit(&jail.resources)?;
    if groups.slow() {
        warm_up(&doors);
    }
    hide_groups()?;
    let state = hide_state(&dir)?;
    let stack = jail.isolation.vnet.then(Stack::new).transpose()?;
    let network = stack.as_ref().map(Stack::path);
    let (here, there) = Channel::pair().attempt(|| "make a socket".to_owned())?;
    let there = Rc::new(OwnedFd::from(there));
    let first = ProcessOne {
        isolation: jail.isolation,
        limited: jail.resources != Resources::default(),
        exec_start: jail.exec_start.clone(),
        control: Rc::clone(&there),
        not_ours: [here.as_fd().as_raw_fd(), caller.as_fd().as_raw_fd()],
        helper: Rc::new(this_process()?),
        alive: Rc::new(alive),
        console: console.map(Rc::new),
        doors: Rc::new(doors),
        stack: stack.map(Rc::new),
    };
    let spec = oci::spec(jail, &dir.group(), network).map_err(|e| Failure::new("describe the jail", e))?;
    let mut container = build(jail, &spec, &state, first)?;
    let pid = container
        .pid()
        .map(i32::from)
        .ok_or_else(|| Failure::new("start process 1", "it has gone"))?;
    let child = Child(pid);
    drop(there);
    let answer = caller
        .send(&Reply::Created(pid, note), &[])
        .and_then(|()| caller.receive::<Order>());
    if !matches!(answer, Ok(Some((Order::Go, _)))) {
        return Err(abandoned());
    }
    container
        .start()
        .map_err(|e| Failure::new("let process 1 go", all_causes(&e)))?;
    match run_commands(caller, &here, jail)? {
        Reply::Started => child.keep(),
        failed => return Ok(failed),
    }
    Ok(Reply::Started)
}

fn this_process() -> Result<OwnedFd, Failure> {
    pidfd_open(getpid(), PidfdFlags::empty()).attempt(|| "open this process".to_owned())
}

fn abandoned() -> Failure {
    Failure::new("start the jail", "the caller gave up")
}

/// Locks the start: one at a time, and [`super::Runtime::cleanup`] finds this process and all that it forked.
///
/// The helper of a caller that was killed may hold the lock for as long as it takes to notice. A file that was removed
/// before it was locked belongs to a start that was cleaned up.
fn claim(dir: &RunDir) -> Result<File, Failure> {
    let attempt = || "lock the start of the jail".to_owned();
    let file = dir.starting()?;
    let end = Instant::now() + PATIENCE;
    while let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if error != rustix::io::Errno::WOULDBLOCK || Instant::now() > end {
            return Err(error).attempt(attempt);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if file.metadata().attempt(attempt)?.nlink() == 0 {
        return Err(Failure::new(attempt(), "it was cleaned up"));
    }
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).attempt(attempt)?;
    Ok(file)
}

/// A mount namespace in which nothing that is mounted is seen by anybody else.
fn take_own_mounts() -> Result<(), Failure> {
    raw::unshare_mounts().attempt(|| "make a mount namespace".to_owned())?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).attempt(|| "make the mounts private".to_owned())
}

/// Has the kernel begin with what makes the first move into a group slow, while libcontainer works: a copy of this
/// process joins and ends. The kernel lets processes be made meanwhile.
fn warm_up(doors: &[OwnedFd]) {
    // Without the copy the start is slower, no more.
    if matches!(raw::fork(), Ok(None)) {
        let _ = cgroup::join(doors);
        raw::exit(0);
    }
}

/// Lets libcontainer find no groups, in this mount namespace: it would join them one by one and, when something fails,
/// kill all that is in them, this process included. Process 1 joins by itself.
fn hide_groups() -> Result<(), Failure> {
    // Nothing may be mounted there, and then there is nothing to take away.
    let _ = rustix::mount::unmount(GROUP_ROOT, UnmountFlags::DETACH);
    tmpfs(GROUP_ROOT.as_ref())
}

/// A directory for libcontainer's own files that is gone when this process is.
fn hide_state(dir: &RunDir) -> Result<PathBuf, Failure> {
    let path = dir.path();
    tmpfs(&path)?;
    Ok(path)
}

fn tmpfs(path: &Path) -> Result<(), Failure> {
    rustix::mount::mount(
        "tmpfs",
        path,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        Some(c"mode=700"),
    )
    .attempt(|| format!("mount a tmpfs on {}", path.display()))
}

fn build(jail: &StartSpec, spec: &Spec, state: &Path, first: ProcessOne) -> Result<Container, Failure> {
    let attempt = format!("make the jail at {}", jail.path.display());
    let bundle = state.join("bundle");
    fs::create_dir(&bundle).attempt(|| format!("make {}", bundle.display()))?;
    spec.save(bundle.join("config.json"))
        .map_err(|e| Failure::new("describe the jail", e))?;
    ContainerBuilder::new("jail".to_owned(), SyscallType::default())
        .with_executor(first)
        .with_root_path(state)
        .and_then(|builder| {
            builder
                .as_init(bundle)
                .with_systemd(false)
                .with_detach(true)
                .build()
        })
        .map_err(|error| Failure::new(attempt, all_causes(&error)))
}

/// An error of libcontainer names the step, its sources why; some repeat each other.
fn all_causes(error: &dyn std::error::Error) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts.join(": ")
}

/// Watches process 1 run the commands, and lets it go at the end.
fn run_commands(caller: &Channel, first: &Channel, jail: &StartSpec) -> Result<Reply, Failure> {
    let mut number = 0;
    let mut end = limit(jail.exec_timeout);
    loop {
        let (gone, spoke) = either(caller, first, end).attempt(|| "wait for process 1".to_owned())?;
        if gone {
            return Err(abandoned());
        }
        if !spoke {
            return Ok(Reply::Timeout(number));
        }
        match listen(first)? {
            init::Report::Command(_, 0) => {
                number += 1;
                end = limit(jail.exec_timeout);
            }
            init::Report::Command(number, status) => return Ok(Reply::Command(number, status)),
            init::Report::Done => break,
            init::Report::Committed => {}
        }
    }
    first
        .send(&init::Order::Commit, &[])
        .attempt(|| "let process 1 go".to_owned())?;
    listen(first).map(|_| Reply::Started)
}

fn limit(time: Option<Duration>) -> Option<Instant> {
    time.and_then(|time| Instant::now().checked_add(time))
}

fn listen(first: &Channel) -> Result<init::Report, Failure> {
    let heard = first
        .receive::<init::Report>()
        .attempt(|| "listen to process 1".to_owned())?;
    heard
        .map(|(report, _)| report)
        .ok_or_else(|| Failure::new("run exec.start", "process 1 ended"))
}
