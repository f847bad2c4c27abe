//! Interfaces for jails on the host: `net create`, `net delete`.

use qjail_model::Network;

use super::command::{IFCONFIG, Invocation};
use crate::{Interface, Result, SysError, addresses};

/// What has to be done for an interface to be there with its addresses, in order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ensure {
    /// Makes the interface.
    pub(crate) create: Option<Invocation>,
    /// Adds an address.
    pub(crate) add: Vec<(Network, Invocation)>,
    /// Brings it up.
    pub(crate) up: Invocation,
}

/// Plans `net create`.
///
/// # Errors
/// An address of another interface, the same address with another length, a name that can not be made.
pub(crate) fn ensure(all: &[Interface], name: &str, wanted: &[Network]) -> Result<Ensure> {
    addresses::check_interface(all, name, wanted)?;
    let found = all.iter().find(|i| i.name == name);
    let fail = |why: String| Err(SysError::new(format!("make the interface {name}"), why));
    if found.is_none() && !can_be_made(name) {
        return fail("FreeBSD makes no interface of this name".to_owned())
            .map_err(|e| e.hint("choose lo1, lo2, … or bridge0, bridge1, …"));
    }
    let has = found.map(|i| i.addresses.as_slice()).unwrap_or_default();
    if let Some(other) = has
        .iter()
        .find(|h| wanted.iter().any(|w| w.addr == h.addr && w.len != h.len))
    {
        return fail(format!("it has {other} already, with another length"));
    }
    let missing = wanted.iter().filter(|w| !has.contains(w));
    Ok(Ensure {
        create: found
            .is_none()
            .then(|| Invocation::new(IFCONFIG, &[name, "create"])),
        add: missing.map(|w| (*w, add_alias(name, *w))).collect(),
        up: Invocation::new(IFCONFIG, &[name, "up"]),
    })
}

/// Plans `net delete`: what is not there is not taken away.
///
/// # Errors
/// `whole` for an interface that is no cloned one.
pub(crate) fn remove(
    all: &[Interface],
    name: &str,
    gone: &[Network],
    whole: bool,
) -> Result<Vec<Invocation>> {
    let Some(found) = all.iter().find(|i| i.name == name) else {
        return Ok(Vec::new());
    };
    if whole && !can_be_made(name) {
        return Err(SysError::new(
            format!("remove the interface {name}"),
            addresses::OTHER_KIND,
        ));
    }
    let there = gone.iter().filter(|g| found.addresses.contains(g));
    let mut commands: Vec<Invocation> = there.map(|g| remove_alias(name, *g)).collect();
    if whole {
        commands.push(Invocation::new(IFCONFIG, &[name, "destroy"]));
    }
    Ok(commands)
}

/// `lo1`, `bridge0`, …: interfaces that ifconfig(8) makes, and that are none of the hardware's. `lo0` is the kernel's own.
fn can_be_made(name: &str) -> bool {
    let number = |rest: &str| !rest.is_empty() && rest.len() <= 5 && rest.bytes().all(|b| b.is_ascii_digit());
    name != "lo0"
        && ["lo", "bridge"]
            .iter()
            .any(|kind| name.strip_prefix(kind).is_some_and(number))
}

fn add_alias(interface: &str, network: Network) -> Invocation {
    alias(interface, network, "alias")
}

/// Takes an address from an interface.
pub(crate) fn remove_alias(interface: &str, network: Network) -> Invocation {
    alias(interface, network, "-alias")
}

fn alias(interface: &str, network: Network, what: &str) -> Invocation {
    let family = if network.addr.is_ipv4() { "inet" } else { "inet6" };
    Invocation::new(IFCONFIG, &[interface, family, &network.to_string(), what])
}

/// Whether ifconfig(8), or rctl(8), says that what it was to take away is not there.
pub(crate) fn is_gone(why: &str) -> bool {
    [
        "Can't assign requested address",
        "does not exist",
        "No such process",
    ]
    .iter()
    .any(|words| why.contains(words))
}

#[cfg(test)]
mod tests {
    use super::super::{command, golden};
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    fn lines(plan: Ensure) -> String {
        let all = plan
            .create
            .into_iter()
            .chain(plan.add.into_iter().map(|(_, i)| i))
            .chain([plan.up]);
        all.map(|i| format!("{i}\n")).collect()
    }

    #[test]
    fn net_create_and_delete() {
        let host = golden::interfaces();
        let mut text = String::from("# a host without lo2\n");
        text += &lines(ensure(&host, "lo2", &networks(&["192.168.2.1/28", "fd00:2::1/64"])).unwrap());
        text += "# a host with lo1 and its address\n";
        text += &lines(ensure(&host, "lo1", &networks(&["192.168.1.1/28"])).unwrap());
        text += "# one address more\n";
        text += &lines(ensure(&host, "lo1", &networks(&["192.168.1.1/28", "10.0.0.1/24"])).unwrap());
        text += "# back again\n";
        for i in remove(&host, "lo1", &networks(&["192.168.1.1/28", "10.9.9.9/24"]), true).unwrap() {
            text += &format!("{i}\n");
        }
        golden::check("net.txt", &text);
        assert!(remove(&host, "lo9", &[], true).unwrap().is_empty());
        assert_eq!(
            remove(&host, "em0", &networks(&["192.0.2.10/24"]), false)
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn refusals() {
        let host = golden::interfaces();
        let refused =
            |name: &str, wanted: &[&str]| ensure(&host, name, &networks(wanted)).unwrap_err().to_string();
        assert!(refused("lo1", &["192.168.1.1/32"]).contains("has 192.168.1.1/28 already"));
        assert!(refused("lo2", &["192.168.1.1/28"]).contains("is an address of lo1"));
        for name in ["jails", "lo", "lox", "em7", "bridge", "lo1234567"] {
            assert!(
                refused(name, &[]).contains("makes no interface of this name"),
                "{name}"
            );
        }
        for name in ["em0", "lo0"] {
            assert!(
                remove(&host, name, &[], true)
                    .unwrap_err()
                    .to_string()
                    .contains("not an interface for jails")
            );
        }
    }

    #[test]
    fn gone_is_gone() {
        for fixture in [
            include_str!("../../fixtures/freebsd-13.2/ifconfig-alias-gone.txt"),
            include_str!("../../fixtures/freebsd-13.2/ifconfig-nosuch0.txt"),
        ] {
            assert!(is_gone(&command::said(fixture).unwrap()));
        }
        assert!(!is_gone("permission denied"));
    }
}
