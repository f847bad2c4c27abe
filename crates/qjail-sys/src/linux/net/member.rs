//! Interfaces of the host that jails with a network stack of their own (`vnet`) are on: through a bridge that the
//! interface is a member of. One that is in no bridge gets one, which goes with the last jail on it.
//!
//! # Limits
//! An interface with addresses is refused: on a bridge they would not be reached any more. Wireless interfaces can not be
//! members of bridges; the kernel says so.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::links::{self, Link};
use super::netlink::Netlink;
use super::{MARK, names, plain, requests};
use crate::{Result, SysError, addresses};

/// How the names of these bridges begin.
const PREFIX: &str = "qv";

/// Held while a bridge is made and joined, or left and removed: no jail joins one that another is removing.
pub(super) struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for it. The file is below the state directory.
    pub(super) fn wait(state_dir: &Path) -> io::Result<Turn> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(state_dir.join("vnet.lock"))?;
        file.lock()?;
        Ok(Turn { _lock: file })
    }
}

/// The bridge for a jail on `interface`: itself, the one that it is a member of, or a new one.
///
/// # Errors
/// An interface that does not exist, that has addresses, or that the kernel does not let into a bridge.
pub(super) fn bridge_for(netlink: &mut Netlink, turn: &Turn, jail: &str, interface: &str) -> Result<Link> {
    let fail = |e: io::Error| SysError::new(format!("put {interface} on a bridge for {jail}"), plain(&e));
    let all = links::all(netlink).map_err(fail)?;
    let Some(link) = all.iter().find(|l| l.name == interface) else {
        return Err(addresses::no_interface(jail, interface));
    };
    if link.is_bridge() {
        return Ok(link.clone());
    }
    if link.name == "lo" {
        return Err(addresses::not_for_jails(jail, interface));
    }
    if let Some(master) = all.iter().find(|l| link.master != 0 && l.index == link.master) {
        return if master.is_bridge() {
            Ok(master.clone())
        } else {
            let why = format!("it is a part of {}, which is no bridge", master.name);
            Err(SysError::new(format!("connect {jail} to {interface}"), why))
        };
    }
    refuse_addresses(jail, link)?;
    let name = name_for(interface);
    let made = make(netlink, &name, link);
    if made.is_err() {
        // The failure is told; a bridge without a member is no use to anybody.
        let _ = leave(netlink, turn);
    }
    made.map_err(fail)?;
    let bridge = links::find(netlink, &name).map_err(fail)?;
    bridge.ok_or_else(|| fail(io::Error::other("somebody removed it at once")))
}

fn refuse_addresses(jail: &str, link: &Link) -> Result<()> {
    // Link-local ones are made by the kernel for each interface.
    let own = |n: &&qjail_model::Network| !matches!(n.addr, IpAddr::V6(a) if a.is_unicast_link_local());
    match link.addresses.iter().find(own) {
        None => Ok(()),
        Some(first) => Err(SysError::new(
            format!("connect {jail} to {}", link.name),
            format!("it has the address {first} of the host, which would be cut off on a bridge"),
        )
        .hint(format!(
            "make a bridge with that address and put {} on it, then name the bridge",
            link.name
        ))),
    }
}

/// `qv-IF`; for a long name a sum of it.
fn name_for(interface: &str) -> String {
    let name = format!("{PREFIX}-{interface}");
    if name.len() <= 15 {
        return name;
    }
    let [a, b, c, d, e, f] = names::bridge_mac(interface);
    format!("{PREFIX}{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}

fn alias_for(interface: &str) -> String {
    format!("{MARK}:vnet:{interface}")
}

fn make(netlink: &mut Netlink, name: &str, member: &Link) -> io::Result<()> {
    match requests::add_bridge(netlink, name, names::bridge_mac(name)) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let bridge = links::find(netlink, name)?.filter(Link::is_bridge);
    let bridge = bridge.ok_or_else(|| io::Error::other(format!("{name} is no bridge")))?;
    requests::set_alias(netlink, name, &alias_for(&member.name))?;
    requests::set_master(netlink, member.index, bridge.index)?;
    requests::set_up(netlink, member.index)
}

/// Removes the bridges that were made so and that no jail is on any more; their members are as before.
///
/// # Errors
/// What the kernel refused.
pub(super) fn leave(netlink: &mut Netlink, _: &Turn) -> io::Result<()> {
    let all = links::all(netlink)?;
    for bridge in all.iter().filter(|l| is_made(l)) {
        let jails = all
            .iter()
            .any(|l| l.master == bridge.index && l.kind == "veth" && names::is_host_end(&l.name));
        if !jails {
            match requests::delete_link(netlink, bridge.index) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether an interface is a bridge that was made for another interface: name and hardware address are there from the
/// start, the text for people a moment later.
pub(super) fn is_made(link: &Link) -> bool {
    let named = link.name.starts_with(PREFIX) && link.mac == names::bridge_mac(&link.name);
    link.is_bridge() && (named || link.alias.starts_with(&alias_for("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_bridges_fit() {
        assert_eq!(name_for("em0"), "qv-em0");
        assert_eq!(name_for("enp0s31f6.100").len(), 14);
        assert_ne!(name_for("enp0s31f6.100"), name_for("enp0s31f6.101"));
    }

    #[test]
    fn addresses_of_the_host_are_not_cut_off() {
        let link = |addresses: &[&str]| Link {
            name: "em0".to_owned(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ..Link::default()
        };
        assert!(refuse_addresses("web", &link(&[])).is_ok());
        assert!(refuse_addresses("web", &link(&["fe80::1/64"])).is_ok());
        let refused = refuse_addresses("web", &link(&["fe80::1/64", "192.0.2.1/24"])).unwrap_err();
        assert!(refused.to_string().contains("192.0.2.1/24"), "{refused}");
    }
}
