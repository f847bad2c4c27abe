//! The network options of `config`: other addresses, another interface.

use qjail_tests::{Site, same};

/// A site with the host's base, two networks and a jail `web` on the first.
fn site() -> (Site, String) {
    let site = Site::from_host();
    let second = format!("{}b", site.bridge());
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network()])
        .ok();
    let _ = site
        .qjail(&[
            "net",
            "create",
            &second,
            &format!("{}/24", site.second_address(1)),
        ])
        .ok();
    let _ = site
        .qjail(&["create", "-n", &site.bridge(), "-4", &site.address(2), "web"])
        .ok();
    (site, second)
}

fn end(site: &Site, second: &str) {
    let _ = site.qjail(&["stop", "--force"]);
    let _ = site.qjail(&["delete", "--all", "--yes"]).ok();
    let _ = site.qjail(&["net", "delete", second]).ok();
}

fn params(site: &Site, jail: &str) -> serde_json::Value {
    let shown = site.qjail(&["config", "-d", "--json", jail]).ok().out;
    serde_json::from_str::<serde_json::Value>(&shown).unwrap()["params"].take()
}

#[test]
fn addresses_and_interfaces_change_with_the_jails_hosts() {
    let (site, second) = site();
    let changed = site.qjail(&["config", "-4", &site.address(5), "web"]).ok();
    assert_eq!(changed.out, "Successful ip change web\n");
    let hosts = std::fs::read_to_string(site.jails().join("web/etc/hosts")).unwrap();
    assert!(
        hosts.contains(&format!("{}\tweb\n", site.address(5))) && !hosts.contains(&site.address(2)),
        "{hosts}"
    );
    let again = site.qjail(&["config", "-4", &site.address(5), "web"]).ok();
    assert_eq!(again.out, "Already set to these addresses. web\n");
    // Both at once: neither overwrites what the other has changed.
    let _ = site
        .qjail(&["config", "-4", &site.address(6), "-n", "www", "web"])
        .ok();
    let hosts = std::fs::read_to_string(site.jails().join("www/etc/hosts")).unwrap();
    assert!(
        hosts.contains(&format!("{}\twww\n", site.address(6))) && !hosts.contains(&site.address(5)),
        "{hosts}"
    );
    let _ = site.qjail(&["config", "-n", "web", "www"]).ok();

    let there = site.second_address(7);
    let moved = site.qjail(&["config", "-c", &second, "-4", &there, "web"]).ok();
    assert_eq!(
        moved.out,
        "Successful nic change for web\nSuccessful ip change web\n"
    );
    assert_eq!(params(&site, "web")["interface"], second);
    let _ = site.qjail(&["start", "web"]).ok();
    assert!(
        site.inside("web", "ip -o addr show eth0")
            .contains(&format!("{there}/24")),
        "the jail has its new address"
    );
    let none = site.qjail(&["config", "--restart", "-4", "none", "web"]).ok();
    assert_eq!(none.out, "Successful ip change web\n");
    assert!(!site.inside("web", "ip -o link").contains("eth0"));
    assert!(params(&site, "web").get("ip4.addr").is_none());
    end(&site, &second);
}

#[test]
fn what_create_refuses_config_refuses_and_nothing_changes() {
    let (site, second) = site();
    let _ = site
        .qjail(&["create", "-n", &site.bridge(), "-4", &site.address(3), "db"])
        .ok();
    let before = site.picture();
    let (db, host) = (site.address(3), site.address(1));
    for (args, code, what) in [
        (
            vec!["-4", &db],
            1,
            "Existing jail db is already assigned IP address",
        ),
        (vec!["-4", &host], 1, "is the host's own address"),
        (vec!["-4", "203.0.113.7"], 1, "is outside of"),
        (vec!["-4", "fd00::1"], 1, "-4 takes IPv4"),
        (vec!["-4", "1.2.3"], 2, "1.2.3"),
        (vec!["-c", "nosuch0"], 1, "there is no interface nosuch0"),
        (vec!["-c", "lo"], 1, "lo is no bridge"),
        (vec!["-c", &second], 1, "is outside of"),
        (vec!["-w", &second], 1, "has no network stack of its own"),
        (vec!["-v", "-V"], 2, "--no-vnet"),
        (vec!["-c", &second, "-w", &second], 2, "--vnet-interface"),
        (vec!["--param", &format!("ip4.addr={db}")], 1, "already assigned"),
    ] {
        let line = [&["config"], args.as_slice(), &["web"]].concat();
        let refused = site.qjail(&line).refused(code, what);
        assert!(refused.err.contains("\nhint: "), "{refused:#?}");
        same(&site.picture(), &before, &line.join(" "));
    }
    end(&site, &second);
}

/// What can not be wanted of several jails, or together, changes none of them.
#[test]
fn options_that_can_not_go_together() {
    let (site, second) = site();
    let _ = site.qjail(&["create", "a"]).ok();
    let _ = site.qjail(&["create", "b"]).ok();
    let before = site.picture();
    for (args, code, says) in [
        (
            &["-4", "10.9.9.9", "a", "b"] as &[&str],
            1,
            "-4 10.9.9.9: b: several jails can not have one address",
        ),
        (
            &["-y", "--param", "sysvsem=inherit", "a"],
            2,
            "--param sysvsem and another option both change sysvsem",
        ),
        (
            &["-y", "--unset", "sysvshm", "a"],
            2,
            "--unset sysvshm and another option both change sysvshm",
        ),
        (
            &["-v", "--unset", "vnet", "a"],
            2,
            "--unset vnet and another option both change vnet",
        ),
        (
            &["--unset", "allow.raw_sokets", "a"],
            2,
            "there is no parameter allow.raw_sokets\nhint: there is allow.raw_sockets",
        ),
    ] {
        let _ = site.qjail(&[&["config"], args].concat()).refused(code, says);
    }
    same(&site.picture(), &before, "refused");
    for (option, first, again) in [
        (
            "-y",
            "Successfully enabled sysvipc for a",
            "Already set to sysvipc new. a",
        ),
        (
            "-Y",
            "Successfully disabled sysvipc for a",
            "Already set to sysvipc disable. a",
        ),
        ("-v", "Successfully enabled vnet for a", "Already set to vnet. a"),
        (
            "-V",
            "Successfully disabled vnet for a",
            "Already set to no vnet. a",
        ),
    ] {
        assert_eq!(
            site.qjail(&["config", option, "a"]).ok().out,
            format!("{first}\n")
        );
        assert_eq!(
            site.qjail(&["config", option, "a"]).ok().out,
            format!("{again}\n")
        );
    }
    end(&site, &second);
}

#[test]
fn what_stands_in_the_place_of_hosts_is_not_followed() {
    let (site, second) = site();
    let hosts = site.jails().join("web/etc/hosts");
    let outside = site.root.join("outside");
    std::fs::write(&outside, format!("{}\tweb\n", site.address(2))).unwrap();
    let mut number = 10;
    let mut change = |what: &str| {
        number += 1;
        let changed = site.qjail(&["config", "-4", &site.address(number), "web"]).ok();
        assert!(
            changed.err.contains("etc/hosts of web is left as it is"),
            "{what}: {changed:#?}"
        );
    };
    std::fs::remove_file(&hosts).unwrap();
    std::os::unix::fs::symlink(&outside, &hosts).unwrap();
    change("a link");
    std::fs::remove_file(&hosts).unwrap();
    let _ = qjail_tests::sh(&format!("mkfifo {}", hosts.display()), &site.root).ok();
    change("a FIFO");
    std::fs::remove_file(&hosts).unwrap();
    std::fs::create_dir(&hosts).unwrap();
    change("a directory");
    assert_eq!(
        std::fs::read_to_string(&outside).unwrap(),
        format!("{}\tweb\n", site.address(2))
    );
    end(&site, &second);
}
