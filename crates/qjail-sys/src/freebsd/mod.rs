//! The FreeBSD machine that the program runs on: calls of the kernel and the starting of programs, nothing else.
//!
//! What is done when is decided in [`crate::bsd`].

mod kernel;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitStatus;

use crate::bsd::command::{Invocation, Output};
use crate::bsd::engine::Bsd;
use crate::bsd::host::{Attach, Host};
use crate::bsd::jailparam::Jail;
use crate::bsd::mounts::Mounted;
use crate::{Interface, Result};

/// FreeBSD, on this machine.
pub(crate) type FreeBsd = Bsd<Machine>;

/// The running system.
#[derive(Debug)]
pub(crate) struct Machine;

impl Host for Machine {
    fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    fn sysctl_text(&self, name: &str) -> Option<String> {
        kernel::sysctl_text(name)
    }

    fn sysctl_int(&self, name: &str) -> Option<i32> {
        kernel::sysctl_int(name)
    }

    fn boot_time(&self) -> Option<i64> {
        kernel::boot_time()
    }

    fn knows_param(&self, name: &str) -> bool {
        kernel::knows_param(name)
    }

    fn has_module(&self, name: &str) -> bool {
        kernel::has_module(name)
    }

    fn load_module(&self, name: &str) -> io::Result<()> {
        kernel::load_module(name)
    }

    fn has_file(&self, path: &Path) -> bool {
        path.exists()
    }

    fn jails(&self) -> Result<Vec<Jail>> {
        kernel::jails()
    }

    fn jail(&self, name: &str) -> Result<Option<Jail>> {
        kernel::find(name)
    }

    fn entrance(&self, name: &str, descriptor: bool) -> Result<Option<(Jail, Attach)>> {
        if descriptor && let Some((jail, open)) = kernel::find_open(name)? {
            return Ok(Some((
                jail,
                Box::new(move || kernel::attach_open(open.as_raw_fd())),
            )));
        }
        let found = kernel::find(name)?;
        Ok(found.map(|jail| {
            let jid = jail.jid;
            (jail, Box::new(move || kernel::attach(jid)) as Attach)
        }))
    }

    fn mounts(&self) -> Result<Vec<Mounted>> {
        kernel::mounts()
    }

    fn unmount(&self, mounted: &Mounted) -> io::Result<()> {
        kernel::unmount(mounted)
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        kernel::interfaces()
    }

    fn run(&self, command: &Invocation) -> Result<Output> {
        command.run()
    }

    fn run_into(
        &self,
        command: &Invocation,
        log: &mut File,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<ExitStatus> {
        command.run_into(log, cancelled)
    }
}
