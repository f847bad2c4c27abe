//! What the engine asks of a FreeBSD machine, and tells it: the seam between what is decided and what carries it out.
//!
//! `crate::freebsd` is the machine that the program runs on; `crate::rehearsal` is one in memory that notes every call.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use super::command::{Invocation, Output};
use super::jailparam::Jail;
use super::mounts::Mounted;
use crate::{Interface, Result};

/// Takes the process that calls it into a jail, between fork(2) and execve(2).
pub(crate) type Attach = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// A FreeBSD machine. Calls may come from several threads at once.
pub(crate) trait Host: Send + Sync {
    /// Whether the process is root's.
    fn is_root(&self) -> bool;

    /// A sysctl(3) variable that is text; none where the kernel does not know it.
    fn sysctl_text(&self, name: &str) -> Option<String>;

    /// A sysctl(3) variable that is a C int.
    fn sysctl_int(&self, name: &str) -> Option<i32>;

    /// `kern.boottime` in seconds since 1970.
    fn boot_time(&self) -> Option<i64>;

    /// Whether the kernel lists a parameter below `security.jail.param`.
    fn knows_param(&self, name: &str) -> bool;

    /// Whether a module is in the kernel, built in or loaded: modfind(2).
    fn has_module(&self, name: &str) -> bool;

    /// kldload(2).
    fn load_module(&self, name: &str) -> io::Result<()>;

    /// Whether a file of the host is there.
    fn has_file(&self, path: &Path) -> bool;

    /// Every jail of the host, the dying ones too: jail_get(2) in a loop.
    fn jails(&self) -> Result<Vec<Jail>>;

    /// The jail of that name, an alive one before a dying one: jail_get(2).
    fn jail(&self, name: &str) -> Result<Option<Jail>>;

    /// The jail of that name, and what takes a process into it. With `descriptor` both come from one jail_get(2), and
    /// no later jail of the same number can be meant (15.0 and later).
    fn entrance(&self, name: &str, descriptor: bool) -> Result<Option<(Jail, Attach)>>;

    /// Every mount, the oldest first: getfsstat(2).
    fn mounts(&self) -> Result<Vec<Mounted>>;

    /// unmount(2) of this very mount.
    fn unmount(&self, mounted: &Mounted) -> io::Result<()>;

    /// The interfaces and their addresses: getifaddrs(3).
    fn interfaces(&self) -> Result<Vec<Interface>>;

    /// Runs a program and waits.
    fn run(&self, command: &Invocation) -> Result<Output>;

    /// Runs a program with its outputs going to `log`, and ends it when `cancelled`.
    fn run_into(
        &self,
        command: &Invocation,
        log: &mut File,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<ExitStatus>;

    /// Runs a program; anything but success is an error with its own message.
    fn succeed(&self, command: &Invocation) -> Result<String> {
        command.answer(self.run(command)?)
    }
}
