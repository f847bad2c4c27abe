//! Bridges: the interfaces that jails have addresses on.

use std::io;

use qjail_model::Network;

use super::links::{self, Link};
use super::netlink::Netlink;
use super::{MARK, names, plain, requests};
use crate::{Interface, InterfaceChange, Result, SysError, addresses};

/// See [`crate::System::ensure_interface`].
pub(in super::super) fn ensure(name: &str, wanted: &[Network]) -> Result<InterfaceChange> {
    check_name(name)?;
    let fail = |e: io::Error| SysError::new(format!("make the interface {name}"), plain(&e));
    let mut netlink = Netlink::open().map_err(fail)?;
    let all = links::all(&mut netlink).map_err(fail)?;
    check(&all, name, wanted)?;
    let created = create(&mut netlink, name).map_err(fail)?;
    let added = complete(&mut netlink, name, wanted);
    if added.is_err() && created {
        // The failure is told; what remains of the attempt would only hide it.
        let _ = delete(&mut netlink, name);
    }
    Ok(InterfaceChange {
        created,
        added: added?,
    })
}

fn check(all: &[Link], name: &str, wanted: &[Network]) -> Result<()> {
    let all: Vec<Interface> = all.iter().map(|l| super::interface(l, &[])).collect();
    addresses::check_interface(&all, name, wanted)
}

/// What the kernel takes as a name (dev_valid_name): it says no more than "invalid" when it does not.
fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
    if name.is_empty() || name.len() > 15 || [".", ".."].contains(&name) || !name.chars().all(good) {
        let why = "a name has 1 to 15 characters, no space, no `/` and no `:`";
        return Err(SysError::new(format!("make the interface {name}"), why));
    }
    Ok(())
}

/// Makes the bridge unless somebody has made it. Whether this call made it.
fn create(netlink: &mut Netlink, name: &str) -> io::Result<bool> {
    match requests::add_bridge(netlink, name, names::bridge_mac(name)) {
        Ok(()) => requests::set_alias(netlink, name, MARK).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e),
    }
}

/// Brings the bridge up and gives it the addresses that it lacks.
fn complete(netlink: &mut Netlink, name: &str, wanted: &[Network]) -> Result<Vec<Network>> {
    let fail = |e: io::Error| SysError::new(format!("make the interface {name}"), plain(&e));
    let gone = || fail(io::Error::other("somebody removed it at once"));
    // Read anew: another start may have made it since, and a name may have been taken by another kind.
    let bridge = links::find(netlink, name).map_err(fail)?.ok_or_else(gone)?;
    if !bridge.is_bridge() {
        return Err(fail(io::Error::other(addresses::OTHER_KIND)));
    }
    if !bridge.up {
        requests::set_up(netlink, bridge.index).map_err(fail)?;
    }
    let mut added = Vec::new();
    for address in wanted.iter().filter(|a| !bridge.addresses.contains(a)) {
        match requests::add_address(netlink, bridge.index, *address) {
            Ok(()) => added.push(*address),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => {
                take_back(netlink, bridge.index, &added);
                return Err(SysError::new(format!("add {address} to {name}"), plain(&e)));
            }
        }
    }
    Ok(added)
}

fn take_back(netlink: &mut Netlink, index: u32, added: &[Network]) {
    for address in added {
        // Best effort on the way out of a failure that is told.
        let _ = requests::delete_address(netlink, index, *address);
    }
}

fn delete(netlink: &mut Netlink, name: &str) -> io::Result<()> {
    match links::find(netlink, name)? {
        Some(link) if is_ours(&link) => done(requests::delete_link(netlink, link.index)),
        _ => Ok(()),
    }
}

/// Whether qjail made it: the hardware address is there from the start, the text for people a moment later.
fn is_ours(link: &Link) -> bool {
    link.is_bridge() && (link.alias == MARK || link.mac == names::bridge_mac(&link.name))
}

/// See [`crate::System::remove_interface`].
pub(in super::super) fn remove(name: &str, gone: &[Network], whole: bool) -> Result<()> {
    let fail = |e: io::Error| SysError::new(format!("remove the interface {name}"), plain(&e));
    let mut netlink = Netlink::open().map_err(fail)?;
    let Some(link) = links::find(&mut netlink, name).map_err(fail)? else {
        return Ok(());
    };
    if !link.is_bridge() {
        return Err(fail(io::Error::other(addresses::OTHER_KIND)));
    }
    if whole && is_ours(&link) {
        return done(requests::delete_link(&mut netlink, link.index)).map_err(fail);
    }
    for address in gone.iter().filter(|a| link.addresses.contains(a)) {
        done(requests::delete_address(&mut netlink, link.index, *address))
            .map_err(|e| SysError::new(format!("remove {address} from {name}"), plain(&e)))?;
    }
    give_back(&mut netlink, &link, gone).map_err(fail)
}

/// Adds again what the kernel took with the others: with the first address of a network it drops those after it (see
/// `promote_secondaries` in ip-sysctl).
fn give_back(netlink: &mut Netlink, before: &Link, gone: &[Network]) -> io::Result<()> {
    let Some(after) = links::find(netlink, &before.name)? else {
        return Ok(());
    };
    let lost = before
        .addresses
        .iter()
        .filter(|a| !gone.contains(a) && !after.addresses.contains(a));
    for address in lost {
        match requests::add_address(netlink, after.index, *address) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// What is gone already was removed by somebody else.
fn done(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
