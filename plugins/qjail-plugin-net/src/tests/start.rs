//! `start`: networks made again, addresses that somebody has.

use qjail_plugin_api::{Event, Interface, JailInfo, Step};
use serde_json::json;

use super::{World, interface};

#[test]
fn a_start_makes_a_missing_network_again() {
    let mut world = World::linux();
    let jail1 = world.jails[0].clone();
    let whole = world.ask(world.hook(Event::Start, jail1.clone(), &[])).unwrap();
    assert!(whole.steps.is_empty(), "nothing to do: {whole:?}");
    world.interfaces.retain(|i| i.name != "lo1");
    let plan = world.ask(world.hook(Event::Start, jail1.clone(), &[])).unwrap();
    let addresses = vec!["192.168.1.1/28".parse().unwrap(), "fd00::1/64".parse().unwrap()];
    assert_eq!(
        plan.steps,
        [Step::EnsureInterface {
            name: "lo1".to_owned(),
            addresses
        }]
    );
    world.interfaces.push(Interface {
        up: false,
        ..interface("lo1", &["192.168.1.1/28"], true)
    });
    assert_eq!(
        world
            .ask(world.hook(Event::Start, jail1.clone(), &[]))
            .unwrap()
            .steps
            .len(),
        1
    );
    world.interfaces.pop();
    world.settings = json!({});
    let told = world
        .ask(world.hook(Event::Start, jail1, &[]))
        .unwrap_err()
        .join("\n");
    assert!(
        told.contains("lo1, which does not exist") && told.contains("qjail net create lo1"),
        "{told}"
    );
}

#[test]
fn a_start_finds_who_has_the_address() {
    let mut world = World::linux();
    let jail1 = world.jails[0].clone();
    world.jails.push(JailInfo {
        name: "twin".to_owned(),
        ..jail1.clone()
    });
    assert!(
        world.ask(world.hook(Event::Start, jail1.clone(), &[])).is_ok(),
        "the other one is stopped"
    );
    world.running = vec!["twin".to_owned()];
    let told = world
        .ask(world.hook(Event::Start, jail1.clone(), &[]))
        .unwrap_err()
        .join("\n");
    assert!(told.contains("in use by the running jail twin"), "{told}");
    world.running.clear();
    world
        .interfaces
        .push(interface("eth1", &["192.168.1.2/30"], false));
    let told = world
        .ask(world.hook(Event::Start, jail1, &[]))
        .unwrap_err()
        .join("\n");
    assert!(told.contains("the host's own on eth1"), "{told}");
    // FreeBSD: an alias left by a crash, or shared with the host, on the right interface.
    let mut world = World::freebsd();
    world.interfaces[2]
        .addresses
        .push("192.168.1.2/32".parse().unwrap());
    assert!(
        world
            .ask(world.hook(Event::Start, world.jails[0].clone(), &[]))
            .is_ok()
    );
}

#[test]
fn on_freebsd_a_start_says_that_an_address_is_the_hosts_too() {
    let mut world = World::freebsd();
    let mut jail = world.jails[0].clone();
    jail.params.set("interface", "lo1");
    jail.params.set("ip4.addr", "192.168.1.1");
    world.jails.clear();
    world.interfaces = vec![interface("lo1", &["192.168.1.1/28"], true)];
    let warnings = |jail: &JailInfo| {
        let plan = world.ask(world.hook(Event::Start, jail.clone(), &[])).unwrap();
        plan.warnings
    };
    assert!(warnings(&jail)[0].starts_with("the jail shares 192.168.1.1 with the host"));
    let mut vnet = jail.clone();
    vnet.params.set("vnet", "new");
    assert_eq!(warnings(&vnet), [""; 0]);
    jail.params.set("ip4.addr", "192.168.1.2");
    assert_eq!(warnings(&jail), [""; 0]);
}
