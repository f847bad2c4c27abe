//! Bridges, addresses, packets.

use qjail_tests::{Site, host_interfaces, sh};

#[test]
fn jails_reach_each_other_and_the_host() {
    let site = Site::shared();
    let (a, b, host) = (site.address(20), site.address(21), site.address(1));
    let _ = site
        .qjail(&["create", "-n", &site.bridge(), "-4", &a, "neta"])
        .ok();
    let _ = site
        .qjail(&["create", "-n", &site.bridge(), "-4", &b, "netb"])
        .ok();
    let _ = site.qjail(&["start", "neta", "netb"]).ok();
    let addresses = site.inside("neta", "ip -br -4 address");
    assert!(
        addresses.contains(&format!("{a}/24")) && addresses.contains("127.0.0.1/8"),
        "{addresses}"
    );
    assert_eq!(
        site.inside("neta", "ip route | head -1")
            .split_whitespace()
            .nth(2),
        Some(host.as_str())
    );
    // Raw sockets are off, so bash's TCP is what can be tried from inside.
    let knock = |jail: &str, to: &str, port: u16| {
        site.inside(jail, &format!("bash -c 'exec 3<>/dev/tcp/{to}/{port}; cat <&3'"))
    };
    let listener = std::net::TcpListener::bind((host.as_str(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let greeter = std::thread::spawn(move || {
        use std::io::Write;
        let (mut peer, from) = listener.accept().unwrap();
        write!(peer, "hello {}", from.ip()).unwrap();
    });
    assert_eq!(knock("neta", &host, port), format!("hello {a}"));
    greeter.join().unwrap();

    let _ = site.inside("netb", "(perl -MSocket -e 'socket(S,PF_INET,SOCK_STREAM,0); setsockopt(S,SOL_SOCKET,SO_REUSEADDR,1); bind(S,sockaddr_in(4242,INADDR_ANY)) or die; listen(S,5); while(accept(C,S)){print C \"from b\"; close C}' >/dev/null 2>&1 &) ; sleep 0.3");
    assert_eq!(knock("neta", &b, 4242), "from b");
    let mut stream = std::net::TcpStream::connect((b.as_str(), 4242)).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert_eq!(text, "from b", "the host reaches the jail");

    assert_eq!(site.connected(), 2, "one veth a jail");
    let _ = site.qjail(&["stop", "neta", "netb"]).ok();
    assert_eq!(site.connected(), 0, "gone at stop");
    let _ = site.qjail(&["delete", "neta", "netb"]).ok();
}

#[test]
fn ipv6_works_at_once() {
    let site = Site::from_host();
    let six = format!("fd00:{:x}::1/64", site.number);
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network(), &six])
        .ok();
    let address = format!("fd00:{:x}::2", site.number);
    let _ = site
        .qjail(&[
            "create",
            "-n",
            &site.bridge(),
            "-4",
            "auto",
            "-6",
            &address,
            "six",
        ])
        .ok();
    let _ = site.qjail(&["start", "six"]).ok();
    let shown = site.inside("six", "cat /proc/net/if_inet6");
    assert!(shown.contains(&format!("fd00{:04x}", site.number)), "{shown}");
    let ping = sh(&format!("ping -6 -c 1 -W 2 {address}"), &site.root).ok();
    assert!(ping.out.contains("1 received"), "{ping:?}");
    let list = site.qjail(&["list"]).ok().out;
    assert!(
        list.contains(&format!("             {address}\n")),
        "further addresses on lines of their own: {list}"
    );
}

/// The host's route to elsewhere stays its own: no jail gets the address of its router.
#[test]
fn auto_leaves_the_router_alone_and_stays_off_foreign_networks() {
    let site = Site::from_host();
    let bridge = site.bridge();
    let make = format!(
        "ip link add {bridge} type bridge && ip address add {} dev {bridge}",
        site.network()
    );
    let _ = sh(&make, &site.root).ok();
    let told = site
        .qjail(&["create", "-n", &bridge, "-4", "auto", "a"])
        .refused(1, &format!("what is free on {bridge} is not known"));
    let hint = "hint: give the address itself, or make a network: qjail net create";
    assert!(told.err.contains(hint), "{told:?}");
    let _ = sh(&format!("ip link delete {bridge}"), &site.root).ok();

    let _ = site.qjail(&["net", "create", &bridge, &site.network()]).ok();
    let router = site.address(2);
    // Behind every other default route of the host; it goes with the bridge.
    let route = format!("ip route add default via {router} dev {bridge} metric 999999");
    let _ = sh(&route, &site.root).ok();
    let _ = site
        .qjail(&["create", "-n", &bridge, "-4", &router, "a"])
        .refused(
            1,
            &format!("{router} is the router of the host's default route on {bridge}"),
        );
    let _ = site.qjail(&["create", "-n", &bridge, "-4", "auto", "a"]).ok();
    let list = site.qjail(&["list"]).ok().out;
    assert!(
        list.contains(&site.address(3)) && !list.contains(&router),
        "{list}"
    );
}

#[test]
fn a_missing_bridge_is_made_again_at_start() {
    let site = Site::from_host();
    let bridge = site.bridge();
    let _ = site.qjail(&["net", "create", &bridge, &site.network()]).ok();
    let _ = site.qjail(&["create", "-n", &bridge, "-4", "auto", "a"]).ok();
    let _ = sh(&format!("ip link delete {bridge}"), &site.root).ok();
    let shown = site.qjail(&["net", "list"]).ok().out;
    assert!(
        shown
            .lines()
            .any(|l| l.starts_with(&bridge) && l.contains("missing")),
        "{shown}"
    );
    let _ = site.qjail(&["start", "a"]).ok();
    let shown = sh(&format!("ip -br -4 address show {bridge}"), &site.root)
        .ok()
        .out;
    assert!(shown.contains(&site.network()), "{shown}");
    let _ = site.qjail(&["stop", "a"]).ok();
    let _ = site.qjail(&["delete", "a"]).ok();
    let _ = site.qjail(&["net", "delete", &bridge]).ok();
    assert!(!host_interfaces().contains(&bridge));
}

#[test]
fn what_the_administrator_made_is_not_removed() {
    let site = Site::from_host();
    let bridge = format!("qx{}", site.number);
    let _ = sh(&format!("ip link add {bridge} type bridge"), &site.root).ok();
    let made = site.qjail(&["net", "create", &bridge, &site.network()]);
    let removed = site.qjail(&["net", "delete", &bridge]);
    let still = host_interfaces().contains(&bridge);
    let address = sh(&format!("ip -br address show {bridge}"), &site.root);
    let _ = sh(&format!("ip link delete {bridge}"), &site.root);
    // Either it refuses to take over a foreign bridge, or it gives it back as it was.
    if made.code == 0 {
        let _ = removed.ok();
    }
    assert!(still, "{made:#?}");
    assert!(!address.out.contains(&site.address(1)), "{address:?}");
}

#[test]
fn a_jail_without_addresses_has_only_its_loopback() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "--start", "alone"]).ok();
    assert_eq!(site.inside("alone", "ls /sys/class/net"), "lo");
}
