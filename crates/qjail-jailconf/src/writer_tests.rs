use super::*;
use crate::{no_includes, read};
use proptest::prelude::*;

fn name(text: &str) -> JailName {
    JailName::new(text).unwrap()
}

fn list(values: &[&str]) -> ParamValue {
    ParamValue::List(values.iter().map(|v| (*v).to_owned()).collect())
}

fn params(items: Vec<(&str, ParamValue)>) -> Params {
    items.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

#[test]
fn the_default_jail() {
    let params = params(vec![
        ("host.hostname", "jail1".into()),
        ("path", "/usr/jails/jail1".into()),
        ("mount.fstab", "/var/db/qjail/run/jail1.fstab".into()),
        ("exec.consolelog", "/var/log/qjail.jail1.console.log".into()),
        ("mount.devfs", true.into()),
        ("ip4.addr", list(&["192.168.1.1"])),
        ("interface", "lo1".into()),
        ("devfs_ruleset", "4".into()),
        ("exec.clean", true.into()),
        ("exec.start", "/bin/sh /etc/rc".into()),
        ("exec.stop", "/bin/sh /etc/rc.shutdown jail".into()),
    ]);
    let comment = "qjail config -d jail1 shows it, qjail config changes it.";
    assert_eq!(
        write(&name("jail1"), &params, comment).unwrap(),
        include_str!("../golden/jail1.conf")
    );
}

#[test]
fn all_forms() {
    let params = params(vec![
        ("allow.sysvipc", true.into()),
        ("allow.raw_sockets", false.into()),
        ("allow.mount.devfs", false.into()),
        ("persist", false.into()),
        ("exec.fib", "1".into()),
        (
            "exec.poststart",
            list(&[
                "echo \"$HOME\" ${JNAME} 'x' # no comment; \\n { } // é",
                "",
                "/usr/bin/true",
            ]),
        ),
        ("exec.prestart", list(&[])),
        ("ip4.addr", list(&["lo1|192.168.1.2/32", "192.168.1.3"])),
        ("ip6.addr", "fd00::2".into()),
        ("securelevel", "-1".into()),
        ("sysvshm", "new".into()),
        ("vnet.interface", "epair1b".into()),
    ]);
    let text = write(&name("odd_Name-2"), &params, "").unwrap();
    assert_eq!(text, include_str!("../golden/odd_Name-2.conf"));
}

#[test]
fn comments_stay_comments() {
    let text = write(&name("a"), &Params::new(), "x {\n} \r\u{1b}[2J\n\n").unwrap();
    let comments = text.lines().filter(|l| l.starts_with('#')).count();
    assert_eq!((text.lines().count(), comments), (6, 4), "{text}");
    assert!(!text.contains(['\r', '\u{1b}']));
    assert_eq!(read("f", &text, no_includes).unwrap().len(), 1);
}

#[test]
fn what_can_not_be_written_is_refused() {
    for (key, value, word) in [
        (
            "exec.start",
            "a\nb".into(),
            "exec.start contains a control character",
        ),
        ("exec.start", list(&["a", "\0"]), "control character"),
        ("a b", true.into(), "`a b` is not the name"),
        ("x;y", true.into(), "is not the name"),
        ("allow.nomount", true.into(), "allow.nomount begins with `no`"),
        ("nothing", "x".into(), "nothing begins with `no`"),
        ("name", "other".into(), "`name`"),
    ] {
        let e = write(&name("jail1"), &params(vec![(key, value)]), "")
            .unwrap_err()
            .to_string();
        assert!(e.starts_with("jail jail1: ") && e.contains(word), "{e}");
    }
}

fn any_value() -> impl Strategy<Value = ParamValue> {
    let text = "[^\\p{Cc}]{0,20}";
    prop_oneof![
        any::<bool>().prop_map(ParamValue::Bool),
        text.prop_map(ParamValue::Text),
        "[\\\\\"'$;{}#/*a]{0,12}".prop_map(ParamValue::Text),
        proptest::collection::vec(text, 2..5).prop_map(ParamValue::List),
    ]
}

proptest! {
    #[test]
    fn round_trip(
        jail in "[A-Za-z_][A-Za-z0-9_-]{0,20}",
        items in proptest::collection::btree_map("[a-m][a-z0-9_]{0,6}(\\.[a-m][a-z0-9_]{0,6}){0,2}", any_value(), 0..8),
        comment in "\\PC{0,30}",
    ) {
        let jail = name(&jail);
        let params: Params = items.into_iter().collect();
        let text = write(&jail, &params, &comment).unwrap();
        let blocks = read("jail.conf", &text, no_includes).unwrap();
        prop_assert_eq!(blocks.len(), 1);
        prop_assert_eq!(&blocks[0].name, jail.as_str());
        prop_assert_eq!(&blocks[0].params, &params);
    }

    #[test]
    fn one_and_none_in_a_list(value in "[^\\p{Cc}]{0,20}") {
        let params = params(vec![("ip4.addr", list(&[&value])), ("ip6.addr", list(&[]))]);
        let blocks = read("f", &write(&name("a"), &params, "").unwrap(), no_includes).unwrap();
        prop_assert_eq!(blocks[0].params.list("ip4.addr"), vec![value]);
        prop_assert!(blocks[0].params.get("ip6.addr").is_none());
    }
}
