use std::collections::BTreeSet;

use proptest::collection::btree_set;
use proptest::prelude::*;

use super::super::bridge::{Bridge, bridge_of, make as make_bridge};
use super::super::golden;
use super::super::ifconfig::{self, Shown};
use super::*;

fn host() -> Vec<Shown> {
    let mut shown = ifconfig::parse(include_str!(
        "../../fixtures/freebsd-13.2/ifconfig-bridge0-epair0a.txt"
    ));
    shown.extend(ifconfig::parse(include_str!(
        "../../fixtures/freebsd-13.2/ifconfig-lo1.txt"
    )));
    let em0 = Shown {
        name: "em0".into(),
        addresses: vec!["192.0.2.10/24".parse().unwrap()],
        ..Shown::default()
    };
    let long = Shown {
        name: "longname100".into(),
        ..Shown::default()
    };
    shown.extend([em0, long]);
    shown[0].addresses.push("10.1.0.1/24".parse().unwrap());
    shown
}

fn spec(interface: &str, more: &[(&str, &[&str])]) -> JailSpec {
    let mut spec = golden::spec("web", more);
    spec.params.set("interface", interface);
    spec.params.set("vnet", "new");
    spec
}

#[test]
fn the_file_of_a_jail_with_a_pair() {
    let more: &[(&str, &[&str])] = &[("ip4.addr", &["10.1.0.2"]), ("ip6.addr", &["fd00::2/64"])];
    for (file, interface) in [("vnet.conf", "bridge0"), ("vnet-em0.conf", "em0")] {
        let spec = spec(interface, more);
        let bridge = bridge_of(&spec, &host(), 1_302_001).unwrap();
        let text = conf::render(
            "web",
            &with_pair(
                &spec,
                &bridge,
                &macs("00000000-0000-0000-0000-0242ac110002", "web", &[]),
            )
            .unwrap(),
        )
        .unwrap();
        golden::check(file, &text);
        let read = conf::parse("web", &text).unwrap();
        assert_eq!(pair_of("web", &read), Some(Pair::of_jail("web")));
        assert_eq!(pair_of("other", &read), None);
    }
}

#[test]
fn an_interface_of_the_administrator_is_passed_as_it_is() {
    let spec = spec(
        "em0",
        &[("vnet.interface", &["em1"]), ("ip4.addr", &["10.1.0.2"])],
    );
    assert!(!needs_pair(&spec.params) && needs_pair(&self::spec("em0", &[]).params));
    let params = without_addresses(&spec).unwrap();
    assert_eq!(params.list("vnet.interface"), ["em1"]);
    assert_eq!(params.text("devfs_ruleset"), Some("5"));
    assert!(params.get("ip4.addr").is_none() && params.get("interface").is_none());
    assert_eq!(pair_of("web", &params), None);
}

#[test]
fn bridges() {
    let shown = host();
    let of = |interface: &str, version| bridge_of(&spec(interface, &[]), &shown, version);
    let there = Bridge {
        name: "bridge0".to_owned(),
        member: None,
        gateways: vec!["10.1.0.1/24".parse().unwrap()],
    };
    assert_eq!(of("bridge0", 1_500_000).unwrap(), there);
    assert_eq!(of("epair0a", 1_302_001).unwrap(), there);
    let new = of("em0", 1_302_001).unwrap();
    assert_eq!(
        (new.name.as_str(), new.member.as_deref()),
        ("em0bridge", Some("em0"))
    );
    assert_eq!(new.gateways, ["192.0.2.10/24".parse().unwrap()]);
    let refused = |interface: &str, version| {
        let e = of(interface, version).unwrap_err();
        assert!(e.hint.is_some(), "{e}");
        e.to_string()
    };
    assert!(refused("em0", 1_500_000).contains("em0 has an address"));
    assert!(refused("lo1", 1_302_001).contains("loopback"));
    assert!(refused("nosuch0", 1_302_001).contains("nosuch0: there is no such interface"));
    assert!(refused("longname100", 1_302_001).contains("too long for the name of an interface"));
    let mut bare = spec("x", &[]);
    bare.params.unset("interface");
    let e = bridge_of(&bare, &shown, 1_302_001).unwrap_err();
    assert!(e.to_string().contains("`interface` is not set"));
    bare.params.set("ip4.addr", "bridge0|10.1.0.9");
    assert_eq!(bridge_of(&bare, &shown, 1_302_001).unwrap(), there);
}

#[test]
fn the_address_of_a_member_is_a_router_too() {
    let mut shown = host();
    shown[1].addresses.push("10.2.0.1/24".parse().unwrap());
    let bridge = bridge_of(&spec("bridge0", &[]), &shown, 1_302_001).unwrap();
    assert_eq!(bridge.gateways.len(), 2);
}

/// The words of the shell, with an ifconfig(8) of files: an interface is a file, `fails` the name not to be given or the
/// member not to be taken.
fn make(words: &str, there: &[&str], fails: &str) -> (bool, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    for name in there {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let ifconfig = r#"
        ifconfig() {
            case "$1 $2" in
            'epair create') : > epair7a; : > epair7b; echo epair7a ;;
            'bridge create') : > bridge7; echo bridge7 ;;
            *' name') [ "$3" != "$fails" ] && [ ! -e "$3" ] && mv "$1" "$3" && echo "$3" ;;
            *' addm') [ "$3" != "$fails" ] && [ -e "$1" ] ;;
            *' destroy') rm -f "$1" "${1%a}b" ;;
            *) [ -e "$1" ] ;;
            esac
        }"#;
    let script = format!(
        "fails={fails}\n{ifconfig}\n{}",
        words.replace(IFCONFIG, "ifconfig")
    );
    let done = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(
        done.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&done.stdout)
    );
    let entries = std::fs::read_dir(dir.path()).unwrap();
    let mut left: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    (done.status.success(), left)
}

#[test]
fn the_shell_makes_a_pair_once_and_leaves_no_half_of_one() {
    let words = Pair::of_jail("web").make();
    let names = |n: &[&str]| n.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    assert_eq!(make(&words, &[], ""), (true, names(&["qa_web", "qb_web"])));
    assert_eq!(make(&words, &["qa_web"], ""), (true, names(&["qa_web"])));
    assert_eq!(make(&words, &[], "qb_web"), (false, names(&[])));
    let bridge = make_bridge("em0bridge", "em0");
    assert_eq!(make(&bridge, &[], ""), (true, names(&["em0bridge"])));
    assert_eq!(make(&bridge, &["em0bridge"], ""), (true, names(&["em0bridge"])));
    assert_eq!(make(&bridge, &[], "em0bridge"), (false, names(&[])));
    assert_eq!(make(&bridge, &[], "em0"), (false, names(&[])));
}

#[test]
fn commands_before_the_removal() {
    let spec = spec("bridge0", &[]);
    let bridge = bridge_of(&spec, &host(), 1_302_001).unwrap();
    let params = with_pair(
        &spec,
        &bridge,
        &macs("00000000-0000-0000-0000-0242ac110002", "web", &[]),
    )
    .unwrap();
    let mut lines = vec![destroy_pair(&Pair::of_jail("web"))];
    lines.extend(before_removal("web", &params, false));
    lines.extend(before_removal("web", &params, true));
    golden::check(
        "vnet-commands.txt",
        &lines.iter().map(|l| format!("{l}\n")).collect::<String>(),
    );
}

#[test]
fn names_and_addresses_of_pairs() {
    let longest = "abcdefghi-12";
    assert!(check_name(longest).is_ok());
    assert_eq!(Pair::of_jail(longest).host_end().len(), LONGEST_INTERFACE);
    let e = check_name("abcdefghi-123").unwrap_err();
    assert!(
        e.to_string().contains("12 characters at most, which has 13"),
        "{e}"
    );
    let of = |host: &str, jail: &str| macs(host, jail, &[]);
    let [a, b] = of("h", "web");
    assert!(a.starts_with("02:") && a != b, "{a} {b}");
    assert!(a != of("h", "db")[0] && a != of("i", "web")[0]);
    assert_eq!(of("h", "web")[0], a);
    let [other, _] = macs("h", "web", std::slice::from_ref(&b));
    assert_ne!(other, a);
}

#[test]
fn on_and_off() {
    for (value, on) in [
        ("new", true),
        ("1", true),
        ("true", true),
        ("inherit", false),
        ("0", false),
    ] {
        let params: Params = [("vnet".to_owned(), value.into())].into_iter().collect();
        assert_eq!(is_vnet(&params), on, "{value}");
    }
}

/// Ten thousand jails of one prefix, as long as a name can be, on two hosts of one wire.
#[test]
fn pairs_of_many_jails_have_names_and_ethernet_addresses_of_their_own() {
    let hosts = [
        "4c4c4544-0042-3010-8052-c4c04f4e3132",
        "4c4c4544-0042-3010-8052-c4c04f4e3133",
    ];
    let names: Vec<String> = (0..10_000).map(|n| format!("web-{n:08}")).collect();
    let ends = names
        .iter()
        .map(|n| Pair::of_jail(n))
        .flat_map(|p| [p.host_end(), p.jail_end()]);
    let ends: BTreeSet<String> = ends.collect();
    assert_eq!(ends.len(), 2 * names.len());
    assert!(ends.iter().all(|e| e.len() == LONGEST_INTERFACE));
    let of_host = |host| names.iter().flat_map(move |name| macs(host, name, &[]));
    let addresses: BTreeSet<String> = hosts.into_iter().flat_map(of_host).collect();
    assert_eq!(addresses.len(), 4 * names.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Jails of any names that start one after the other; each sees the host's ends of those before it.
    #[test]
    fn pairs_never_share_a_name_or_an_ethernet_address(
        names in btree_set("(web|db|a)?-?[A-Za-z0-9_-]{1,8}", 2..40),
        host in "[0-9a-f-]{0,36}",
    ) {
        let (mut on_host, mut all) = (Vec::new(), BTreeSet::new());
        for name in &names {
            prop_assert!(check_name(name).is_ok());
            let pair = Pair::of_jail(name);
            let pair_macs = macs(&host, name, &on_host);
            // Locally administered, and no group address (IEEE 802).
            prop_assert!(pair_macs.iter().all(|m| m.starts_with("02:") && m.len() == 17));
            on_host.push(pair_macs[0].clone());
            all.extend(pair_macs);
            all.extend([pair.host_end(), pair.jail_end()]);
        }
        prop_assert_eq!(all.len(), 4 * names.len());
    }

    /// An address that is taken is never given, whoever has it and whichever end it would be.
    #[test]
    fn an_ethernet_address_that_is_taken_is_not_given(name in "[a-z]{1,12}", end in 0..2_usize, times in 1..5) {
        let mut taken: Vec<String> = Vec::new();
        for _ in 0..times {
            let pair = macs("host", &name, &taken);
            prop_assert!(pair.iter().all(|m| !taken.contains(m)));
            taken.push(pair[end].clone());
        }
    }
}
