//! `start`: the interfaces that a jail needs are there, and nobody else has its addresses.

use std::collections::BTreeSet;

use qjail_plugin_api::model::AddrSpec;
use qjail_plugin_api::{HookRequest, Host, Objection, Plan, PluginError, Step};

use crate::world::{World, interfaces_of, is_vnet, specs};

/// What would make the start fail or disturb others.
pub(crate) fn validate(host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
    let addresses = specs(&request.jail);
    if addresses.is_empty() {
        return Ok(Vec::new());
    }
    let world = World::look(host, &request.context)?;
    let running: BTreeSet<String> = host.running()?.into_iter().collect();
    let mut objections: Vec<Objection> = interfaces_of(&request.jail)
        .iter()
        .filter(|name| !(is_vnet(&request.jail.params) && world.is_for_vnet(name)))
        .filter_map(|name| missing(&world, &request.jail.name, name))
        .collect();
    let default = request.jail.params.text("interface");
    for (_, spec) in &addresses {
        objections.extend(taken(&world, &running, &request.jail.name, spec, default));
    }
    Ok(objections)
}

fn missing(world: &World, jail: &str, interface: &str) -> Option<Objection> {
    if world.is_for_jails(interface) {
        return None;
    }
    let (message, hint) = match world.interface(interface) {
        Some(_) => (
            format!("jail {jail} needs the interface {interface}, which is no bridge"),
            "jails can have addresses on bridges only; see qjail net list".to_owned(),
        ),
        None => (
            format!("jail {jail} needs the interface {interface}, which does not exist"),
            format!("make it: qjail net create {interface} ADDRESS/LENGTH"),
        ),
    };
    Some(Objection::new(message).hint(hint))
}

fn taken(
    world: &World,
    running: &BTreeSet<String>,
    jail: &str,
    spec: &AddrSpec,
    default: Option<&str>,
) -> Option<Objection> {
    let addr = spec.addr;
    let other = world
        .used(jail)
        .into_iter()
        .find(|u| u.addr == addr && running.contains(&u.jail));
    if let Some(other) = other {
        let message = format!(
            "address {addr} of jail {jail} is in use by the running jail {}",
            other.jail
        );
        return Some(Objection::new(message).hint(format!("stop {} first", other.jail)));
    }
    let owner = world.owner(addr)?;
    // On FreeBSD a jail may share an address with the host, on the interface that has it.
    let shared = world.freebsd && spec.interface.as_deref().or(default) == Some(owner);
    (!shared).then(|| {
        Objection::new(format!(
            "address {addr} of jail {jail} is the host's own on {owner}"
        ))
        .hint("give one of the two another address")
    })
}

/// Networks of qjail that are not as they should be are made again.
pub(crate) fn plan(host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
    let wanted = interfaces_of(&request.jail);
    if wanted.is_empty() {
        return Ok(Plan::default());
    }
    let world = World::look(host, &request.context)?;
    let ensure = |name: &String| {
        let declared = world.declared.get(name)?;
        let whole = |i: &qjail_plugin_api::Interface| {
            i.up && declared.addresses.iter().all(|a| i.addresses.contains(a))
        };
        if world.interface(name).is_some_and(whole) {
            return None;
        }
        Some(Step::EnsureInterface {
            name: name.clone(),
            addresses: declared.addresses.clone(),
        })
    };
    Ok(Plan {
        steps: wanted.iter().filter_map(ensure).collect(),
        warnings: shared(&world, request),
        ..Plan::default()
    })
}

/// Addresses that the host has on the jail's interface: on FreeBSD the jail uses them as they are. A jail with a network
/// of its own shares nothing.
fn shared(world: &World, request: &HookRequest) -> Vec<String> {
    let params = &request.jail.params;
    if !world.freebsd || is_vnet(params) {
        return Vec::new();
    }
    let default = params.text("interface");
    let of_host = |addr, interface: Option<&str>| interface.is_some() && world.owner(addr) == interface;
    specs(&request.jail)
        .into_iter()
        .filter(|(_, spec)| of_host(spec.addr, spec.interface.as_deref().or(default)))
        .map(|(_, spec)| shares(&spec))
        .collect()
}

/// The warning of such an address.
pub(crate) fn shares(spec: &AddrSpec) -> String {
    format!(
        "the jail shares {} with the host: what listens on it there is reached through the same address",
        spec.addr
    )
}
