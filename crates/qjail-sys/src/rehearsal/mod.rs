//! FreeBSD acted out: the engine that runs on FreeBSD, on a machine that exists in memory and notes every call.
//!
//! It is for tests. What would be sent to the kernel and to the tools of a FreeBSD host is its transcript; the answers
//! are those of the 13.2 host in `fixtures/freebsd-13.2`. What jail(8) does by a file is acted out as `jail -v` told it there,
//! but when one of its commands fails, it leaves all as it is, which is worse than the real one. It proves nothing
//! about the kernel.

mod jail8;
mod machine;
mod tools;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::System;
use crate::bsd::command::Invocation;
use crate::bsd::engine::Bsd;
use machine::World;

/// A FreeBSD host: `em0` with the default route, loaded modules as on a fresh host, no jail. Copies are the same host.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    world: Arc<Mutex<World>>,
}

impl Rehearsal {
    /// A host with FreeBSD 13.2.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The system of this host. `state_dir` is a real directory.
    #[must_use]
    pub fn system(&self, state_dir: &Path) -> Box<dyn System> {
        Box::new(Bsd::on(self.clone(), state_dir))
    }

    /// From now on, what begins with `command` fails with `words`: a program, one of jail(8)'s own commands,
    /// `kldload(2) MODULE`, or `unmount(2) DIRECTORY`, which is busy then whatever the words.
    pub fn fail(&self, command: &str, words: &str) {
        self.lock().failing.push((command.to_owned(), words.to_owned()));
    }

    /// Nothing fails any more.
    pub fn mend(&self) {
        self.lock().failing.clear();
    }

    /// Sets a sysctl(3) variable.
    pub fn sysctl(&self, name: &str, value: &str) {
        self.lock().sysctls.insert(name.to_owned(), value.to_owned());
    }

    /// Sets `kern.boottime`, in seconds since 1970.
    pub fn booted(&self, seconds: i64) {
        self.lock().boot_time = Some(seconds);
    }

    /// The host's IPv6 default route goes to the router `gateway` on an interface.
    pub fn route6(&self, gateway: &str, interface: &str) {
        self.lock().route6 = Some((gateway.to_owned(), interface.to_owned()));
    }

    /// A module is not in the kernel; with `file` it could be loaded.
    pub fn unload(&self, module: &str, file: bool) {
        let mut world = self.lock();
        world.modules.remove(module);
        if file {
            world.module_files.insert(module.to_owned());
        } else {
            world.module_files.remove(module);
        }
    }

    /// Runs a program of the host by hand, without qjail.
    ///
    /// # Errors
    /// What it says.
    pub fn by_hand(&self, program: &'static str, args: &[&str]) -> Result<String, String> {
        self.lock().tool(&Invocation::new(program, args))
    }

    /// A jail that somebody else runs.
    pub fn foreign_jail(&self, name: &str, path: &Path) {
        self.lock().add_jail(name, &path.display().to_string());
    }

    /// From now on what enters a jail runs, on the host of the test.
    #[cfg(test)]
    pub(crate) fn doors_lead_nowhere(&self) {
        self.lock().doors_lead_nowhere = true;
    }

    /// A jail has no process left and only waits for its last resources.
    pub fn dying(&self, name: &str) {
        for jail in self.lock().jails.iter_mut().filter(|j| j.name == name) {
            jail.dying = true;
        }
    }

    /// A line as `ifconfig` shows it for each interface, and one for each mount and running jail: the state of the host.
    #[must_use]
    pub fn state(&self) -> String {
        self.lock().state()
    }

    /// What was asked and told since the last time, one line each.
    #[must_use]
    pub fn transcript(&self) -> String {
        let lines = std::mem::take(&mut self.lock().transcript);
        lines.iter().map(|l| format!("{l}\n")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
