//! Jails with a network stack of their own: an epair(4), one end on a bridge of the host, the other in the jail.

use qjail_model::{AddrSpec, Network, Params};

use super::command::{IFCONFIG, Invocation, JEXEC, ROUTE};
use super::conf;
use super::ifconfig::Shown;
use crate::{JailSpec, Result, SysError, addresses};

/// From 15.0 on a member of a bridge may have no address (`net.link.bridge.member_ifaddrs`).
const MEMBERS_WITHOUT_ADDRESSES: u32 = 1_500_000;

pub(crate) use crate::params::is_vnet;

/// Whether its interface is to be made: it is not where the definition names one.
pub(crate) fn needs_pair(params: &Params) -> bool {
    is_vnet(params) && params.list("vnet.interface").is_empty()
}

/// Where the host's end of the pair goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bridge<'a> {
    /// An existing bridge.
    Existing(&'a Shown),
    /// A new one with this member.
    WithMember(&'a Shown),
}

/// The bridge of a jail: its interface, or the one that has this interface as a member.
///
/// # Errors
/// There is no such interface, or it can not become a member of a bridge.
pub(crate) fn bridge_of<'a>(spec: &JailSpec, shown: &'a [Shown], osreldate: u32) -> Result<Bridge<'a>> {
    let name = interface(spec)?;
    let Some(found) = shown.iter().find(|s| s.name == name) else {
        return Err(addresses::no_interface(&spec.name, &name));
    };
    if found.is_bridge() {
        return Ok(Bridge::Existing(found));
    }
    if let Some(bridge) = shown.iter().find(|s| s.is_bridge() && s.members.contains(&name)) {
        return Ok(Bridge::Existing(bridge));
    }
    let fail = |why: String| Err(SysError::new(format!("connect {} to {name}", spec.name), why));
    if found.groups.iter().any(|g| g == "lo") {
        return fail("a loopback interface can not be on a bridge".to_owned())
            .map_err(|e| e.hint("use a bridge: qjail net create bridge1 ADDRESS/LENGTH"));
    }
    if osreldate >= MEMBERS_WITHOUT_ADDRESSES && !found.addresses.is_empty() {
        return fail(format!(
            "{name} has an address, and from FreeBSD 15.0 on a member of a bridge may have none"
        ))
        .map_err(|e| {
            e.hint(format!(
                "make a bridge in rc.conf with {name} as a member, and give it the address"
            ))
        });
    }
    Ok(Bridge::WithMember(found))
}

fn interface(spec: &JailSpec) -> Result<String> {
    let of_address = || {
        addresses::of_jail(&spec.name, &spec.params)
            .ok()?
            .into_iter()
            .next()
            .map(|(i, _)| i)
    };
    spec.params
        .text("interface")
        .map(str::to_owned)
        .or_else(of_address)
        .ok_or_else(|| {
            SysError::new(
                format!("connect {} to the network", spec.name),
                "the parameter `interface` is not set",
            )
            .hint("set it to a bridge of the host")
        })
}

/// Makes a bridge; its name is what it prints.
pub(crate) fn make_bridge() -> Invocation {
    Invocation::new(IFCONFIG, &["bridge", "create"])
}

/// Puts `member` on a new bridge.
pub(crate) fn add_member(bridge: &str, member: &str) -> Invocation {
    Invocation::new(IFCONFIG, &[bridge, "addm", member, "up"])
}

/// Makes a pair; the kernel chooses its number. The name of the host's end, `epair3a`, is what it prints.
pub(crate) fn make_pair() -> Invocation {
    Invocation::new(IFCONFIG, &["epair", "create"])
}

/// Destroys a pair by the end that the host has.
pub(crate) fn destroy_pair(pair: &Pair) -> Invocation {
    Invocation::new(IFCONFIG, &[&pair.host_end(), "destroy"])
}

/// An epair(4): `epair3`, with the ends `epair3a` and `epair3b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair(String);

impl Pair {
    /// The pair of which one end is called so.
    pub(crate) fn of_end(end: &str) -> Option<Pair> {
        let pair = end.strip_suffix(['a', 'b'])?;
        let number = pair.strip_prefix("epair")?;
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| Pair(pair.to_owned()))
    }

    /// The end that stays with the host.
    pub(crate) fn host_end(&self) -> String {
        format!("{}a", self.0)
    }

    fn jail_end(&self) -> String {
        format!("{}b", self.0)
    }
}

/// The parameters of a jail with a pair. The file makes the pair where it is missing, so that plain jail(8) can use it.
///
/// # Errors
/// As [`conf::basic`]; an address that is none.
pub(crate) fn with_pair(spec: &JailSpec, pair: &Pair, bridge: &str, gateways: &[Network]) -> Result<Params> {
    let mut params = without_addresses(spec)?;
    let (host, jail) = (pair.host_end(), pair.jail_end());
    let prestart = vec![
        format!(
            "{IFCONFIG} {host} > /dev/null 2>&1 || {IFCONFIG} {} create",
            pair.0
        ),
        format!("{IFCONFIG} {host} ether {}", mac(&spec.name, 0x0a)),
        format!("{IFCONFIG} {jail} ether {}", mac(&spec.name, 0x0b)),
        format!("{IFCONFIG} {bridge} addm {host}"),
        format!("{IFCONFIG} {host} up"),
    ];
    conf::prepend(&mut params, "exec.prestart", prestart);
    conf::prepend(&mut params, "exec.start", inside(spec, &jail, gateways)?);
    let mut poststop = params.list("exec.poststop");
    poststop.push(destroy_pair(pair).to_string());
    params.set("exec.poststop", poststop);
    params.set("vnet.interface", jail);
    Ok(params)
}

/// The parameters of a jail whose interface is made by somebody else, addresses included.
///
/// # Errors
/// As [`conf::basic`].
pub(crate) fn without_addresses(spec: &JailSpec) -> Result<Params> {
    let mut params = conf::basic(spec)?;
    params.unset("ip4.addr");
    params.unset("ip6.addr");
    Ok(params)
}

/// What runs in the jail before its own start: 13.2 has no `ifconfig -j`.
fn inside(spec: &JailSpec, interface: &str, gateways: &[Network]) -> Result<Vec<String>> {
    let mut commands = vec![format!("{IFCONFIG} lo0 inet 127.0.0.1/8 up")];
    let wanted: Vec<AddrSpec> = addresses::of_jail(&spec.name, &spec.params)?
        .into_iter()
        .map(|(_, a)| a)
        .collect();
    for a in &wanted {
        let family = if a.addr.is_ipv4() { "inet" } else { "inet6" };
        let len = a.len.or_else(|| gateway(gateways, a).map(|g| g.len));
        let len = len.unwrap_or(if a.addr.is_ipv4() { 32 } else { 128 });
        commands.push(format!("{IFCONFIG} {interface} {family} {}/{len} alias", a.addr));
    }
    commands.push(format!("{IFCONFIG} {interface} up"));
    for family in ["-inet", "-inet6"] {
        let of_family = wanted.iter().filter(|a| a.addr.is_ipv4() == (family == "-inet"));
        if let Some(g) = of_family.filter_map(|a| gateway(gateways, a)).next() {
            commands.push(format!("{ROUTE} -n add {family} default {}", g.addr));
        }
    }
    Ok(commands)
}

/// The bridge's address in the network of the jail's.
fn gateway<'a>(gateways: &'a [Network], address: &AddrSpec) -> Option<&'a Network> {
    gateways
        .iter()
        .find(|g| g.addr != address.addr && g.contains(address.addr))
}

/// A locally administered address from the jail's name, which is the only one of its kind on the host: the kernel's own
/// choice can meet that of another host on the same wire. FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn mac(jail: &str, end: u8) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let [a, b, c, d, ..] = jail.bytes().fold(0xcbf2_9ce4_8422_2325, step).to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{end:02x}")
}

/// The pair that the file of a jail has made.
pub(crate) fn pair_of(params: &Params) -> Option<Pair> {
    let pair = params
        .list("vnet.interface")
        .iter()
        .find_map(|i| Pair::of_end(i))?;
    params
        .list("exec.poststop")
        .contains(&destroy_pair(&pair).to_string())
        .then_some(pair)
}

/// What is done before jail(8) removes the jail: its own stop, then its interfaces are taken back. A jail that dies with
/// an epair in it can take the kernel with it (PR 238326). None of these may fail the stop.
pub(crate) fn before_removal(name: &str, params: &Params, force: bool) -> Vec<Invocation> {
    let own = if force {
        Vec::new()
    } else {
        params.list("exec.stop")
    };
    let stop = own
        .iter()
        .map(|c| Invocation::new(JEXEC, &["-l", name, "/bin/sh", "-c", c]));
    let interfaces = params.list("vnet.interface");
    let back = interfaces
        .iter()
        .map(|i| Invocation::new(IFCONFIG, &[i, "-vnet", name]));
    stop.chain(back).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{golden, ifconfig};
    use super::*;

    fn host() -> Vec<Shown> {
        let mut shown = ifconfig::parse(include_str!(
            "../../fixtures/freebsd-13.2/ifconfig-bridge0-epair0a.txt"
        ));
        shown.extend(ifconfig::parse(include_str!(
            "../../fixtures/freebsd-13.2/ifconfig-lo1.txt"
        )));
        let em0 = Shown {
            name: "em0".into(),
            addresses: vec!["192.0.2.10/24".parse().unwrap()],
            ..Shown::default()
        };
        shown.push(em0);
        shown[0].addresses.push("10.1.0.1/24".parse().unwrap());
        shown
    }

    fn spec(interface: &str, more: &[(&str, &[&str])]) -> JailSpec {
        let mut spec = golden::spec("web", more);
        spec.params.set("interface", interface);
        spec.params.set("vnet", "new");
        spec
    }

    #[test]
    fn the_file_of_a_jail_with_a_pair() {
        let spec = spec(
            "bridge0",
            &[("ip4.addr", &["10.1.0.2"]), ("ip6.addr", &["fd00::2/64"])],
        );
        let pair = Pair::of_end("epair3a").unwrap();
        let params = with_pair(&spec, &pair, "bridge0", &host()[0].addresses).unwrap();
        let text = conf::render("web", &params).unwrap();
        golden::check("vnet.conf", &text);
        let read = conf::parse("web", &text).unwrap();
        assert_eq!(pair_of(&read), Some(pair));
    }

    #[test]
    fn an_interface_of_the_administrator_is_passed_as_it_is() {
        let spec = spec(
            "em0",
            &[("vnet.interface", &["em1"]), ("ip4.addr", &["10.1.0.2"])],
        );
        assert!(!needs_pair(&spec.params) && needs_pair(&self::spec("em0", &[]).params));
        let params = without_addresses(&spec).unwrap();
        assert_eq!(params.list("vnet.interface"), ["em1"]);
        assert_eq!(params.text("devfs_ruleset"), Some("5"));
        assert!(params.get("ip4.addr").is_none() && params.get("interface").is_none());
        assert_eq!(pair_of(&params), None);
    }

    #[test]
    fn bridges() {
        let shown = host();
        let of = |interface: &str, version| bridge_of(&spec(interface, &[]), &shown, version);
        assert_eq!(of("bridge0", 1_500_000).unwrap(), Bridge::Existing(&shown[0]));
        assert_eq!(of("epair0a", 1_302_001).unwrap(), Bridge::Existing(&shown[0]));
        assert_eq!(of("em0", 1_302_001).unwrap(), Bridge::WithMember(&shown[3]));
        let e = of("em0", 1_500_000).unwrap_err();
        assert!(e.to_string().contains("em0 has an address") && e.hint.unwrap().contains("rc.conf"));
        assert!(of("lo1", 1_302_001).unwrap_err().to_string().contains("loopback"));
        assert!(
            of("nosuch0", 1_302_001)
                .unwrap_err()
                .to_string()
                .contains("nosuch0: there is no such interface")
        );
        let mut bare = spec("x", &[]);
        bare.params.unset("interface");
        assert!(
            bridge_of(&bare, &shown, 1_302_001)
                .unwrap_err()
                .to_string()
                .contains("`interface` is not set")
        );
        bare.params.set("ip4.addr", "bridge0|10.1.0.9");
        assert_eq!(
            bridge_of(&bare, &shown, 1_302_001).unwrap(),
            Bridge::Existing(&shown[0])
        );
    }

    #[test]
    fn commands() {
        let pair = Pair::of_end("epair3b").unwrap();
        let mut lines = vec![
            make_bridge(),
            add_member("bridge1", "em0"),
            make_pair(),
            destroy_pair(&pair),
        ];
        let params = with_pair(&spec("bridge0", &[]), &pair, "bridge0", &[]).unwrap();
        lines.extend(before_removal("web", &params, false));
        lines.extend(before_removal("web", &params, true));
        golden::check(
            "vnet-commands.txt",
            &lines.iter().map(|l| format!("{l}\n")).collect::<String>(),
        );
    }

    #[test]
    fn names_and_addresses_of_pairs() {
        for bad in ["epair", "epaira", "epair3", "em0a", "epair3c", "epair-1a"] {
            assert_eq!(Pair::of_end(bad), None, "{bad}");
        }
        assert_ne!(mac("web", 0x0a), mac("db", 0x0a));
        assert!(mac("web", 0x0a).starts_with("02:") && mac("web", 0x0b).ends_with(":0b"));
    }

    #[test]
    fn on_and_off() {
        for (value, on) in [
            ("new", true),
            ("1", true),
            ("true", true),
            ("inherit", false),
            ("0", false),
        ] {
            let params: Params = [("vnet".to_owned(), value.into())].into_iter().collect();
            assert_eq!(is_vnet(&params), on, "{value}");
        }
    }
}
