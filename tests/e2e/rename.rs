//! `config --rename`: everything that says the old name says the new one, whatever the jail's root has planted.

use std::os::unix::fs::symlink;
use std::path::Path;

use qjail_tests::{Site, same, sh};

#[test]
fn everything_that_says_the_name_follows() {
    let site = Site::shared();
    let (address, bridge) = (site.address(61), site.bridge());
    let _ = site
        .qjail(&[
            "create",
            "-n",
            &bridge,
            "-4",
            &address,
            "--param",
            "host.hostname=old1",
            "old1",
        ])
        .ok();
    let _ = site.qjail(&["create", "needs1"]).ok();
    let text = std::fs::read_to_string(site.definition("needs1")).unwrap();
    std::fs::write(
        site.definition("needs1"),
        text.replace("format = 1\n", "format = 1\ndepend = [\"old1\"]\n"),
    )
    .unwrap();
    let _ = site.qjail(&["start", "old1"]).ok();
    let renamed = site
        .qjail(&["config", "-n", "new1", "-m", "--restart", "old1"])
        .ok();
    assert!(
        renamed.out.contains("Successfully renamed old1 to new1"),
        "{renamed:#?}"
    );
    assert!(!site.definition("old1").exists() && !site.jails().join("old1").exists());
    let logs = site.root.join("var/log");
    assert!(logs.join("qjail.new1.console.log").exists() && !logs.join("qjail.old1.console.log").exists());
    assert_eq!(site.inside("new1", "hostname; cat /etc/hostname"), "new1\nnew1");
    let hosts = site.inside("new1", "cat /etc/hosts");
    assert!(
        hosts.contains(&format!("{address}\tnew1")) && !hosts.contains("old1"),
        "{hosts}"
    );
    let needs = std::fs::read_to_string(site.definition("needs1")).unwrap();
    assert!(needs.contains("depend = [\"new1\"]"), "{needs}");
    let list = site
        .qjail(&["list", "-o", "name,status,ip,hostname", "new1"])
        .ok()
        .out;
    assert!(
        list.contains("DRM") && list.contains(&address) && !list.contains("old1"),
        "{list}"
    );
    let _ = site.qjail(&["stop", "new1"]).ok();
    let _ = site.qjail(&["delete", "new1", "needs1"]).ok();
}

#[test]
fn manual_norun_and_back_again() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let before = site.picture();
    for (there, back) in [("-m", "-M"), ("-r", "-R")] {
        let _ = site.qjail(&["config", there, "a"]).ok();
        let _ = site.qjail(&["config", "-n", "b", "a"]).ok();
        let _ = site.qjail(&["config", "-n", "a", back, "b"]).ok();
        same(&site.picture(), &before, there);
    }
    let same_name = site.qjail(&["config", "-n", "a", "a"]).ok();
    assert!(same_name.out.starts_with("Already set to "), "{same_name:#?}");
    // A directory in the way, and a name of another zone.
    std::fs::create_dir(site.jails().join("taken")).unwrap();
    let _ = site
        .qjail(&["config", "-n", "taken", "a"])
        .refused(1, "exists already");
    let _ = site.qjail(&["-z", "other", "install", "--from-host"]).ok();
    let _ = site.qjail(&["-z", "other", "create", "far"]).ok();
    let _ = site
        .qjail(&["config", "-n", "far", "a"])
        .refused(1, "Jailname already exists. far");
    assert!(site.jails().join("a/etc").is_dir());
}

/// What the jail's root does to its own `etc`.
type Planter<'a> = &'a dyn Fn(&Path);

#[test]
fn nothing_is_followed_out_of_a_hostile_jail() {
    let site = Site::from_host();
    let outside = site.root.join("outside");
    std::fs::create_dir(&outside).unwrap();
    let plant: [(&str, Planter<'_>); 7] = [
        ("etc is a link", &|etc| {
            std::fs::rename(etc, etc.with_extension("was")).unwrap();
            symlink(etc.join("../../../../../../outside"), etc).unwrap();
        }),
        ("etc is a file", &|etc| {
            std::fs::rename(etc, etc.with_extension("was")).unwrap();
            std::fs::write(etc, "x").unwrap();
        }),
        ("hostname is a link", &|etc| {
            std::fs::remove_file(etc.join("hostname")).unwrap();
            symlink("../../../../../../../outside/hostname", etc.join("hostname")).unwrap();
        }),
        ("hosts is an absolute link", &|etc| {
            std::fs::remove_file(etc.join("hosts")).unwrap();
            symlink("/etc/hosts", etc.join("hosts")).unwrap();
        }),
        ("both are FIFOs", &|etc| {
            let script = "rm hostname hosts; mkfifo hostname hosts";
            let _ = sh(script, etc).ok();
        }),
        ("both are directories", &|etc| {
            let _ = sh("rm hostname hosts; mkdir hostname hosts", etc).ok();
        }),
        ("both are gone", &|etc| {
            let _ = sh("rm hostname hosts", etc).ok();
        }),
    ];
    let host = || {
        (
            std::fs::read("/etc/hosts").unwrap(),
            std::fs::read("/etc/hostname").ok(),
        )
    };
    let of_host = host();
    for (number, (what, planted)) in plant.into_iter().enumerate() {
        let (old, new) = (format!("evil{number}"), format!("tame{number}"));
        // What a careless program would change.
        std::fs::write(outside.join("hostname"), format!("{old}\n")).unwrap();
        std::fs::write(outside.join("hosts"), format!("10.0.0.1\t{old}\n")).unwrap();
        let _ = site.qjail(&["create", &old]).ok();
        planted(&site.jails().join(&old).join("etc"));
        let ran = site.qjail(&["config", "-n", &new, &old]).ok();
        assert!(ran.out.contains("Successfully renamed"), "{what}: {ran:#?}");
        assert_eq!(
            ran.err.contains("left as it is"),
            what != "both are gone",
            "{what}: {ran:#?}"
        );
        assert!(
            site.definition(&new).exists() && site.jails().join(&new).exists(),
            "{what}"
        );
        assert_eq!(
            std::fs::read_to_string(outside.join("hostname")).unwrap(),
            format!("{old}\n"),
            "{what}"
        );
        assert_eq!(
            std::fs::read_to_string(outside.join("hosts")).unwrap(),
            format!("10.0.0.1\t{old}\n"),
            "{what}"
        );
        assert_eq!(host(), of_host, "{what}");
    }
}

#[test]
fn a_rename_that_is_cut_off_is_undone_or_whole() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    // A journal that was cut off while it was begun leaves a file, which the next one of that jail replaces.
    let picture = || {
        let begun = |line: &String| line.contains("/state/journal/.");
        site.picture()
            .into_iter()
            .filter(|l| !begun(l))
            .collect::<Vec<_>>()
    };
    let before = picture();
    for pause in 0..12 {
        let mut child = site.command(&["config", "-n", "b", "a"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(3 * pause));
        let _ = child.kill();
        let _ = child.wait();
        // The next command repairs.
        let _ = site.qjail(&["start", "nosuch"]);
        let whole = site.definition("b").exists();
        assert_ne!(whole, site.definition("a").exists(), "after {pause}");
        assert_eq!(whole, site.jails().join("b").exists(), "after {pause}");
        if whole {
            let _ = site.qjail(&["config", "-n", "a", "b"]).ok();
        }
        same(&picture(), &before, &format!("after {pause}"));
    }
}
