//! Jails with a network stack of their own, on an interface that stands for a network card: its other end is in a network
//! namespace, as another host would be.

use qjail_tests::{Ran, Site, host_interfaces, sh};

/// A wire to another host.
struct Wire {
    /// The end that stands for the card of this host.
    card: String,
    namespace: String,
}

impl Wire {
    fn to(site: &Site, far: &str) -> Self {
        let wire = Self {
            card: format!("qw{}", site.number),
            namespace: format!("qjail-far-{}", site.number),
        };
        let script = format!(
            "ip netns add {ns} && ip link add {card} type veth peer name far netns {ns} && \
             ip -n {ns} addr add {far} dev far && ip -n {ns} link set far up",
            ns = wire.namespace,
            card = wire.card,
        );
        let _ = sh(&script, &site.root).ok();
        wire
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let script = format!("ip link del {}; ip netns del {}", self.card, self.namespace);
        let _ = sh(&script, std::path::Path::new("/"));
    }
}

fn host_addresses(interface: &str) -> String {
    let line = format!("ip -o address show {interface}");
    sh(&line, std::path::Path::new("/")).ok().out
}

fn is_up(interface: &str) -> bool {
    let line = format!("ip -o link show {interface}");
    let shown = sh(&line, std::path::Path::new("/")).ok().out;
    shown.contains("UP")
}

fn ping(site: &Site, jail: &str, address: &str) -> Ran {
    site.qjail(&["exec", jail, "--", "ping", "-c1", "-W2", address])
}

#[test]
fn two_jails_on_a_card_reach_each_other_and_the_host_beyond() {
    let site = Site::from_host();
    let wire = Wire::to(&site, &format!("{}/24", site.address(254)));
    for (name, host) in [("one", 11), ("two", 12)] {
        let address = format!("{}/24", site.address(host));
        let _ = site.qjail(&["create", name]).ok();
        let set = site
            .qjail(&["config", "-k", "-v", "-w", &wire.card, "-4", &address, name])
            .ok();
        for line in ["enabled vnet for", "nic change for", "ip change"] {
            assert!(set.out.contains(line), "{line}: {set:#?}");
        }
    }
    let _ = site.qjail(&["start"]).ok();
    for (from, to) in [("one", 254), ("two", 254), ("one", 12), ("two", 11)] {
        let _ = ping(&site, from, &site.address(to)).ok();
    }
    let mac = |jail: &str| site.inside(jail, "cat /sys/class/net/eth0/address");
    assert_ne!(mac("one"), mac("two"));
    let _ = site.inside(
        "one",
        "ip addr add 192.0.2.1/32 dev eth0 && ip route add 198.51.100.0/24 dev eth0",
    );
    assert!(
        host_interfaces().contains(&format!("qv-{}", wire.card)),
        "the card is on a bridge of its own"
    );
    assert_eq!(
        host_addresses(&format!("qv-{}", wire.card)),
        "",
        "the host itself does not become a part of that network"
    );

    let _ = site.qjail(&["stop", "one"]).ok();
    let _ = ping(&site, "two", &site.address(254)).ok();
    let _ = site.qjail(&["stop", "two"]).ok();
    assert!(
        !host_interfaces().contains(&format!("qv-{}", wire.card)),
        "it went with the last jail"
    );
    assert!(!is_up(&wire.card), "the card is as before");
    site.assert_no_trace();
}

#[test]
fn a_stack_of_its_own_has_an_interface_without_address_and_a_plain_jail_no_say() {
    let site = Site::from_host();
    let wire = Wire::to(&site, &format!("{}/24", site.address(254)));
    let _ = site.qjail(&["create", "bare"]).ok();
    let _ = site.qjail(&["config", "-v", "-w", &wire.card, "bare"]).ok();
    let _ = site.qjail(&["start", "bare"]).ok();
    let set = format!("ip addr add {}/24 dev eth0", site.address(20));
    let _ = site.inside("bare", &set);
    // It has the say in its own network, and in nothing else of the kernel's.
    for denied in ["mount -t tmpfs x /mnt", "nsenter -t 1 -n true"] {
        let script = ["exec", "bare", "--", "sh", "-c", denied];
        assert_ne!(site.qjail(&script).code, 0, "{denied}");
    }
    let plain = site.qjail(&["config", "--restart", "-V", "-4", "none", "bare"]);
    assert_eq!(plain.code, 1, "{plain:#?}");
    assert!(
        plain.err.contains(&wire.card),
        "a card is for jails with vnet only: {plain:#?}"
    );
    let _ = site.qjail(&["stop"]).ok();
    let _ = site.qjail(&["config", "-V", "--unset", "interface", "bare"]).ok();
    let _ = site.qjail(&["start", "bare"]).ok();
    assert_ne!(
        site.qjail(&[
            "exec",
            "bare",
            "--",
            "ip",
            "addr",
            "add",
            "192.0.2.1/32",
            "dev",
            "lo"
        ])
        .code,
        0
    );
    let _ = site.qjail(&["stop"]).ok();
}

#[test]
fn a_card_with_addresses_of_the_host_is_refused() {
    let site = Site::from_host();
    let wire = Wire::to(&site, "192.0.2.254/24");
    let _ = sh(
        &format!("ip addr add {}/24 dev {}", site.address(1), wire.card),
        &site.root,
    )
    .ok();
    let _ = site.qjail(&["create", "web"]).ok();
    let refused = site
        .qjail(&["config", "-v", "-w", &wire.card, "web"])
        .refused(1, "would be cut off on a bridge");
    assert!(refused.err.contains("hint: make a bridge"), "{refused:#?}");
    // The address came after the change: the start refuses, and leaves all as it is.
    let _ = sh(&format!("ip addr flush dev {}", wire.card), &site.root).ok();
    let _ = site.qjail(&["config", "-v", "-w", &wire.card, "web"]).ok();
    let _ = sh(
        &format!("ip addr add {}/24 dev {}", site.address(1), wire.card),
        &site.root,
    )
    .ok();
    let _ = site
        .qjail(&["start", "web"])
        .refused(1, "would be cut off on a bridge");
    assert!(!host_interfaces().contains(&format!("qv-{}", wire.card)));
    site.assert_no_trace();
}

#[test]
fn a_bridge_that_somebody_else_uses_stays() {
    let site = Site::from_host();
    let wire = Wire::to(&site, "192.0.2.254/24");
    let bridge = format!("qv-{}", wire.card);
    let root = std::path::Path::new("/");
    let _ = sh(&format!("ip link set {} up", wire.card), root).ok();
    let _ = site.qjail(&["create", "web"]).ok();
    let _ = site.qjail(&["config", "-v", "-w", &wire.card, "web"]).ok();
    let _ = site.qjail(&["start", "web"]).ok();
    let _ = sh(&format!("ip address add 192.0.2.1/24 dev {bridge}"), root).ok();
    let _ = site.qjail(&["stop", "web"]).ok();
    assert!(
        host_interfaces().contains(&bridge),
        "the host has an address on it"
    );
    let _ = sh(&format!("ip address flush dev {bridge}"), root).ok();
    let _ = site.qjail(&["restart", "web"]).ok();
    let _ = site.qjail(&["stop", "web"]).ok();
    assert!(!host_interfaces().contains(&bridge));
    assert!(is_up(&wire.card), "as before");
}

#[test]
fn a_start_that_is_killed_leaves_no_bridge_for_long() {
    let site = Site::from_host();
    let wire = Wire::to(&site, "192.0.2.254/24");
    let _ = site
        .qjail(&["create", "--param", "exec.start=sleep 30", "web"])
        .ok();
    let _ = site.qjail(&["config", "-v", "-w", &wire.card, "web"]).ok();
    let mut start = site.command(&["start", "web"]).spawn().unwrap();
    let bridge = format!("qv-{}", wire.card);
    while !host_interfaces().contains(&bridge) {
        assert!(start.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let _ = start.kill();
    let _ = start.wait();
    let _ = site.qjail(&["stop", "--force", "web"]).ok();
    assert!(!host_interfaces().contains(&bridge));
    site.assert_no_trace();
}
