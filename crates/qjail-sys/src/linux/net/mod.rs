//! Interfaces, addresses and the connection of jails to bridges, by netlink: no process is started.
//!
//! A jail gets a pair of connected interfaces (veth(4)) for each bridge it has addresses on: one end on the bridge, the
//! other, `eth0`, `eth1`, …, inside. Both vanish with the jail's network namespace. Nothing else of the host's network is
//! changed: no sysctl, no packet filter, no route.
//!
//! # Limits
//! An address outside of the bridge's own networks is configured, but the host has no route to it.

mod bridge;
mod inside;
mod jail;
mod links;
mod member;
mod names;
mod netlink;
mod requests;
mod wiring;

pub(super) use bridge::{ensure, remove};
pub(super) use jail::JailNetwork;

use std::io;
use std::os::fd::AsFd;

use links::{DefaultRoute, Link};
use netlink::Netlink;
use netlink_packet_route::AddressFamily;

use crate::{Interface, Result, SysError};

/// The text at a bridge that qjail made; that at the host ends of jails begins with it.
const MARK: &str = "qjail";

/// See [`crate::System::interfaces`].
pub(super) fn interfaces() -> Result<Vec<Interface>> {
    let fail = |e: io::Error| SysError::new("list the network interfaces", plain(&e));
    let mut netlink = Netlink::open().map_err(fail)?;
    let links = links::all(&mut netlink).map_err(fail)?;
    let defaults = links::default_routes(&mut netlink).map_err(fail)?;
    Ok(links.iter().map(|l| interface(l, &defaults)).collect())
}

fn interface(link: &Link, defaults: &[DefaultRoute]) -> Interface {
    let through = defaults.iter().filter(|route| route.index == link.index);
    Interface {
        name: link.name.clone(),
        addresses: link.addresses.clone(),
        up: link.up,
        default_route: through.clone().any(|route| route.family == AddressFamily::Inet),
        gateways: through.filter_map(|route| route.gateway).collect(),
        for_jails: link.is_bridge(),
    }
}

/// Tries a bridge and a pair in a network namespace of its own, which vanishes again. The host is not touched.
pub(super) fn probe() -> std::result::Result<(), (&'static str, io::Error)> {
    inside::in_new_namespace(|| {
        let mut netlink = Netlink::open().map_err(|e| ("netlink sockets", e))?;
        requests::add_bridge(&mut netlink, "qjail", names::bridge_mac("qjail"))
            .map_err(|e| ("bridges", e))?;
        let bridge = links::find(&mut netlink, "qjail")
            .map_err(|e| ("netlink sockets", e))?
            .unwrap_or_default();
        let namespace = inside::own_namespace().map_err(|e| ("network namespaces", e))?;
        let pair = requests::Pair {
            host: "qj0",
            bridge: &bridge,
            inside: "eth0",
            mac: names::jail_mac("", "", ""),
            namespace: namespace.as_fd(),
        };
        requests::add_pair(&mut netlink, &pair).map_err(|e| ("pairs of interfaces (veth)", e))
    })
    .map_err(|e| ("network namespaces", e))?
}

/// The text of an error without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ")
        .next()
        .unwrap_or_default()
        .to_lowercase()
}

#[cfg(test)]
mod tests;
