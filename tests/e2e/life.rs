//! A jail's life, as the README tells it.

use qjail_tests::{Site, host_interfaces};

#[test]
fn a_whole_life_leaves_nothing_behind() {
    let site = Site::from_host();
    let before = site.picture();
    let (bridge, network, address) = (site.bridge(), site.network(), site.address(2));
    let _ = site.qjail(&["net", "create", &bridge, &network]).ok();

    let made = site
        .qjail(&["create", "-n", &bridge, "-4", &address, "jail1"])
        .ok();
    assert_eq!(made.out, "Successfully created  jail1\n");
    let list = site.qjail(&["list"]).ok().out;
    let row = list.lines().find(|l| l.ends_with(" jail1")).expect(&list);
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["DS", "N/A", &bridge, &address, "jail1"]
    );

    assert_eq!(
        site.qjail(&["start", "jail1"]).ok().out,
        "Jail successfully started  jail1\n"
    );
    assert_eq!(site.inside("jail1", "hostname"), "jail1");
    let list = site.qjail(&["list"]).ok().out;
    assert!(list.contains("DR "), "{list}");
    assert_eq!(
        site.qjail(&["start", "jail1"]).ok().out,
        "Jail already running.      jail1\n"
    );
    let running = site
        .qjail(&["delete", "jail1"])
        .refused(1, "Bypassed running jail jail1");
    assert!(running.err.contains("hint: qjail stop jail1"), "{running:?}");

    assert_eq!(
        site.qjail(&["stop", "jail1"]).ok().out,
        "Jail successfully stopped  jail1\n"
    );
    assert_eq!(
        site.qjail(&["stop", "jail1"]).ok().out,
        "Jail already stopped.      jail1\n"
    );
    assert_eq!(
        site.qjail(&["delete", "jail1"]).ok().out,
        "Successfully deleted  jail1\n"
    );
    let _ = site.qjail(&["net", "delete", &bridge]).ok();

    site.assert_no_trace();
    assert!(!host_interfaces().contains(&bridge));
    let after: Vec<_> = site
        .picture()
        .into_iter()
        .filter(|l| !l.contains("/log/") && !l.contains("qjail.toml"))
        .collect();
    let before: Vec<_> = before
        .into_iter()
        .filter(|l| !l.contains("/log/") && !l.contains("qjail.toml"))
        .collect();
    qjail_tests::same(&after, &before, "after a whole life");
}

#[test]
fn a_thin_jail_shares_the_base_and_can_not_write_to_it() {
    let site = Site::shared();
    let _ = site.qjail(&["create", "thin"]).ok();
    let _ = site.qjail(&["start", "thin"]).ok();
    assert_eq!(site.inside("thin", "readlink /usr/bin"), "/sharedfs/usr/bin");
    let write = site.qjail(&[
        "exec",
        "thin",
        "--",
        "/bin/sh",
        "-c",
        "touch /usr/bin/x /sharedfs/y",
    ]);
    assert_ne!(write.code, 0);
    assert!(write.err.contains("Read-only file system"), "{write:?}");
    assert_eq!(
        site.inside("thin", "touch /etc/mine /usr/local/mine && ls /etc/mine"),
        "/etc/mine"
    );
    let _ = site.qjail(&["stop", "thin"]).ok();
    let _ = site.qjail(&["delete", "thin"]).ok();
}

#[test]
fn a_thick_jail_has_everything_of_its_own() {
    let site = Site::shared();
    let _ = site.qjail(&["create", "--thick", "thick"]).ok();
    let _ = site.qjail(&["start", "thick"]).ok();
    assert_eq!(
        site.inside(
            "thick",
            "touch /usr/bin/mine && test ! -L /usr/bin && ls /usr/bin/mine"
        ),
        "/usr/bin/mine"
    );
    assert!(!site.jails().join("sharedfs/usr/bin/mine").exists());
    let _ = site.qjail(&["stop", "thick"]).ok();
    let _ = site.qjail(&["delete", "thick"]).ok();
}

#[test]
fn flavors_are_merged_and_only_into_later_jails() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "--start", "early"]).ok();
    let file = "usr/local/etc/pkg/repos/FreeBSD.conf";
    let flavor = site.jails().join("flavors/default").join(file);
    std::fs::create_dir_all(flavor.parent().unwrap()).unwrap();
    std::fs::write(&flavor, "mirror\n").unwrap();
    let _ = site.qjail(&["create", "late"]).ok();
    assert_eq!(
        std::fs::read_to_string(site.jails().join("late").join(file)).unwrap(),
        "mirror\n"
    );
    assert!(!site.jails().join("early").join(file).exists());
    assert!(!site.jails().join("late/flavor.toml").exists());

    let own = site.jails().join("flavors/web/etc");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("motd"), "web\n").unwrap();
    let _ = site.qjail(&["create", "-f", "default", "-f", "web", "both"]).ok();
    assert_eq!(
        std::fs::read_to_string(site.jails().join("both/etc/motd")).unwrap(),
        "web\n"
    );
    assert!(site.jails().join("both").join(file).exists());
}

#[test]
fn several_names_prefixes_and_failures_in_between() {
    let site = Site::from_host();
    for name in ["web1", "web2", "db"] {
        let _ = site.qjail(&["create", name]).ok();
    }
    let _ = site
        .qjail(&["create", "--param", "exec.start=exit 7", "web-broken"])
        .ok();
    let some = site.qjail(&["start", "web=", "nosuch", "db"]);
    assert_eq!(some.code, 1, "{some:?}");
    for good in ["web1", "web2", "db"] {
        assert!(
            some.out.contains(&format!("Jail successfully started  {good}\n")),
            "{some:?}"
        );
    }
    assert!(
        some.err.contains("start web-broken: ") && some.err.contains('7'),
        "{some:?}"
    );
    assert!(some.err.contains("Error: Jail doesn't exist. nosuch"), "{some:?}");
    let running = site.qjail(&["list", "--running", "-o", "name"]).ok().out;
    assert_eq!(running, "NAME\ndb\nweb1\nweb2\n");

    let again = site.qjail(&["restart", "web1", "web2"]).ok();
    assert_eq!(again.out.matches("successfully stopped").count(), 2, "{again:?}");
    assert_eq!(again.out.matches("successfully started").count(), 2, "{again:?}");
    let all = site.qjail(&["stop"]).ok();
    assert_eq!(all.out.matches("Jail successfully stopped").count(), 3, "{all:?}");
    site.assert_no_trace();
    let none = site
        .qjail(&["stop", "x="])
        .refused(1, "Error: No match for group prefix. x");
    assert_eq!(none.out, "");
}

#[test]
fn dependencies_start_first_and_stop_last() {
    let site = Site::from_host();
    for name in ["app", "cache", "db"] {
        let _ = site
            .qjail(&["create", "--param", "exec.start=date +%s.%N > /etc/started", name])
            .ok();
    }
    let text = std::fs::read_to_string(site.definition("app")).unwrap();
    let text = text.replacen("format = 1", "format = 1\ndepend = [\"db\", \"cache\"]", 1);
    std::fs::write(site.definition("app"), text).unwrap();
    let started = site.qjail(&["start", "--jobs", "4"]).ok().out;
    assert_eq!(
        started.lines().last(),
        Some("Jail successfully started  app"),
        "{started}"
    );
    let when = |n: &str| -> f64 {
        std::fs::read_to_string(site.jails().join(n).join("etc/started"))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    assert!(when("db") < when("app") && when("cache") < when("app"));
    let stopped = site.qjail(&["stop", "--jobs", "4"]).ok().out;
    assert_eq!(
        stopped.lines().next(),
        Some("Jail successfully stopped  app"),
        "{stopped}"
    );
    let refused = site.qjail(&["delete", "db"]).refused(1, "jail app depends on db");
    assert!(site.definition("db").exists(), "{refused:?}");
}

#[test]
fn duplicates_count_up_and_pass_over_what_is_taken() {
    let site = Site::from_host();
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network()])
        .ok();
    let _ = site
        .qjail(&["create", "-n", &site.bridge(), "-4", &site.address(6), "taken"])
        .ok();
    let _ = site
        .qjail(&[
            "create",
            "-d",
            "3",
            "-n",
            &site.bridge(),
            "-4",
            &site.address(5),
            "w",
        ])
        .ok();
    let list = site.qjail(&["list", "w=", "-o", "name,ip"]).ok().out;
    let rows: Vec<&str> = list.lines().skip(1).collect();
    let row = |i: u32, host: u32| format!("w-{i:03}  {}", site.address(host));
    assert_eq!(rows, [row(1, 5), row(2, 7), row(3, 8)]);
    let _ = site.qjail(&["create", "-d", "255", "x"]).refused(2, "1 to 254");
}

#[test]
fn duplicates_never_use_an_address_twice_where_a_name_exists() {
    let site = Site::from_host();
    let bridge = site.bridge();
    let _ = site.qjail(&["net", "create", &bridge, &site.network()]).ok();
    let _ = site
        .qjail(&["create", "-n", &bridge, "-4", &site.address(20), "w-002"])
        .ok();
    let first = site.address(5);
    let args = ["create", "-d", "3", "-n", &bridge, "-4", &first, "w"];
    let made = site.qjail(&args).refused(1, "w-002");
    assert!(
        made.out.contains("w-001") && made.out.contains("w-003"),
        "{made:#?}"
    );
    let list = site.qjail(&["list", "w=", "-o", "name,ip"]).ok().out;
    let rows: Vec<&str> = list.lines().skip(1).collect();
    let row = |i: u32, host: u32| format!("w-{i:03}  {}", site.address(host));
    assert_eq!(rows, [row(1, 5), row(2, 20), row(3, 6)]);
}

#[test]
fn norun_jails_are_passed_over() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let text = std::fs::read_to_string(site.definition("a")).unwrap();
    std::fs::write(
        site.definition("a"),
        text.replacen("format = 1", "format = 1\nnorun = true", 1),
    )
    .unwrap();
    assert_eq!(site.qjail(&["start"]).ok().out, "Bypassed norun status a\n");
    let list = site.qjail(&["list"]).ok().out;
    assert!(list.lines().any(|l| l.starts_with("DSN ")), "{list}");
}

#[test]
fn json_is_data() {
    let site = Site::from_host();
    let made = site.qjail(&["create", "--json", "a"]).ok();
    let value: serde_json::Value = serde_json::from_str(made.out.lines().next().unwrap()).expect(&made.out);
    assert_eq!(value["jail"], "a");
    let list: serde_json::Value = serde_json::from_str(&site.qjail(&["list", "--json"]).ok().out).unwrap();
    assert_eq!(list[0]["name"], "a");
    assert_eq!(list[0]["running"], false);
    let error = site.qjail(&["start", "--json", "b"]);
    assert_eq!(error.code, 1);
    let value: serde_json::Value = serde_json::from_str(&error.err).expect(&error.err);
    assert!(value["error"].as_str().unwrap().contains("Jail doesn't exist. b"));
}

#[test]
fn zones_have_their_own_base_and_names_are_unique_over_them() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let _ = site.qjail(&["-z", "web", "install", "--from-host"]).ok();
    let _ = site
        .qjail(&["-z", "web", "create", "a"])
        .refused(1, "Jailname already exists. a");
    let _ = site.qjail(&["create", "b", "-z", "web"]).ok();
    assert!(site.root.join("var/lib/qjail/jails.web/b/etc").is_dir());
    let list = site.qjail(&["list", "-z", "web"]).ok().out;
    assert!(
        list.contains("Jails in zone  web") && list.contains(" b\n") && !list.contains(" a\n"),
        "{list}"
    );
    let other = site.qjail(&["start", "b"]).refused(1, "Jail doesn't exist. b");
    assert!(other.err.contains("-z web"), "{other:?}");
    let _ = site.qjail(&["-z", "web", "delete", "b"]).ok();
}
