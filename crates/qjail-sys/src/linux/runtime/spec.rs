//! What callers ask for, what they get, and what can go wrong.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A directory of the host that the jail sees below its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mount {
    /// The directory of the host, absolute.
    pub(crate) source: PathBuf,
    /// The path below the jail's root, relative. None of its components may be a link.
    pub(crate) target: String,
    /// Whether the jail may not write to it and to what is mounted below it.
    pub(crate) read_only: bool,
}

/// What a jail may do with one kind of System V objects, see `sysvshm` in jail(8).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ipc {
    /// The calls answer ENOSYS.
    #[default]
    Disable,
    /// The calls work on objects of the jail's own.
    New,
    /// The calls work on the host's objects.
    Inherit,
}

/// How far a jail is kept apart from the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Isolation {
    /// `allow.raw_sockets`: the capability NET_RAW.
    pub(crate) raw_sockets: bool,
    /// `vnet`: root configures the jail's network stack. Jails started by an earlier version have no word of it.
    #[serde(default)]
    pub(crate) vnet: bool,
    /// `sysvshm`.
    pub(crate) sysvshm: Ipc,
    /// `sysvsem`.
    pub(crate) sysvsem: Ipc,
    /// `sysvmsg`.
    pub(crate) sysvmsg: Ipc,
}

impl Isolation {
    pub(super) fn sysv(self) -> [Ipc; 3] {
        [self.sysvshm, self.sysvsem, self.sysvmsg]
    }

    /// Whether the jail is in the host's ipc namespace: one namespace holds all three kinds.
    pub(super) fn shares_ipc(self) -> bool {
        self.sysv().contains(&Ipc::Inherit)
    }
}

/// What a jail's processes may use together; none is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resources {
    /// Bytes of memory, swap included.
    pub(crate) memory: Option<u64>,
    /// Processes and threads.
    pub(crate) pids: Option<u32>,
    /// Processor time in percent of one processor.
    pub(crate) cpu: Option<u32>,
    /// The processors, as in cpuset(7): `0-3,5`.
    pub(crate) processors: Option<String>,
}

/// What a jail's processes use together, as far as the kernel tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Bytes of memory, without files that the kernel can drop at once.
    pub(crate) memory: Option<u64>,
    /// Processes and threads.
    pub(crate) pids: Option<u64>,
    /// Processor time since the start.
    pub(crate) cpu: Option<Duration>,
}

/// All that is needed to start a jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartSpec {
    /// The jail's name; one path component.
    pub(crate) name: String,
    /// Its root directory, absolute.
    pub(crate) path: PathBuf,
    /// Its host name.
    pub(crate) hostname: String,
    /// What is mounted below the root, in this order.
    pub(crate) mounts: Vec<Mount>,
    /// How far it is kept apart.
    pub(crate) isolation: Isolation,
    /// What it may use.
    pub(crate) resources: Resources,
    /// Command lines for /bin/sh, run in this order; the first that fails ends the start.
    pub(crate) exec_start: Vec<String>,
    /// The longest time that one command of `exec_start` may take.
    pub(crate) exec_timeout: Option<Duration>,
    /// Where the output of `exec_start` and of what it leaves running is appended, made with mode 0600; and what the
    /// jail has to do without.
    pub(crate) console_log: Option<PathBuf>,
}

/// How to stop a jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StopSpec {
    /// Command lines for /bin/sh, run in the jail in this order. One that fails does not keep the jail from stopping.
    pub(crate) exec_stop: Vec<String>,
    /// `stop.timeout` of jail(8): how long processes have after SIGTERM before they are killed; zero kills at once.
    pub(crate) timeout: Duration,
    /// `exec.timeout`: the longest time for all of `exec_stop`; where none is given, `timeout`, or 10 s if that is zero.
    pub(crate) exec_timeout: Option<Duration>,
    /// Pass over `exec_stop` and SIGTERM.
    pub(crate) force: bool,
    /// Where the output of `exec_stop` is appended.
    pub(crate) console: Option<PathBuf>,
}

/// A command to run in a running jail. Users were looked up by the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExecSpec {
    /// The program, looked for in the PATH of `env` where it has no `/`, and its arguments, its own name first.
    pub(crate) argv: Vec<String>,
    /// The program's own name (`argv[0]`) where it differs from the program: `-sh` for a login.
    pub(crate) arg0: Option<String>,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// The working directory inside; it must exist.
    pub(crate) cwd: String,
    /// The user.
    pub(crate) uid: u32,
    /// Its group.
    pub(crate) gid: u32,
    /// Its other groups.
    pub(crate) groups: Vec<u32>,
    /// Give it a terminal of the jail, connected to the caller's standard input and output.
    pub(crate) tty: bool,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    /// The jail has a process 1 already.
    #[error("start {name}: it is running")]
    Running {
        /// The jail.
        name: String,
    },
    /// The jail has no process 1.
    #[error("enter {name}: it is not running")]
    NotRunning {
        /// The jail.
        name: String,
    },
    /// A command of `exec.start` failed.
    #[error("exec.start of {name}, `{command}`: exit status {status}")]
    StartCommand {
        /// The jail.
        name: String,
        /// The command line.
        command: String,
        /// Its exit status, 128 + N when signal N ended it.
        status: i32,
    },
    /// A command of `exec.start` took longer than `exec.timeout`.
    #[error("exec.start of {name}, `{command}`: not done within {} s", .limit.as_secs_f64())]
    StartTimeout {
        /// The jail.
        name: String,
        /// The command line.
        command: String,
        /// `exec.timeout`.
        limit: Duration,
    },
    /// The caller wanted the start to end.
    #[error("start {name}: cancelled")]
    Cancelled {
        /// The jail.
        name: String,
    },
    /// A step failed.
    #[error("{attempt}: {why}")]
    Step {
        /// What was attempted, on what.
        attempt: String,
        /// Why it failed.
        why: String,
    },
}

impl RuntimeError {
    pub(super) fn step(attempt: impl Into<String>, why: impl std::fmt::Display) -> RuntimeError {
        RuntimeError::Step {
            attempt: attempt.into(),
            why: why.to_string(),
        }
    }
}

/// A step of a helper that failed; crosses the socket to the caller.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{attempt}: {why}")]
pub(super) struct Failure {
    pub(super) attempt: String,
    pub(super) why: String,
}

impl Failure {
    pub(super) fn new(attempt: impl Into<String>, why: impl std::fmt::Display) -> Failure {
        Failure {
            attempt: attempt.into(),
            why: why.to_string(),
        }
    }
}

impl From<Failure> for RuntimeError {
    fn from(failure: Failure) -> RuntimeError {
        RuntimeError::Step {
            attempt: failure.attempt,
            why: failure.why,
        }
    }
}

/// Names the step that an error of the system belongs to.
pub(super) trait Attempt<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(what(), plain(&e.into())))
    }
}

/// The text of an error without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
