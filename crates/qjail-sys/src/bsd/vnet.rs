//! Jails with a network stack of their own: an epair(4), one end on a bridge of the host, the other in the jail.

use qjail_model::{AddrSpec, Network, Params};

use super::bridge::{self, Bridge};
use super::command::{IFCONFIG, Invocation, JEXEC, ROUTE};
use super::conf;
use crate::{JailSpec, Result, SysError, addresses};

pub(crate) use crate::params::is_vnet;

/// The longest name of an interface: net/if.h `IFNAMSIZ`, less the zero at its end.
pub(crate) const LONGEST_INTERFACE: usize = 15;
/// What the ends of a pair are called before the jail's name.
const ENDS: [&str; 2] = ["qa_", "qb_"];

/// Whether its interface is to be made: it is not where the definition names one.
pub(crate) fn needs_pair(params: &Params) -> bool {
    is_vnet(params) && params.list("vnet.interface").is_empty()
}

/// Why the name of a jail with a network stack of its own is too long; none where it is not.
pub(crate) fn name_problem(name: &str) -> Option<String> {
    let longest = LONGEST_INTERFACE - ENDS[0].len();
    (name.len() > longest).then(|| {
        format!(
            "a jail with a network stack of its own (vnet) has a name of {longest} characters at most, which has {}",
            name.len()
        )
    })
}

/// Refuses a name that leaves no room in the names of the jail's interfaces.
pub(crate) fn check_name(name: &str) -> Result<()> {
    match name_problem(name) {
        Some(why) => Err(SysError::new(format!("connect {name} to the network"), why)
            .hint(format!("rename it: qjail config -n NEW {name}"))),
        None => Ok(()),
    }
}

/// The ends of an epair(4), named after the jail: names of jails are unique, numbers are not the same after each start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair(String);

impl Pair {
    /// The pair of a jail.
    pub(crate) fn of_jail(name: &str) -> Pair {
        Pair(name.to_owned())
    }

    /// The end that stays with the host.
    pub(crate) fn host_end(&self) -> String {
        format!("{}{}", ENDS[0], self.0)
    }

    /// The end that goes into the jail.
    pub(crate) fn jail_end(&self) -> String {
        format!("{}{}", ENDS[1], self.0)
    }

    /// The shell's words that make it, unless it is there. The host's end is named last: when it is there, all is.
    fn make(&self) -> String {
        let (host, jail) = (self.host_end(), self.jail_end());
        let named = format!("{IFCONFIG} ${{e%a}}b name {jail} && {IFCONFIG} $e name {host}");
        bridge::unless_there(&host, "epair", &named, "false")
    }
}

/// Destroys a pair by the end that the host has.
pub(crate) fn destroy_pair(pair: &Pair) -> Invocation {
    Invocation::new(IFCONFIG, &[&pair.host_end(), "destroy"])
}

/// The parameters of a jail with a pair. The file makes what is missing, so that plain jail(8) can use it.
///
/// # Errors
/// As [`conf::basic`]; an address that is none.
pub(crate) fn with_pair(spec: &JailSpec, bridge: &Bridge, macs: &[String; 2]) -> Result<Params> {
    let mut params = without_addresses(spec)?;
    let pair = Pair::of_jail(&spec.name);
    let (host, jail) = (pair.host_end(), pair.jail_end());
    let mut prestart: Vec<String> = bridge
        .member
        .iter()
        .map(|member| bridge::make(&bridge.name, member))
        .collect();
    prestart.extend([
        pair.make(),
        format!("{IFCONFIG} {host} ether {}", macs[0]),
        format!("{IFCONFIG} {jail} ether {}", macs[1]),
        format!("{IFCONFIG} {} addm {host}", bridge.name),
        format!("{IFCONFIG} {host} up"),
    ]);
    conf::prepend(&mut params, "exec.prestart", prestart);
    conf::prepend(&mut params, "exec.start", inside(spec, &jail, &bridge.gateways)?);
    let mut poststop = params.list("exec.poststop");
    poststop.push(destroy_pair(&pair).to_string());
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

/// The Ethernet addresses of both ends, locally administered: made from the jail's name, the only one of its kind on
/// the host, and from the host, so that no other one on the same wire makes the same. Not one of `taken`.
/// FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(crate) fn macs(host: &str, jail: &str, taken: &[String]) -> [String; 2] {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    let of = |try_number: u8| {
        let bytes = host.bytes().chain([0]).chain(jail.bytes()).chain([try_number]);
        let [a, b, c, d, e, ..] = bytes.fold(0xcbf2_9ce4_8422_2325, step).to_be_bytes();
        [e & 0xfe, e | 1].map(|e| format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}"))
    };
    let free = |pair: &[String; 2]| !pair.iter().any(|m| taken.contains(m));
    (0..u8::MAX).map(of).find(free).unwrap_or_else(|| of(u8::MAX))
}

/// The pair that the file of a jail has made.
pub(crate) fn pair_of(name: &str, params: &Params) -> Option<Pair> {
    let pair = Pair::of_jail(name);
    let destroyed = destroy_pair(&pair).to_string();
    params.list("exec.poststop").contains(&destroyed).then_some(pair)
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
#[path = "vnet_tests.rs"]
mod tests;
