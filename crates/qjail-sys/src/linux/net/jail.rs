//! The connection of one jail: planned (`wiring`), then made on both sides.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use qjail_model::Params;

use super::links::{self, Link};
use super::names::HostEnds;
use super::netlink::Netlink;
use super::wiring::{Port, Wiring, plan};
use super::{MARK, inside, member, plain, requests};
use crate::params::is_vnet;
use crate::{Result, SysError, addresses};

/// Connects the jails of one state directory.
#[derive(Debug)]
pub(in super::super) struct JailNetwork {
    state_dir: PathBuf,
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
            ..plan(jail, &wanted, &also, &all, &ends, &machine())?
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

/// What tells this host from others on the same wire, see machine-id(5); nothing where it has none.
fn machine() -> String {
    std::fs::read_to_string("/etc/machine-id").unwrap_or_default()
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
