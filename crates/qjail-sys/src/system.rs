//! The contract that every system keeps.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qjail_model::{Limits, Network, Params};
use serde::{Deserialize, Serialize};

use crate::Result;

/// The running system, see uname(1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// `freebsd` or `linux`.
    pub os: String,
    /// FreeBSD: the userland's version (`freebsd-version -u`), `15.0-RELEASE-p1`. Linux: name and version of the
    /// distribution (`PRETTY_NAME` of os-release(5)).
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// `uname -p` on FreeBSD; the same as `machine` on Linux.
    pub machine_arch: String,
    /// `uname -r`.
    pub kernel: String,
}

/// A file system that a running jail has below its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// The directory of the host.
    pub source: PathBuf,
    /// The path below the jail's root, relative.
    pub target: String,
    /// Whether the jail may not write to it.
    pub read_only: bool,
}

/// All that a system needs to start, stop and clean up a jail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailSpec {
    /// The jail's name.
    pub name: String,
    /// Its root directory on the host, absolute.
    pub path: PathBuf,
    /// Parameters of jail(8), complete: `host.hostname`, `interface`, `ip4.addr`, `exec.start`, `exec.stop`,
    /// `exec.timeout`, `stop.timeout`, `allow.*`, `sysvshm`, …. `path`, mounts and the console log are not among them.
    pub params: Params,
    /// What is mounted below the root, in this order.
    pub mounts: Vec<MountSpec>,
    /// Where the output of `exec.start` and `exec.stop` is appended (`exec.consolelog`).
    pub console_log: Option<PathBuf>,
    /// What its processes may use together.
    #[serde(default)]
    pub limits: Limits,
}

/// What the processes of a running jail use together, as far as the kernel tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes; on Linux threads.
    pub pids: Option<u64>,
    /// Processor time since the start: two looks give a share. Where the kernel tells the share itself, that counts.
    pub cpu_time: Option<Duration>,
    /// The share of one processor in percent, where the kernel keeps account of it (FreeBSD).
    pub cpu_percent: Option<u64>,
}

/// A jail that the kernel knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The jail id; on Linux the host's number of the jail's process 1.
    pub jid: i32,
    /// Whether it has no process left and only waits for its last resources (jail(8) `dying`).
    pub dying: bool,
    /// Its root directory as the kernel knows it, where jails of others may have the same name (FreeBSD).
    #[serde(default)]
    pub path: Option<PathBuf>,
}

/// How to stop a jail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// Pass over `exec.stop` and kill at once.
    pub force: bool,
    /// Instead of the jail's own `stop.timeout` (jail(8): 10 s).
    pub timeout: Option<Duration>,
}

/// A command to run in a running jail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// The program and its arguments; found through the jail's own PATH where it has no `/`.
    pub argv: Vec<String>,
    /// The user: a name, a number, or `user:group`, looked up in the jail's own files. None is root.
    pub user: Option<String>,
    /// The working directory; none is the user's home directory for a login, `/` otherwise.
    pub dir: Option<String>,
    /// Variables on top of the jail's own clean environment.
    pub env: Vec<(String, String)>,
    /// Give it a terminal of its own, connected to the caller's.
    pub tty: bool,
    /// A login: the user's shell where `argv` is empty, its name preceded by `-`; the user's environment.
    pub login: bool,
}

/// A network interface of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses with the length of their networks.
    pub addresses: Vec<Network>,
    /// Whether it is up.
    pub up: bool,
    /// Whether the IPv4 default route goes through it.
    pub default_route: bool,
    /// The routers that default routes through it go to, of both families.
    #[serde(default)]
    pub gateways: Vec<IpAddr>,
    /// Whether jails can have addresses on it: a bridge on Linux, any interface on FreeBSD.
    pub for_jails: bool,
}

/// What [`System::ensure_interface`] had to change, so that it can be taken back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceChange {
    /// The interface did not exist.
    pub created: bool,
    /// Addresses that were added.
    pub added: Vec<Network>,
}

/// A change to a variable of rc.conf(5), as sysrc(8) makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RcChange {
    /// Set the variable.
    Set(String),
    /// Add a word to its list.
    Add(String),
    /// Take a word from its list.
    Remove(String),
    /// Take the variable away.
    Unset,
}

/// What a command is going to need of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Change files and definitions.
    Files,
    /// Start, stop or enter jails.
    Jails,
    /// Make or remove network interfaces.
    Network,
    /// Make or mount the images of image jails.
    Images,
}

/// A privilege or kernel feature that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing, as a sentence without its end: `qjail must be run by root`.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A system that jails run on. Calls for different jails may come from several threads at once.
pub trait System: Send + Sync {
    /// `freebsd` or `linux`: which directories and which vocabulary are in use.
    fn os(&self) -> &'static str;

    /// The running system.
    ///
    /// # Errors
    /// When it does not tell.
    fn host(&self) -> Result<HostInfo>;

    /// Privileges and kernel features that are missing for `need`; nothing is changed by asking.
    fn missing(&self, need: Need) -> Vec<Missing>;

    /// Every parameter that this system can not carry out, with the reason. Parameters at their harmless default
    /// (`devfs_ruleset = 4`, `allow.*` off) are accepted everywhere.
    fn refused_params(&self, params: &Params) -> Vec<(String, String)>;

    /// Why a jail with these parameters can not have this name; none where it can.
    fn refused_name(&self, _name: &str, _params: &Params) -> Option<String> {
        None
    }

    /// Every limit that this system can not carry out now (`memory`, `pids`, `cpu`), with the reason and what to do.
    fn refused_limits(&self, limits: &Limits) -> Vec<(String, Missing)>;

    /// What a running jail uses; nothing is told of one that does not run, or where the kernel keeps no account.
    ///
    /// # Errors
    /// When the kernel could not be asked.
    fn usage(&self, name: &str) -> Result<Usage>;

    /// The jails that run, by name, asked of the kernel in one go, without starting a process. Only jails that qjail
    /// could have started: on FreeBSD all, on Linux those of this state directory.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn running(&self) -> Result<BTreeMap<String, Running>>;

    /// One jail, asked of the kernel; none where it does not run.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn find(&self, name: &str) -> Result<Option<Running>> {
        Ok(self.running()?.remove(name))
    }

    /// The name of a jail that runs with `path` as its root, whoever started it; asked of the kernel.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn occupant(&self, _path: &Path) -> Result<Option<String>> {
        Ok(None)
    }

    /// The directory of the running jail of that name, where it is another one than `path`: it is not the jail that was
    /// meant.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn elsewhere(&self, _name: &str, _path: &Path) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// What a start would say now against the jail's parameters taken together with its directory and the host's interfaces;
    /// nothing where only a start can tell.
    ///
    /// # Errors
    /// The objection, or that the host's interfaces can not be listed.
    fn against_start(&self, _spec: &JailSpec) -> Result<()> {
        Ok(())
    }

    /// Writes, or writes anew, the file with which the system's own tools can start and stop the jail without qjail:
    /// a jail.conf(5) on FreeBSD; nothing where a system has no such tools. It lasts until [`System::withdraw`].
    ///
    /// # Errors
    /// What failed; the file is as it was then.
    fn publish(&self, _spec: &JailSpec) -> Result<()> {
        Ok(())
    }

    /// Removes the file of [`System::publish`]. That there is none is no error.
    ///
    /// # Errors
    /// What failed.
    fn withdraw(&self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Starts a jail: mounts, addresses, isolation, then `exec.start`. Returns its jail id. On failure nothing of it
    /// is left. `cancelled` is asked while `exec.start` runs; true ends the start as a failure.
    ///
    /// # Errors
    /// What failed; the output of a failed `exec.start` is in the console log.
    fn start(&self, spec: &JailSpec, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<i32>;

    /// Stops a jail: `exec.stop`, then its processes, then addresses and mounts. A jail that does not run is cleaned up.
    /// `cancelled` is asked meanwhile; true ends the waiting: the jail is killed and stopped all the same.
    ///
    /// # Errors
    /// What failed; a failing `exec.stop` is not an error, the jail is stopped all the same.
    fn stop(&self, spec: &JailSpec, how: StopOptions, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<()>;

    /// Removes all that a start which was killed in the middle may have left. Kills what is left of the jail.
    /// Idempotent; nothing to do is no error.
    ///
    /// # Errors
    /// What could not be removed.
    fn cleanup(&self, spec: &JailSpec) -> Result<()>;

    /// Runs a command in a running jail with the caller's standard input, output and error. Returns its exit status,
    /// 128 + N when signal N ended it, 126 when it is not executable, 127 when it was not found.
    ///
    /// # Errors
    /// When it could not even be tried.
    fn exec(&self, name: &str, spec: &ExecSpec) -> Result<i32>;

    /// Runs a command in a running jail with nothing to read; what it says is appended to `log`. Returns its exit status
    /// as [`System::exec`] does.
    ///
    /// # Errors
    /// When it could not even be tried, or did not end within `limit`: it was killed then.
    fn exec_logged(&self, name: &str, spec: &ExecSpec, log: &Path, limit: Duration) -> Result<i32>;

    /// Makes `file`, for root alone, with `bytes` bytes that take no room yet, and a file system of the system's usual kind
    /// in it; the directory above it is made too. What was in the file is gone.
    ///
    /// # Errors
    /// What failed; the file may be there then.
    fn make_image(&self, file: &Path, bytes: u64) -> Result<()>;

    /// Mounts the file system of `file` at the directory `at`, without device nodes where the system can. Idempotent.
    ///
    /// # Errors
    /// What failed, or something else is mounted there; nothing is mounted then.
    fn attach_image(&self, file: &Path, at: &Path) -> Result<()>;

    /// Takes back [`System::attach_image`]. Idempotent: nothing mounted, no file or no directory is no error, and what else is
    /// mounted there stays.
    ///
    /// # Errors
    /// What failed; something still uses it.
    fn detach_image(&self, file: &Path, at: &Path) -> Result<()>;

    /// The device that has `file` behind it, mounted or not: `loop3` on Linux, `md0` on FreeBSD. The file is known by its
    /// path; its directory must exist.
    ///
    /// # Errors
    /// When the system does not tell.
    fn image_device(&self, file: &Path) -> Result<Option<String>>;

    /// The network interfaces of the host.
    ///
    /// # Errors
    /// When the kernel does not tell.
    fn interfaces(&self) -> Result<Vec<Interface>>;

    /// Makes sure that an interface for jails exists (Linux: a bridge; FreeBSD: a cloned interface), is up and has
    /// `addresses`; others that it has stay. Idempotent.
    ///
    /// # Errors
    /// What failed; refused when the name belongs to an interface of another kind.
    fn ensure_interface(&self, name: &str, addresses: &[Network]) -> Result<InterfaceChange>;

    /// Takes back what [`System::ensure_interface`] did: `addresses`, and the interface itself where `whole`.
    /// Idempotent; an interface that does not exist is no error.
    ///
    /// # Errors
    /// What failed; an interface of another kind is never removed.
    fn remove_interface(&self, name: &str, addresses: &[Network], whole: bool) -> Result<()>;

    /// The value of a variable of rc.conf(5), as `sysrc -n` tells it; none where it is not set in a file of the host.
    ///
    /// # Errors
    /// On Linux always: there is no rc.conf(5) on the host.
    fn rc_value(&self, variable: &str) -> Result<Option<String>>;

    /// Changes rc.conf(5). Idempotent.
    ///
    /// # Errors
    /// On Linux always: there is no rc.conf(5) on the host.
    fn rc_conf(&self, variable: &str, change: &RcChange) -> Result<()>;
}
