//! What the tests of this module share: golden files, a host, a jail.
//!
//! A golden file that differs is rewritten when `QJAIL_GOLDEN=write` is set.

use std::path::PathBuf;

use qjail_model::{ParamValue, Params};

use crate::{Interface, JailSpec, MountSpec};

/// Compares `text` with the file `golden/freebsd/NAME`.
pub(crate) fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden/freebsd")
        .join(name);
    if std::env::var_os("QJAIL_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name}; QJAIL_GOLDEN=write rewrites it");
}

/// A host as in the chapter: em0 with the default route, lo1 with 192.168.1.1/28.
pub(crate) fn interfaces() -> Vec<Interface> {
    [
        ("lo0", "127.0.0.1/8"),
        ("em0", "192.0.2.10/24"),
        ("lo1", "192.168.1.1/28"),
    ]
    .map(|(name, address)| Interface {
        name: name.to_owned(),
        addresses: vec![address.parse().unwrap()],
        up: true,
        default_route: name == "em0",
        gateways: Vec::new(),
        for_jails: true,
    })
    .to_vec()
}

/// A jail as the core makes it, on lo1, with `more` parameters.
pub(crate) fn spec(name: &str, more: &[(&str, &[&str])]) -> JailSpec {
    let list = |l: &[&str]| ParamValue::List(l.iter().map(|t| (*t).to_owned()).collect());
    let mut params: Params = more.iter().map(|(k, v)| ((*k).to_owned(), list(v))).collect();
    for (key, value) in [
        ("host.hostname", name),
        ("interface", "lo1"),
        ("exec.start", "/bin/sh /etc/rc"),
        ("exec.stop", "/bin/sh /etc/rc.shutdown jail"),
        ("devfs_ruleset", "4"),
    ] {
        params.set_default(key, value);
    }
    params.set("exec.clean", true);
    params.set("mount.devfs", true);
    JailSpec {
        name: name.to_owned(),
        path: format!("/usr/jails/{name}").into(),
        params,
        mounts: vec![MountSpec {
            source: "/usr/jails/sharedfs".into(),
            target: "sharedfs".to_owned(),
            read_only: true,
        }],
        console_log: Some(format!("/var/log/qjail.{name}.console.log").into()),
        limits: qjail_model::Limits::default(),
    }
}
