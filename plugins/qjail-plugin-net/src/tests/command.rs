//! `net create`, `net list`, `net delete`.

use qjail_plugin_api::{RcChange, Step};
use serde_json::json;

use super::World;

#[test]
fn net_create_on_linux_and_freebsd() {
    let reply = World::linux()
        .net_create("lo2", &["10.9.0.1/24", "fd09::1/64"])
        .unwrap();
    let addresses: Vec<_> = ["10.9.0.1/24", "fd09::1/64"].map(|a| a.parse().unwrap()).to_vec();
    let ensure = Step::EnsureInterface {
        name: "lo2".to_owned(),
        addresses,
    };
    assert_eq!(reply.plan.steps, std::slice::from_ref(&ensure));
    let Step::Setting { path, value } = &reply.plan.commit[0] else {
        panic!("{:?}", reply.plan)
    };
    assert_eq!(path, &["interfaces", "lo2"]);
    assert_eq!(
        value,
        &Some(json!({ "addresses": ["10.9.0.1/24", "fd09::1/64"] }))
    );

    let reply = World::freebsd()
        .net_create("lo2", &["10.9.0.1/24", "fd09::1/64"])
        .unwrap();
    let rc = |v: &str, change| Step::RcConf {
        variable: v.to_owned(),
        change,
    };
    let steps = [
        rc("cloned_interfaces", RcChange::Add("lo2".to_owned())),
        rc(
            "ifconfig_lo2_alias0",
            RcChange::Set("inet 10.9.0.1/24".to_owned()),
        ),
        rc(
            "ifconfig_lo2_alias1",
            RcChange::Set("inet6 fd09::1/64".to_owned()),
        ),
        ensure,
    ];
    assert_eq!(reply.plan.steps, steps);
    let Step::Setting {
        value: Some(value), ..
    } = &reply.plan.commit[0]
    else {
        panic!("{:?}", reply.plan)
    };
    assert_eq!(value["rc"], json!(["ifconfig_lo2_alias0", "ifconfig_lo2_alias1"]));
}

#[test]
fn net_create_refuses_what_would_disturb() {
    for (name, networks, says) in [
        ("lo1", &["10.9.0.1/24"] as &[&str], "a network lo1 already"),
        ("docker0", &["10.9.0.1/24"], "an interface docker0 already"),
        (
            "lo2",
            &["172.17.5.1/24"],
            "overlaps with 172.17.0.1/16 on docker0",
        ),
        (
            "lo2",
            &["192.168.1.2/24"],
            "overlaps with 192.168.1.1/28 of the network lo1",
        ),
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
    let rc = |v: &str, change| Step::RcConf {
        variable: v.to_owned(),
        change,
    };
    let addresses = vec!["192.168.1.1/28".parse().unwrap()];
    let steps = [
        rc("cloned_interfaces", RcChange::Remove("lo1".to_owned())),
        rc("ifconfig_lo1_alias0", RcChange::Unset),
        Step::RemoveInterface {
            name: "lo1".to_owned(),
            addresses,
        },
    ];
    assert_eq!(plan.steps, steps);
    let path = vec!["interfaces".to_owned(), "lo1".to_owned()];
    assert_eq!(plan.commit, [Step::Setting { path, value: None }]);
}

#[test]
fn net_list_tells_what_is_missing() {
    let mut world = World::linux();
    let shown = |world: &World| world.command(&["net", "list"], &[]).unwrap().output.unwrap();
    assert_eq!(
        shown(&world).rows,
        [["lo1", "192.168.1.1/28,fd00::1/64", "up", "1"]]
    );
    world.interfaces.clear();
    let output = shown(&world);
    assert_eq!(output.rows[0][2], "missing");
    assert_eq!(output.data[0]["jails"], json!(["jail1"]));
    world.settings = json!({});
    assert!(shown(&world).rows.is_empty());
}

#[test]
fn settings_with_a_mistake_are_named() {
    for bad in [
        json!({ "interfaces": { "lo1": { "address": [] } } }),
        json!({ "interfaces": { "lo1": { "addresses": ["x"] } } }),
    ] {
        let world = World {
            settings: bad,
            ..World::linux()
        };
        let error = world.command(&["net", "list"], &[]).unwrap_err();
        assert!(
            error.message.starts_with("/etc/qjail/qjail.toml: [plugin.net]"),
            "{error}"
        );
    }
}
