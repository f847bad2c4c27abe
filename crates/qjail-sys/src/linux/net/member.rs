//! Interfaces of the host that jails with a network stack of their own (`vnet`) are on: through a bridge that the
//! interface is a member of. One that is in no bridge gets one, which goes with the last jail on it.
//!
//! # Limits
//! An interface with addresses is refused: on a bridge they would not be reached any more. Wireless interfaces can not be
//! members of bridges; the kernel says so.

use qjail_model::Network;
use std::fs::File;
use std::io;
use std::net::IpAddr;

use super::links::{self, Link};
use super::netlink::Netlink;
use super::{MARK, inside, names, plain, requests};
use crate::{Result, SysError, addresses};

/// How the names of these bridges begin.
const PREFIX: &str = "qv";

/// How the text at a bridge ends whose member was down before.
const WAS_DOWN: &str = ":down";

/// Held while a bridge is made and joined, or left and removed: no jail joins one that another is removing.
pub(super) struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for it. The lock is on the network namespace itself: whoever makes such bridges in it, below whichever state
    /// directory, has to wait.
    pub(super) fn wait() -> io::Result<Turn> {
        let file = inside::own_namespace()?;
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
        if !master.is_bridge() {
            let why = format!("it is a part of {}, which is no bridge", master.name);
            return Err(SysError::new(format!("connect {jail} to {interface}"), why));
        }
        if is_made(master) && !link.up {
            // A start that was killed came no further.
            requests::set_up(netlink, link.index).map_err(fail)?;
        }
        return Ok(master.clone());
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

/// An address that somebody gave the interface: link-local ones are made by the kernel for each.
fn given(link: &Link) -> Option<&Network> {
    let own = |n: &&Network| !matches!(n.addr, IpAddr::V6(a) if a.is_unicast_link_local());
    link.addresses.iter().find(own)
}

fn refuse_addresses(jail: &str, link: &Link) -> Result<()> {
    match given(link) {
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

/// The text at a bridge: the kernel allows no `:` in a name.
fn alias_for(member: &str, up: bool) -> String {
    format!("{MARK}:vnet:{member}{}", if up { "" } else { WAS_DOWN })
}

/// The member that a bridge was made for, and whether it was up before; none where a start was killed before that.
fn member_of(bridge: &Link) -> Option<(&str, bool)> {
    let text = bridge.alias.strip_prefix(MARK)?.strip_prefix(":vnet:")?;
    Some(
        text.strip_suffix(WAS_DOWN)
            .map_or((text, true), |name| (name, false)),
    )
}

fn make(netlink: &mut Netlink, name: &str, member: &Link) -> io::Result<()> {
    match requests::add_bridge(netlink, name, names::bridge_mac(name)) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let bridge = links::find(netlink, name)?.filter(Link::is_bridge);
    let bridge = bridge.ok_or_else(|| io::Error::other(format!("{name} is no bridge")))?;
    no_ip6(name)?;
    requests::set_alias(netlink, name, &alias_for(&member.name, member.up))?;
    requests::set_master(netlink, member.index, bridge.index)?;
    requests::set_up(netlink, member.index)
}

/// The host does not become a part of the network that the interface is on.
fn no_ip6(bridge: &str) -> io::Result<()> {
    match std::fs::write(format!("/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6"), "1") {
        // A kernel without IPv6.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Removes the bridges that were made so and that nothing but their member is on any more, which is as before then. A bridge
/// that the administrator gave an address or another member stays.
///
/// # Errors
/// What the kernel refused.
pub(super) fn leave(netlink: &mut Netlink, _: &Turn) -> io::Result<()> {
    let all = links::all(netlink)?;
    for bridge in all.iter().filter(|l| is_made(l)) {
        let member = member_of(bridge);
        let is_member = |l: &&Link| member.is_some_and(|(name, _)| l.name == name);
        let others = |l: &Link| l.master == bridge.index && !is_member(&l);
        if given(bridge).is_some() || all.iter().any(others) {
            continue;
        }
        gone(requests::delete_link(netlink, bridge.index))?;
        let card = all.iter().find(is_member);
        if let (Some(card), Some((_, false))) = (card, member) {
            gone(requests::set_down(netlink, card.index))?;
        }
    }
    Ok(())
}

/// What is gone already needs no more.
fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Whether an interface is a bridge that was made for another interface: name and hardware address are there from the
/// start, the text for people a moment later.
pub(super) fn is_made(link: &Link) -> bool {
    let named = link.name.starts_with(PREFIX) && link.mac == names::bridge_mac(&link.name);
    link.is_bridge() && (named || member_of(link).is_some())
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
    fn a_bridge_tells_what_it_was_made_for() {
        let of = |alias: String| {
            member_of(&Link {
                alias,
                ..Link::default()
            })
            .map(|(n, up)| (n.to_owned(), up))
        };
        for up in [true, false] {
            assert_eq!(of(alias_for("em0", up)), Some(("em0".to_owned(), up)));
        }
        assert_eq!(of("qjail".to_owned()), None);
        assert_eq!(of("qjail:web:br0".to_owned()), None);
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
