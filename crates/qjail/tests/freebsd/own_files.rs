//! A jail's file system and its lasting jail.conf(5).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Host;

#[test]
fn a_jail_with_a_file_system_of_its_own() {
    let mut host = Host::ready();
    let before = host.state();
    host.ok(&["create", "-i", "64m", "-n", "lo1", "-4", "192.168.1.6", "box"]);
    assert_eq!(host.state(), before);
    host.check("create-image.txt");
    host.ok(&["start", "box"]);
    host.check("start-image.txt");
    host.ok(&["stop", "box"]);
    host.check("stop-image.txt");
    assert_eq!(host.state(), before);
    host.ok(&["config", "--rename", "crate", "box"]);
    host.check("rename-image.txt");
    // What fails at any point leaves no disk and no mount.
    for tool in [
        "/sbin/newfs",
        "/sbin/fsck_ffs",
        "/sbin/mount",
        "/sbin/mdconfig -a",
    ] {
        host.machine.fail(tool, "no");
        host.fails(&["create", "-i", "64m", "-n", "lo1", "-4", "192.168.1.7", "other"]);
        host.machine.mend();
        assert_eq!(host.state(), before, "{tool}");
    }
    host.text.clear();
    host.ok(&["delete", "crate"]);
    host.check("delete-image.txt");
    assert_eq!(host.state(), before);
}

#[test]
fn the_lasting_file_works_without_qjail() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let before = host.state();
    let file = host.path("var/db/qjail/jail.conf.d/jail2.conf");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let made = fs::read_to_string(&file).unwrap();
    host.ok(&["start", "jail2"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), made);
    host.ok(&["stop", "jail2"]);
    let name = file.to_str().unwrap();
    host.machine
        .by_hand("/usr/sbin/jail", &["-f", name, "-c", "jail2"])
        .unwrap();
    assert!(host.state().contains("192.168.1.2/32"));
    host.ok(&["stop", "jail2"]);
    assert_eq!(host.state(), before);
    host.ok(&["config", "--param", "securelevel=2", "jail2"]);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .contains("securelevel = \"2\";")
    );
    host.ok(&["delete", "jail2"]);
    assert!(!file.exists());
}

/// A new base is what the next start of every jail of its zone uses, and its file says so; that of a jail that runs says how
/// to stop it.
#[test]
fn the_lasting_files_follow_the_base() {
    let mut host = Host::ready();
    let base = host.base();
    host.ok(&["-z", "web", "install", base.to_str().unwrap()]);
    let of = |number: u8| format!("192.168.1.{number}");
    host.ok(&["create", "-n", "lo1", "-4", &of(2), "stopped"]);
    host.ok(&["create", "-n", "lo1", "-4", &of(3), "runs"]);
    host.ok(&["-z", "web", "create", "-n", "lo1", "-4", &of(4), "zoned"]);
    host.ok(&["start", "runs"]);
    let mounted = |host: &Host, name: &str| {
        let text = fs::read_to_string(host.path(&format!("var/db/qjail/jail.conf.d/{name}.conf"))).unwrap();
        text.lines().find(|l| l.contains("mount = ")).unwrap().to_owned()
    };
    let before = ["stopped", "runs", "zoned"].map(|name| mounted(&host, name));
    host.ok(&["install", base.to_str().unwrap()]);
    assert_ne!(mounted(&host, "stopped"), before[0]);
    assert_eq!(mounted(&host, "runs"), before[1]);
    assert_eq!(mounted(&host, "zoned"), before[2]);
    host.ok(&["restart", "runs"]);
    assert_ne!(mounted(&host, "runs"), before[1]);
}

/// Nothing of it is shared, and what the base has as a link (`sys`) is one in the jail.
#[test]
fn a_jail_with_a_base_of_its_own() {
    let mut host = Host::ready();
    let before = host.state();
    host.ok(&["create", "--thick", "-n", "lo1", "-4", "192.168.1.7", "thick"]);
    host.ok(&["start", "thick"]);
    host.check("start-thick.txt");
    let root = host.path("usr/jails/thick");
    assert_eq!(
        fs::read_link(root.join("sys")).unwrap().to_str(),
        Some("usr/src/sys")
    );
    assert_eq!(fs::read_to_string(root.join("usr/bin/login")).unwrap(), "login");
    host.text.clear();
    host.ok(&["stop", "--timeout", "5", "thick"]);
    // jail(8) counts stop.timeout from the end of exec.stop.
    for bound in ["exec.timeout = \"5\";", "stop.timeout = \"5\";"] {
        assert!(host.text.contains(bound), "{}", host.text);
    }
    assert_eq!(host.state(), before);
    let image = [
        "create",
        "--thick",
        "-i",
        "64m",
        "-n",
        "lo1",
        "-4",
        "192.168.1.8",
        "box",
    ];
    host.ok(&image);
    assert!(host.path("usr/jails/box/usr/bin/login").is_file());
}

/// A zone has jails and a base of its own; the names of jails are unique over all zones.
#[test]
fn a_zone() {
    let mut host = Host::ready();
    let base = host.base();
    let before = host.state();
    host.ok(&["-z", "web", "install", base.to_str().unwrap()]);
    host.ok(&["-z", "web", "create", "-n", "lo1", "-4", "192.168.1.9", "www"]);
    host.ok(&["-z", "web", "start", "www"]);
    host.fails(&["stop", "www"]);
    host.fails(&["create", "-n", "lo1", "-4", "192.168.1.10", "www"]);
    host.ok(&["stop", "-z", "web"]);
    host.check("zone.txt");
    assert_eq!(host.state(), before);
}
