use super::*;

fn ok(key: &str, value: Option<&str>) -> String {
    let (key, value) = parse(key, value, false).unwrap();
    format!("{key}={value}")
}

fn told(key: &str, value: Option<&str>) -> String {
    parse(key, value, false).unwrap_err().to_string()
}

#[test]
fn the_table_is_in_order_and_whole() {
    for pair in all().windows(2) {
        assert!(pair[0].name < pair[1].name, "{} {}", pair[0].name, pair[1].name);
    }
    for known in all() {
        assert!(Params::check(known.name, &true.into()).is_ok(), "{}", known.name);
        assert!(
            known.about.ends_with('.') && known.about.len() > 8,
            "{}",
            known.name
        );
        assert!(["13.2", "14.0", "15.0"].contains(&known.since), "{}", known.name);
    }
}

/// `sysctl -N security.jail.param` of a kernel of 13.2, nodes left out.
#[test]
fn every_parameter_of_a_13_2_kernel_is_known() {
    for name in "allow.mount.fdescfs allow.mount.nullfs allow.mount.tmpfs allow.mount.devfs allow.mount.procfs allow.mount \
        allow.suser allow.unprivileged_proc_debug allow.read_msgbuf allow.reserved_ports allow.mlock allow.socket_af \
        allow.quotas allow.chflags allow.raw_sockets allow.sysvipc allow.set_hostname ip6.saddrsel ip6 ip4.saddrsel ip4 \
        cpuset.id host.hostid host.hostuuid host.domainname host.hostname host children.max children.cur dying vnet \
        persist devfs_ruleset enforce_statfs osrelease osreldate securelevel path name parent jid sysvshm sysvsem sysvmsg"
        .split_whitespace()
    {
        let (known, negated) = find(name).unwrap_or_else(|| panic!("{name}"));
        assert!(!negated && known.since == "13.2", "{name}");
    }
}

#[test]
fn values_have_their_types() {
    for (key, value, shown) in [
        ("allow.mlock", None, "allow.mlock=true"),
        ("allow.mlock", Some("1"), "allow.mlock=true"),
        ("allow.mlock", Some("off"), "allow.mlock=false"),
        ("securelevel", Some("-1"), "securelevel=-1"),
        ("securelevel", Some("3"), "securelevel=3"),
        ("exec.timeout", Some("030"), "exec.timeout=30"),
        ("vnet", None, "vnet=new"),
        ("sysvshm", Some("inherit"), "sysvshm=inherit"),
        (
            "ip4.addr",
            Some("10.0.0.1, lo1|10.0.0.2/24"),
            "ip4.addr=10.0.0.1, lo1|10.0.0.2/24",
        ),
        ("ip6.addr", Some("fd00::1"), "ip6.addr=fd00::1"),
        ("host.hostname", Some("true"), "host.hostname=true"),
        (
            "exec.start",
            Some("/bin/sh /etc/rc"),
            "exec.start=/bin/sh /etc/rc",
        ),
    ] {
        assert_eq!(ok(key, value), shown);
    }
    for (key, value, says) in [
        (
            "allow.mlock",
            Some("maybe"),
            "allow.mlock: `maybe` is not true or false",
        ),
        ("securelevel", Some("4"), "from -1 to 3"),
        ("securelevel", Some("-2"), "from -1 to 3"),
        ("securelevel", None, "securelevel needs a value"),
        ("enforce_statfs", Some("x"), "from 0 to 2"),
        ("exec.timeout", Some("-1"), "number of seconds"),
        ("sysvshm", Some("yes"), "one of disable, new, inherit"),
        ("ip4.addr", Some("fd00::1"), "list of IPv4 addresses"),
        ("ip4.addr", Some("10.0.0.1,"), "list of IPv4 addresses"),
        ("host.domainname", Some(""), "is not a text"),
        ("host.domainname", Some("a\nb"), "control character"),
        ("host.hostname", Some(""), "is not a host name"),
        ("host.hostname", Some("a b"), "is not a host name"),
        ("host.hostname", Some("$(id)"), "is not a host name"),
        ("host.hostname", Some("a\nb"), "is not a host name"),
        ("path", Some("/"), "path can not be set"),
        ("jid", Some("7"), "the kernel gives the number"),
    ] {
        assert!(told(key, value).contains(says), "{key}: {}", told(key, value));
    }
}

#[test]
fn negations_are_turned_round() {
    for (key, value, shown) in [
        ("allow.noraw_sockets", None, "allow.raw_sockets=false"),
        ("allow.noraw_sockets", Some("false"), "allow.raw_sockets=true"),
        ("allow.mount.nozfs", None, "allow.mount.zfs=false"),
        ("nopersist", None, "persist=false"),
        ("novnet", None, "vnet=inherit"),
        ("nosysvshm", None, "sysvshm=disable"),
    ] {
        assert_eq!(ok(key, value), shown);
    }
    assert!(find("nosecurelevel").is_none());
    assert!(find("no").is_none() && find("").is_none() && find("allow.").is_none());
}

#[test]
fn unknown_names_need_force() {
    assert_eq!(told("frobnicate", None), "jail(8) has no parameter frobnicate");
    assert!(matches!(
        parse("sekurelevel", Some("1"), false),
        Err(KnownError::Unknown {
            near: Some("securelevel"),
            ..
        })
    ));
    assert_eq!(
        parse("frobnicate", Some("1"), true).unwrap(),
        ("frobnicate".to_owned(), "1".into())
    );
    assert!(parse("a b", Some("1"), true).is_err());
    // Force is about names: a known one has its type all the same.
    assert!(parse("securelevel", Some("9"), true).is_err());
}

proptest::proptest! {
    #[test]
    fn nothing_panics_and_what_passes_can_be_written(key in "[a-z._]{0,20}", value in proptest::option::of(".{0,20}"), force: bool) {
        if let Ok((key, value)) = parse(&key, value.as_deref(), force) {
            proptest::prop_assert!(Params::check(&key, &value).is_ok());
        }
    }
}

#[test]
fn the_last_part_of_a_name_is_enough_to_be_understood() {
    for (given, meant) in [
        ("fib", "exec.fib"),
        ("raw_sockets", "allow.raw_sockets"),
        ("hostname", "host.hostname"),
        ("sysvsen", "sysvsem"),
    ] {
        assert_eq!(near(given), Some(meant));
    }
    assert_eq!(near("zzzzzzzz"), None);
}
