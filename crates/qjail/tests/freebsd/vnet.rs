//! Jails with a network stack of their own.

use super::Host;

/// A host with the bridge `bridge1`.
fn with_bridge() -> Host {
    let mut host = Host::ready();
    host.ok(&["net", "create", "bridge1", "10.1.0.1/24"]);
    host.text.clear();
    host
}

fn create(host: &mut Host, zone: &[&str], interface: &str, address: &str, name: &str) {
    let words = [
        "create", "-n", interface, "-4", address, "--param", "vnet=new", name,
    ];
    host.ok(&[zone, &words].concat());
    host.text.clear();
}

#[test]
fn a_network_of_its_own() {
    let mut host = with_bridge();
    create(&mut host, &[], "bridge1", "10.1.0.2", "web");
    let before = host.state();
    host.ok(&["start", "web"]);
    assert!(
        host.state()
            .contains("interface bridge1 10.1.0.1/24 member qa_web")
    );
    assert!(host.state().contains("interface qb_web  in jail web"));
    host.check("start-vnet.txt");
    host.ok(&["stop", "web"]);
    host.check("stop-vnet.txt");
    assert_eq!(host.state(), before);
    // Its interfaces are called after it.
    host.fails(&["config", "-n", "thirteen-char", "web"]);
    host.ok(&["create", "-n", "bridge1", "-4", "10.1.0.3", "thirteen-char"]);
    host.fails(&["config", "--param", "vnet=new", "thirteen-char"]);
    let said = host.fails(&["config", "-v", "-w", "bridge1", "thirteen-char"]);
    assert!(said.contains("12 characters at most, which has 13"), "{said}");
    host.ok(&["config", "--param", "vnet=new", "-n", "thirteen", "thirteen-char"]);
    host.ok(&["delete", "thirteen"]);
    assert_eq!(host.state(), before);
}

#[test]
fn a_module_that_can_not_be_loaded_is_named() {
    let mut host = with_bridge();
    create(&mut host, &[], "bridge1", "10.1.0.2", "web");
    let before = host.state();
    for module in ["if_epair", "if_bridge"] {
        host.machine.unload(module, false);
        let said = host.fails(&["start", "web"]);
        assert!(
            said.contains(&format!("qjail: start web: load the module {module}: ")),
            "{said}"
        );
        assert!(said.contains(&format!("hint: load it by hand, kldload {module},")));
        assert_eq!(host.state(), before);
        host.machine.unload(module, true);
    }
}

/// Two zones, each with a jail on the same bridge: both run, and neither has what is the other's.
#[test]
fn jails_of_two_zones_run_at_once() {
    let mut host = with_bridge();
    let base = host.base();
    host.ok(&["-z", "z2", "install", base.to_str().unwrap()]);
    create(&mut host, &[], "bridge1", "10.1.0.2", "web-00000001");
    create(&mut host, &["-z", "z2"], "bridge1", "10.1.0.3", "web-00000002");
    let before = host.state();
    let said = host.fails(&[
        "-z",
        "z2",
        "create",
        "-n",
        "bridge1",
        "-4",
        "10.1.0.4",
        "web-00000001",
    ]);
    assert!(said.contains("names are unique over all zones"), "{said}");
    host.ok(&["start", "web-00000001"]);
    host.ok(&["-z", "z2", "start", "web-00000002"]);
    let both = host.state();
    let members = "member qa_web-00000001 member qa_web-00000002";
    assert!(both.contains(members), "{both}");
    for name in ["web-00000001", "web-00000002"] {
        assert!(
            both.contains(&format!("interface qb_{name}  in jail {name}")),
            "{both}"
        );
    }
    let mut ethers: Vec<&str> = host
        .text
        .lines()
        .filter_map(|l| l.trim().strip_prefix("/sbin/ifconfig q")?.split_once(" ether "))
        .map(|(_, address)| address)
        .collect();
    assert_eq!(ethers.len(), 4, "{}", host.text);
    ethers.sort_unstable();
    ethers.dedup();
    assert_eq!(ethers.len(), 4, "{ethers:?}");
    // One that goes takes nothing of the other's.
    host.ok(&["stop", "web-00000001"]);
    assert!(host.state().contains("10.1.0.1/24 member qa_web-00000002\n"));
    host.ok(&["-z", "z2", "stop", "web-00000002"]);
    assert_eq!(host.state(), before);
}

/// Whatever fails of what jail(8) runs: the pair, its place on the bridge and the mounts are taken back.
#[test]
fn a_failed_start_takes_its_interfaces_back() {
    let mut host = with_bridge();
    create(&mut host, &[], "bridge1", "10.1.0.2", "web");
    let before = host.state();
    for command in [
        "/usr/sbin/jail",
        "/sbin/mount -t devfs",
        "/sbin/ifconfig qa_web > /dev/null",
        "/sbin/ifconfig qa_web ether",
        "/sbin/ifconfig qb_web ether",
        "/sbin/ifconfig bridge1 addm qa_web",
        "/sbin/ifconfig qa_web up",
        "/sbin/ifconfig qb_web vnet",
        "/sbin/ifconfig qb_web inet 10.1.0.2/24 alias",
        "/sbin/route -n add",
        "/bin/sh /etc/rc",
    ] {
        host.machine.fail(command, "no");
        let said = host.fails(&["start", "web"]);
        assert!(said.contains("jail.conf -c web: no"), "{command}: {said}");
        host.machine.mend();
        assert_eq!(host.state(), before, "{command}");
    }
    host.ok(&["start", "web"]);
    // The jail's own stop may fail, the end of the jail does not.
    host.machine.fail("/usr/sbin/jexec", "jexec: no");
    host.ok(&["stop", "web"]);
    assert_eq!(host.state(), before);
}

/// An interface with the host's address gets a bridge, which stays: to make and destroy it could cost the host its link.
#[test]
fn an_interface_gets_a_bridge_that_stays() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "web"]);
    host.ok(&["config", "-v", "-w", "em0", "-4", "192.0.2.20/24", "web"]);
    host.machine.fail("/bin/sh /etc/rc", "no");
    host.fails(&["start", "web"]);
    host.machine.mend();
    assert!(host.state().contains("interface em0bridge  member em0\n"));
    host.machine
        .by_hand("/sbin/ifconfig", &["em0bridge", "destroy"])
        .unwrap();
    host.text.clear();
    host.ok(&["start", "web"]);
    host.check("start-vnet-em0.txt");
    let running = host.state();
    assert!(
        running.contains("interface em0bridge  member em0 member qa_web\n"),
        "{running}"
    );
    host.ok(&["restart", "web"]);
    assert_eq!(host.state(), running);
    host.ok(&["stop", "web"]);
    assert!(host.state().contains("interface em0bridge  member em0\n"));
    assert!(!host.state().contains("qa_web"));
    // From 15.0 on a member has no address.
    host.ok(&["config", "-V", "-c", "lo1", "-4", "192.168.1.3", "web"]);
    host.machine
        .by_hand("/sbin/ifconfig", &["em0bridge", "destroy"])
        .unwrap();
    let file = host.path("var/db/qjail/jail.conf.d/web.conf");
    let text = std::fs::read_to_string(&file).unwrap();
    let wanted = ["config", "-v", "-w", "em0", "-4", "192.0.2.20/24", "web"];
    let made = [
        "create",
        "-n",
        "em0",
        "-4",
        "192.0.2.21/24",
        "--param",
        "vnet=new",
        "db",
    ];
    let before = host.state();
    host.machine.sysctl("kern.osreldate", "1500068");
    let refuses = |host: &mut Host, args: &[&str]| {
        let said = host.fails(args);
        assert!(
            said.contains("from FreeBSD 15.0 on a member of a bridge may have none"),
            "{said}"
        );
        assert_eq!(host.state(), before);
    };
    refuses(&mut host, &wanted);
    refuses(&mut host, &made);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    // The host was updated since.
    host.machine.sysctl("kern.osreldate", "1302001");
    host.ok(&wanted);
    host.machine.sysctl("kern.osreldate", "1500068");
    refuses(&mut host, &["start", "web"]);
    // What can not be started any more can still be changed; the file would start another jail than is described.
    host.ok(&["config", "-m", "web"]);
    assert!(!file.exists());
}
