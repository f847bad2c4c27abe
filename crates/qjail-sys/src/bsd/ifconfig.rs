//! Reading ifconfig(8) and `route -n get default`.

use std::net::IpAddr;

use qjail_model::Network;

/// An interface as ifconfig(8) shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) addresses: Vec<Network>,
    /// Its Ethernet address.
    pub(crate) ether: Option<String>,
    /// Members, of a bridge.
    pub(crate) members: Vec<String>,
    /// `lo`, `bridge`, `epair`, ….
    pub(crate) groups: Vec<String>,
}

impl Shown {
    /// Whether it is a bridge.
    pub(crate) fn is_bridge(&self) -> bool {
        self.groups.iter().any(|g| g == "bridge")
    }
}

/// All interfaces of an output of ifconfig(8). Lines of other kinds are passed over.
pub(crate) fn parse(text: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    for line in text.lines() {
        if !line.starts_with(char::is_whitespace) {
            all.extend(head(line));
        } else if let Some(current) = all.last_mut() {
            detail(current, line.trim());
        }
    }
    all
}

/// `lo1: flags=8049<UP,LOOPBACK,RUNNING,MULTICAST> metric 0 mtu 16384`
fn head(line: &str) -> Option<Shown> {
    let (name, _) = line.split_once(": flags=")?;
    Some(Shown {
        name: name.to_owned(),
        ..Shown::default()
    })
}

fn detail(shown: &mut Shown, line: &str) {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("inet") => shown.addresses.extend(inet(words)),
        Some("inet6") => shown.addresses.extend(inet6(words)),
        Some("ether") => shown.ether = words.next().map(str::to_owned),
        Some("member:") => shown.members.extend(words.next().map(str::to_owned)),
        Some("groups:") => shown.groups.extend(words.map(str::to_owned)),
        _ => {}
    }
}

/// `192.168.1.1 netmask 0xffffff00 broadcast …`
fn inet<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Network> {
    let addr = words.next()?.parse().ok()?;
    let mask = words.skip_while(|w| *w != "netmask").nth(1)?;
    let bits = u32::from_str_radix(mask.strip_prefix("0x")?, 16).ok()?;
    Some(Network {
        addr,
        len: u8::try_from(bits.leading_ones()).ok()?,
    })
}

/// `fe80::1%lo1 prefixlen 64 scopeid 0x4`
fn inet6<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Network> {
    let addr = words.next()?.split('%').next()?.parse().ok()?;
    let len = words.skip_while(|w| *w != "prefixlen").nth(1)?.parse().ok()?;
    Some(Network { addr, len })
}

/// The interface of the default route and the router that it goes to: the lines `interface: vtnet0` and `gateway: 10.0.2.2`. No router where
/// the route is to the wire itself.
pub(crate) fn default_route(text: &str) -> Option<(String, Option<IpAddr>)> {
    let of = |key: &str| {
        let mut lines = text.lines().filter_map(|l| l.trim().strip_prefix(key));
        lines.next().map(str::trim)
    };
    // An IPv6 router of the wire itself is `fe80::1%vtnet0`.
    let gateway = of("gateway: ").and_then(|g| g.split('%').next()?.parse().ok());
    Some((of("interface: ")?.to_owned(), gateway))
}

/// The bits of a netmask that getifaddrs(3) gives as bytes.
pub(crate) fn mask_len(bytes: &[u8]) -> u8 {
    let full = bytes.iter().take_while(|b| **b == 0xff).count();
    let rest = bytes.get(full).map_or(0, |b| b.leading_ones());
    u8::try_from(full * 8)
        .unwrap_or(u8::MAX)
        .saturating_add(u8::try_from(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lo1_with_twenty_jails() {
        let all = parse(include_str!("../../fixtures/freebsd-13.2/ifconfig-lo1.txt"));
        let lo1 = &all[0];
        assert_eq!((all.len(), lo1.name.as_str(), lo1.is_bridge()), (1, "lo1", false));
        let texts: Vec<String> = lo1.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 22);
        assert_eq!(texts[..3], ["fe80::1/64", "192.168.1.1/24", "192.168.1.10/32"]);
        assert_eq!(lo1.groups, ["lo"]);
    }

    #[test]
    fn a_bridge_and_its_member() {
        let all = parse(include_str!(
            "../../fixtures/freebsd-13.2/ifconfig-bridge0-epair0a.txt"
        ));
        assert_eq!(all.len(), 2);
        assert!(all[0].is_bridge() && !all[1].is_bridge());
        assert_eq!(all[0].members, ["epair0a"]);
        assert_eq!(all[1].name, "epair0a");
        assert_eq!(all[1].ether.as_deref(), Some("02:61:f6:53:09:0a"));
        let route = include_str!("../../fixtures/freebsd-13.2/route-default.txt");
        let v4 = Some("10.0.2.2".parse().unwrap());
        assert_eq!(default_route(route), Some(("vtnet0".to_owned(), v4)));
        let v6 = route.replace("10.0.2.2", "fe80::1%vtnet0");
        let router = Some("fe80::1".parse().unwrap());
        assert_eq!(default_route(&v6), Some(("vtnet0".to_owned(), router)));
        let wire = route.replace("10.0.2.2", "link#2");
        assert_eq!(default_route(&wire), Some(("vtnet0".to_owned(), None)));
    }

    #[test]
    fn other_words_are_no_interface() {
        assert!(parse(include_str!("../../fixtures/freebsd-13.2/ifconfig-nosuch0.txt")).is_empty());
        assert!(parse("\tinet 1.2.3.4 netmask 0xff000000\nlo0 nonsense\n").is_empty());
        assert!(
            parse("lo0: flags=0<>\n\tinet x netmask y\n\tinet 1.2.3.4 netmask\n\tinet6 ::1\n")[0]
                .addresses
                .is_empty()
        );
        assert_eq!(default_route("route: route has not been found\n"), None);
    }

    #[test]
    fn masks() {
        for (bytes, len) in [
            (&[255, 255, 255, 240][..], 28),
            (&[255; 4], 32),
            (&[0; 4], 0),
            (&[255; 16], 128),
            (&[], 0),
        ] {
            assert_eq!(mask_len(bytes), len, "{bytes:?}");
        }
    }
}
