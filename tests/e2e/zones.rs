//! Zones: apart from each other, of one name space.

use qjail_tests::{Site, same};

#[test]
fn a_zone_has_a_base_and_jails_of_its_own() {
    let site = Site::from_host();
    let before = site.picture();
    for args in [
        &["-z", "web", "list"] as &[&str],
        &["list", "-z", "web"],
        &["-z", "web", "create", "a"],
        &["start", "-z", "web"],
        &["stop", "-z", "web"],
        &["restart", "a", "-z", "web"],
        &["delete", "a", "-z", "web"],
        &["config", "-m", "a", "-z", "web"],
        &["net", "create", "qenone", "10.9.9.1/24", "-z", "web"],
        &["bases", "-z", "web"],
    ] {
        let ran = site.qjail(args).refused(1, "Error: Un-known zone.");
        assert!(ran.err.contains("hint: there is no zone web"), "{ran:#?}");
    }
    let _ = site
        .qjail(&["-z", "web", "exec", "a", "--", "id"])
        .refused(125, "Un-known zone");
    for bad in ["7", "nozone", "a/b", ""] {
        let _ = site
            .qjail(&["-z", bad, "install", "--from-host"])
            .refused(2, "zone name");
    }
    same(&site.picture(), &before, "unknown zones");
    let _ = site
        .qjail(&["-z", "never", "install", "/nonexistent.txz"])
        .refused(1, "nonexistent");
    same(&site.picture(), &before, "a zone that could not be made");
    let _ = site.qjail(&["install", "--from-host", "-z", "web"]).ok();
    let other = site.qjail(&["-z", "wbe", "list"]).refused(1, "Un-known zone");
    assert!(other.err.contains("but web"), "{other:#?}");
    let _ = site.qjail(&["create", "a"]).ok();
    let _ = site.qjail(&["create", "b", "-z", "web"]).ok();
    let _ = site
        .qjail(&["create", "a", "-z", "web"])
        .refused(1, "already exists");
    let elsewhere = site
        .qjail(&["config", "-m", "b"])
        .refused(1, "Jail doesn't exist. b");
    assert!(elsewhere.err.contains("add -z web"), "{elsewhere:#?}");
    let _ = site.qjail(&["-z", "web", "config", "-m", "b"]).ok();
    let _ = site.qjail(&["config", "-n", "c", "b", "-z", "web"]).ok();
    let down = site
        .qjail(&["-z", "web", "exec", "c", "--", "id"])
        .refused(125, "Jail is not running");
    assert!(down.err.contains("hint: qjail -z web start c"), "{down:#?}");
    let _ = site.qjail(&["-z", "web", "start", "c"]).ok();
    assert_eq!(
        site.qjail(&["-z", "web", "exec", "c", "--", "hostname"]).ok().out,
        "c\n"
    );
    for entered in [
        &["exec", "c", "--", "id"] as &[&str],
        &["console", "-c", "id", "c"],
    ] {
        let elsewhere = site.qjail(entered).refused(125, "Jail doesn't exist. c");
        assert!(elsewhere.err.contains("add -z web"), "{elsewhere:#?}");
    }
    let elsewhere = site
        .qjail(&["-z", "web", "exec", "a", "--", "id"])
        .refused(125, "Jail doesn't exist. a");
    assert!(elsewhere.err.contains("leave out -z"), "{elsewhere:#?}");
    let head = "STA JID  NIC IP              Jailname\n";
    let own = site.qjail(&["list"]).ok().out;
    assert!(
        own.starts_with(&format!(" \n\n{head}")) && !own.contains(" c\n"),
        "{own}"
    );
    let web = site.qjail(&["list", "-z", "web"]).ok().out;
    assert!(
        web.starts_with(&format!(" \nJails in zone  web\n{head}")) && web.contains("DRM"),
        "{web}"
    );
    let all = site.qjail(&["list", "--all-zones"]).ok().out;
    assert_eq!(all, own + &web);
    let table = site.qjail(&["list", "--all-zones", "-o", "name"]).ok().out;
    assert_eq!(table, "ZONE  NAME\n      a\nweb   c\n");
    let json = site.qjail(&["list", "--all-zones", "--json", "c"]).ok().out;
    assert!(
        json.contains("\"zone\":\"web\"") && json.contains("\"running\":true"),
        "{json}"
    );
    let _ = site
        .qjail(&["list", "--all-zones", "-z", "web"])
        .refused(2, "exclude each other");
    let _ = site.qjail(&["stop", "-z", "web"]).ok();
    let _ = site.qjail(&["delete", "c", "-z", "web"]).ok();
}
