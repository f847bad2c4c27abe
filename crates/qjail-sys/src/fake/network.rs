//! Interfaces and addresses of the fake.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use qjail_model::{AddrSpec, Network};

use super::State;
use crate::{Interface, InterfaceChange, JailSpec, Result, SysError, addresses};

/// An interface and who made it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) interface: Interface,
    /// Made by `ensure_interface`.
    ours: bool,
}

impl Link {
    pub(super) fn of_admin(interface: Interface) -> Self {
        Self {
            interface,
            ours: false,
        }
    }
}

/// A loopback interface and a network card.
pub(super) fn fresh(os: &str) -> BTreeMap<String, Link> {
    let freebsd = os == "freebsd";
    let network = |text: &str| text.parse().into_iter().collect::<Vec<Network>>();
    let link = |name: &str, address: &str, default_route: bool| Interface {
        name: name.to_owned(),
        addresses: network(address),
        up: true,
        default_route,
        gateways: if default_route {
            vec![Ipv4Addr::new(192, 0, 2, 1).into()]
        } else {
            Vec::new()
        },
        for_jails: freebsd,
    };
    let (lo, card) = if freebsd { ("lo0", "em0") } else { ("lo", "eth0") };
    [link(lo, "127.0.0.1/8", false), link(card, "192.0.2.10/24", true)]
        .map(|i| (i.name.clone(), Link::of_admin(i)))
        .into()
}

pub(super) fn ensure(state: &mut State, name: &str, wanted: &[Network]) -> Result<InterfaceChange> {
    let all: Vec<Interface> = state.interfaces.values().map(|l| l.interface.clone()).collect();
    addresses::check_interface(&all, name, wanted)?;
    let created = !state.interfaces.contains_key(name);
    let link = state.interfaces.entry(name.to_owned()).or_insert_with(|| Link {
        interface: Interface {
            name: name.to_owned(),
            for_jails: true,
            ..Interface::default()
        },
        ours: true,
    });
    let has = &mut link.interface.addresses;
    let added: Vec<Network> = wanted.iter().filter(|a| !has.contains(a)).copied().collect();
    has.extend(&added);
    link.interface.up = true;
    Ok(InterfaceChange { created, added })
}

pub(super) fn remove(state: &mut State, name: &str, gone: &[Network], whole: bool) -> Result<()> {
    let Some(link) = state.interfaces.get_mut(name) else {
        return Ok(());
    };
    if !link.interface.for_jails {
        return Err(SysError::new(
            format!("remove the interface {name}"),
            addresses::OTHER_KIND,
        ));
    }
    link.interface.addresses.retain(|a| !gone.contains(a));
    if whole && link.ours {
        state.interfaces.remove(name);
    }
    Ok(())
}

/// Looks for the interface of every address of the jail; on FreeBSD puts the address on it.
pub(super) fn give_addresses(state: &mut State, os: &str, spec: &JailSpec) -> Result<Vec<(String, Network)>> {
    let wanted = addresses::of_jail(&spec.name, &spec.params)?;
    for (interface, _) in &wanted {
        match state.interfaces.get(interface) {
            Some(link) if link.interface.for_jails => {}
            Some(_) => return Err(addresses::not_for_jails(&spec.name, interface)),
            None => return Err(addresses::no_interface(&spec.name, interface)),
        }
    }
    if os != "freebsd" {
        return Ok(Vec::new());
    }
    let hosts = |state: &State, addr| {
        state
            .interfaces
            .values()
            .any(|l| l.interface.addresses.iter().any(|n| n.addr == addr))
    };
    let mut added = Vec::new();
    for (interface, address) in wanted {
        if hosts(state, address.addr) {
            continue;
        }
        let alias = as_alias(&address);
        if let Some(link) = state.interfaces.get_mut(&interface) {
            link.interface.addresses.push(alias);
        }
        added.push((interface, alias));
    }
    Ok(added)
}

/// jail(8) adds an address without a length as a host of its own.
fn as_alias(address: &AddrSpec) -> Network {
    Network {
        addr: address.addr,
        len: address
            .len
            .unwrap_or(if address.addr.is_ipv4() { 32 } else { 128 }),
    }
}

/// Takes away the jail and the addresses it put on the host's interfaces; after a crash, those of its parameters.
pub(super) fn end(state: &mut State, os: &str, spec: &JailSpec) {
    let aliases = match state.jails.remove(&spec.name) {
        Some(jail) => jail.aliases,
        None if os == "freebsd" => addresses::of_jail(&spec.name, &spec.params)
            .unwrap_or_default()
            .into_iter()
            .map(|(interface, address)| (interface, as_alias(&address)))
            .collect(),
        None => Vec::new(),
    };
    for (interface, alias) in aliases {
        if let Some(link) = state.interfaces.get_mut(&interface) {
            link.interface.addresses.retain(|a| *a != alias);
        }
    }
}
