//! The requests that change interfaces, addresses and routes, see rtnetlink(7). A call for something that is done
//! already says so with `AlreadyExists` or `NotFound`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    BridgeStpState, InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use qjail_model::Network;

use super::links::Link;
use super::names::Mac;
use super::netlink::Netlink;

const NEW: u16 = NLM_F_CREATE | NLM_F_EXCL;

/// A pair of connected interfaces: one on a bridge of this namespace, the other in the namespace of a jail.
pub(super) struct Pair<'a> {
    pub(super) host: &'a str,
    pub(super) bridge: &'a Link,
    pub(super) inside: &'a str,
    pub(super) mac: Mac,
    pub(super) namespace: BorrowedFd<'a>,
}

/// Makes a bridge that is up and forwards at once. Its hardware address is set, so that it does not follow that of the
/// interfaces that come and go on it.
pub(super) fn add_bridge(netlink: &mut Netlink, name: &str, mac: Mac) -> io::Result<()> {
    let data = vec![
        InfoBridge::ForwardDelay(0),
        InfoBridge::StpState(BridgeStpState::Disabled),
    ];
    let mut message = up(LinkMessage::default());
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Address(mac.to_vec()),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bridge),
            LinkInfo::Data(InfoData::Bridge(data)),
        ]),
    ];
    netlink.change(RouteNetlinkMessage::NewLink(message), NEW)
}

/// Makes the pair, its host end on the bridge and up, the other end down: in one request, so that no half of it can stay.
pub(super) fn add_pair(netlink: &mut Netlink, pair: &Pair<'_>) -> io::Result<()> {
    let mut peer = LinkMessage::default();
    peer.attributes = vec![
        LinkAttribute::IfName(pair.inside.to_owned()),
        LinkAttribute::Address(pair.mac.to_vec()),
        LinkAttribute::Mtu(pair.bridge.mtu),
        LinkAttribute::NetNsFd(pair.namespace.as_raw_fd()),
    ];
    let mut message = up(LinkMessage::default());
    message.attributes = vec![
        LinkAttribute::IfName(pair.host.to_owned()),
        LinkAttribute::Mtu(pair.bridge.mtu),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]),
        LinkAttribute::Controller(pair.bridge.index),
    ];
    netlink.change(RouteNetlinkMessage::NewLink(message), NEW)
}

/// Writes the text that people see at the interface. The kernel takes it for interfaces that exist only.
pub(super) fn set_alias(netlink: &mut Netlink, name: &str, alias: &str) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::IfAlias(alias.to_owned()),
    ];
    netlink.change(RouteNetlinkMessage::SetLink(message), 0)
}

/// Makes an interface a member of a bridge.
pub(super) fn set_master(netlink: &mut Netlink, index: u32, bridge: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.attributes = vec![LinkAttribute::Controller(bridge)];
    netlink.change(RouteNetlinkMessage::SetLink(message), 0)
}

pub(super) fn set_up(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let mut message = up(LinkMessage::default());
    message.header.index = index;
    netlink.change(RouteNetlinkMessage::SetLink(message), 0)
}

pub(super) fn set_down(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.change_mask = LinkFlags::Up;
    match netlink.change(RouteNetlinkMessage::SetLink(message), 0) {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Err(io::ErrorKind::NotFound.into()),
        done => done,
    }
}

fn up(mut message: LinkMessage) -> LinkMessage {
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

pub(super) fn delete_link(netlink: &mut Netlink, index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    match netlink.change(RouteNetlinkMessage::DelLink(message), 0) {
        Err(e) if e.raw_os_error() == Some(libc::ENODEV) => Err(io::ErrorKind::NotFound.into()),
        done => done,
    }
}

pub(super) fn add_address(netlink: &mut Netlink, index: u32, address: Network) -> io::Result<()> {
    let mut message = address_message(index, address);
    if address.addr.is_ipv6() {
        // The address can be used at once, not only after a second of looking for another host that has it.
        message
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    netlink.change(RouteNetlinkMessage::NewAddress(message), NEW)
}

pub(super) fn delete_address(netlink: &mut Netlink, index: u32, address: Network) -> io::Result<()> {
    let message = address_message(index, address);
    match netlink.change(RouteNetlinkMessage::DelAddress(message), 0) {
        Err(e) if matches!(e.raw_os_error(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => {
            Err(io::ErrorKind::NotFound.into())
        }
        done => done,
    }
}

fn address_message(index: u32, address: Network) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.addr);
    message.header.prefix_len = address.len;
    message.header.index = index;
    message.attributes = vec![
        AddressAttribute::Local(address.addr),
        AddressAttribute::Address(address.addr),
    ];
    message
}

/// The way to a host that is on the same wire but in none of the interface's networks.
pub(super) fn add_route_to_host(netlink: &mut Netlink, index: u32, host: IpAddr) -> io::Result<()> {
    let mut message = route(index, host);
    message.header.destination_prefix_length = if host.is_ipv4() { 32 } else { 128 };
    message.header.scope = RouteScope::Link;
    message
        .attributes
        .push(RouteAttribute::Destination(RouteAddress::from(host)));
    netlink.change(RouteNetlinkMessage::NewRoute(message), NEW)
}

pub(super) fn add_default_route(netlink: &mut Netlink, index: u32, gateway: IpAddr) -> io::Result<()> {
    let mut message = route(index, gateway);
    message
        .attributes
        .push(RouteAttribute::Gateway(RouteAddress::from(gateway)));
    netlink.change(RouteNetlinkMessage::NewRoute(message), NEW)
}

fn route(index: u32, of: IpAddr) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(of);
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![RouteAttribute::Oif(index)];
    message
}

fn family(of: IpAddr) -> AddressFamily {
    if of.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}
