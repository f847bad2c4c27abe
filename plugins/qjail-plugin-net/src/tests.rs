//! The plugin as the host calls it, on both systems.

use std::collections::BTreeMap;

use qjail_plugin_api::model::{ParamValue, Params};
use qjail_plugin_api::{
    CommandReply, CommandRequest, Context, Event, HookRequest, Host, HostPort, Interface, JailInfo, LogLevel, Options,
    Plan, Plugin, PluginError, Point, RcChange, Step,
};
use serde_json::{Value, json};

use crate::Net;

/// A host with interfaces and jails, and the settings of the plugin.
struct World {
    os: &'static str,
    interfaces: Vec<Interface>,
    jails: Vec<JailInfo>,
    running: Vec<String>,
    settings: Value,
}

impl HostPort for World {
    fn log(&self, _level: LogLevel, _message: &str) {}

    fn call(&self, op: &str, _request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let answer = match op {
            "interfaces/1" => json!(self.interfaces),
            "jails/1" => json!(self.jails),
            "running/1" => json!(self.running),
            _ => json!(null),
        };
        Ok(answer.to_string().into_bytes())
    }
}

fn interface(name: &str, addresses: &[&str], for_jails: bool) -> Interface {
    Interface {
        name: name.to_owned(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        up: true,
        default_route: name == "eth0" || name == "em0",
        for_jails,
    }
}

fn jail(name: &str, params: &[(&str, &[&str])]) -> JailInfo {
    let mut all = Params::new();
    for (key, list) in params {
        all.set(*key, ParamValue::List(list.iter().map(|t| (*t).to_owned()).collect()));
    }
    JailInfo { name: name.to_owned(), params: all, ..JailInfo::default() }
}

impl World {
    /// A card with the default route and a network `lo1` of qjail with one jail.
    fn linux() -> Self {
        Self {
            os: "linux",
            interfaces: vec![
                interface("lo", &["127.0.0.1/8"], false),
                interface("eth0", &["192.0.2.10/24"], false),
                interface("docker0", &["172.17.0.1/16"], true),
                interface("lo1", &["192.168.1.1/28", "fd00::1/64"], true),
            ],
            jails: vec![jail("jail1", &[("interface", &["lo1"]), ("ip4.addr", &["192.168.1.2"])])],
            running: Vec::new(),
            settings: json!({ "interfaces": { "lo1": { "addresses": ["192.168.1.1/28", "fd00::1/64"] } } }),
        }
    }

    fn freebsd() -> Self {
        let mut world = Self { os: "freebsd", ..Self::linux() };
        world.interfaces = vec![
            interface("lo0", &["127.0.0.1/8"], true),
            interface("em0", &["192.0.2.10/24"], true),
            interface("lo1", &["192.168.1.1/28"], true),
        ];
        world.settings = json!({ "interfaces": { "lo1": { "addresses": ["192.168.1.1/28"], "rc": ["ifconfig_lo1_alias0"] } } });
        world
    }

    fn context(&self) -> Context {
        Context {
            os: self.os.to_owned(),
            config_dir: "/etc/qjail".to_owned(),
            settings: self.settings.clone(),
            ..Context::default()
        }
    }

    fn hook(&self, event: Event, jail: JailInfo, options: &[(&str, Value)]) -> HookRequest {
        let values = options.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let context = self.context();
        HookRequest { event, point: Point::Pre, jail, options: Options { values }, duplicate: false, context }
    }

    /// Asks as the host does: resolve, validate, plan.
    fn ask(&self, mut request: HookRequest) -> Result<Plan, Vec<String>> {
        let host = Host::new(self);
        let resolved = Net.resolve(&host, &request).unwrap().values;
        for (key, value) in resolved {
            request.options.values.entry(key).or_insert(value);
        }
        let objections = Net.validate(&host, &request).unwrap();
        if objections.is_empty() {
            return Ok(Net.plan(&host, &request).unwrap());
        }
        Err(objections.into_iter().map(|o| format!("{} | {}", o.message, o.hint.expect("a hint"))).collect())
    }

    fn create(&self, options: &[(&str, Value)]) -> Result<Plan, Vec<String>> {
        self.ask(self.hook(Event::Create, jail("new", &[]), options))
    }

    fn command(&self, words: &[&str], options: &[(&str, Value)]) -> Result<CommandReply, PluginError> {
        let values = options.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        let command = words.iter().map(|w| (*w).to_owned()).collect();
        let request = CommandRequest { command, options: Options { values }, context: self.context() };
        Net.command(&Host::new(self), &request)
    }

    fn net_create(&self, name: &str, networks: &[&str]) -> Result<CommandReply, PluginError> {
        self.command(&["net", "create"], &[("interface", json!(name)), ("networks", json!(networks))])
    }

    fn net_delete(&self, name: &str) -> Result<CommandReply, PluginError> {
        self.command(&["net", "delete"], &[("interface", json!(name))])
    }
}

fn list(plan: &Plan, key: &str) -> Vec<String> {
    plan.params.get(key).cloned().flatten().map(|v| v.to_list()).unwrap_or_default()
}

fn refused(world: &World, options: &[(&str, Value)]) -> String {
    world.create(options).expect_err("refused").join("\n")
}

#[test]
fn the_manifest_survives_the_boundary() {
    let manifest = Net.manifest();
    let text = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<qjail_plugin_api::Manifest>(&text).unwrap(), manifest);
    let letters: Vec<_> = manifest.extends[0].args.iter().map(|a| a.short).collect();
    assert_eq!(letters, [Some('n'), Some('4'), Some('6')]);
}

#[test]
fn given_addresses_become_parameters() {
    let plan = World::linux()
        .create(&[("interface", json!("lo1")), ("ip4", json!(["192.168.1.3", "lo1|192.168.1.4/28"])), ("ip6", json!(["fd00::3"]))])
        .unwrap();
    assert_eq!(list(&plan, "interface"), ["lo1"]);
    assert_eq!(list(&plan, "ip4.addr"), ["192.168.1.3", "lo1|192.168.1.4/28"]);
    assert_eq!(list(&plan, "ip6.addr"), ["fd00::3"]);
    assert!(plan.steps.is_empty() && plan.warnings.is_empty() && plan.notes.is_empty());
}

#[test]
fn the_interface_is_found() {
    let four = [("ip4", json!(["192.168.1.3"]))];
    assert_eq!(list(&World::linux().create(&four).unwrap(), "interface"), ["lo1"]);
    let em = World::freebsd().create(&[("ip4", json!(["192.0.2.11"]))]).unwrap();
    assert_eq!(list(&em, "interface"), ["em0"]);
    let mut several = World::linux();
    several.settings = json!({ "interfaces": { "lo1": { "addresses": ["192.168.1.1/28"] }, "lo2": { "addresses": ["10.1.0.1/24"] } } });
    let told = refused(&several, &four);
    assert!(told.contains("several") && told.contains("-n: lo1, lo2"), "{told}");
    let none = World { settings: json!({}), ..World::linux() };
    let told = refused(&none, &four);
    assert!(told.contains("no network") && told.contains("qjail net create"), "{told}");
    // Without addresses none is needed.
    let plan = several.create(&[]).unwrap();
    assert!(plan.params.is_empty() && plan.notes[0].contains("no address"), "{plan:?}");
    // An address that names its interface needs no other.
    let named = several.create(&[("ip4", json!(["lo1|192.168.1.9"]))]).unwrap();
    assert_eq!(list(&named, "interface"), Vec::<String>::new());
}

#[test]
fn auto_takes_the_lowest_free_address() {
    let mut world = World::linux();
    world.jails.push(jail("jail3", &[("ip4.addr", &["lo1|192.168.1.4"]), ("ip6.addr", &["fd00::2"])]));
    let plan = world.create(&[("ip4", json!(["auto", "auto"])), ("ip6", json!(["auto"]))]).unwrap();
    assert_eq!(list(&plan, "ip4.addr"), ["192.168.1.3", "192.168.1.5"]);
    assert_eq!(list(&plan, "ip6.addr"), ["fd00::3"]);
    world.jails.extend((2..15).map(|i| jail(&format!("j{i}"), &[("ip4.addr", &[&format!("192.168.1.{i}")])])));
    let told = refused(&world, &[("ip4", json!(["auto"]))]);
    assert!(told.contains("no address is free on lo1 (192.168.1.1/28)"), "{told}");
    let told = refused(&World::linux(), &[("interface", json!("lo9")), ("ip4", json!(["auto"]))]);
    assert_eq!(told.lines().count(), 1, "one reason is enough: {told}");
}

#[test]
fn a_row_of_jails_passes_over_what_is_taken() {
    let mut world = World::linux();
    let options = [("ip4", json!(["192.168.1.2"]))];
    let row = |world: &World| {
        let request = HookRequest { duplicate: true, ..world.hook(Event::Create, jail("new", &[]), &options) };
        world.ask(request).map(|plan| list(&plan, "ip4.addr").remove(0))
    };
    for host in 3..15 {
        assert_eq!(row(&world).unwrap(), format!("192.168.1.{host}"));
        world.jails.push(jail(&format!("j{host}"), &[("ip4.addr", &[&format!("192.168.1.{host}")])]));
    }
    let told = row(&world).unwrap_err().join("\n");
    assert!(told.contains("no address is free on lo1 from 192.168.1.2 on"), "{told}");
}

#[test]
fn what_can_not_be_is_refused_with_one_line_and_a_hint() {
    for (interface, four, six, says) in [
        ("nosuch0", "10.1.2.3", "", "there is no interface nosuch0"),
        ("eth0", "192.0.2.11", "", "eth0 is no bridge"),
        ("lo1", "192.168.1.2", "", "Existing jail jail1 is already assigned IP address 192.168.1.2"),
        ("lo1", "192.168.1.1", "", "192.168.1.1 is the host's own address on lo1"),
        ("lo1", "192.0.2.10", "", "the host's own address on eth0"),
        ("lo1", "192.168.1.0", "", "the network's own address"),
        ("lo1", "192.168.1.15", "", "the network's broadcast address"),
        ("lo1", "192.168.1.16", "", "outside of lo1's network 192.168.1.1/28"),
        ("docker0", "", "fd00::5", "docker0 has no IPv6 network"),
        ("lo1", "fd00::5", "", "fd00::5 is an IPv6 address, -4 takes IPv4"),
        ("lo1", "", "192.168.1.5", "192.168.1.5 is an IPv4 address, -6 takes IPv6"),
        ("lo1", "", "fd00::", "the network's routers"),
        ("lo1", "192.168.1.5,192.168.1.5", "", "192.168.1.5 is given twice"),
        ("docker0", "", "auto", "docker0 has no IPv6 network"),
    ] {
        let split = |t: &str| t.split(',').filter(|t| !t.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let told = refused(
            &World::linux(),
            &[("interface", json!(interface)), ("ip4", json!(split(four))), ("ip6", json!(split(six)))],
        );
        assert!(told.contains(says), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn addresses_given_as_parameters_are_checked_too() {
    let world = World::linux();
    let new = jail("new", &[("interface", &["lo1"]), ("ip4.addr", &["192.168.1.2"])]);
    let told = world.ask(world.hook(Event::Create, new, &[])).unwrap_err().join("\n");
    assert!(told.contains("Existing jail jail1"), "{told}");
}

#[test]
fn freebsd_shares_and_warns_where_linux_refuses() {
    let world = World::freebsd();
    let shared = world.create(&[("interface", json!("lo1")), ("ip4", json!(["192.168.1.1"]))]).unwrap();
    assert!(shared.warnings[0].contains("shares 192.168.1.1 with the host"), "{:?}", shared.warnings);
    let outside = world.create(&[("interface", json!("em0")), ("ip4", json!(["10.0.0.9"]))]).unwrap();
    assert!(outside.warnings[0].contains("outside of em0's network"), "{:?}", outside.warnings);
    let told = refused(&world, &[("interface", json!("em0")), ("ip4", json!(["192.168.1.1"]))]);
    assert!(told.contains("the host's own address on lo1"), "{told}");
}

#[test]
fn a_start_makes_a_missing_network_again() {
    let mut world = World::linux();
    let jail1 = world.jails[0].clone();
    let whole = world.ask(world.hook(Event::Start, jail1.clone(), &[])).unwrap();
    assert!(whole.steps.is_empty(), "nothing to do: {whole:?}");
    world.interfaces.retain(|i| i.name != "lo1");
    let plan = world.ask(world.hook(Event::Start, jail1.clone(), &[])).unwrap();
    let addresses = vec!["192.168.1.1/28".parse().unwrap(), "fd00::1/64".parse().unwrap()];
    assert_eq!(plan.steps, [Step::EnsureInterface { name: "lo1".to_owned(), addresses }]);
    world.interfaces.push(Interface { up: false, ..interface("lo1", &["192.168.1.1/28"], true) });
    assert_eq!(world.ask(world.hook(Event::Start, jail1.clone(), &[])).unwrap().steps.len(), 1);
    world.interfaces.pop();
    world.settings = json!({});
    let told = world.ask(world.hook(Event::Start, jail1, &[])).unwrap_err().join("\n");
    assert!(told.contains("lo1, which does not exist") && told.contains("qjail net create lo1"), "{told}");
}

#[test]
fn a_start_finds_who_has_the_address() {
    let mut world = World::linux();
    let jail1 = world.jails[0].clone();
    world.jails.push(JailInfo { name: "twin".to_owned(), ..jail1.clone() });
    assert!(world.ask(world.hook(Event::Start, jail1.clone(), &[])).is_ok(), "the other one is stopped");
    world.running = vec!["twin".to_owned()];
    let told = world.ask(world.hook(Event::Start, jail1.clone(), &[])).unwrap_err().join("\n");
    assert!(told.contains("in use by the running jail twin"), "{told}");
    world.running.clear();
    world.interfaces.push(interface("eth1", &["192.168.1.2/30"], false));
    let told = world.ask(world.hook(Event::Start, jail1, &[])).unwrap_err().join("\n");
    assert!(told.contains("the host's own on eth1"), "{told}");
    // FreeBSD: an alias left by a crash, or shared with the host, on the right interface.
    let mut world = World::freebsd();
    world.interfaces[2].addresses.push("192.168.1.2/32".parse().unwrap());
    assert!(world.ask(world.hook(Event::Start, world.jails[0].clone(), &[])).is_ok());
}

#[test]
fn net_create_on_linux_and_freebsd() {
    let reply = World::linux().net_create("lo2", &["10.9.0.1/24", "fd09::1/64"]).unwrap();
    let addresses: Vec<_> = ["10.9.0.1/24", "fd09::1/64"].map(|a| a.parse().unwrap()).to_vec();
    let ensure = Step::EnsureInterface { name: "lo2".to_owned(), addresses };
    assert_eq!(reply.plan.steps, std::slice::from_ref(&ensure));
    let Step::Setting { path, value } = &reply.plan.commit[0] else { panic!("{:?}", reply.plan) };
    assert_eq!(path, &["interfaces", "lo2"]);
    assert_eq!(value, &Some(json!({ "addresses": ["10.9.0.1/24", "fd09::1/64"] })));

    let reply = World::freebsd().net_create("lo2", &["10.9.0.1/24", "fd09::1/64"]).unwrap();
    let rc = |v: &str, change| Step::RcConf { variable: v.to_owned(), change };
    let steps = [
        rc("cloned_interfaces", RcChange::Add("lo2".to_owned())),
        rc("ifconfig_lo2_alias0", RcChange::Set("inet 10.9.0.1/24".to_owned())),
        rc("ifconfig_lo2_alias1", RcChange::Set("inet6 fd09::1/64".to_owned())),
        ensure,
    ];
    assert_eq!(reply.plan.steps, steps);
    let Step::Setting { value: Some(value), .. } = &reply.plan.commit[0] else { panic!("{:?}", reply.plan) };
    assert_eq!(value["rc"], json!(["ifconfig_lo2_alias0", "ifconfig_lo2_alias1"]));
}

#[test]
fn net_create_refuses_what_would_disturb() {
    for (name, networks, says) in [
        ("lo1", &["10.9.0.1/24"] as &[&str], "a network lo1 already"),
        ("docker0", &["10.9.0.1/24"], "an interface docker0 already"),
        ("lo2", &["172.17.5.1/24"], "overlaps with 172.17.0.1/16 on docker0"),
        ("lo2", &["192.168.1.2/24"], "overlaps with 192.168.1.1/28 of the network lo1"),
        ("lo2", &["10.0.0.1/8", "10.9.0.1/24"], "in the same command"),
        ("lo2", &["10.9.0.1/32"], "no room"),
    ] {
        let error = World::linux().net_create(name, networks).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert!(error.hint.is_some(), "{error}");
    }
    let error = World::freebsd().net_create("web", &["10.9.0.1/24"]).unwrap_err();
    assert!(error.message.contains("no name of a cloned interface"), "{error}");
}

#[test]
fn net_delete_takes_back_exactly_what_was_made() {
    let mut world = World::freebsd();
    let error = world.net_delete("lo1").unwrap_err();
    assert!(error.message.contains("used by jail jail1"), "{error}");
    let error = world.net_delete("em0").unwrap_err();
    assert!(error.message.contains("em0 is no network of qjail"), "{error}");
    world.jails.clear();
    let plan = world.net_delete("lo1").unwrap().plan;
    let rc = |v: &str, change| Step::RcConf { variable: v.to_owned(), change };
    let addresses = vec!["192.168.1.1/28".parse().unwrap()];
    let steps = [
        rc("cloned_interfaces", RcChange::Remove("lo1".to_owned())),
        rc("ifconfig_lo1_alias0", RcChange::Unset),
        Step::RemoveInterface { name: "lo1".to_owned(), addresses },
    ];
    assert_eq!(plan.steps, steps);
    let path = vec!["interfaces".to_owned(), "lo1".to_owned()];
    assert_eq!(plan.commit, [Step::Setting { path, value: None }]);
}

#[test]
fn net_list_tells_what_is_missing() {
    let mut world = World::linux();
    let shown = |world: &World| world.command(&["net", "list"], &[]).unwrap().output.unwrap();
    assert_eq!(shown(&world).rows, [["lo1", "192.168.1.1/28,fd00::1/64", "up", "1"]]);
    world.interfaces.clear();
    let output = shown(&world);
    assert_eq!(output.rows[0][2], "missing");
    assert_eq!(output.data[0]["jails"], json!(["jail1"]));
    world.settings = json!({});
    assert!(shown(&world).rows.is_empty());
}

#[test]
fn settings_with_a_mistake_are_named() {
    for bad in [json!({ "interfaces": { "lo1": { "address": [] } } }), json!({ "interfaces": { "lo1": { "addresses": ["x"] } } })] {
        let world = World { settings: bad, ..World::linux() };
        let error = world.command(&["net", "list"], &[]).unwrap_err();
        assert!(error.message.starts_with("/etc/qjail/qjail.toml: [plugin.net]"), "{error}");
    }
}

/// `auto` never gives an address twice, whatever is used already.
#[test]
fn auto_fills_a_network_without_a_repetition() {
    let mut world = World::linux();
    let mut seen = BTreeMap::new();
    while let Ok(plan) = world.create(&[("interface", json!("lo1")), ("ip4", json!(["auto"]))]) {
        let address = list(&plan, "ip4.addr").remove(0);
        let name = format!("a{}", seen.len());
        world.jails.push(jail(&name, &[("ip4.addr", &[&address])]));
        assert_eq!(seen.insert(address, name), None);
    }
    assert_eq!(seen.len(), 12, "14 hosts, one the bridge, one jail1");
}
