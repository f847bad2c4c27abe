//! Jails on FreeBSD: jail(8) starts and stops them, the kernel is asked about them.
//!
//! What is decided is in [`crate::bsd`]; here it is carried out. The state directory holds `run/NAME/jail.conf`, the file
//! that a running jail was started with: it alone says what the start has added to the host.

mod exec;
mod kernel;
mod life;
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qjail_model::{Network, Params};

use crate::bsd::command::{Invocation, ROUTE};
use crate::bsd::{ifconfig, needs, network, params, rc};
use crate::{
    ExecSpec, HostInfo, Interface, InterfaceChange, JailSpec, Missing, Need, RcChange, Result, Running,
    StopOptions, SysError, System,
};

/// The running system.
#[derive(Debug)]
pub(crate) struct FreeBsd {
    state_dir: PathBuf,
}

impl FreeBsd {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
        }
    }
}

impl System for FreeBsd {
    fn os(&self) -> &'static str {
        "freebsd"
    }

    fn host(&self) -> Result<HostInfo> {
        let ask = |name: &str| {
            kernel::sysctl_text(name)
                .ok_or_else(|| SysError::new(format!("read {name}"), "the kernel does not tell"))
        };
        Ok(HostInfo {
            os: self.os().to_owned(),
            release: Invocation::new("/bin/freebsd-version", &["-u"])
                .succeed()?
                .trim()
                .to_owned(),
            machine: ask("hw.machine")?,
            machine_arch: ask("hw.machine_arch")?,
            kernel: ask("kern.osrelease")?,
        })
    }

    fn missing(&self, need: Need) -> Vec<Missing> {
        let unloaded: Vec<_> = needs::modules(need)
            .iter()
            .copied()
            .filter(|m| !kernel::has_module(m))
            .collect();
        let directories = kernel::sysctl_text("kern.module_path").unwrap_or_default();
        let in_a_file = |m: &str| {
            directories
                .split(';')
                .any(|d| Path::new(d).join(format!("{m}.ko")).exists())
        };
        needs::missing(&needs::Facts {
            root: rustix::process::geteuid().is_root(),
            jailed: kernel::sysctl_int("security.jail.jailed") == Some(1),
            securelevel: kernel::sysctl_int("kern.securelevel").unwrap_or(-1),
            absent: unloaded.iter().copied().filter(|m| !in_a_file(m)).collect(),
            unloaded,
        })
    }

    fn refused_params(&self, params: &Params) -> Vec<(String, String)> {
        params::refused(params, &kernel::knows_param)
    }

    fn running(&self) -> Result<BTreeMap<String, Running>> {
        let mut all: BTreeMap<String, Running> = BTreeMap::new();
        for jail in kernel::jails()? {
            let found = Running {
                jid: jail.jid,
                dying: jail.dying,
            };
            // A dying jail may have the name of its successor.
            if all.get(&jail.name).is_none_or(|other| other.dying) {
                all.insert(jail.name, found);
            }
        }
        Ok(all)
    }

    fn find(&self, name: &str) -> Result<Option<Running>> {
        Ok(kernel::find(name)?.map(|jail| Running {
            jid: jail.jid,
            dying: jail.dying,
        }))
    }

    fn start(&self, spec: &JailSpec, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<i32> {
        life::start(&self.state_dir, spec, cancelled)
    }

    fn stop(&self, spec: &JailSpec, how: StopOptions) -> Result<()> {
        life::stop(&self.state_dir, spec, how)
    }

    fn cleanup(&self, spec: &JailSpec) -> Result<()> {
        life::cleanup(&self.state_dir, spec)
    }

    fn exec(&self, name: &str, spec: &ExecSpec) -> Result<i32> {
        exec::exec(name, spec)
    }

    fn exec_logged(&self, name: &str, spec: &ExecSpec, log: &Path, limit: Duration) -> Result<i32> {
        exec::exec_logged(name, spec, log, limit)
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        let mut all = kernel::interfaces()?;
        let answer = Invocation::new(ROUTE, &["-n", "get", "default"]).run()?;
        let default = ifconfig::default_route(&answer.stdout);
        for interface in &mut all {
            interface.default_route = default.as_deref() == Some(interface.name.as_str());
        }
        Ok(all)
    }

    fn ensure_interface(&self, name: &str, addresses: &[Network]) -> Result<InterfaceChange> {
        let plan = network::ensure(&kernel::interfaces()?, name, addresses)?;
        let mut change = InterfaceChange::default();
        let done = wire::ensure(&plan, &mut change);
        if let Err(error) = done {
            // The first error is the one to tell.
            let _ = self.remove_interface(name, &change.added, change.created);
            return Err(error);
        }
        Ok(change)
    }

    fn remove_interface(&self, name: &str, addresses: &[Network], whole: bool) -> Result<()> {
        network::remove(&kernel::interfaces()?, name, addresses, whole)?
            .iter()
            .try_for_each(wire::take_away)
    }

    fn rc_value(&self, variable: &str) -> Result<Option<String>> {
        Ok(rc::value(&rc::ask(variable)?.succeed()?))
    }

    fn rc_conf(&self, variable: &str, change: &RcChange) -> Result<()> {
        let now = self.rc_value(variable)?;
        match rc::change(variable, change, now.as_deref())? {
            Some(command) => command.succeed().map(drop),
            None => Ok(()),
        }
    }
}
