//! The bridge(4) that jails with a network stack of their own are on.

use qjail_model::Network;

use super::command::IFCONFIG;
use super::ifconfig::Shown;
use super::vnet::LONGEST_INTERFACE;
use crate::{JailSpec, Result, SysError, addresses};

/// From 15.0 on a member of a bridge may have no address (`net.link.bridge.member_ifaddrs`).
const MEMBERS_WITHOUT_ADDRESSES: u32 = 1_500_000;
/// The kind, and what a bridge that qjail makes is called after its member.
const BRIDGE: &str = "bridge";

/// Where the host's end of the pair goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bridge {
    pub(crate) name: String,
    /// The interface that is put on it when it is made; none where it is there.
    pub(crate) member: Option<String>,
    /// Its addresses: those of the jail's routers.
    pub(crate) gateways: Vec<Network>,
}

/// The bridge of a jail: its interface, or the one that has this interface as a member, or a new one.
///
/// # Errors
/// There is no such interface, or it can not become a member of a bridge.
pub(crate) fn bridge_of(spec: &JailSpec, shown: &[Shown], osreldate: u32) -> Result<Bridge> {
    let name = interface(spec)?;
    let Some(found) = shown.iter().find(|s| s.name == name) else {
        return Err(addresses::no_interface(&spec.name, &name));
    };
    let with_member = |b: &&Shown| b.is_bridge() && b.members.contains(&name);
    if let Some(bridge) = Some(found)
        .filter(|f| f.is_bridge())
        .or_else(|| shown.iter().find(with_member))
    {
        return Ok(Bridge {
            name: bridge.name.clone(),
            member: None,
            // Until 15.0 the address may still be on a member.
            gateways: [bridge.addresses.clone(), of_members(bridge, shown)].concat(),
        });
    }
    new_bridge(spec, found, osreldate)
}

fn of_members(bridge: &Shown, shown: &[Shown]) -> Vec<Network> {
    let members = shown.iter().filter(|s| bridge.members.contains(&s.name));
    members.flat_map(|m| m.addresses.clone()).collect()
}

fn new_bridge(spec: &JailSpec, member: &Shown, osreldate: u32) -> Result<Bridge> {
    let member_name = &member.name;
    let fail = |why: String, hint: String| {
        Err(SysError::new(format!("connect {} to {member_name}", spec.name), why).hint(hint))
    };
    if member.groups.iter().any(|g| g == "lo") {
        return fail(
            "a loopback interface can not be on a bridge".to_owned(),
            "use a bridge: qjail net create bridge1 ADDRESS/LENGTH".to_owned(),
        );
    }
    let in_rc_conf =
        format!("make a bridge in rc.conf with {member_name} as a member, and give it the address");
    if osreldate >= MEMBERS_WITHOUT_ADDRESSES && !member.addresses.is_empty() {
        let why = format!(
            "{member_name} has an address, and from FreeBSD 15.0 on a member of a bridge may have none"
        );
        return fail(why, in_rc_conf);
    }
    let name = format!("{member_name}{BRIDGE}");
    if name.len() > LONGEST_INTERFACE {
        return fail(
            format!("{name} is too long for the name of an interface"),
            in_rc_conf,
        );
    }
    Ok(Bridge {
        name,
        member: Some(member_name.clone()),
        gateways: member.addresses.clone(),
    })
}

fn interface(spec: &JailSpec) -> Result<String> {
    let of_address = || {
        addresses::of_jail(&spec.name, &spec.params)
            .ok()?
            .into_iter()
            .next()
            .map(|(i, _)| i)
    };
    spec.params
        .text("interface")
        .map(str::to_owned)
        .or_else(of_address)
        .ok_or_else(|| {
            SysError::new(
                format!("connect {} to the network", spec.name),
                "the parameter `interface` is not set",
            )
            .hint("set it to a bridge of the host")
        })
}

/// The shell's words that make a bridge with one member, unless it is there. Another jail that starts may be faster. A
/// bridge that its member can not join is destroyed: the next start would take it for a good one.
pub(crate) fn make(name: &str, member: &str) -> String {
    let named = format!(
        "{IFCONFIG} $e name {name} && {{ {IFCONFIG} {name} addm {member} up || {{ {IFCONFIG} {name} destroy; false; }}; }}"
    );
    unless_there(name, BRIDGE, &named, &format!("{IFCONFIG} {name}"))
}

/// Makes an interface of a kind, whose number the kernel chooses, unless `name` is there. `named` gives the new one,
/// `$e`, its name; what it has no name for is destroyed, and `otherwise` tells whether that is a failure.
pub(crate) fn unless_there(name: &str, kind: &str, named: &str, otherwise: &str) -> String {
    format!(
        "{IFCONFIG} {name} > /dev/null 2>&1 || {{ e=$({IFCONFIG} {kind} create) && {{ {named} || \
         {{ {IFCONFIG} $e destroy; {otherwise}; }}; }} > /dev/null; }}"
    )
}
