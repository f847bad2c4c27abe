//! The contract of [`System`], kept by what a FreeBSD machine offers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qjail_model::{Limits, Network, Params};

use super::command::{Invocation, ROUTE};
use super::host::Host;
use super::jailparam::Jail;
use super::life::{Life, is_in};
use super::prepare::{Strict, ensure, prepare, take_away};
use super::{conf, exec, ifconfig, image, lasting, modules, needs, network, params, rc, usage, vnet};
use crate::{
    ExecSpec, HostInfo, Interface, InterfaceChange, JailSpec, Missing, Need, RcChange, Result, Running,
    StopOptions, SysError, System, Usage,
};

/// FreeBSD, on a machine.
#[derive(Debug)]
pub(crate) struct Bsd<H> {
    host: H,
    state_dir: PathBuf,
}

impl<H: Host> Bsd<H> {
    /// `state_dir` is for the files of running jails.
    pub(crate) fn on(host: H, state_dir: &Path) -> Self {
        Self {
            host,
            state_dir: state_dir.to_owned(),
        }
    }

    /// Whether the kernel counts what jails use, see racct in rctl(8).
    fn keeps_account(&self) -> bool {
        self.host.sysctl_int("kern.racct.enable") == Some(1)
    }

    fn life(&self) -> Life<'_> {
        Life {
            host: &self.host,
            state: &self.state_dir,
        }
    }
}

impl<H: Host> System for Bsd<H> {
    fn os(&self) -> &'static str {
        "freebsd"
    }

    fn host(&self) -> Result<HostInfo> {
        let ask = |name: &str| {
            self.host
                .sysctl_text(name)
                .ok_or_else(|| SysError::new(format!("read {name}"), "the kernel does not tell"))
        };
        let release = Invocation::new("/bin/freebsd-version", &["-u"]);
        Ok(HostInfo {
            os: self.os().to_owned(),
            release: self.host.succeed(&release)?.trim().to_owned(),
            machine: ask("hw.machine")?,
            machine_arch: ask("hw.machine_arch")?,
            kernel: ask("kern.osrelease")?,
        })
    }

    fn missing(&self, need: Need) -> Vec<Missing> {
        let host = &self.host;
        let unloaded: Vec<_> = needs::modules(need)
            .iter()
            .copied()
            .filter(|m| !host.has_module(m))
            .collect();
        let can_be_loaded = |m: &&'static str| modules::can_be_loaded(host, m);
        needs::missing(&needs::Facts {
            root: host.is_root(),
            jailed: host.sysctl_int("security.jail.jailed") == Some(1),
            securelevel: host.sysctl_int("kern.securelevel").unwrap_or(-1),
            absent: unloaded.iter().copied().filter(|m| !can_be_loaded(m)).collect(),
            unloaded,
        })
    }

    fn refused_params(&self, params: &Params) -> Vec<(String, String)> {
        params::refused(params, &|name| self.host.knows_param(name))
    }

    fn refused_limits(&self, limits: &Limits) -> Vec<(String, Missing)> {
        if self.keeps_account() {
            return Vec::new();
        }
        needs::without_accounting(limits)
    }

    fn usage(&self, name: &str) -> Result<Usage> {
        if !self.keeps_account() {
            return Ok(Usage::default());
        }
        Ok(usage::parse(&self.host.succeed(&usage::ask(name))?))
    }

    fn refused_name(&self, name: &str, params: &Params) -> Option<String> {
        vnet::needs_pair(params)
            .then(|| vnet::name_problem(name))
            .flatten()
    }

    fn running(&self) -> Result<BTreeMap<String, Running>> {
        let mut all: BTreeMap<String, Running> = BTreeMap::new();
        for jail in self.host.jails()? {
            // A dying jail may have the name of its successor.
            if all.get(&jail.name).is_none_or(|other| other.dying) {
                all.insert(jail.name.clone(), jail.running());
            }
        }
        Ok(all)
    }

    fn find(&self, name: &str) -> Result<Option<Running>> {
        Ok(self.host.jail(name)?.map(|jail| jail.running()))
    }

    fn occupant(&self, path: &Path) -> Result<Option<String>> {
        let here = |jail: &Jail| !jail.dying && is_in(jail, path);
        Ok(self.host.jails()?.into_iter().find(here).map(|jail| jail.name))
    }

    fn elsewhere(&self, name: &str, path: &Path) -> Result<Option<PathBuf>> {
        let found = self
            .host
            .jail(name)?
            .filter(|jail| !jail.dying && !is_in(jail, path));
        Ok(found.map(|jail| jail.path.into()))
    }

    fn start(&self, spec: &JailSpec, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<i32> {
        self.life().start(spec, cancelled)
    }

    fn stop(&self, spec: &JailSpec, how: StopOptions, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        self.life().stop(spec, how, cancelled)
    }

    fn cleanup(&self, spec: &JailSpec) -> Result<()> {
        self.life().cleanup(spec)
    }

    fn against_start(&self, spec: &JailSpec) -> Result<()> {
        // A jail that shares the host's network may be made before its interface is.
        if !vnet::is_vnet(&spec.params) {
            return conf::basic(spec).map(drop);
        }
        prepare(&self.host, spec, Strict::No).map(drop)
    }

    fn publish(&self, spec: &JailSpec) -> Result<()> {
        // The file of a jail that runs says how to remove it.
        if self.host.jail(&spec.name)?.is_some_and(|jail| !jail.dying) {
            return Ok(());
        }
        let params = prepare(&self.host, spec, Strict::No)?;
        lasting::write(&self.state_dir, &spec.name, &params).map(drop)
    }

    fn withdraw(&self, name: &str) -> Result<()> {
        lasting::remove(&self.state_dir, name)
    }

    fn exec(&self, name: &str, spec: &ExecSpec) -> Result<i32> {
        exec::exec(&self.host, name, spec)
    }

    fn exec_logged(&self, name: &str, spec: &ExecSpec, log: &Path, limit: Duration) -> Result<i32> {
        exec::exec_logged(&self.host, name, spec, log, limit)
    }

    fn make_image(&self, file: &Path, bytes: u64) -> Result<()> {
        image::make(&self.host, file, bytes)
    }

    fn attach_image(&self, file: &Path, at: &Path) -> Result<()> {
        image::attach(&self.host, file, at)
    }

    fn detach_image(&self, file: &Path, at: &Path) -> Result<()> {
        image::detach(&self.host, file, at)
    }

    fn image_device(&self, file: &Path) -> Result<Option<String>> {
        image::find(&self.host, file)
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        let mut all = self.host.interfaces()?;
        let default = |args: &[&str]| -> Result<_> {
            let answer = self.host.run(&Invocation::new(ROUTE, args))?;
            Ok(ifconfig::default_route(&answer.stdout))
        };
        let v4 = default(&["-n", "get", "default"])?;
        // No program is started for an IPv6 that the host does not have.
        let v6 = match has_ip6(&all) {
            true => default(&["-n", "get", "-inet6", "default"])?,
            false => None,
        };
        for interface in &mut all {
            let through = |(name, _): &&(String, Option<IpAddr>)| *name == interface.name;
            interface.default_route = v4.as_ref().is_some_and(|route| through(&route));
            let routes = v4.iter().chain(&v6).filter(through);
            interface.gateways = routes.filter_map(|(_, gateway)| *gateway).collect();
        }
        Ok(all)
    }

    fn ensure_interface(&self, name: &str, addresses: &[Network]) -> Result<InterfaceChange> {
        let plan = network::ensure(&self.host.interfaces()?, name, addresses)?;
        let mut change = InterfaceChange::default();
        let done = ensure(&self.host, &plan, &mut change);
        if let Err(error) = done {
            // The first error is the one to tell.
            let _ = self.remove_interface(name, &change.added, change.created);
            return Err(error);
        }
        Ok(change)
    }

    fn remove_interface(&self, name: &str, addresses: &[Network], whole: bool) -> Result<()> {
        network::remove(&self.host.interfaces()?, name, addresses, whole)?
            .iter()
            .try_for_each(|command| take_away(&self.host, command))
    }

    fn rc_value(&self, variable: &str) -> Result<Option<String>> {
        Ok(rc::value(&self.host.succeed(&rc::ask(variable)?)?))
    }

    fn rc_conf(&self, variable: &str, change: &RcChange) -> Result<()> {
        let now = self.rc_value(variable)?;
        match rc::change(variable, change, now.as_deref())? {
            Some(command) => self.host.succeed(&command).map(drop),
            None => Ok(()),
        }
    }
}

/// Whether an interface has an IPv6 address that others than its own wire can reach.
fn has_ip6(all: &[Interface]) -> bool {
    let mut addresses = all.iter().flat_map(|i| &i.addresses);
    addresses.any(|n| matches!(n.addr, IpAddr::V6(a) if !a.is_loopback() && !a.is_unicast_link_local()))
}
