//! What is known of interfaces, networks and addresses when a command begins.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use qjail_plugin_api::model::{AddrSpec, Family, Network, Params};
use qjail_plugin_api::{Context, Host, Interface, JailInfo, PluginError};

use crate::settings::{Declared, declared};

/// The parameters of jail(8) that hold addresses.
pub(crate) const ADDRESS_PARAMS: [(&str, Family); 2] = [("ip4.addr", Family::V4), ("ip6.addr", Family::V6)];

/// A look at the host, the networks that qjail keeps, and every jail.
pub(crate) struct World {
    pub(crate) freebsd: bool,
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) declared: BTreeMap<String, Declared>,
    pub(crate) jails: Vec<JailInfo>,
}

/// An address that a jail's definition has.
pub(crate) struct Used {
    pub(crate) jail: String,
    pub(crate) addr: IpAddr,
}

impl World {
    pub(crate) fn look(host: &Host<'_>, context: &Context) -> Result<Self, PluginError> {
        Ok(Self {
            freebsd: context.os == "freebsd",
            interfaces: host.interfaces()?,
            declared: declared(context)?,
            jails: host.jails()?,
        })
    }

    pub(crate) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.name == name)
    }

    /// The networks of an interface: those it has, and those it will have when it is made again.
    pub(crate) fn networks(&self, interface: &str) -> Vec<Network> {
        let mut all: Vec<Network> = self
            .declared
            .get(interface)
            .map(|d| d.addresses.clone())
            .unwrap_or_default();
        let there = self
            .interface(interface)
            .map(|i| i.addresses.as_slice())
            .unwrap_or_default();
        all.extend(there.iter().filter(|n| is_network(n)));
        let mut seen = BTreeSet::new();
        all.retain(|n| seen.insert((n.addr, n.len)));
        all
    }

    /// Whether jails can have addresses on the interface, now or when it is made again.
    pub(crate) fn is_for_jails(&self, name: &str) -> bool {
        self.interface(name)
            .map_or(self.declared.contains_key(name), |i| i.for_jails)
    }

    /// Whether a jail with a network stack of its own can be on the interface: a bridge, or one that gets a bridge.
    pub(crate) fn is_for_vnet(&self, name: &str) -> bool {
        self.is_for_jails(name) || self.interface(name).is_some_and(|i| i.name != "lo")
    }

    /// The host's interface that has, or when it is made again will have, the address.
    pub(crate) fn owner(&self, addr: IpAddr) -> Option<&str> {
        let has = |networks: &[Network]| networks.iter().any(|n| n.addr == addr);
        let there = self
            .interfaces
            .iter()
            .find(|i| has(&i.addresses))
            .map(|i| i.name.as_str());
        there.or_else(|| {
            self.declared
                .iter()
                .find(|(_, d)| has(&d.addresses))
                .map(|(name, _)| name.as_str())
        })
    }

    /// The host's interface whose default route goes to the router with that address.
    pub(crate) fn routed_by(&self, addr: IpAddr) -> Option<&str> {
        let found = self.interfaces.iter().find(|i| i.gateways.contains(&addr));
        found.map(|i| i.name.as_str())
    }

    /// The addresses of all jails but `except`.
    pub(crate) fn used(&self, except: &str) -> Vec<Used> {
        let others = self.jails.iter().filter(|j| j.name != except);
        others
            .flat_map(|j| {
                specs(j).into_iter().map(|(_, s)| Used {
                    jail: j.name.clone(),
                    addr: s.addr,
                })
            })
            .collect()
    }

    /// The names of the jails that use an interface.
    pub(crate) fn users(&self, interface: &str) -> Vec<&str> {
        let uses = |j: &&JailInfo| interfaces_of(j).contains(interface);
        self.jails.iter().filter(uses).map(|j| j.name.as_str()).collect()
    }
}

/// A host address on an interface (`/32`, `/128`) is no network that jails could share: on FreeBSD it is what running
/// jails look like from outside.
fn is_network(network: &Network) -> bool {
    network.len < if network.addr.is_ipv4() { 32 } else { 128 }
}

/// The addresses of a jail and the families of the parameters that they stand in; what is no address is passed over here,
/// the system refuses it at start.
pub(crate) fn specs(jail: &JailInfo) -> Vec<(Family, AddrSpec)> {
    let of = |(key, family)| {
        let texts = jail.params.list(key);
        texts
            .into_iter()
            .filter_map(move |t| Some((family, t.trim().parse().ok()?)))
            .collect::<Vec<_>>()
    };
    ADDRESS_PARAMS.into_iter().flat_map(of).collect()
}

/// The interfaces that a jail's definition names.
pub(crate) fn interfaces_of(jail: &JailInfo) -> BTreeSet<String> {
    let named = specs(jail).into_iter().filter_map(|(_, s)| s.interface);
    named
        .chain(jail.params.text("interface").map(str::to_owned))
        .collect()
}

/// Whether a jail has a network stack of its own.
pub(crate) fn is_vnet(params: &Params) -> bool {
    params.is_on("vnet") || params.text("vnet") == Some("new")
}

/// Whether two networks share addresses.
pub(crate) fn overlap(a: &Network, b: &Network) -> bool {
    a.contains(b.addr) || b.contains(a.addr)
}
