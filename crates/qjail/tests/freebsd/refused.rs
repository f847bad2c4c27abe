//! What is refused, what fails, and that nothing is left of it.

use std::path::Path;

use super::Host;

#[test]
fn a_failed_start_leaves_nothing_and_says_why() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let before = host.state();
    for (command, words) in [
        ("/usr/sbin/jail", "jail: exec.start: no such command"),
        (
            "/sbin/ifconfig lo1 inet 192.168.1.2/32 alias",
            "ifconfig: ioctl (SIOCAIFADDR): File exists",
        ),
        (
            "/sbin/mount -t nullfs",
            "mount_nullfs: Operation not supported by device",
        ),
        ("/sbin/mount -t devfs", "mount: devfs: Operation not permitted"),
        ("/bin/sh /etc/rc", "rc: 1: not found"),
    ] {
        host.machine.fail(command, words);
        host.fails(&["start", "jail2"]);
        assert_eq!(host.state(), before, "{command}");
        host.machine.mend();
    }
    host.text.clear();
    host.machine.fail("/bin/sh /etc/rc", "rc: 1: not found");
    host.fails(&["start", "jail2"]);
    host.check("start-fails.txt");
    host.machine.mend();
    host.ok(&["start", "jail2"]);
    host.machine
        .fail("/bin/sh /etc/rc.shutdown jail", "rc.shutdown: 1: not found");
    host.text.clear();
    host.ok(&["stop", "jail2"]);
    host.check("stop-fails.txt");
    assert_eq!(host.state(), before);
}

#[test]
fn what_the_host_forbids_is_refused_before_anything_is_changed() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.text.clear();
    let before = host.state();
    host.machine.sysctl("kern.securelevel", "1");
    for args in [
        &["start", "jail2"][..],
        &["create", "-n", "lo1", "-4", "192.168.1.3", "jail3"],
        &["net", "create", "lo2", "10.9.0.1/24"],
        &["delete", "jail2"],
        &["install", "--from-host"],
    ] {
        let said = host.fails(args);
        assert!(
            said.contains("kern.securelevel is 1, which forbids what qjail does"),
            "{said}"
        );
    }
    host.machine.sysctl("kern.securelevel", "-1");
    host.machine.unload("nullfs", false);
    host.fails(&["start", "jail2"]);
    assert_eq!(host.state(), before);
    assert!(host.path("usr/jails/jail2").is_dir() && !host.path("usr/jails/jail3").exists());
    host.fails(&["create", "-n", "lo7", "-4", "10.0.0.1", "jail3"]);
    host.fails(&["create", "-n", "em0", "--param", "vnet=new", "thirteen-char"]);
    assert!(!host.path("usr/jails/thirteen-char").exists());
    host.check("refused.txt");
}

#[test]
fn jails_of_others_are_left_alone() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "jail3"]);
    host.machine.foreign_jail("other", &host.path("usr/jails/jail2"));
    host.machine.foreign_jail("jail3", Path::new("/somewhere/else"));
    let before = host.state();
    for args in [
        &["start", "jail2"][..],
        &["delete", "jail2"],
        &["start", "jail3"],
        &["stop", "jail3"],
        &["delete", "jail3"],
        &["exec", "jail3", "--", "/bin/sh", "-c", "exit 0"],
    ] {
        host.fails(args);
    }
    assert_eq!(host.state(), before);
    assert!(host.path("usr/jails/jail2").is_dir() && host.path("usr/jails/jail3").is_dir());
}

#[test]
fn a_dying_jail_is_waited_for() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.machine.foreign_jail("jail2", &host.path("usr/jails/jail2"));
    host.machine.dying("jail2");
    let before = host.state();
    host.fails(&["start", "jail2"]);
    host.fails(&["exec", "jail2", "--", "/bin/sh", "-c", "exit 0"]);
    assert_eq!(host.state(), before);
}

#[test]
fn a_module_that_does_not_load_is_named() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let before = host.state();
    host.machine.fail("kldload(2) nullfs", "Exec format error");
    let said = host.fails(&["start", "jail2"]);
    assert_eq!(
        said,
        "qjail: start jail2: load the module nullfs: Exec format error\n\
         hint: load it by hand, kldload nullfs, or at boot: nullfs_load=\"YES\" in /boot/loader.conf\n"
    );
    assert_eq!(host.state(), before);
}

/// A network card that is not there any more; an interface of qjail's own is made again.
#[test]
fn an_interface_that_is_gone_is_named() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "em0", "-4", "192.0.2.20", "outer"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "inner"]);
    for card in ["em0", "lo1"] {
        host.machine
            .by_hand("/sbin/ifconfig", &[card, "destroy"])
            .unwrap();
    }
    let before = host.state();
    let said = host.fails(&["start", "outer"]);
    assert!(
        said.contains("jail outer needs the interface em0, which does not exist"),
        "{said}"
    );
    assert_eq!(host.state(), before);
    host.ok(&["start", "inner"]);
    assert!(
        host.state()
            .contains("interface lo1 192.168.1.1/28 192.168.1.2/32\n")
    );
}
