//! The connection of one jail: planned from its parameters and the bridges there are, then made on both sides.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use qjail_model::{AddrSpec, Network, Params};

use super::links::{self, Link};
use super::names::{self, HostEnds, Mac};
use super::netlink::Netlink;
use super::{MARK, inside, member, plain, requests};
use crate::params::is_vnet;
use crate::{Result, SysError, addresses};

/// Connects the jails of one state directory.
#[derive(Debug)]
pub(in super::super) struct JailNetwork {
    state_dir: PathBuf,
}

/// What a jail has on one bridge.
#[derive(Debug, PartialEq, Eq)]
struct Port {
    bridge: Link,
    host: String,
    inside: String,
    mac: Mac,
    addresses: Vec<Network>,
}

/// The way out for one family: through which port, to which address of the bridge.
#[derive(Debug, PartialEq, Eq)]
struct Gateway {
    port: usize,
    addr: IpAddr,
    /// Whether it lies in a network of the jail's own address.
    near: bool,
}

/// All of a jail's network.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wiring {
    /// The jail's root has the say in its network stack.
    vnet: bool,
    ports: Vec<Port>,
    gateways: Vec<Gateway>,
}

impl JailNetwork {
    pub(in super::super) fn new(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
        }
    }

    /// Connects the network namespace of the process `pid` as the jail's parameters say: `interface`, `ip4.addr`,
    /// `ip6.addr`. Without addresses it has its loopback interface only. On failure nothing is left on the host.
    ///
    /// # Errors
    /// A bridge that does not exist, with the hint that makes it; what the kernel refused.
    pub(in super::super) fn wire(&self, pid: i32, jail: &str, params: &Params) -> Result<()> {
        let fail = |e: io::Error| SysError::new(format!("connect {jail} to the network"), plain(&e));
        let mut netlink = Netlink::open().map_err(fail)?;
        let turn = is_vnet(params).then(member::Turn::wait);
        let turn = turn.transpose().map_err(fail)?;
        let wired = self.wire_in_turn(&mut netlink, turn.as_ref(), pid, jail, params);
        if let (Err(_), Some(turn)) = (&wired, &turn) {
            // The first failure is told; what could not be removed now is found by `cleanup`.
            let _ = member::leave(&mut netlink, turn);
        }
        wired
    }

    fn wire_in_turn(
        &self,
        netlink: &mut Netlink,
        turn: Option<&member::Turn>,
        pid: i32,
        jail: &str,
        params: &Params,
    ) -> Result<()> {
        let fail = |e: io::Error| SysError::new(format!("connect {jail} to the network"), plain(&e));
        let ends = HostEnds::of(&self.state_dir, jail);
        let mut wanted = addresses::of_jail(jail, params)?;
        let mut also = Vec::new();
        if let Some(turn) = turn {
            for (interface, _) in &mut wanted {
                *interface = member::bridge_for(netlink, turn, jail, interface)?.name;
            }
            if let Some(interface) = params.text("interface") {
                also.push(member::bridge_for(netlink, turn, jail, interface)?.name);
            }
        }
        let all = links::all(netlink).map_err(fail)?;
        let wiring = Wiring {
            vnet: turn.is_some(),
            ..plan(jail, &wanted, &also, &all, &ends)?
        };
        if all.iter().any(|l| ends.contains(&l.name)) {
            // Of a jail that was killed: its network may take a moment to be gone.
            remove_ends(netlink, &ends).map_err(fail)?;
        }
        let made = self.connect(netlink, pid, jail, &wiring);
        if made.is_err() {
            // The first failure is told; what could not be removed now is found by `cleanup`.
            let _ = remove_ends(netlink, &ends);
        }
        made
    }

    fn connect(&self, netlink: &mut Netlink, pid: i32, jail: &str, wiring: &Wiring) -> Result<()> {
        let fail = |e: io::Error| SysError::new(format!("enter the network of {jail}"), plain(&e));
        let namespace = inside::namespace_of(pid).map_err(fail)?;
        for port in &wiring.ports {
            let fail =
                |e: io::Error| SysError::new(format!("connect {jail} to {}", port.bridge.name), plain(&e));
            let pair = requests::Pair {
                host: &port.host,
                bridge: &port.bridge,
                inside: &port.inside,
                mac: port.mac,
                namespace: namespace.as_fd(),
            };
            requests::add_pair(netlink, &pair).map_err(fail)?;
            let alias = format!("{MARK}:{jail}:{}", port.bridge.name);
            requests::set_alias(netlink, &port.host, &alias).map_err(fail)?;
        }
        inside::in_namespace(namespace.as_fd(), || configure(wiring))
            .map_err(fail)?
            .map_err(|(what, e)| SysError::new(format!("{what} in {jail}"), plain(&e)))
    }

    /// Removes what [`JailNetwork::wire`] made. Idempotent.
    ///
    /// # Errors
    /// What is still there and why.
    pub(in super::super) fn unwire(&self, jail: &str) -> Result<()> {
        let fail = |e: io::Error| SysError::new(format!("disconnect {jail} from the network"), plain(&e));
        let mut netlink = Netlink::open().map_err(fail)?;
        remove_ends(&mut netlink, &HostEnds::of(&self.state_dir, jail)).map_err(fail)?;
        if !links::all(&mut netlink)
            .map_err(fail)?
            .iter()
            .any(member::is_made)
        {
            return Ok(());
        }
        let turn = member::Turn::wait().map_err(fail)?;
        member::leave(&mut netlink, &turn).map_err(fail)
    }
}

/// With its host end the other end is gone as well, wherever it is.
fn remove_ends(netlink: &mut Netlink, ends: &HostEnds) -> io::Result<()> {
    let ours = |l: &Link| l.kind == "veth" && ends.contains(&l.name);
    for link in links::all(netlink)?.iter().filter(|l| ours(l)) {
        match requests::delete_link(netlink, link.index) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    match links::all(netlink)?.iter().find(|l| ours(l)) {
        Some(left) => Err(io::Error::other(format!("{} is still there", left.name))),
        None => Ok(()),
    }
}

/// `also`: bridges that the jail is on even without an address there.
fn plan(
    jail: &str,
    wanted: &[(String, AddrSpec)],
    also: &[String],
    all: &[Link],
    ends: &HostEnds,
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
            // The name of the host's end stands for the jail and its state directory.
            wiring
                .ports
                .push(new_port(jail, bridge, &ends.name(number), number, ends)?);
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

/// What failed, and how.
type Failure = (String, io::Error);

/// Does the work inside the jail's network namespace.
fn configure(wiring: &Wiring) -> std::result::Result<(), Failure> {
    let looking = |e| ("list the network interfaces".to_owned(), e);
    let mut netlink = Netlink::open().map_err(looking)?;
    let all = links::all(&mut netlink).map_err(looking)?;
    let index_of = |name: &str| {
        let missing = || (format!("configure {name}"), io::Error::other("it is not there"));
        all.iter()
            .find(|l| l.name == name)
            .map(|l| l.index)
            .ok_or_else(missing)
    };
    requests::set_up(&mut netlink, index_of("lo")?).map_err(|e| ("bring up lo".to_owned(), e))?;
    for port in &wiring.ports {
        let index = index_of(&port.inside)?;
        if !wiring.vnet {
            settle_ip6(port).map_err(|e| (format!("set up IPv6 on {}", port.inside), e))?;
        }
        requests::set_up(&mut netlink, index).map_err(|e| (format!("bring up {}", port.inside), e))?;
        for address in &port.addresses {
            requests::add_address(&mut netlink, index, *address)
                .map_err(|e| (format!("add {address} to {}", port.inside), e))?;
        }
    }
    for gateway in &wiring.gateways {
        let index = index_of(&wiring.ports[gateway.port].inside)?;
        let fail = |e| (format!("set the default route through {}", gateway.addr), e);
        if !gateway.near {
            requests::add_route_to_host(&mut netlink, index, gateway.addr).map_err(fail)?;
        }
        requests::add_default_route(&mut netlink, index, gateway.addr).map_err(fail)?;
    }
    Ok(())
}

/// The jail has exactly its addresses: none of its own making without ip6.addr, and no routes or addresses that another
/// jail announces. /proc/sys/net shows the namespace of the thread that opens it (see ip-sysctl).
fn settle_ip6(port: &Port) -> io::Result<()> {
    let has_ip6 = port.addresses.iter().any(|n| n.addr.is_ipv6());
    let setting = if has_ip6 {
        ("accept_ra", "0")
    } else {
        ("disable_ipv6", "1")
    };
    match std::fs::write(
        format!("/proc/sys/net/ipv6/conf/{}/{}", port.inside, setting.0),
        setting.1,
    ) {
        // A kernel without IPv6.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
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
