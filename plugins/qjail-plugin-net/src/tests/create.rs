//! `create`: interfaces and addresses.

use std::collections::BTreeMap;

use qjail_plugin_api::{Event, HookRequest, Plugin};
use serde_json::json;

use super::{World, jail, list, refused};
use crate::Net;

#[test]
fn the_manifest_survives_the_boundary() {
    let manifest = Net.manifest();
    let text = serde_json::to_string(&manifest).unwrap();
    assert_eq!(
        serde_json::from_str::<qjail_plugin_api::Manifest>(&text).unwrap(),
        manifest
    );
    let letters: Vec<_> = manifest.extends[0].args.iter().map(|a| a.short).collect();
    assert_eq!(letters, [Some('n'), Some('4'), Some('6')]);
}

#[test]
fn given_addresses_become_parameters() {
    let plan = World::linux()
        .create(&[
            ("interface", json!("lo1")),
            ("ip4", json!(["192.168.1.3", "lo1|192.168.1.4/28"])),
            ("ip6", json!(["fd00::3"])),
        ])
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
    let em = World::freebsd()
        .create(&[("ip4", json!(["192.0.2.11"]))])
        .unwrap();
    assert_eq!(list(&em, "interface"), ["em0"]);
    let mut several = World::linux();
    several.settings = json!({ "interfaces": { "lo1": { "addresses": ["192.168.1.1/28"] }, "lo2": { "addresses": ["10.1.0.1/24"] } } });
    let told = refused(&several, &four);
    assert!(
        told.contains("several") && told.contains("these: lo1, lo2"),
        "{told}"
    );
    let none = World {
        settings: json!({}),
        ..World::linux()
    };
    let told = refused(&none, &four);
    assert!(
        told.contains("no network") && told.contains("qjail net create"),
        "{told}"
    );
    // Without addresses none is needed.
    let plan = several.create(&[]).unwrap();
    assert!(
        plan.params.is_empty() && plan.notes[0].contains("no address"),
        "{plan:?}"
    );
    // An address that names its interface needs no other.
    let named = several.create(&[("ip4", json!(["lo1|192.168.1.9"]))]).unwrap();
    assert_eq!(list(&named, "interface"), Vec::<String>::new());
}

#[test]
fn auto_takes_the_lowest_free_address() {
    let mut world = World::linux();
    world.jails.push(jail(
        "jail3",
        &[("ip4.addr", &["lo1|192.168.1.4"]), ("ip6.addr", &["fd00::2"])],
    ));
    let plan = world
        .create(&[("ip4", json!(["auto", "auto"])), ("ip6", json!(["auto"]))])
        .unwrap();
    assert_eq!(list(&plan, "ip4.addr"), ["192.168.1.3", "192.168.1.5"]);
    assert_eq!(list(&plan, "ip6.addr"), ["fd00::3"]);
    world
        .jails
        .extend((2..15).map(|i| jail(&format!("j{i}"), &[("ip4.addr", &[&format!("192.168.1.{i}")])])));
    let told = refused(&world, &[("ip4", json!(["auto"]))]);
    assert!(
        told.contains("no address is free on lo1 (192.168.1.1/28)"),
        "{told}"
    );
    let told = refused(
        &World::linux(),
        &[("interface", json!("lo9")), ("ip4", json!(["auto"]))],
    );
    assert_eq!(told.lines().count(), 1, "one reason is enough: {told}");
}

/// `-n em0 -4 auto` gave the lowest address of the host's wire, which is mostly the router's.
#[test]
fn auto_knows_only_networks_of_this_host() {
    let told = refused(&World::freebsd(), &[("ip4", json!(["auto"]))]);
    assert!(told.contains("what is free on em0 is not known"), "{told}");
    let mut bare = World::freebsd();
    bare.settings = json!({});
    let told = refused(&bare, &[("ip4", json!(["auto"]))]);
    assert!(told.contains("or make a network: qjail net create lo1"), "{told}");
    // The administrator's own loopback interface is on no wire.
    let own = bare
        .create(&[("interface", json!("lo1")), ("ip4", json!(["auto"]))])
        .unwrap();
    assert_eq!(list(&own, "ip4.addr"), ["192.168.1.3"]);
}

#[test]
fn a_jail_is_not_put_in_the_place_of_the_hosts_router() {
    let mut world = World::linux();
    world.jails.clear();
    world.interfaces[3].gateways = vec!["192.168.1.2".parse().unwrap(), "fd00::2".parse().unwrap()];
    let auto = world
        .create(&[("ip4", json!(["auto"])), ("ip6", json!(["auto"]))])
        .unwrap();
    assert_eq!(list(&auto, "ip4.addr"), ["192.168.1.3"]);
    assert_eq!(list(&auto, "ip6.addr"), ["fd00::3"]);
    let told = refused(&world, &[("ip4", json!(["192.168.1.2"]))]);
    assert!(
        told.contains("192.168.1.2 is the router of the host's default route on lo1 | choose another one"),
        "{told}"
    );
    let row = HookRequest {
        duplicate: true,
        ..world.hook(
            Event::Create,
            jail("new", &[]),
            &[("ip4", json!(["192.168.1.2"]))],
        )
    };
    assert_eq!(list(&world.ask(row).unwrap(), "ip4.addr"), ["192.168.1.3"]);
    // One with a network stack of its own may be that router.
    let router = world.hook(
        Event::Create,
        jail("router", &[("vnet", &["new"])]),
        &[("ip4", json!(["192.168.1.2"])), ("interface", json!("lo1"))],
    );
    assert_eq!(list(&world.ask(router).unwrap(), "ip4.addr"), ["192.168.1.2"]);
}

#[test]
fn a_row_of_jails_passes_over_what_is_taken() {
    let mut world = World::linux();
    let options = [("ip4", json!(["192.168.1.2"]))];
    let row = |world: &World| {
        let request = HookRequest {
            duplicate: true,
            ..world.hook(Event::Create, jail("new", &[]), &options)
        };
        world.ask(request).map(|plan| list(&plan, "ip4.addr").remove(0))
    };
    for host in 3..15 {
        assert_eq!(row(&world).unwrap(), format!("192.168.1.{host}"));
        world.jails.push(jail(
            &format!("j{host}"),
            &[("ip4.addr", &[&format!("192.168.1.{host}")])],
        ));
    }
    let told = row(&world).unwrap_err().join("\n");
    assert!(
        told.contains("no address is free on lo1 from 192.168.1.2 on"),
        "{told}"
    );
}

#[test]
fn what_can_not_be_is_refused_with_one_line_and_a_hint() {
    for (interface, four, six, says) in [
        ("nosuch0", "10.1.2.3", "", "there is no interface nosuch0"),
        ("eth0", "192.0.2.11", "", "eth0 is no bridge"),
        (
            "lo1",
            "192.168.1.2",
            "",
            "Existing jail jail1 is already assigned IP address 192.168.1.2",
        ),
        (
            "lo1",
            "192.168.1.1",
            "",
            "192.168.1.1 is the host's own address on lo1",
        ),
        ("lo1", "192.0.2.10", "", "the host's own address on eth0"),
        ("lo1", "192.168.1.0", "", "the network's own address"),
        ("lo1", "192.168.1.15", "", "the network's broadcast address"),
        (
            "lo1",
            "192.168.1.16",
            "",
            "outside of lo1's network 192.168.1.1/28",
        ),
        ("docker0", "", "fd00::5", "docker0 has no IPv6 network"),
        ("lo1", "fd00::5", "", "fd00::5 is an IPv6 address, -4 takes IPv4"),
        (
            "lo1",
            "",
            "192.168.1.5",
            "192.168.1.5 is an IPv4 address, -6 takes IPv6",
        ),
        ("lo1", "", "fd00::", "the network's routers"),
        ("lo1", "192.168.1.5,192.168.1.5", "", "192.168.1.5 is given twice"),
        (
            "docker0",
            "auto",
            "",
            "what is free on docker0 is not known: it is no network that qjail keeps | give the address itself, or one of these networks: lo1",
        ),
    ] {
        let split = |t: &str| {
            t.split(',')
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let told = refused(
            &World::linux(),
            &[
                ("interface", json!(interface)),
                ("ip4", json!(split(four))),
                ("ip6", json!(split(six))),
            ],
        );
        assert!(told.contains(says), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn addresses_given_as_parameters_are_checked_too() {
    let world = World::linux();
    let new = jail("new", &[("interface", &["lo1"]), ("ip4.addr", &["192.168.1.2"])]);
    let told = world
        .ask(world.hook(Event::Create, new, &[]))
        .unwrap_err()
        .join("\n");
    assert!(told.contains("Existing jail jail1"), "{told}");
}

#[test]
fn freebsd_shares_and_warns_where_linux_refuses() {
    let world = World::freebsd();
    let shared = world
        .create(&[("interface", json!("lo1")), ("ip4", json!(["192.168.1.1"]))])
        .unwrap();
    assert!(
        shared.warnings[0].contains("shares 192.168.1.1 with the host"),
        "{:?}",
        shared.warnings
    );
    let outside = world
        .create(&[("interface", json!("em0")), ("ip4", json!(["10.0.0.9"]))])
        .unwrap();
    assert!(
        outside.warnings[0].contains("outside of em0's network"),
        "{:?}",
        outside.warnings
    );
    let told = refused(
        &world,
        &[("interface", json!("em0")), ("ip4", json!(["192.168.1.1"]))],
    );
    assert!(told.contains("the host's own address on lo1"), "{told}");
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
