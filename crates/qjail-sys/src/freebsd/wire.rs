//! Interfaces: commands of [`crate::bsd`] carried out.

use qjail_model::Params;

use super::kernel;
use crate::bsd::command::{IFCONFIG, Invocation};
use crate::bsd::network::{Ensure, is_gone};
use crate::bsd::vnet::{self, Bridge, Pair};
use crate::bsd::{conf, ifconfig};
use crate::{InterfaceChange, JailSpec, Result, SysError};

/// Carries out a plan; `change` has what was done, also where a step fails.
pub(super) fn ensure(plan: &Ensure, change: &mut InterfaceChange) -> Result<()> {
    if let Some(create) = &plan.create {
        create.succeed()?;
        change.created = true;
    }
    for (network, add) in &plan.add {
        add.succeed()?;
        change.added.push(*network);
    }
    plan.up.succeed().map(drop)
}

/// Runs a command that takes something away; that it is gone already is no error.
pub(super) fn take_away(command: &Invocation) -> Result<()> {
    match command.succeed() {
        Err(e) if !is_gone(&e.why) => Err(e),
        _ => Ok(()),
    }
}

/// The parameters of the file of a jail, and what was made for it on the way, to be undone by [`take_away`] in order.
pub(super) fn prepare(spec: &JailSpec, made: &mut Vec<Invocation>) -> Result<Params> {
    if !vnet::is_vnet(&spec.params) {
        return conf::shared(spec, &kernel::interfaces()?);
    }
    if !vnet::needs_pair(&spec.params) {
        return vnet::without_addresses(spec);
    }
    let shown = ifconfig::parse(&Invocation::new(IFCONFIG, &["-a"]).succeed()?);
    let version = kernel::sysctl_int("kern.osreldate").unwrap_or(0).cast_unsigned();
    let (bridge, gateways) = match vnet::bridge_of(spec, &shown, version)? {
        Bridge::Existing(bridge) => (bridge.name.clone(), bridge.addresses.as_slice()),
        Bridge::WithMember(member) => {
            let bridge = vnet::make_bridge().succeed()?.trim().to_owned();
            made.insert(0, Invocation::new(IFCONFIG, &[&bridge, "destroy"]));
            vnet::add_member(&bridge, &member.name).succeed()?;
            (bridge, member.addresses.as_slice())
        }
    };
    let answer = vnet::make_pair().succeed()?;
    let pair = Pair::of_end(answer.trim()).ok_or_else(|| {
        SysError::new(
            format!("connect {} to {bridge}", spec.name),
            format!("`{}` is not an epair", answer.trim()),
        )
    })?;
    made.insert(0, vnet::destroy_pair(&pair));
    vnet::with_pair(spec, &pair, &bridge, gateways)
}
