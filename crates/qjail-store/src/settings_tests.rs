use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::fs;

const TEXT: &str = "\
# our host
log = true   # since the audit

[plugins]
disable = [\"pf\"] # not here
dirs = [\"/opt/qjail\"]

# the network
[plugin.net]
bridge = \"lo1\"   # the first
[plugin.net.lo1]
address = \"192.168.1.1/28\"
";

fn parse(text: &str) -> Result<Settings> {
    Settings::parse(Path::new("/etc/qjail/qjail.toml"), text)
}

#[test]
fn getters() {
    let s = parse(TEXT).unwrap();
    assert!(s.log());
    assert_eq!(s.plugins_disabled(), ["pf"]);
    assert_eq!(s.plugins_allowed(), None);
    assert_eq!(s.plugin_dirs(), [Path::new("/opt/qjail")]);
    assert_eq!(
        s.plugin("net"),
        json!({"bridge": "lo1", "lo1": {"address": "192.168.1.1/28"}})
    );
    assert_eq!(s.plugin("pf"), json!({}));
    assert_eq!(
        s.get(&["plugin", "net", "lo1", "address"]),
        Some(json!("192.168.1.1/28"))
    );
    assert_eq!(s.get(&["plugin", "net", "bridge", "deeper"]), None);
    assert!(s.warnings().is_empty());
    let s = parse("plugins = { allow = [], sha256 = { pf = \"ab\" } }\n[[plugin.x.y]]\nwhen = 2026-11-23\n")
        .unwrap();
    assert_eq!(s.plugins_allowed(), Some(&[][..]));
    assert_eq!(s.plugin_sums()["pf"], "ab");
    assert_eq!(s.plugin("x"), json!({"y": [{"when": "2026-11-23"}]}));
}

#[test]
fn edits_keep_comments_and_order() {
    let mut s = parse(TEXT).unwrap();
    s.set(&["log"], &json!(false)).unwrap();
    s.set(&["plugin", "net", "bridge"], &json!("lo2")).unwrap();
    s.set(&["plugin", "pf", "ext"], &json!("eth0")).unwrap();
    let expected = TEXT
        .replace("log = true", "log = false")
        .replace("\"lo1\"   #", "\"lo2\"   #")
        + "\n[plugin.pf]\next = \"eth0\"\n";
    assert_eq!(s.to_text(), expected);
    assert!(!s.log());
    s.unset(&["plugin", "pf", "ext"]).unwrap();
    s.unset(&["plugin", "pf", "ext"]).unwrap();
    s.unset(&["nothing", "here"]).unwrap();
    s.set(&["plugin", "net", "bridge"], &json!("lo1")).unwrap();
    s.set(&["log"], &json!(true)).unwrap();
    assert_eq!(s.to_text(), TEXT);
}

#[test]
fn mistakes_have_a_place() {
    for (text, line, column, word) in [
        ("log = yes\n", 1, 7, ""),
        ("log = \"yes\"\n", 1, 7, "boolean"),
        ("# é\n[plugins]\n\"é\" = 1\ndisable = \"pf\"\n", 4, 11, "sequence"),
        ("[plugin]\nnet = 1\n", 2, 7, "map"),
        ("a = 1\na = 2\n", 2, 1, "duplicate"),
    ] {
        let e = parse(text).unwrap_err().to_string();
        let start = format!("/etc/qjail/qjail.toml: line {line}, column {column}: ");
        assert!(e.starts_with(&start), "{e}");
        assert!(e.contains(word) && !e.contains('\n'), "{e}");
    }
}

#[test]
fn unknown_keys_are_warnings() {
    let s = parse("lgo = true\n[plugins]\ndisabel = [\"pf\"]\n[plugin.anything]\nx = 1\n").unwrap();
    assert_eq!(
        s.warnings(),
        [
            "/etc/qjail/qjail.toml: unknown key lgo",
            "/etc/qjail/qjail.toml: unknown key plugins.disabel"
        ]
    );
}

#[test]
fn refused_changes_change_nothing() {
    let mut s = parse(TEXT).unwrap();
    for (path, value, word) in [
        (&["log"][..], json!("yes"), "log"),
        (&["log", "deeper"], json!(1), "log is not a table"),
        (&["plugin", "net", "x"], json!(null), "null"),
        (&["plugin", "net", "x"], json!([{"a": null}]), "null"),
        (&["plugin", "net", "x"], json!(u64::MAX), "too large"),
        (&["plugin", "net"], json!(1), "plugin.net"),
        (&[], json!(1), "no key"),
    ] {
        let e = s.set(path, &value).unwrap_err().to_string();
        assert!(
            e.starts_with("/etc/qjail/qjail.toml: ") && e.contains(word),
            "{e}"
        );
    }
    assert_eq!(s.to_text(), TEXT);
}

#[test]
fn below_an_inline_table_all_is_inline() {
    let mut s = parse("plugin = { net = { x = 1 } }\n").unwrap();
    s.set(&["plugin", "pf", "rules"], &json!({})).unwrap();
    assert_eq!(
        s.to_text(),
        "plugin = { net = { x = 1 } , pf = { rules = {} } }\n"
    );
    assert_eq!(parse(&s.to_text()).unwrap().plugin("pf"), json!({"rules": {}}));
}

#[test]
fn save_and_load() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("qjail.toml");
    let mut s = Settings::load(&path).unwrap();
    assert!(!s.log() && s.to_text().is_empty());
    s.set(&["log"], &json!(true)).unwrap();
    s.save().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "log = true\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut s = Settings::load(&path).unwrap();
    s.unset(&["log"]).unwrap();
    s.save().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1.0e9..1.0e9_f64).prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|m| m.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_set_is_read_again(key in ".{0,6}", value in any_json(), start in 0..4_usize) {
        let start = [
            "", TEXT, "plugin = { net = { x = 1 } }\n", "plugin.net.x = 1 # dotted\nplugin.pf.y = [1, 2]\n",
        ][start];
        let mut s = parse(start).unwrap();
        let before = s.plugin("net");
        let path = ["plugin", "q", key.as_str(), "v"];
        s.set(&path, &value).unwrap();
        let again = parse(&s.to_text()).unwrap();
        prop_assert_eq!(again.get(&path), Some(value));
        prop_assert_eq!(again.plugin("net"), before);
        s.unset(&path).unwrap();
        prop_assert_eq!(s.to_text(), start);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]a-c.=\"'{}, \n#1é]{0,60}") {
        if let Ok(s) = parse(&text) {
            let _ = (s.warnings(), s.plugin("a"));
            prop_assert_eq!(s.to_text(), text);
        }
    }
}
