//! From a jail and the state of the host to the parameters of its file; what is taken away again.

use qjail_model::Params;

use super::bridge::bridge_of;
use super::command::{IFCONFIG, Invocation};
use super::host::Host;
use super::network::{Ensure, is_gone};
use super::{conf, ifconfig, vnet};
use crate::{InterfaceChange, JailSpec, Result};

/// Whether what the host can not do now is an error: it is for a start, not for the file of a jail that is only made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strict {
    Yes,
    No,
}

/// Carries out a plan; `change` has what was done, also where a step fails.
pub(super) fn ensure(host: &dyn Host, plan: &Ensure, change: &mut InterfaceChange) -> Result<()> {
    if let Some(create) = &plan.create {
        host.succeed(create)?;
        change.created = true;
    }
    for (network, add) in &plan.add {
        host.succeed(add)?;
        change.added.push(*network);
    }
    host.succeed(&plan.up).map(drop)
}

/// Runs a command that takes something away; that it is gone already is no error.
pub(super) fn take_away(host: &dyn Host, command: &Invocation) -> Result<()> {
    match host.succeed(command) {
        Err(e) if !is_gone(&e.why) => Err(e),
        _ => Ok(()),
    }
}

/// The parameters of the file of a jail. Nothing is changed.
pub(super) fn prepare(host: &dyn Host, spec: &JailSpec, strict: Strict) -> Result<Params> {
    if !vnet::is_vnet(&spec.params) {
        return conf::shared(spec, &host.interfaces()?, strict);
    }
    vnet::check_name(&spec.name)?;
    if !vnet::needs_pair(&spec.params) {
        return vnet::without_addresses(spec);
    }
    let shown = ifconfig::parse(&host.succeed(&Invocation::new(IFCONFIG, &["-a"]))?);
    let version = host.sysctl_int("kern.osreldate").unwrap_or(0).cast_unsigned();
    let bridge = bridge_of(spec, &shown, version)?;
    let own = vnet::Pair::of_jail(&spec.name).host_end();
    let others = shown.iter().filter(|s| s.name != own);
    let taken: Vec<String> = others.filter_map(|s| s.ether.clone()).collect();
    let host_id = host.sysctl_text("kern.hostuuid").unwrap_or_default();
    vnet::with_pair(spec, &bridge, &vnet::macs(&host_id, &spec.name, &taken))
}
