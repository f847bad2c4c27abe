//! What `create` and `start` are told about bases.

use std::os::unix::fs::symlink;

use qjail_plugin_api::{Event, JailInfo};
use serde_json::json;

use super::{Site, debian};

fn jail() -> JailInfo {
    JailInfo {
        name: "jail1".to_owned(),
        ..JailInfo::default()
    }
}

#[test]
fn without_a_base_nothing_begins() {
    let site = Site::new();
    for event in [Event::Create, Event::Start] {
        let told = site.ask(event, jail()).unwrap_err();
        assert_eq!(told.len(), 1);
        assert!(
            told[0].starts_with("no base is installed in this zone | "),
            "{told:?}"
        );
        assert!(told[0].contains("qjail install --from-host"), "{told:?}");
    }
    assert!(
        site.ask(
            Event::Start,
            JailInfo {
                thick: true,
                ..jail()
            }
        )
        .unwrap()
        .mounts
        .is_empty()
    );
}

#[test]
fn a_start_mounts_the_base() {
    let site = Site::new();
    let archive = site.file("first.tar", &debian());
    site.install(&[("source", json!(archive))]).unwrap();
    site.install(&[("from-host", json!(true))]).unwrap();
    let jails = site.path("jails").display().to_string();
    let mounts = site.ask(Event::Start, jail()).unwrap().mounts;
    assert_eq!(
        (mounts[0].source.as_str(), mounts[0].target.as_str()),
        (format!("{jails}/.bases/host-1/sharedfs").as_str(), "sharedfs")
    );
    assert!(
        mounts
            .iter()
            .any(|m| m.source == "/usr/bin" && m.target == "sharedfs/usr/bin")
    );
    assert!(mounts.iter().all(|m| m.read_only));
    // Deeper ones come later.
    assert!(mounts[1..].iter().all(|m| m.target.starts_with("sharedfs/")));

    let pinned = JailInfo {
        base: Some("first-1".to_owned()),
        ..jail()
    };
    let mounts = site.ask(Event::Start, pinned).unwrap().mounts;
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0].source, format!("{jails}/.bases/first-1/sharedfs"));

    let shown = site.command(&["bases"], &[]).unwrap().output.unwrap();
    let current: Vec<_> = shown
        .rows
        .iter()
        .map(|r| (r[0].as_str(), r[5].as_str()))
        .collect();
    assert_eq!(current, [("first-1", "no"), ("host-1", "yes")]);
}

#[test]
fn jails_of_a_base_are_counted() {
    let mut site = Site::new();
    for _ in 0..2 {
        site.install(&[("from-host", json!(true))]).unwrap();
    }
    let named = |name: &str| JailInfo {
        name: name.to_owned(),
        ..JailInfo::default()
    };
    site.jails = vec![
        named("a"),
        JailInfo {
            base: Some("host-1".to_owned()),
            ..named("b")
        },
        JailInfo {
            thick: true,
            ..named("c")
        },
        JailInfo {
            zone: Some("other".to_owned()),
            ..named("d")
        },
    ];
    let output = site.command(&["bases"], &[]).unwrap().output.unwrap();
    assert_eq!(output.data[0]["jails"], json!(["b"]));
    assert_eq!(output.data[1]["jails"], json!(["a"]));
}

#[test]
fn a_base_that_is_gone_is_named() {
    let site = Site::new();
    site.install(&[("from-host", json!(true))]).unwrap();
    let pinned = JailInfo {
        base: Some("old-7".to_owned()),
        ..jail()
    };
    let told = site.ask(Event::Start, pinned).unwrap_err();
    assert!(
        told[0].contains("jail jail1 is pinned to base old-7, which does not exist"),
        "{told:?}"
    );
    let climbing = JailInfo {
        base: Some("../../etc".to_owned()),
        ..jail()
    };
    assert!(site.ask(Event::Start, climbing).is_err());
    std::fs::remove_dir_all(site.path("jails/.bases/host-1")).unwrap();
    let told = site.ask(Event::Start, jail()).unwrap_err();
    assert!(
        told[0].contains("the current base host-1 of this zone does not exist"),
        "{told:?}"
    );
}

#[test]
fn a_link_that_leads_elsewhere_is_no_base() {
    let site = Site::new();
    symlink("/etc", site.path("jails/.base")).unwrap();
    let error = site.command(&["bases"], &[]).unwrap_err();
    assert!(
        error.message.contains("leads to /etc, which is no base"),
        "{error}"
    );
}
