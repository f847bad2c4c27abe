//! Which addresses a new jail gets, and everything that speaks against them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use qjail_plugin_api::model::{AddrSpec, Family, Network};
use qjail_plugin_api::{HookRequest, Objection, PluginError};

use crate::row::{first_of, problem, row};
use crate::start::shares;
use crate::world::{ADDRESS_PARAMS, Used, World, is_vnet};

/// The word for "a free address of the interface's network".
pub(crate) const AUTO: &str = "auto";
/// The word for "no address".
pub(crate) const NONE: &str = "none";

/// How far `--duplicate` looks for a free address where no network bounds it.
const ROW: usize = 1 << 16;

/// The outcome.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    /// The interface for addresses that do not name theirs.
    pub(crate) interface: Option<String>,
    /// The addresses of each family.
    pub(crate) addresses: Vec<(Family, AddrSpec)>,
    /// Why they can not be used.
    pub(crate) objections: Vec<Objection>,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

impl Choice {
    /// The texts of one family, as `ip4.addr` and `ip6.addr` take them.
    pub(crate) fn list(&self, family: Family) -> Vec<String> {
        self.addresses
            .iter()
            .filter(|(f, _)| *f == family)
            .map(|(_, a)| a.to_string())
            .collect()
    }
}

/// What the user asked for: options, or the same as `--param`.
pub(crate) struct Wish {
    pub(crate) interface: Option<String>,
    pub(crate) texts: Vec<(Family, String)>,
    /// Families of which no address and some are asked for at once.
    contradictions: Vec<Family>,
}

impl Wish {
    pub(crate) fn of(request: &HookRequest) -> Self {
        let (options, params) = (&request.options, &request.jail.params);
        let interface = options.text("interface").or_else(|| params.text("interface"));
        let (mut texts, mut contradictions) = (Vec::new(), Vec::new());
        for (id, (key, family)) in ["ip4", "ip6"].into_iter().zip(ADDRESS_PARAMS) {
            let given: Vec<String> = options.list(id).into_iter().map(str::to_owned).collect();
            let all = if given.is_empty() { params.list(key) } else { given };
            let some = all.iter().filter(|t| *t != NONE);
            let before = texts.len();
            texts.extend(some.map(|t| (family, t.trim().to_owned())));
            if texts.len() > before && texts.len() - before < all.len() {
                contradictions.push(family);
            }
        }
        Self {
            interface: interface.map(str::to_owned),
            texts,
            contradictions,
        }
    }

    /// Whether an address needs the interface of `-n`.
    pub(crate) fn needs_interface(&self) -> bool {
        self.texts.iter().any(|(_, t)| !t.contains('|'))
    }
}

/// Chooses the addresses of the jail that `request` is about.
pub(crate) fn choose(world: &World, request: &HookRequest) -> Result<Choice, PluginError> {
    let wish = Wish::of(request);
    let mut work = Work {
        world,
        row: request.duplicate,
        vnet: is_vnet(&request.jail.params),
        pair: request.jail.params.list("vnet.interface").is_empty(),
        used: world.used(&request.jail.name),
        refused: BTreeSet::new(),
        choice: Choice {
            interface: wish.interface.clone(),
            ..Choice::default()
        },
    };
    if let Some(interface) = &wish.interface {
        work.check_interface(interface);
    }
    if wish.interface.is_none() && wish.needs_interface() {
        work.choice.objections.push(no_interface(world));
        return Ok(work.choice);
    }
    for family in &wish.contradictions {
        let message = format!("`{NONE}` and {family} addresses are given at once");
        work.object(message, format!("leave out `{NONE}`, or the addresses"));
    }
    for (family, text) in &wish.texts {
        work.one(*family, text, wish.interface.as_deref())?;
    }
    Ok(work.choice)
}

/// FreeBSD's `lo0`, `lo1`, ….
fn is_loopback(name: &str) -> bool {
    let number = name.strip_prefix("lo");
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

struct Work<'a> {
    world: &'a World,
    row: bool,
    /// The jail has a network stack of its own: its addresses need not be in a network of the host's.
    vnet: bool,
    /// Its interface is made for it; none is where the administrator gives it one.
    pair: bool,
    used: Vec<Used>,
    /// Interfaces that were refused already.
    refused: BTreeSet<String>,
    choice: Choice,
}

impl Work<'_> {
    fn one(&mut self, family: Family, text: &str, default: Option<&str>) -> Result<(), PluginError> {
        if text == AUTO {
            let interface = default.unwrap_or_default();
            if !self.refused.contains(interface) {
                self.auto(family, interface);
            }
            return Ok(());
        }
        let spec: AddrSpec = text.parse().map_err(|e| PluginError::with_code("usage", e))?;
        if spec.family() != family {
            let (option, right) = if family == Family::V4 {
                ("-4", "-6")
            } else {
                ("-6", "-4")
            };
            let message = format!("{text} is an {} address, {option} takes {family}", spec.family());
            self.object(message, format!("give it with {right}"));
            return Ok(());
        }
        let interface = spec
            .interface
            .clone()
            .or(default.map(str::to_owned))
            .unwrap_or_default();
        self.check_interface(&interface);
        if self.refused.contains(&interface) {
            return Ok(());
        }
        if self.row {
            self.next_of_row(spec, &interface);
        } else {
            self.exactly(spec, &interface);
        }
        Ok(())
    }

    fn object(&mut self, message: String, hint: String) {
        self.choice.objections.push(Objection::new(message).hint(hint));
    }

    fn check_interface(&mut self, name: &str) {
        let fits = if self.vnet {
            World::is_for_vnet
        } else {
            World::is_for_jails
        };
        if self.refused.contains(name) {
            return;
        }
        if fits(self.world, name) {
            if self.vnet && self.world.freebsd && self.pair && is_loopback(name) {
                self.refused.insert(name.to_owned());
                return self.object(
                    format!(
                        "{name} is a loopback interface: no jail with a network stack of its own can be on it"
                    ),
                    "name a bridge (qjail net create bridge1 ADDRESS/LENGTH) or a network card".to_owned(),
                );
            }
            if self.vnet && !self.world.freebsd && !self.world.is_for_jails(name) {
                self.check_member(name);
            }
            return;
        }
        self.refused.insert(name.to_owned());
        let objection = match self.world.interface(name) {
            Some(_) => Objection::new(format!("{name} is no bridge: jails can not have addresses on it"))
                .hint(networks_hint(self.world)),
            None => Objection::new(format!("there is no interface {name}")).hint(networks_hint(self.world)),
        };
        self.choice.objections.push(objection);
    }

    /// An interface that is put on a bridge for a jail must not have addresses: they would not be reached any more.
    fn check_member(&mut self, name: &str) {
        let addresses = self
            .world
            .interface(name)
            .map(|i| i.addresses.as_slice())
            .unwrap_or_default();
        let global = |n: &&Network| !matches!(n.addr, IpAddr::V6(a) if a.is_unicast_link_local());
        if let Some(first) = addresses.iter().find(global) {
            self.refused.insert(name.to_owned());
            self.object(
                format!("{name} has the address {first} of the host, which would be cut off on a bridge"),
                format!("make a bridge with that address and put {name} on it, then name the bridge"),
            );
        }
    }

    fn auto(&mut self, family: Family, interface: &str) {
        // On a wire that others are on too, only those know what is free.
        let own = self.world.freebsd && is_loopback(interface) && interface != "lo0";
        if !own && !self.world.declared.contains_key(interface) {
            return self.object(
                format!("what is free on {interface} is not known: it is no network that qjail keeps"),
                auto_hint(self.world),
            );
        }
        let networks = self.networks(interface, family);
        if networks.is_empty() {
            let message = format!("{interface} has no {family} network to take a free address from");
            return self.object(message, "give the address itself".to_owned());
        }
        match networks.iter().find_map(|n| self.free_in(n, None)) {
            Some(addr) => self.take(AddrSpec {
                interface: None,
                addr,
                len: None,
            }),
            None => {
                let list = networks
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ");
                self.object(
                    format!("no address is free on {interface} ({list})"),
                    another_network(),
                );
            }
        }
    }

    /// Of a row of jails the next address that is free.
    fn next_of_row(&mut self, first: AddrSpec, interface: &str) {
        let networks = self.networks(interface, first.family());
        let found = match networks.iter().find(|n| n.contains(first.addr)) {
            Some(network) => self.free_in(network, Some(first.addr)),
            None if self.world.freebsd || self.vnet => row(first.addr).take(ROW).find(|a| self.is_free(*a)),
            None => return self.outside(&first, interface, &networks),
        };
        match found {
            Some(addr) => self.take(AddrSpec { addr, ..first }),
            None => self.object(
                format!("no address is free on {interface} from {} on", first.addr),
                another_network(),
            ),
        }
    }

    fn exactly(&mut self, spec: AddrSpec, interface: &str) {
        let addr = spec.addr;
        if self.is_chosen(addr) {
            return self.object(
                format!("{addr} is given twice"),
                "leave one of them out".to_owned(),
            );
        }
        if let Some(used) = self.used.iter().find(|u| u.addr == addr) {
            let message = format!(
                "Existing jail {} is already assigned IP address {addr}",
                used.jail
            );
            return self.object(
                message,
                "choose another one, or `auto` for one that is free".to_owned(),
            );
        }
        if let Some(owner) = self.world.owner(addr).map(str::to_owned) {
            if !self.world.freebsd || owner != interface {
                let message = format!("{addr} is the host's own address on {owner}");
                return self.object(
                    message,
                    "choose another one, or `auto` for one that is free".to_owned(),
                );
            }
            self.choice.warnings.push(shares(&spec));
            return self.take(spec);
        }
        // A jail with a network stack of its own can be that router.
        if let Some(through) = self.world.routed_by(addr).filter(|_| !self.vnet) {
            let message = format!("{addr} is the router of the host's default route on {through}");
            return self.object(message, "choose another one".to_owned());
        }
        let networks = self.networks(interface, spec.family());
        match networks.iter().find(|n| n.contains(addr)) {
            Some(network) => match problem(network, addr) {
                Some(why) => self.object(
                    format!("{addr} {why} ({network} on {interface})"),
                    "choose another one".to_owned(),
                ),
                None => self.take(spec),
            },
            None if self.world.freebsd || self.vnet => {
                if let Some(network) = networks.first() {
                    self.choice
                        .warnings
                        .push(format!("{addr} is outside of {interface}'s network {network}"));
                }
                self.take(spec);
            }
            None => self.outside(&spec, interface, &networks),
        }
    }

    fn outside(&mut self, spec: &AddrSpec, interface: &str, networks: &[Network]) {
        let (addr, family) = (spec.addr, spec.family());
        match networks {
            [] => self.object(
                format!("{addr}: {interface} has no {family} network"),
                another_network(),
            ),
            [first, ..] => {
                let message = format!("{addr} is outside of {interface}'s network {first}");
                self.object(
                    message,
                    "choose an address in it, or `auto` for one that is free".to_owned(),
                );
            }
        }
    }

    fn take(&mut self, spec: AddrSpec) {
        self.choice.addresses.push((spec.family(), spec));
    }

    fn networks(&self, interface: &str, family: Family) -> Vec<Network> {
        let all = self.world.networks(interface).into_iter();
        all.filter(|n| n.addr.is_ipv4() == (family == Family::V4))
            .collect()
    }

    fn is_chosen(&self, addr: IpAddr) -> bool {
        self.choice.addresses.iter().any(|(_, a)| a.addr == addr)
    }

    fn is_free(&self, addr: IpAddr) -> bool {
        !self.is_chosen(addr)
            && !self.used.iter().any(|u| u.addr == addr)
            && self.world.owner(addr).is_none()
            && self.world.routed_by(addr).is_none()
    }

    /// The lowest free address of a network, not below `from`.
    fn free_in(&self, network: &Network, from: Option<IpAddr>) -> Option<IpAddr> {
        let start = from.unwrap_or_else(|| first_of(network));
        row(start)
            .take_while(|a| network.contains(*a))
            .find(|a| problem(network, *a).is_none() && self.is_free(*a))
    }
}

fn no_interface(world: &World) -> Objection {
    let message = if world.freebsd {
        "which interface the addresses are for is not known: there is no default route"
    } else if world.declared.is_empty() {
        "there is no network for jails yet"
    } else {
        "which network the addresses are for is not known: there are several"
    };
    Objection::new(message).hint(networks_hint(world))
}

fn networks_hint(world: &World) -> String {
    if world.declared.is_empty() {
        return "make a network: qjail net create lo1 192.168.1.1/28".to_owned();
    }
    let names: Vec<&str> = world.declared.keys().map(String::as_str).collect();
    format!(
        "give one of these: {}; or make one with qjail net create",
        names.join(", ")
    )
}

fn auto_hint(world: &World) -> String {
    let names: Vec<&str> = world.declared.keys().map(String::as_str).collect();
    if names.is_empty() {
        return "give the address itself, or make a network: qjail net create lo1 192.168.1.1/28".to_owned();
    }
    format!(
        "give the address itself, or one of these networks: {}",
        names.join(", ")
    )
}

fn another_network() -> String {
    "make another network with qjail net create".to_owned()
}
