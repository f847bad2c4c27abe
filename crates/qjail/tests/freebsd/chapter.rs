//! The commands of the chapter, in its order.

use super::Host;

#[test]
fn the_chapter() {
    let mut host = Host::new();
    let base = host.base();
    host.ok(&["install", base.to_str().unwrap()]);
    host.check("install.txt");
    host.ok(&["net", "create", "lo1", "192.168.1.1/28"]);
    host.check("net-create.txt");
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.1", "jail1"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.ok(&["list"]);
    host.check("create.txt");
    let before = host.state();
    host.ok(&["start", "jail1"]);
    host.check("start-jail1.txt");
    host.ok(&["start", "jail2"]);
    host.check("start-jail2.txt");
    host.ok(&["restart", "jail1"]);
    host.check("restart-jail1.txt");
    host.ok(&["stop"]);
    host.check("stop.txt");
    assert_eq!(host.state(), before);
    host.ok(&["start"]);
    host.fails(&["delete", "jail1"]);
    host.ok(&["stop", "jail1"]);
    host.text.clear();
    host.ok(&["delete", "jail1"]);
    host.check("delete-jail1.txt");
    host.ok(&["stop", "--force", "jail2"]);
    host.check("stop-force.txt");
    host.ok(&["delete", "--yes", "-A"]);
    host.ok(&["net", "delete", "lo1"]);
    host.check("delete-all-net-delete.txt");
    assert_eq!(host.state(), Host::new().state());
}

#[test]
fn the_chapters_settings() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "postgres"]);
    host.text.clear();
    for option in ["-m", "-M", "-r", "-R", "-y", "-Y", "-y", "-k", "-K", "-k"] {
        host.ok(&["config", option, "postgres"]);
    }
    host.ok(&[
        "config", "-s", "2", "-f", "1", "-p", "0-1", "-b", "61", "postgres",
    ]);
    host.check("config.txt");
    // What it adds to a start runs in the jail, where a rehearsal does not go.
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.5", "door"]);
    host.text.clear();
    host.ok(&["config", "-h", "door"]);
    host.check("config-ssh.txt");
    host.ok(&["config", "-H", "door"]);
    host.check("config-no-ssh.txt");
    host.ok(&["config", "-h", "door"]);
    host.text.clear();
    host.fails(&["start", "door"]);
    host.ok(&["delete", "door"]);
    host.text.clear();
    host.ok(&["start", "postgres"]);
    host.check("start-configured.txt");
    host.fails(&["config", "-m", "postgres"]);
    host.ok(&["stop", "postgres"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.4", "web"]);
    host.text.clear();
    host.ok(&["config", "-m", "postgres"]);
    host.text.clear();
    host.ok(&["boot"]);
    host.check("boot.txt");
    host.ok(&["start", "postgres"]);
    host.text.clear();
    host.ok(&["shutdown"]);
    host.check("shutdown.txt");
}

#[test]
fn a_command_in_a_jail() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.fails(&["exec", "jail2", "--", "/bin/sh"]);
    host.ok(&["start", "jail2"]);
    host.text.clear();
    // As far as the jail's door: a rehearsal has no inside.
    host.fails(&["exec", "jail2", "--", "/bin/sh"]);
    host.fails(&["console", "jail2"]);
    host.machine.sysctl("kern.osreldate", "1500068");
    host.fails(&["exec", "jail2", "--", "/bin/sh"]);
    host.check("exec.txt");
}

/// Limits of a login class do not get lost because the jail's login.conf is a trap; login(1) reads it itself.
#[test]
fn a_login_class_that_can_not_be_trusted() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.ok(&["start", "jail2"]);
    let conf = host.path("usr/jails/jail2/etc/login.conf");
    let command: &[&str] = &["exec", "jail2", "--", "/bin/sh"];
    std::fs::write(&conf, "default:maxproc=5:\n").unwrap();
    assert!(
        host.fails(command)
            .contains("run /bin/sh in jail2: enter the jail")
    );
    std::os::unix::fs::chown(&conf, Some(1001), None).unwrap();
    let said = host.fails(command);
    assert!(
        said.contains("qjail: jail2: read etc/login.conf of jail2: others than root may write to it")
            && said.contains("hint: qjail console jail2, and there: chown root:wheel /etc/login.conf"),
        "{said}"
    );
    std::fs::rename(&conf, conf.with_extension("real")).unwrap();
    std::os::unix::fs::symlink("login.real", &conf).unwrap();
    let said = host.fails(command);
    assert!(said.contains("read etc/login.conf of jail2: "), "{said}");
    let said = host.fails(&["console", "jail2"]);
    assert!(
        said.contains("run /usr/bin/login in jail2: enter the jail"),
        "{said}"
    );
}

/// One that fails keeps nobody else down, and the end of the command tells of it.
#[test]
fn a_boot_with_a_jail_that_fails_goes_on() {
    let mut host = Host::ready();
    for (number, name) in ["first", "second", "third"].into_iter().enumerate() {
        let address = format!("192.168.1.{}", number + 2);
        host.ok(&["create", "-n", "lo1", "-4", &address, name]);
    }
    host.ok(&["config", "--param", "depend=first", "third"]);
    host.text.clear();
    host.machine
        .fail("/sbin/ifconfig lo1 inet 192.168.1.2/32 alias", "ifconfig: no");
    let said = host.fails(&["boot"]);
    host.check("boot-fails.txt");
    assert!(
        said.starts_with("qjail: start first: ") && said.contains(": no; /sbin/ifconfig lo1"),
        "{said}"
    );
    assert!(said.contains("qjail: start third: a jail that it depends on has not started"));
    let state = host.state();
    assert!(state.contains("jail second in "), "{state}");
    assert!(!state.contains("jail first in ") && !state.contains("192.168.1.2/32"));
    host.machine.mend();
    host.ok(&["boot"]);
    host.ok(&["shutdown"]);
}

/// Addresses count up and pass over those that are taken.
#[test]
fn jails_in_a_row() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.4", "other"]);
    host.ok(&["create", "-d", "3", "-n", "lo1", "-4", "192.168.1.3", "web"]);
    host.ok(&["start", "web="]);
    for (name, address) in [("web-001", 3), ("web-002", 5), ("web-003", 6)] {
        assert!(host.state().contains(&format!("jail {name} in ")));
        let file = host.path(&format!("var/db/qjail/jail.conf.d/{name}.conf"));
        let text = std::fs::read_to_string(file).unwrap();
        assert!(
            text.contains(&format!("\"lo1|192.168.1.{address}/32\"")),
            "{text}"
        );
    }
}

/// On FreeBSD an address need not be in a network of its interface.
#[test]
fn jails_in_a_row_outside_of_the_networks() {
    let mut host = Host::ready();
    host.ok(&["create", "-d", "2", "-n", "lo1", "-4", "10.55.0.1", "db"]);
    let file = host.path("var/db/qjail/jail.conf.d/db-002.conf");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("\"lo1|10.55.0.2/32\""), "{text}");
}

/// What a failed `net create` has done of it is taken back; what rc.conf says already is not said again.
#[test]
fn a_network_is_made_whole_or_not_at_all() {
    let mut host = Host::ready();
    let before = host.state();
    for command in [
        "/usr/sbin/sysrc 'ifconfig_lo2_alias0",
        "/sbin/ifconfig lo2 create",
        "/sbin/ifconfig lo2 inet 10.9.0.1/24 alias",
        "/sbin/ifconfig lo2 up",
    ] {
        host.machine.fail(command, "no");
        let said = host.fails(&["net", "create", "lo2", "10.9.0.1/24"]);
        assert!(said.contains(": no\n"), "{said}");
        host.machine.mend();
        assert_eq!(host.state(), before, "{command}");
    }
    host.machine
        .by_hand("/usr/sbin/sysrc", &["cloned_interfaces+=lo2"])
        .unwrap();
    host.text.clear();
    host.ok(&["net", "create", "lo2", "10.9.0.1/24"]);
    assert!(!host.text.contains("cloned_interfaces+=lo2"), "{}", host.text);
    assert!(host.state().contains("cloned_interfaces=\"gif0 lo1 lo2\""));
    host.ok(&["net", "delete", "lo2"]);
}

/// `-4 auto` on the network card gave the lowest free address of its wire: the router's.
#[test]
fn auto_keeps_off_the_wire() {
    let mut host = Host::ready();
    for args in [
        &["create", "-n", "em0", "-4", "auto", "jail2"] as &[&str],
        &["create", "-4", "auto", "jail2"],
    ] {
        let said = host.fails(args);
        assert!(
            said.contains("what is free on em0 is not known: it is no network that qjail keeps")
                && said.contains("hint: give the address itself, or one of these networks: lo1"),
            "{said}"
        );
    }
    let said = host.fails(&["create", "-n", "em0", "-4", "192.0.2.1", "jail2"]);
    assert!(
        said.contains("192.0.2.1 is the router of the host's default route on em0"),
        "{said}"
    );
    host.ok(&["create", "-n", "lo1", "-4", "auto", "jail2"]);
    assert!(host.definition("jail2").contains("192.168.1.2"));
}

/// The router of IPv6 is asked for where the host has IPv6 at all.
#[test]
fn an_ipv6_router_is_left_alone_too() {
    let mut host = Host::ready();
    host.ok(&["net", "create", "lo2", "2001:db8::10/64"]);
    host.machine.route6("2001:db8::1", "lo2");
    host.ok(&["create", "-n", "lo2", "-6", "auto", "jail6"]);
    assert!(host.definition("jail6").contains("2001:db8::2"));
    let said = host.fails(&["create", "-n", "lo2", "-6", "2001:db8::1", "other"]);
    assert!(
        said.contains("is the router of the host's default route on lo2"),
        "{said}"
    );
}

#[test]
fn without_a_default_route_the_interface_has_to_be_given() {
    let mut host = Host::ready();
    host.machine
        .fail("/sbin/route", "route: route has not been found");
    let said = host.fails(&["create", "-4", "192.168.1.2", "jail2"]);
    assert!(
        said.contains("there is no default route") && said.contains("hint: "),
        "{said}"
    );
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
}

/// The page for administrators has a heading for each command.
#[test]
fn the_page_says_what_every_command_does() {
    let dir = tempfile::tempdir().unwrap();
    let words = ["__man".into(), dir.path().into()];
    let machine = qjail_sys::rehearsal::Rehearsal::new();
    let done = qjail_cli::run_on(&words, "freebsd", &|state| machine.system(state).into());
    assert_eq!(done, std::process::ExitCode::SUCCESS);
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/freebsd.md");
    let page = std::fs::read_to_string(page).unwrap();
    let headings: Vec<&str> = page
        .lines()
        .filter_map(|l| l.strip_prefix("## "))
        .flat_map(|l| l.split([',', ' ']))
        .collect();
    let mut count = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let Some(command) = file.strip_prefix("qjail-").and_then(|f| f.strip_suffix(".8")) else {
            continue;
        };
        // `net list` is below `net`.
        let command = command.split('-').next().unwrap_or(command);
        count += 1;
        assert!(
            headings.contains(&command),
            "docs/freebsd.md has no heading for {command}"
        );
    }
    assert!(count > 15, "{count}");
}
