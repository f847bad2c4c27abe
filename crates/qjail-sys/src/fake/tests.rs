use super::*;
use std::path::PathBuf;

fn spec(name: &str, address: &str) -> JailSpec {
    let mut params = Params::new();
    params.set("interface", "lo1");
    params.set("ip4.addr", address);
    JailSpec {
        name: name.to_owned(),
        path: PathBuf::from("/none"),
        params,
        mounts: vec![],
        console_log: None,
        limits: qjail_model::Limits::default(),
    }
}

fn with_lo1(os: &'static str) -> Fake {
    let fake = Fake::new(os);
    fake.ensure_interface("lo1", &["192.168.1.1/28".parse().unwrap()])
        .unwrap();
    fake
}

#[test]
fn calls_are_written_down_and_fail_on_demand() {
    let fake = with_lo1("linux");
    let jail = spec("jail1", "192.168.1.2");
    fake.fail_on("start jail1");
    assert!(
        fake.start(&jail, &|| false)
            .unwrap_err()
            .to_string()
            .starts_with("start jail1: ")
    );
    assert!(fake.running().unwrap().is_empty());
    assert_eq!(fake.start(&spec("jail10", "192.168.1.3"), &|| false).unwrap(), 1);
    fake.heal();
    fake.fail_at(5);
    fake.start(&jail, &|| false).unwrap();
    assert!(
        fake.stop(
            &jail,
            StopOptions {
                force: true,
                timeout: None
            },
            &|| false,
        )
        .is_err()
    );
    assert!(fake.find("jail1").unwrap().is_some());
    fake.stop(&jail, StopOptions::default(), &|| false).unwrap();
    assert_eq!(
        fake.calls(),
        [
            "ensure_interface lo1 192.168.1.1/28",
            "start jail1",
            "start jail10",
            "start jail1",
            "stop jail1 force",
            "stop jail1"
        ]
    );
}

#[test]
fn freebsd_puts_addresses_on_the_host_and_takes_only_its_own_away() {
    let fake = with_lo1("freebsd");
    let before = fake.interfaces().unwrap();
    for address in ["192.168.1.2", "192.168.1.1"] {
        let jail = spec("jail1", address);
        fake.start(&jail, &|| false).unwrap();
        let there = |a: &str| {
            fake.interfaces()
                .unwrap()
                .iter()
                .any(|i| i.addresses.contains(&a.parse().unwrap()))
        };
        assert_eq!(there("192.168.1.2/32"), address == "192.168.1.2");
        fake.stop(&jail, StopOptions::default(), &|| false).unwrap();
        assert_eq!(fake.interfaces().unwrap(), before);
    }
    let jail = spec("jail1", "192.168.1.3");
    fake.start(&jail, &|| false).unwrap();
    fake.crash("jail1");
    assert_ne!(fake.interfaces().unwrap(), before);
    fake.cleanup(&jail).unwrap();
    assert_eq!(fake.interfaces().unwrap(), before);
}

#[test]
fn rc_conf_as_sysrc_changes_it() {
    let fake = Fake::new("freebsd");
    let value = || fake.rc_value("cloned_interfaces").unwrap();
    for (change, after) in [
        (RcChange::Remove("lo1".into()), None),
        (RcChange::Add("lo1".into()), Some("lo1")),
        (RcChange::Add("lo2".into()), Some("lo1 lo2")),
        (RcChange::Add("lo1".into()), Some("lo1 lo2")),
        (RcChange::Remove("lo1".into()), Some("lo2")),
        (RcChange::Remove("lo2".into()), Some("")),
        (RcChange::Set("a b".into()), Some("a b")),
        (RcChange::Unset, None),
    ] {
        fake.rc_conf("cloned_interfaces", &change).unwrap();
        assert_eq!(value().as_deref(), after, "{change:?}");
    }
    let linux = Fake::new("linux");
    assert!(linux.rc_value("x").is_err() && linux.rc_conf("x", &RcChange::Unset).is_err());
    assert!(linux.calls().is_empty());
}

#[test]
fn linux_refuses_what_it_can_not_do() {
    let fake = with_lo1("linux");
    let mut jail = spec("jail1", "192.168.1.2");
    jail.params.set("securelevel", "2");
    assert!(
        fake.start(&jail, &|| false)
            .unwrap_err()
            .to_string()
            .contains("securelevel")
    );
    assert!(Fake::new("freebsd").refused_params(&jail.params).is_empty());
}
