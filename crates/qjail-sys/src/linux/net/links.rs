//! What the kernel tells about interfaces, addresses and routes. Only the few attributes that are needed are decoded, so
//! that a kernel may add any it likes.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::NlasIterator;
use netlink_packet_route::address::{AddressMessage, AddressMessageBuffer};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage, LinkMessageBuffer};
use netlink_packet_route::route::{RouteHeader, RouteMessage, RouteMessageBuffer};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use qjail_model::Network;

use super::netlink::Netlink;

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// IFLA_IFALIAS: a text for people (`ip link set … alias`).
    pub(super) alias: String,
    /// `bridge`, `veth`, …; empty for a network card.
    pub(super) kind: String,
    pub(super) mac: Vec<u8>,
    pub(super) mtu: u32,
    pub(super) up: bool,
    /// The number of the interface that it is a part of, a bridge for instance; 0 for none.
    pub(super) master: u32,
    pub(super) addresses: Vec<Network>,
}

impl Link {
    pub(super) fn is_bridge(&self) -> bool {
        self.kind == "bridge"
    }
}

/// Every interface of the namespace, with its addresses.
pub(super) fn all(netlink: &mut Netlink) -> io::Result<Vec<Link>> {
    let mut request = LinkMessage::default();
    request
        .attributes
        .push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    let answers = netlink.dump(&RouteNetlinkMessage::GetLink(request))?;
    let mut links: Vec<Link> = answers.iter().filter_map(|payload| link(payload)).collect();
    for payload in netlink.dump(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        let Some((index, address)) = address(&payload) else {
            continue;
        };
        if let Some(link) = links.iter_mut().find(|l| l.index == index) {
            link.addresses.push(address);
        }
    }
    Ok(links)
}

/// The interface of that name.
pub(super) fn find(netlink: &mut Netlink, name: &str) -> io::Result<Option<Link>> {
    Ok(all(netlink)?.into_iter().find(|l| l.name == name))
}

/// A default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DefaultRoute {
    pub(super) family: AddressFamily,
    /// The number of the interface that it goes through.
    pub(super) index: u32,
    /// The router; none where it goes to the wire itself.
    pub(super) gateway: Option<IpAddr>,
}

/// The default routes of both families.
pub(super) fn default_routes(netlink: &mut Netlink) -> io::Result<Vec<DefaultRoute>> {
    let mut all = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut request = RouteMessage::default();
        request.header.address_family = family;
        let answers = netlink.dump(&RouteNetlinkMessage::GetRoute(request))?;
        all.extend(
            answers
                .iter()
                .filter_map(|payload| default_route(payload, family)),
        );
    }
    Ok(all)
}

fn link(payload: &[u8]) -> Option<Link> {
    let message = LinkMessageBuffer::new_checked(payload).ok()?;
    let up = message.flags() & libc::IFF_UP as u32 != 0;
    let mut link = Link {
        index: message.link_index(),
        up,
        ..Link::default()
    };
    for attribute in message.attributes().flatten() {
        let value = attribute.value();
        match attribute.kind() {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_IFALIAS => link.alias = text(value),
            libc::IFLA_ADDRESS => link.mac = value.to_vec(),
            libc::IFLA_MASTER => link.master = number(value)?,
            libc::IFLA_MTU => link.mtu = number(value)?,
            libc::IFLA_LINKINFO => link.kind = kind(value),
            _ => {}
        }
    }
    Some(link)
}

fn kind(link_info: &[u8]) -> String {
    let found = NlasIterator::new(link_info)
        .flatten()
        .find(|a| a.kind() == libc::IFLA_INFO_KIND);
    found.map(|a| text(a.value())).unwrap_or_default()
}

fn address(payload: &[u8]) -> Option<(u32, Network)> {
    let message = AddressMessageBuffer::new_checked(payload).ok()?;
    let value_of = |kind: u16| {
        let found = message.attributes().flatten().find(|a| a.kind() == kind)?;
        ip(found.value())
    };
    // IFA_LOCAL is the interface's own where IFA_ADDRESS is the other end of a point-to-point link.
    let addr = value_of(libc::IFA_LOCAL).or_else(|| value_of(libc::IFA_ADDRESS))?;
    Some((
        message.index(),
        Network {
            addr,
            len: message.prefix_len(),
        },
    ))
}

fn default_route(payload: &[u8], family: AddressFamily) -> Option<DefaultRoute> {
    let message = RouteMessageBuffer::new_checked(payload).ok()?;
    if message.destination_prefix_length() != 0 || message.table() != RouteHeader::RT_TABLE_MAIN {
        return None;
    }
    let value_of = |kind: u16| message.attributes().flatten().find(|a| a.kind() == kind);
    Some(DefaultRoute {
        family,
        index: number(value_of(libc::RTA_OIF)?.value())?,
        gateway: value_of(libc::RTA_GATEWAY).and_then(|a| ip(a.value())),
    })
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let four = || <[u8; 4]>::try_from(value).map(IpAddr::from);
    let six = || <[u8; 16]>::try_from(value).map(IpAddr::from);
    four().or_else(|_| six()).ok()
}

/// Without the NUL at its end.
fn text(value: &[u8]) -> String {
    let value = value.strip_suffix(&[0]).unwrap_or(value);
    String::from_utf8_lossy(value).into_owned()
}
