//! `--dry-run`: what is shown, and that nothing is changed by showing it.

use qjail_tests::{Site, host_interfaces};

#[test]
fn every_changing_command_shows_its_plan_and_changes_nothing() {
    let site = Site::from_host();
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network()])
        .ok();
    let _ = site
        .qjail(&["create", "-n", &site.bridge(), "-4", &site.address(9), "up"])
        .ok();
    let _ = site.qjail(&["create", "down"]).ok();
    let _ = site.qjail(&["start", "up"]).ok();
    let before = site.picture();
    let fixture = qjail_tests::fixture();
    for (args, shown) in [
        (
            &["create", "-n", &site.bridge(), "-4", "auto", "new"] as &[&str],
            "write the definition of new",
        ),
        (&["create", "--thick", "new"], "copy the whole base into the jail"),
        (&["start", "down"], "start jail down (/bin/sh /etc/rc)"),
        (&["config", "-m", "down"], "write the definition of down: manual"),
        (
            &["config", "-r", "--param", "depend=up", "down"],
            "write the definition of down: norun; depend = up",
        ),
        (&["stop", "up"], "stop jail up"),
        (&["stop", "--force", "up"], "kill jail up"),
        (&["restart", "up"], "stop jail up"),
        (&["delete", "down"], "remove the definition of down"),
        (&["install", "--from-host"], "base: "),
        (&["install", fixture.to_str().unwrap()], "base: "),
        (
            &["net", "create", "qeother", "10.200.0.1/28"],
            "interface qeother up with 10.200.0.1/28",
        ),
    ] {
        let line = [&["--dry-run"], args].concat();
        let plan = site.qjail(&line).ok();
        assert!(plan.out.contains(shown), "{plan:#?}");
        assert!(plan.out.starts_with("Plan of "), "{plan:#?}");
        let json = site.qjail(&[&["--json"], line.as_slice()].concat()).ok();
        for text in json.out.lines() {
            let value: serde_json::Value = serde_json::from_str(text).expect(text);
            assert!(value["steps"].is_array(), "{value}");
        }
        qjail_tests::same(&site.picture(), &before, &format!("{args:?}"));
        assert_eq!(site.connected(), 1, "{args:?}");
        assert!(!host_interfaces().contains(&"qeother".to_owned()));
    }
    assert_eq!(site.inside("up", "hostname"), "up");
}

#[test]
fn a_dry_run_of_several_counts_addresses_as_the_real_one_would() {
    let site = Site::from_host();
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network()])
        .ok();
    let args = ["create", "-d", "3", "-n", &site.bridge(), "-4", "auto", "w"];
    let shown = site
        .qjail(&[&["--dry-run", "--json"], args.as_slice()].concat())
        .ok()
        .out;
    for host in 2..5 {
        assert!(
            shown.contains(&format!("{}\\\"", site.address(host))),
            "{host}: {shown}"
        );
    }
    let _ = site.qjail(&args).ok();
    let list = site.qjail(&["list", "-o", "ip"]).ok().out;
    assert_eq!(
        list,
        format!(
            "IP\n{}\n{}\n{}\n",
            site.address(2),
            site.address(3),
            site.address(4)
        )
    );
}
