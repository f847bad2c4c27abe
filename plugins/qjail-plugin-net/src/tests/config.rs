//! `config`: what changes, and what speaks against it.

use super::*;

/// What `config` answers for a jail of the world.
fn config(world: &World, name: &str, options: &[(&str, Value)]) -> Result<Plan, Vec<String>> {
    let jail = world.jails.iter().find(|j| j.name == name).unwrap().clone();
    world.ask(world.hook(Event::Config, jail, options))
}

fn value(plan: &Plan, key: &str) -> Option<Option<String>> {
    plan.params.get(key).map(|v| v.as_ref().map(ToString::to_string))
}

#[test]
fn addresses_replace_those_there_are() {
    let world = World::linux();
    let plan = config(&world, "jail1", &[("ip4", json!(["192.168.1.5"]))]).unwrap();
    assert_eq!(value(&plan, "ip4.addr"), Some(Some("192.168.1.5".to_owned())));
    assert_eq!(value(&plan, "interface"), None);
    assert_eq!(plan.notes, ["Successful ip change jail1"]);
    let gone = config(&world, "jail1", &[("ip4", json!(["none"]))]).unwrap();
    assert_eq!(value(&gone, "ip4.addr"), Some(None));
    let same = config(&world, "jail1", &[("ip4", json!(["192.168.1.2"]))]).unwrap();
    assert!(same.params.is_empty(), "{same:?}");
    assert_eq!(same.notes, ["Already set to these addresses. jail1"]);
    let other = config(&world, "jail1", &[]).unwrap();
    assert_eq!(other, Plan::default(), "nothing that is asked of this plugin");
}

#[test]
fn addresses_move_with_the_interface_that_they_name() {
    let mut world = World::freebsd();
    world.jails = vec![jail(
        "jail1",
        &[
            ("interface", &["lo1"]),
            (
                "ip4.addr",
                &["192.168.1.2", "lo1|192.168.1.3/28", "em0|192.0.2.11"],
            ),
        ],
    )];
    world.jails[0].params.set("interface", "lo1");
    let plan = config(&world, "jail1", &[("interface", json!("em0"))]).unwrap();
    assert_eq!(value(&plan, "interface"), Some(Some("em0".to_owned())));
    assert_eq!(
        value(&plan, "ip4.addr"),
        Some(Some("192.168.1.2, em0|192.168.1.3/28, em0|192.0.2.11".to_owned()))
    );
    assert_eq!(plan.notes, ["Successful nic change for jail1"]);
}

#[test]
fn on_freebsd_no_loopback_interface_is_for_vnet() {
    let mut world = World::freebsd();
    let on = [("vnet", json!(true)), ("vnet-interface", json!("lo1"))];
    let refused = config(&world, "jail1", &on).unwrap_err();
    assert!(
        refused[0].starts_with("lo1 is a loopback interface"),
        "{refused:?}"
    );
    // With an interface that the administrator gives, where its addresses are does not matter.
    let mut own = jail("jail1", &[]);
    own.params.set("vnet.interface", "em1");
    world.jails = vec![own];
    config(&world, "jail1", &on).unwrap();
}

#[test]
fn vnet_on_freebsd_has_its_rules_for_devices() {
    let mut world = World::freebsd();
    let on = config(
        &world,
        "jail1",
        &[("vnet", json!(true)), ("vnet-interface", json!("em0"))],
    )
    .unwrap();
    assert_eq!(value(&on, "vnet"), Some(Some("new".to_owned())));
    assert_eq!(value(&on, "devfs_ruleset"), Some(Some("5".to_owned())));
    assert_eq!(value(&on, "interface"), Some(Some("em0".to_owned())));
    assert!(
        on.notes
            .contains(&"Successfully enabled vnet for jail1".to_owned())
    );

    let mut vnet = jail("jail1", &[]);
    for (key, value) in [("vnet", "new"), ("devfs_ruleset", "5"), ("interface", "em0")] {
        vnet.params.set(key, value);
    }
    world.jails = vec![vnet];
    let off = config(&world, "jail1", &[("no-vnet", json!(true))]).unwrap();
    assert_eq!(value(&off, "vnet"), Some(None));
    assert_eq!(value(&off, "devfs_ruleset"), Some(None));
    let again = config(&world, "jail1", &[("vnet", json!(true))]).unwrap();
    assert_eq!(again.notes, ["Already set to vnet. jail1"]);
}

#[test]
fn on_linux_a_card_with_addresses_is_not_put_on_a_bridge() {
    let world = World::linux();
    let options = |card: &str| [("vnet", json!(true)), ("vnet-interface", json!(card))];
    let refused = config(&world, "jail1", &options("eth0")).unwrap_err();
    assert!(
        refused[0].contains("eth0 has the address 192.0.2.10/24"),
        "{refused:?}"
    );
    let missing = config(&world, "jail1", &options("eth7")).unwrap_err();
    assert!(missing[0].contains("there is no interface eth7"), "{missing:?}");
    let plain = config(&world, "jail1", &[("vnet-interface", json!("lo1"))]).unwrap_err();
    assert!(
        plain[0].contains("jail1 has no network stack of its own"),
        "{plain:?}"
    );
}

#[test]
fn no_address_and_some_at_once_are_refused() {
    let world = World::linux();
    for list in [json!(["none", "192.168.1.5"]), json!(["192.168.1.5", "none"])] {
        let refused = config(&world, "jail1", &[("ip4", list)]).unwrap_err();
        assert!(
            refused[0].contains("`none` and IPv4 addresses are given at once"),
            "{refused:?}"
        );
    }
}
