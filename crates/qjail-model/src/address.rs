//! Addresses as the command line and jail(8) write them: `[IF|]ADDR[/LEN]`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The protocol family of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// Not an address at all.
    #[error("`{0}` is not an IP address")]
    NotAnAddress(String),
    /// The number after `/` is missing or too large.
    #[error("`{0}`: the prefix length must be a number from 0 to {1}")]
    BadLength(String, u8),
    /// The interface name before `|`.
    #[error("`{0}`: `{1}` is not an interface name")]
    BadInterface(String, String),
    /// An address no jail can have (unspecified, multicast, broadcast).
    #[error("`{0}`: {1} can not be given to a jail")]
    NotAHost(String, &'static str),
    /// A network where `ADDR/LEN` was asked for.
    #[error("`{0}`: write the address with its prefix length, such as 192.168.1.1/28")]
    NoLength(String),
}

/// Whether `name` could name a network interface: 1 to 15 characters (Linux `IFNAMSIZ`, FreeBSD the same), no space, no `/`.
fn is_interface(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 15
        && name != "."
        && name != ".."
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !name.starts_with('-')
}

/// One address of a jail: `[IF|]ADDR[/LEN]`, the form of `ip4.addr` and `ip6.addr` in jail(8).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddrSpec {
    /// The interface, where it is named.
    pub interface: Option<String>,
    /// The address.
    pub addr: IpAddr,
    /// The prefix length, where it is given.
    pub len: Option<u8>,
}

impl AddrSpec {
    /// The family of the address.
    #[must_use]
    pub fn family(&self) -> Family {
        if self.addr.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }
}

fn max_len(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

fn parse_len(whole: &str, text: &str, addr: IpAddr) -> Result<u8, AddrError> {
    let max = max_len(addr);
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|len| digits && *len <= max)
        .ok_or_else(|| AddrError::BadLength(whole.to_owned(), max))
}

fn check_host(whole: &str, addr: IpAddr) -> Result<(), AddrError> {
    let why = match addr {
        a if a.is_unspecified() => "the unspecified address",
        a if a.is_multicast() => "a multicast address",
        IpAddr::V4(a) if a.is_broadcast() => "the broadcast address",
        _ => return Ok(()),
    };
    Err(AddrError::NotAHost(whole.to_owned(), why))
}

impl FromStr for AddrSpec {
    type Err = AddrError;

    fn from_str(s: &str) -> Result<Self, AddrError> {
        let (interface, rest) = match s.split_once('|') {
            Some((i, rest)) if is_interface(i) => (Some(i.to_owned()), rest),
            Some((i, _)) => return Err(AddrError::BadInterface(s.to_owned(), i.to_owned())),
            None => (None, s),
        };
        let (addr, len) = rest.split_once('/').map_or((rest, None), |(a, l)| (a, Some(l)));
        let addr: IpAddr = addr.parse().map_err(|_| AddrError::NotAnAddress(s.to_owned()))?;
        check_host(s, addr)?;
        let len = len.map(|l| parse_len(s, l, addr)).transpose()?;
        Ok(Self { interface, addr, len })
    }
}

impl fmt::Display for AddrSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(i) = &self.interface {
            write!(f, "{i}|")?;
        }
        write!(f, "{}", self.addr)?;
        self.len.map_or(Ok(()), |l| write!(f, "/{l}"))
    }
}

impl TryFrom<String> for AddrSpec {
    type Error = AddrError;
    fn try_from(s: String) -> Result<Self, AddrError> {
        s.parse()
    }
}

impl From<AddrSpec> for String {
    fn from(a: AddrSpec) -> String {
        a.to_string()
    }
}

/// An interface's own address with the length of its network: `192.168.1.1/28`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    /// The interface's address.
    pub addr: IpAddr,
    /// The prefix length.
    pub len: u8,
}

impl Network {
    /// Whether `other` lies in the network.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        ipnet::IpNet::new(self.addr, self.len).is_ok_and(|net| net.contains(&other))
    }

    /// The addresses of the network that a host may have, in order, the interface's own left out.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let own = self.addr;
        let net = ipnet::IpNet::new(self.addr, self.len).ok();
        net.into_iter().flat_map(|n| n.hosts()).filter(move |a| *a != own)
    }

    /// Why `other` can not be a host of this network, if it can not.
    #[must_use]
    pub fn host_problem(&self, other: IpAddr) -> Option<&'static str> {
        let IpAddr::V4(other) = other else { return None };
        let Ok(ipnet::IpNet::V4(net)) = ipnet::IpNet::new(self.addr, self.len) else {
            return None;
        };
        if self.len >= 31 || !net.contains(&other) {
            return None;
        }
        if other == net.network() {
            return Some("is the network's own address");
        }
        (other == net.broadcast()).then_some("is the network's broadcast address")
    }
}

impl FromStr for Network {
    type Err = AddrError;

    fn from_str(s: &str) -> Result<Self, AddrError> {
        let spec: AddrSpec = s.parse()?;
        if let Some(interface) = spec.interface {
            return Err(AddrError::BadInterface(s.to_owned(), interface));
        }
        let len = spec.len.ok_or_else(|| AddrError::NoLength(s.to_owned()))?;
        let network = Self { addr: spec.addr, len };
        if let Some(why) = network.host_problem(spec.addr) {
            return Err(AddrError::NotAHost(
                s.to_owned(),
                if why.contains("broadcast") {
                    "the broadcast address"
                } else {
                    "the network address"
                },
            ));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl TryFrom<String> for Network {
    type Error = AddrError;
    fn try_from(s: String) -> Result<Self, AddrError> {
        s.parse()
    }
}

impl From<Network> for String {
    fn from(n: Network) -> String {
        n.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms() {
        for good in [
            "192.168.1.2",
            "lo1|192.168.1.2/28",
            "em0|fd00::2/64",
            "fd00::2",
            "10.0.0.1/0",
        ] {
            assert_eq!(good.parse::<AddrSpec>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn refusals_name_the_input() {
        for (bad, why) in [
            ("", "not an IP"),
            ("192.168.1.300", "not an IP"),
            ("192.168.1", "not an IP"),
            ("1.2.3.4/33", "0 to 32"),
            ("1.2.3.4/", "0 to 32"),
            ("1.2.3.4/+1", "0 to 32"),
            ("::1/129", "0 to 128"),
            ("|1.2.3.4", "interface"),
            ("a b|1.2.3.4", "interface"),
            ("0.0.0.0", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("1.2.3.4;reboot", "not an IP"),
        ] {
            let text = bad.parse::<AddrSpec>().unwrap_err().to_string();
            assert!(text.contains(why), "{bad}: {text}");
        }
    }

    #[test]
    fn networks() {
        let net: Network = "192.168.1.1/28".parse().unwrap();
        assert!(net.contains("192.168.1.14".parse().unwrap()));
        assert!(!net.contains("192.168.1.16".parse().unwrap()));
        assert_eq!(net.hosts().count(), 13);
        assert!(net.host_problem("192.168.1.15".parse().unwrap()).is_some());
        assert!(
            "192.168.1.0/28"
                .parse::<Network>()
                .unwrap_err()
                .to_string()
                .contains("network address")
        );
        assert!(
            "192.168.1.1"
                .parse::<Network>()
                .unwrap_err()
                .to_string()
                .contains("/28")
        );
        let six: Network = "fd00::1/64".parse().unwrap();
        assert_eq!(six.hosts().next().unwrap().to_string(), "fd00::");
    }

    proptest! {
        #[test]
        fn round_trip(bits in any::<u32>(), len in proptest::option::of(0u8..=32), lo in any::<bool>()) {
            let addr = IpAddr::V4(bits.into());
            prop_assume!(check_host("", addr).is_ok());
            let spec = AddrSpec { interface: lo.then(|| "lo1".to_owned()), addr, len };
            prop_assert_eq!(spec.to_string().parse::<AddrSpec>().unwrap(), spec);
        }

        #[test]
        fn no_input_panics(text in ".{0,40}") {
            let _ = text.parse::<AddrSpec>();
            let _ = text.parse::<Network>();
        }
    }
}
