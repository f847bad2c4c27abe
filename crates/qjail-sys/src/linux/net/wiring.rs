//! What a jail's network is going to be, worked out from its addresses and the bridges there are. Nothing is changed.

use std::net::IpAddr;

use qjail_model::{AddrSpec, Network};

use super::links::Link;
use super::names::{self, HostEnds, Mac};
use crate::{Result, SysError, addresses};

/// What a jail has on one bridge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) bridge: Link,
    pub(super) host: String,
    pub(super) inside: String,
    pub(super) mac: Mac,
    pub(super) addresses: Vec<Network>,
}

/// The way out for one family: through which port, to which address of the bridge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gateway {
    pub(super) port: usize,
    pub(super) addr: IpAddr,
    /// Whether it lies in a network of the jail's own address.
    pub(super) near: bool,
}

/// All of a jail's network.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wiring {
    /// The jail's root has the say in its network stack.
    pub(super) vnet: bool,
    pub(super) ports: Vec<Port>,
    pub(super) gateways: Vec<Gateway>,
}

/// The network of a jail: `wanted` are its addresses with their bridges, `also` bridges that it is on without one.
pub(super) fn plan(
    jail: &str,
    wanted: &[(String, AddrSpec)],
    also: &[String],
    all: &[Link],
    ends: &HostEnds,
    machine: &str,
) -> Result<Wiring> {
    let mut wiring = Wiring::default();
    for (interface, spec) in wanted {
        let at = match wiring.ports.iter().position(|p| p.bridge.name == *interface) {
            Some(at) => at,
            None => {
                let bridge = find_bridge(jail, interface, all)?;
                wiring.ports.push(new_port(
                    jail,
                    bridge,
                    &spec.addr.to_string(),
                    wiring.ports.len(),
                    ends,
                )?);
                wiring.ports.len() - 1
            }
        };
        let port = &mut wiring.ports[at];
        let address = with_length(jail, spec, &port.bridge)?;
        port.addresses.push(address);
        let known = wiring
            .gateways
            .iter()
            .any(|g| g.addr.is_ipv4() == address.addr.is_ipv4());
        if let (false, Some(addr)) = (known, gateway(&port.bridge, address)) {
            wiring.gateways.push(Gateway {
                port: at,
                addr,
                near: address.contains(addr),
            });
        }
    }
    for name in also {
        if !wiring.ports.iter().any(|p| p.bridge.name == *name) {
            let bridge = find_bridge(jail, name, all)?;
            let number = wiring.ports.len();
            wiring
                .ports
                .push(new_port(jail, bridge, &ends.salt(machine), number, ends)?);
        }
    }
    Ok(wiring)
}

fn find_bridge<'a>(jail: &str, interface: &str, all: &'a [Link]) -> Result<&'a Link> {
    match all.iter().find(|l| l.name == interface) {
        Some(link) if link.is_bridge() => Ok(link),
        Some(_) => Err(addresses::not_for_jails(jail, interface)),
        None => Err(addresses::no_interface(jail, interface)),
    }
}

fn new_port(jail: &str, bridge: &Link, salt: &str, number: usize, ends: &HostEnds) -> Result<Port> {
    if number >= names::MOST_BRIDGES {
        let attempt = format!("connect {jail} to {}", bridge.name);
        return Err(SysError::new(
            attempt,
            format!("a jail can be on {} bridges at most", names::MOST_BRIDGES),
        ));
    }
    Ok(Port {
        bridge: bridge.clone(),
        host: ends.name(number),
        inside: format!("eth{number}"),
        mac: names::jail_mac(jail, &bridge.name, salt),
        addresses: Vec::new(),
    })
}

/// With the length that is given, or that of the bridge's network it lies in, or as a host of its own.
fn with_length(jail: &str, spec: &AddrSpec, bridge: &Link) -> Result<Network> {
    if bridge.addresses.iter().any(|n| n.addr == spec.addr) {
        let attempt = format!("give {} to {jail}", spec.addr);
        return Err(
            SysError::new(attempt, format!("it is the address of {} itself", bridge.name))
                .hint("choose another address of that network"),
        );
    }
    let around = bridge
        .addresses
        .iter()
        .filter(|n| n.contains(spec.addr))
        .map(|n| n.len)
        .max();
    let alone = if spec.addr.is_ipv4() { 32 } else { 128 };
    Ok(Network {
        addr: spec.addr,
        len: spec.len.or(around).unwrap_or(alone),
    })
}

/// The bridge's address that leads out: one in a network that both share, else any of the family.
fn gateway(bridge: &Link, address: Network) -> Option<IpAddr> {
    let usable = |n: &&Network| {
        let link_local = matches!(n.addr, IpAddr::V6(a) if a.is_unicast_link_local());
        n.addr.is_ipv4() == address.addr.is_ipv4() && !link_local
    };
    let shares = |n: &&Network| n.contains(address.addr) || address.contains(n.addr);
    let of_family = || bridge.addresses.iter().filter(usable);
    of_family()
        .find(shares)
        .or_else(|| of_family().next())
        .map(|n| n.addr)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn bridge(name: &str, addresses: &[&str]) -> Link {
        let addresses = addresses.iter().map(|a| network(a)).collect();
        Link {
            name: name.to_owned(),
            kind: "bridge".to_owned(),
            mtu: 1500,
            addresses,
            ..Link::default()
        }
    }

    fn planned(wanted: &[&str], all: &[Link]) -> Result<Wiring> {
        let wanted: Vec<(String, AddrSpec)> = wanted
            .iter()
            .map(|text| text.parse::<AddrSpec>().unwrap())
            .map(|spec| (spec.interface.clone().unwrap(), spec))
            .collect();
        plan(
            "jail1",
            &wanted,
            &[],
            all,
            &HostEnds::of(Path::new("/state"), "jail1"),
            "machine",
        )
    }

    #[test]
    fn lengths_and_gateways() {
        let all = [bridge("lo1", &["192.168.1.1/28", "10.0.0.1/8", "fd00::1/64"])];
        let wiring = planned(
            &[
                "lo1|192.168.1.2",
                "lo1|10.1.1.1",
                "lo1|172.16.0.1",
                "lo1|fd00::2",
                "lo1|10.0.0.9/24",
            ],
            &all,
        );
        let wiring = wiring.unwrap();
        assert_eq!(wiring.ports.len(), 1);
        let addresses: Vec<String> = wiring.ports[0]
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            addresses,
            [
                "192.168.1.2/28",
                "10.1.1.1/8",
                "172.16.0.1/32",
                "fd00::2/64",
                "10.0.0.9/24"
            ]
        );
        let gateways: Vec<String> = wiring
            .gateways
            .iter()
            .map(|g| format!("{} {}", g.addr, g.near))
            .collect();
        assert_eq!(gateways, ["192.168.1.1 true", "fd00::1 true"]);
    }

    #[test]
    fn a_host_of_its_own_reaches_the_gateway_on_link() {
        let all = [bridge("lo1", &["192.168.1.1/28"])];
        for address in ["lo1|10.9.9.9", "lo1|192.168.1.2/32"] {
            let wiring = planned(&[address], &all).unwrap();
            assert_eq!(
                wiring.gateways,
                [Gateway {
                    port: 0,
                    addr: "192.168.1.1".parse().unwrap(),
                    near: false
                }]
            );
        }
        assert!(planned(&["lo1|fd00::2"], &all).unwrap().gateways.is_empty());
    }

    #[test]
    fn one_port_for_each_bridge() {
        let all = [
            bridge("lo1", &["192.168.1.1/28"]),
            bridge("lo2", &["192.168.2.1/28"]),
        ];
        let wiring = planned(&["lo2|192.168.2.2", "lo1|192.168.1.2", "lo2|192.168.2.3"], &all).unwrap();
        let ports: Vec<(&str, &str, usize)> = wiring
            .ports
            .iter()
            .map(|p| (p.bridge.name.as_str(), p.inside.as_str(), p.addresses.len()))
            .collect();
        assert_eq!(ports, [("lo2", "eth0", 2), ("lo1", "eth1", 1)]);
        assert_ne!(wiring.ports[0].host, wiring.ports[1].host);
        assert_ne!(wiring.ports[0].mac, wiring.ports[1].mac);
    }

    #[test]
    fn without_an_address_no_two_jails_of_any_hosts_look_alike() {
        let all = [bridge("br0", &[])];
        let mac = |dir: &str, jail: &str, machine: &str| {
            let ends = HostEnds::of(Path::new(dir), jail);
            let wiring = plan(jail, &[], &["br0".to_owned()], &all, &ends, machine).unwrap();
            wiring.ports[0].mac
        };
        let one = mac("/state", "web", "a");
        assert_eq!(one, mac("/state", "web", "a"), "the same at each start");
        for other in [
            mac("/other", "web", "a"),
            mac("/state", "db", "a"),
            mac("/state", "web", "b"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn refusals() {
        let all = [
            bridge("lo1", &["192.168.1.1/28"]),
            Link {
                name: "eth0".to_owned(),
                ..Link::default()
            },
        ];
        let missing = planned(&["lo2|10.0.0.2"], &all).unwrap_err();
        assert!(
            missing.to_string().contains("lo2") && missing.hint.unwrap().contains("qjail net create lo2")
        );
        let card = planned(&["eth0|10.0.0.2"], &all).unwrap_err();
        assert!(card.to_string().contains(addresses::OTHER_KIND), "{card}");
        let own = planned(&["lo1|192.168.1.1"], &all).unwrap_err();
        assert!(own.to_string().contains("address of lo1 itself"), "{own}");
    }
}
