//! On the real kernel: real bridges, real namespaces, real packets. Needs root.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use qjail_model::{Network, Params};

use super::inside::in_namespace;
use super::*;
use crate::InterfaceChange;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A bridge with a network of its own that no other test and no other run has; removed at the end, whatever happens.
struct TestBridge {
    name: String,
    /// The networks are 10.A.B.0/24 and fd51:A:B::/64.
    net: (u8, u8),
}

impl TestBridge {
    fn new() -> Self {
        let net = unique();
        let bridge = Self {
            name: format!("qjt{:02x}{:02x}", net.0, net.1),
            net,
        };
        let change = ensure(&bridge.name, &[bridge.v4(), bridge.v6()]).unwrap();
        assert!(change.created);
        bridge
    }

    fn address(&self, host: u8) -> String {
        format!("10.{}.{}.{host}", self.net.0, self.net.1)
    }

    fn address6(&self, host: u8) -> String {
        format!("fd51:{:x}:{:x}::{host:x}", self.net.0, self.net.1)
    }

    fn v4(&self) -> Network {
        format!("{}/24", self.address(1)).parse().unwrap()
    }

    fn v6(&self) -> Network {
        format!("{}/64", self.address6(1)).parse().unwrap()
    }

    fn params(&self, host: u8) -> Params {
        let mut params = Params::new();
        params.set("interface", self.name.as_str());
        params.set("ip4.addr", self.address(host));
        params.set("ip6.addr", self.address6(host));
        params
    }
}

impl Drop for TestBridge {
    fn drop(&mut self) {
        let _ = remove(&self.name, &[], true);
    }
}

fn unique() -> (u8, u8) {
    let number = std::process::id()
        .wrapping_mul(61)
        .wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    // Below 10.128: out of the way of what hosts like to have.
    ((number >> 8) as u8 & 0x7f, number as u8)
}

/// A process in a network namespace of its own, as a jail's process 1 is; and its connection.
struct TestJail {
    process: Child,
    network: JailNetwork,
    name: String,
}

impl TestJail {
    fn new(state_dir: &Path, name: &str) -> Self {
        let process = Command::new("unshare")
            .args(["-n", "sleep", "60"])
            .spawn()
            .unwrap();
        let jail = Self {
            process,
            network: JailNetwork::new(state_dir),
            name: name.to_owned(),
        };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        while std::fs::read_link(format!("/proc/{}/ns/net", jail.pid())).unwrap() == own {
            std::thread::sleep(Duration::from_millis(1));
        }
        jail
    }

    fn wired(state_dir: &Path, name: &str, params: &Params) -> Self {
        let jail = Self::new(state_dir, name);
        jail.wire(params).unwrap();
        jail
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).unwrap()
    }

    fn wire(&self, params: &Params) -> Result<()> {
        self.network.wire(self.pid(), &self.name, params)
    }

    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).unwrap();
        in_namespace(namespace.as_fd(), work).unwrap()
    }

    fn links(&self) -> Vec<Link> {
        self.inside(|| links::all(&mut Netlink::open().unwrap()).unwrap())
    }
}

impl Drop for TestJail {
    fn drop(&mut self) {
        let _ = self.network.unwire(&self.name);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn host_links() -> Vec<Link> {
    links::all(&mut Netlink::open().unwrap()).unwrap()
}

fn host_link(name: &str) -> Option<Link> {
    host_links().into_iter().find(|l| l.name == name)
}

/// The interfaces of one jail on the host.
fn host_ends(state_dir: &Path, jail: &str) -> Vec<Link> {
    let ends = names::HostEnds::of(state_dir, jail);
    host_links()
        .into_iter()
        .filter(|l| ends.contains(&l.name))
        .collect()
}

/// Says a word to whoever listens there and returns the answer.
fn talk(to: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
    stream.write_all(b"hello\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Answers one caller with who called.
fn answer_one(listener: TcpListener) {
    let (mut stream, from) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    stream.write_all(from.ip().to_string().as_bytes()).unwrap();
}

fn reaches(from: Option<&TestJail>, to: Option<&TestJail>, address: &str) -> String {
    fn run<T: Send>(at: Option<&TestJail>, work: impl FnOnce() -> T + Send) -> T {
        match at {
            Some(jail) => jail.inside(work),
            None => work(),
        }
    }
    let address: SocketAddr = SocketAddr::new(address.parse().unwrap(), 0);
    let listener = run(to, || TcpListener::bind(address)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| answer_one(listener));
        run(from, || talk(address)).unwrap()
    })
}

#[test]
fn a_bridge_comes_and_goes() {
    let before = interfaces().unwrap();
    let bridge = TestBridge::new();
    let found = interfaces()
        .unwrap()
        .into_iter()
        .find(|i| i.name == bridge.name)
        .unwrap();
    assert!(found.up && found.for_jails && !found.default_route);
    assert!(found.addresses.contains(&bridge.v4()) && found.addresses.contains(&bridge.v6()));
    assert!(before.iter().any(|i| i.name == "lo" && !i.for_jails));

    assert_eq!(
        ensure(&bridge.name, &[bridge.v4()]).unwrap(),
        InterfaceChange::default()
    );
    let more: Network = format!("{}/24", bridge.address(9)).parse().unwrap();
    assert_eq!(
        ensure(&bridge.name, &[more]).unwrap(),
        InterfaceChange {
            created: false,
            added: vec![more]
        }
    );

    // The first address of a network goes, those after it stay.
    remove(&bridge.name, &[bridge.v4()], false).unwrap();
    remove(&bridge.name, &[bridge.v4()], false).unwrap();
    let left = host_link(&bridge.name).unwrap().addresses;
    assert!(!left.contains(&bridge.v4()) && left.contains(&more), "{left:?}");

    remove(&bridge.name, &[], true).unwrap();
    remove(&bridge.name, &[], true).unwrap();
    assert!(host_link(&bridge.name).is_none());
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    let bridge = TestBridge::new();
    let error = ensure("lo", &[]).unwrap_err();
    assert!(
        error.to_string().contains("not an interface for jails"),
        "{error}"
    );
    assert!(remove("lo", &["127.0.0.1/8".parse().unwrap()], true).is_err());
    let other = format!("{}x", bridge.name);
    let error = ensure(&other, &[bridge.v4()]).unwrap_err();
    assert!(error.to_string().contains(&bridge.name), "{error}");
    assert!(host_link(&other).is_none());
    for bad in ["", "a b", "a/b", "..", "sixteen-is-too-l"] {
        assert!(
            ensure(bad, &[]).unwrap_err().to_string().contains("1 to 15"),
            "{bad}"
        );
    }
    // A bridge that an administrator made keeps its own addresses and stays.
    let mut netlink = Netlink::open().unwrap();
    requests::add_bridge(&mut netlink, &other, [2, 1, 2, 3, 4, 5]).unwrap();
    let _guard = AdminBridge(other.clone());
    let ours: Network = format!("10.{}.{}.129/30", bridge.net.0 | 0x80, bridge.net.1)
        .parse()
        .unwrap();
    let change = ensure(&other, &[ours]).unwrap();
    assert_eq!(
        change,
        InterfaceChange {
            created: false,
            added: vec![ours]
        }
    );
    remove(&other, &[ours], true).unwrap();
    assert!(!host_link(&other).unwrap().addresses.contains(&ours));
}

struct AdminBridge(String);

impl Drop for AdminBridge {
    fn drop(&mut self) {
        if let Some(link) = host_link(&self.0) {
            let _ = requests::delete_link(&mut Netlink::open().unwrap(), link.index);
        }
    }
}

#[test]
fn jails_reach_each_other_and_the_host() {
    let bridge = TestBridge::new();
    let dir = tempfile::tempdir().unwrap();
    let mac = host_link(&bridge.name).unwrap().mac;
    let one = TestJail::wired(dir.path(), "one", &bridge.params(2));
    let two = TestJail::wired(dir.path(), "two", &bridge.params(3));
    for address in [TestBridge::address, TestBridge::address6] {
        let (host, a, b) = (address(&bridge, 1), address(&bridge, 2), address(&bridge, 3));
        assert_eq!(reaches(Some(&one), Some(&two), &b), a);
        assert_eq!(reaches(Some(&two), None, &host), b);
        assert_eq!(reaches(None, Some(&one), &a), host);
        assert_eq!(reaches(Some(&one), Some(&one), &a), a);
    }
    assert_eq!(reaches(Some(&one), Some(&one), "127.0.0.1"), "127.0.0.1");
    assert_eq!(host_link(&bridge.name).unwrap().mac, mac);
}

#[test]
fn a_jail_sees_what_was_asked_for_and_no_more() {
    let bridge = TestBridge::new();
    let dir = tempfile::tempdir().unwrap();
    let mut params = bridge.params(2);
    params.unset("ip6.addr");
    params.set(
        "ip4.addr",
        vec![bridge.address(2), format!("{}/32", bridge.address(3))],
    );
    let jail = TestJail::wired(dir.path(), "jail1", &params);
    let links = jail.links();
    let names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["lo", "eth0"]);
    assert!(links.iter().all(|l| l.up));
    let addresses: Vec<String> = links[1].addresses.iter().map(ToString::to_string).collect();
    assert_eq!(
        addresses,
        [
            format!("{}/24", bridge.address(2)),
            format!("{}/32", bridge.address(3))
        ]
    );
    let default = jail
        .inside(|| links::default_routes(&mut Netlink::open().unwrap()))
        .unwrap();
    assert_eq!((default.len(), default[0].index), (1, links[1].index));
    assert_eq!(default[0].gateway.unwrap().to_string(), bridge.address(1));
    let end = &host_ends(dir.path(), "jail1")[0];
    assert_eq!(end.alias, format!("qjail:jail1:{}", bridge.name));
    // The same hardware address at the next start.
    let mac = links[1].mac.clone();
    drop(jail);
    assert_eq!(TestJail::wired(dir.path(), "jail1", &params).links()[1].mac, mac);
}

#[test]
fn ip6_is_usable_at_once_and_takes_no_announced_routes() {
    let bridge = TestBridge::new();
    let dir = tempfile::tempdir().unwrap();
    let jail = TestJail::wired(dir.path(), "jail1", &bridge.params(2));
    let setting = jail.inside(|| std::fs::read_to_string("/proc/sys/net/ipv6/conf/eth0/accept_ra").unwrap());
    assert_eq!(setting.trim(), "0");
    jail.inside(|| TcpListener::bind((bridge.address6(2), 0)))
        .unwrap();
}

#[test]
fn without_addresses_there_is_only_loopback() {
    let dir = tempfile::tempdir().unwrap();
    let jail = TestJail::wired(dir.path(), "alone", &Params::new());
    let links = jail.links();
    assert_eq!(links.len(), 1);
    assert!(links[0].up && links[0].name == "lo");
    assert!(host_ends(dir.path(), "alone").is_empty());
}

#[test]
fn two_bridges_two_interfaces() {
    let (a, b) = (TestBridge::new(), TestBridge::new());
    let dir = tempfile::tempdir().unwrap();
    let mut params = a.params(2);
    params.set(
        "ip4.addr",
        vec![a.address(2), format!("{}|{}", b.name, b.address(2))],
    );
    let jail = TestJail::wired(dir.path(), "both", &params);
    assert_eq!(reaches(None, Some(&jail), &a.address(2)), a.address(1));
    assert_eq!(reaches(None, Some(&jail), &b.address(2)), b.address(1));
    assert_eq!(host_ends(dir.path(), "both").len(), 2);
}

#[test]
fn a_failure_leaves_nothing() {
    let bridge = TestBridge::new();
    let dir = tempfile::tempdir().unwrap();
    let jail = TestJail::new(dir.path(), "jail1");
    let mut params = bridge.params(2);
    params.set(
        "ip4.addr",
        vec![bridge.address(2), format!("qjtnone|{}", bridge.address(3))],
    );
    let error = jail.wire(&params).unwrap_err();
    assert!(error.to_string().contains("qjtnone"), "{error}");
    assert!(error.hint.unwrap().contains("qjail net create qjtnone"));
    // The same address twice is found by the kernel only, when half of the work is done.
    params.set("ip4.addr", vec![bridge.address(2), bridge.address(2)]);
    let error = jail.wire(&params).unwrap_err();
    assert!(error.to_string().contains("in jail1: file exists"), "{error}");
    assert!(host_ends(dir.path(), "jail1").is_empty());
    assert_eq!(jail.links().len(), 1);
    jail.wire(&bridge.params(2)).unwrap();
    let error = JailNetwork::new(dir.path())
        .wire(i32::MAX, "jail2", &bridge.params(3))
        .unwrap_err();
    assert!(error.to_string().contains("jail2"), "{error}");
}

#[test]
fn twenty_at_once() {
    let bridge = TestBridge::new();
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("jail{n}")).collect();
    let jails: Vec<TestJail> = std::thread::scope(|scope| {
        let (dir, bridge) = (dir.path(), &bridge);
        let start = |(n, name): (usize, &String)| {
            ensure(&bridge.name, &[bridge.v4()]).unwrap();
            TestJail::wired(dir, name, &bridge.params(u8::try_from(n).unwrap() + 10))
        };
        let threads: Vec<_> = names
            .iter()
            .enumerate()
            .map(|at| scope.spawn(move || start(at)))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(
        reaches(Some(&jails[0]), Some(&jails[19]), &bridge.address(29)),
        bridge.address(10)
    );
    std::thread::scope(|scope| {
        for jail in &jails {
            scope.spawn(|| jail.network.unwire(&jail.name).unwrap());
        }
    });
    assert!(names.iter().all(|name| host_ends(dir.path(), name).is_empty()));
    assert!(jails.iter().all(|jail| jail.links().len() == 1));
}

#[test]
fn a_bridge_made_by_many_at_once_is_created_once() {
    let bridge = TestBridge::new();
    remove(&bridge.name, &[], true).unwrap();
    let changes: Vec<InterfaceChange> = std::thread::scope(|scope| {
        let make = || ensure(&bridge.name, &[bridge.v4(), bridge.v6()]).unwrap();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(changes.iter().filter(|c| c.created).count(), 1);
    assert_eq!(changes.iter().map(|c| c.added.len()).sum::<usize>(), 2);
}

#[test]
fn jails_of_another_state_directory_are_not_touched() {
    let bridge = TestBridge::new();
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = TestJail::wired(a.path(), "jail1", &bridge.params(2));
    JailNetwork::new(b.path()).unwire("jail1").unwrap();
    assert_eq!(host_ends(a.path(), "jail1").len(), 1);
    one.network.unwire("jail1").unwrap();
    one.network.unwire("jail1").unwrap();
    assert!(host_ends(a.path(), "jail1").is_empty());
}

#[test]
fn the_probe_changes_nothing() {
    probe().unwrap();
    assert!(host_links().iter().all(|l| l.name != "qjail" && l.name != "qj0"));
}
