//! The addresses of a network in their order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use qjail_plugin_api::model::Network;

/// Why an address is none for a host of the network.
pub(crate) fn problem(network: &Network, addr: IpAddr) -> Option<&'static str> {
    // RFC 4291, 2.6.1: the address without a host part is the routers'.
    if addr.is_ipv6() && network.len < 127 && addr == first_of(network) {
        return Some("is the address of the network's routers");
    }
    network.host_problem(addr)
}

/// The address without a host part.
pub(crate) fn first_of(network: &Network) -> IpAddr {
    match network.addr {
        IpAddr::V4(a) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(network.len)).unwrap_or(0);
            Ipv4Addr::from(u32::from(a) & mask).into()
        }
        IpAddr::V6(a) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(network.len)).unwrap_or(0);
            Ipv6Addr::from(u128::from(a) & mask).into()
        }
    }
}

/// An address and those that follow.
pub(crate) fn row(first: IpAddr) -> impl Iterator<Item = IpAddr> {
    let next = |a: &IpAddr| match a {
        IpAddr::V4(a) => u32::from(*a).checked_add(1).map(|n| Ipv4Addr::from(n).into()),
        IpAddr::V6(a) => u128::from(*a).checked_add(1).map(|n| Ipv6Addr::from(n).into()),
    };
    std::iter::successors(Some(first), next)
}
