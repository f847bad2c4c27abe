//! Jails on Linux: namespaces made by `libcontainer`, a process 1 of our own, and entering what runs.
//!
//! **Helpers.** The calling program has threads and starts several jails at once; namespaces want a process with one
//! thread. So each start and each command inside a jail is done by a helper: this program, executed again with the hidden
//! argument `__jail`, one thread, nothing but a socket to the caller ([`helper_main`]). It is executed from a mount that
//! is read-only and not in the tree, or else from a sealed copy in memory.
//!
//! **Start.** The helper takes a mount namespace of its own (so that no mount ever appears on the host, and
//! `libcontainer`'s own files are on a tmpfs that vanishes with the helper), joins the jail's control groups, lets
//! `libcontainer` make namespaces, mounts and the root, and then asks the caller to wire the network. Only then process 1
//! runs `exec.start`. Process 1 dies with the helper until the start is committed.
//!
//! **Whether a jail runs** is a POSIX record lock that process 1 holds on `RUN/NAME/alive`: the kernel tells who holds
//! it (fcntl(2), `F_GETLK`) and drops it with the process. No file has to be believed.
//!
//! **Entering** is done with setns(2) on a descriptor of process 1 (pidfd), not with `libcontainer`'s tenants: these need
//! its state files, a path of descriptors by process number (which may be recycled), and give the terminal's master to
//! a third party. One setns(2) call joins all namespaces of exactly the process that holds the lock.
//!
//! **What a jail gets**: namespaces for processes, mounts, host name, System V and POSIX queues, network and control
//! groups; docker's default capabilities less `NET_RAW`; the filter of [`seccomp`]; no device but the harmless ones, for
//! every mount but those of the six device files refuses devices; a pipe, never a file of the host, as console.
//!
//! # Limits
//! It does not configure the network, does not look up users and knows no definitions. Only a jail with a network stack of
//! its own (`vnet`) is in a user namespace, with the host's numbers of users (`stack`). Programs of another architecture
//! (32 bit) are killed by the filter. Where no control group can be written, a jail without limits runs without, and the
//! console log says so; one with limits does not start.

mod cgroup;
mod channel;
mod console;
mod create;
mod enter;
mod harden;
mod helper;
mod init;
mod launch;
pub(crate) mod mountinfo;
mod oci;
mod probe;
mod program;
mod raw;
mod relay;
mod roots;
mod rundir;
mod seccomp;
mod session;
mod spec;
mod stack;
mod stdio;
mod stop;

pub(crate) use helper::helper_main;
pub(crate) use spec::{ExecSpec, Ipc, Isolation, Mount, Resources, RuntimeError, StartSpec, StopSpec, Used};

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use cgroup::Groups;
use rundir::RunDir;

/// The jails of one run directory. Calls for different jails may come from several threads at once; calls that change
/// the same jail are for the caller to keep apart.
#[derive(Debug)]
pub(crate) struct Runtime {
    run_dir: PathBuf,
    program: OnceLock<Result<OwnedFd, String>>,
}

impl Runtime {
    /// The jails whose run-time files are below `run_dir`, an absolute path; it is made when the first jail starts.
    #[must_use]
    pub(crate) fn new(run_dir: PathBuf) -> Runtime {
        Runtime {
            run_dir,
            program: OnceLock::new(),
        }
    }

    /// The running jails with the process number of their process 1, asked of the kernel without starting a process.
    ///
    /// # Errors
    /// When the run directory cannot be read; one that does not exist has no jails.
    pub(crate) fn running(&self) -> io::Result<BTreeMap<String, i32>> {
        rundir::running(&self.run_dir)
    }

    /// Privileges and kernel features that jails need and that are missing, one sentence without its end each.
    #[must_use]
    pub(crate) fn missing(&self) -> Vec<String> {
        probe::missing()
    }

    /// Why what is asked for can not be limited here: each limit (`memory`, `pids`, `cpu`, `processors`) with the reason.
    #[must_use]
    pub(crate) fn lacking(resources: &Resources) -> Vec<(&'static str, String)> {
        cgroup::lacking(resources)
    }

    /// The processors that jails can have.
    #[must_use]
    pub(crate) fn processors() -> std::collections::BTreeSet<u32> {
        cgroup::processors()
    }

    /// What the processes of a jail use now.
    #[must_use]
    pub(crate) fn used(&self, name: &str) -> Used {
        Groups::new(self.jail(name).group()).used()
    }

    fn jail(&self, name: &str) -> RunDir {
        RunDir::new(&self.run_dir, name)
    }

    /// This program as no jail can write to it, made at most once.
    fn program(&self) -> Result<BorrowedFd<'_>, String> {
        let made = self.program.get_or_init(|| {
            unwritable_self()
                .or_else(|_| qjail_os::sealed_memfd_copy_of_self())
                .map_err(|e| format!("copy this program: {e}"))
        });
        made.as_ref().map(AsFd::as_fd).map_err(Clone::clone)
    }

    /// The directory of the run-time files.
    #[must_use]
    pub(crate) fn run_dir(&self) -> &Path {
        &self.run_dir
    }
}

/// This program's file on a read-only mount that is nowhere in the tree.
///
/// Where process 1 of a jail shows its program file to the jail after all (CVE-2019-5736), the jail cannot write to it: the
/// mount refuses, and making it writable takes `SYS_ADMIN`. A sealed copy in memory does the same, but takes
/// milliseconds to make and its whole size in memory for as long as the jail runs.
fn unwritable_self() -> io::Result<OwnedFd> {
    use rustix::mount::OpenTreeFlags;
    /// `MOUNT_ATTR_RDONLY` of mount_setattr(2).
    const READ_ONLY: u64 = 1;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let program = rustix::mount::open_tree(rustix::fs::CWD, "/proc/self/exe", flags)?;
    raw::mount_setattr(program.as_fd(), false, READ_ONLY)?;
    Ok(program)
}
