use super::*;

fn found(path: &str, suffix: &'static str, text: &str) -> Found {
    Found {
        path: path.to_owned(),
        suffix,
        read: legacy::parse(text).map_err(Error::new),
    }
}

fn draft(text: &str) -> Draft {
    let text = format!("name=\"a\"\npath=\"/usr/jails/a\"\n{text}");
    let file = found("local/a", "", &text);
    one("a", std::slice::from_ref(&file), Some(&vec![file.clone()]))
}

fn shown_params(draft: &Draft) -> Vec<String> {
    draft.params.iter().map(|(k, v)| format!("{k}={v}")).collect()
}

#[test]
fn every_setting_has_a_place() {
    let all = draft(
        "ip4=\"lo1|192.168.1.1,192.168.1.2\"\nip6=\"fd00::2\"\ninterface=\"em0\"\nsecurelevel=\"2\"\ncpuset=\"0-2\"\n\
         fib=\"1\"\nrsockets=\"allow.raw_sockets\"\nruleset=\"7\"\nsysvipc=\"allow.sysvipc\"\nquotas=\"allow.quotas\"\n\
         nullfs=\"allow.mount.nullfs\"\nzfs=\"allow.mount.zfs\"\nmore=\"x\"\n",
    );
    assert_eq!(
        shown_params(&all),
        [
            "allow.mount=true",
            "allow.mount.nullfs=true",
            "allow.mount.zfs=true",
            "allow.quotas=true",
            "allow.raw_sockets=true",
            "cpuset.id=0-2",
            "devfs_ruleset=7",
            "enforce_statfs=1",
            "exec.fib=1",
            "interface=em0",
            "ip4.addr=lo1|192.168.1.1, 192.168.1.2",
            "ip6.addr=fd00::2",
            "securelevel=2",
            "sysvmsg=inherit",
            "sysvsem=inherit",
            "sysvshm=inherit",
        ]
    );
    assert!(all.faults.is_empty(), "{:?}", all.faults);
    assert!(all.notes.iter().any(|n| n.contains("more = x")));
    assert!(draft("ruleset=\"4\"\n").params.is_empty());
}

#[test]
fn a_network_stack_of_its_own() {
    let vnet =
        draft("vnet=\"be|pf|3\"\nruleset=\"70\"\ninterface=\"em0\"\nvinterface=\"em1\"\nip4=\"10.1.0.2\"\n");
    assert_eq!(
        shown_params(&vnet),
        ["interface=em1", "ip4.addr=10.1.0.2", "vnet=new"]
    );
    for says in ["rule set 70", "pf in the jail", "a new number"] {
        assert!(
            vnet.notes.iter().any(|n| n.contains(says)),
            "{says}: {:?}",
            vnet.notes
        );
    }
}

#[test]
fn an_image_is_named_and_values_are_checked() {
    assert_eq!(
        draft("image=\"/usr/jails/a/a.img\"\n").image.as_deref(),
        Some("/usr/jails/a/a.img")
    );
    assert!(
        draft("image=\"/usr/jails/a/a.img\"\nimagetype=\"simple\"\n")
            .faults
            .is_empty()
    );
    for (bad, says) in [
        (
            "image=\"/usr/jails/a/a.img\"\nimagetype=\"eli\"\n",
            "its image is of the type eli, not simple",
        ),
        ("fib=\"x\"\n", "fib: `x` is not a number"),
        ("ip4=\"fd00::1\"\n", "ip4.addr: fd00::1 is an IPv6 address"),
        ("ip4=\"1.2.3\"\n", "not an IP address"),
    ] {
        let faults = draft(bad).faults;
        assert!(
            faults.len() == 1 && faults[0].message.contains(says),
            "{bad}: {faults:?}"
        );
        assert!(faults[0].hint.is_some());
    }
}

#[test]
fn two_files_must_agree() {
    let text = "name=\"a\"\nip4=\"10.0.0.1\"\ndeffile=\"/l/a\"\n";
    let local = found("local/a", "", text);
    let with = |copy: Found| one("a", std::slice::from_ref(&local), Some(&vec![copy])).faults;
    assert!(with(found("global/a", "", &text.replace("/l/a", "/g/a"))).is_empty());
    let differ = with(found("global/a", "", &text.replace("10.0.0.1", "10.0.0.2")));
    assert_eq!(differ[0].message, "local/a and global/a differ in ip4");
    assert!(
        with(found("global/a.man", ".man", text))[0]
            .message
            .contains("manual or norun")
    );
    assert!(one("a", std::slice::from_ref(&local), None).notes[0].contains("not in qjail.global"));
    assert_eq!(
        (split("a.man"), split("a.norun"), split(".man")),
        (("a", ".man"), ("a", ".norun"), (".man", ""))
    );
}
