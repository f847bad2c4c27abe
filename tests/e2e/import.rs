//! `import`: jails of qjail 5 and of a jail.conf(5), from made-up trees; their files are read and never touched.

use std::path::{Path, PathBuf};

use qjail_tests::{Site, sh};

/// A jail of the old program: the file, its zone, settings that are not the default.
pub(crate) type Old<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// A tree of qjail 5 with these jails: name with suffix, zone, settings that are not the default.
pub(crate) fn old(site: &Site, jails: &[Old<'_>]) -> PathBuf {
    let dir = site.root.join("old");
    for (file, zone, settings) in jails {
        let name = file.split('.').next().unwrap();
        let dot = if zone.is_empty() {
            String::new()
        } else {
            format!(".{zone}")
        };
        let text = control(name, &dot, settings);
        for place in [format!("qjail.local{dot}"), "qjail.global".to_owned()] {
            std::fs::create_dir_all(dir.join(&place)).unwrap();
            std::fs::write(dir.join(place).join(file), &text).unwrap();
        }
        let fstab = format!("/usr/jails{dot}/sharedfs /usr/jails{dot}/{name}/sharedfs nullfs ro 0 0\n");
        std::fs::create_dir_all(dir.join(format!("qjail.fstab{dot}"))).unwrap();
        std::fs::write(dir.join(format!("qjail.fstab{dot}/{name}")), fstab).unwrap();
        thin_root(site, &dot, name);
    }
    dir
}

pub(crate) fn control(name: &str, dot: &str, settings: &[(&str, &str)]) -> String {
    const KEYS: [&str; 24] = [
        "name",
        "ip4",
        "ip6",
        "path",
        "interface",
        "fstab",
        "securelevel",
        "cpuset",
        "fib",
        "vnet",
        "vinterface",
        "rsockets",
        "ruleset",
        "sysvipc",
        "quotas",
        "nullfs",
        "tmpfs",
        "zfs",
        "poststartssh",
        "deffile",
        "image",
        "imagetype",
        "imageblockcount",
        "imagedevice",
    ];
    let path = format!("/usr/jails{dot}/{name}");
    let value = |key: &str| match key {
        "name" => name.to_owned(),
        "path" => path.clone(),
        _ => settings
            .iter()
            .find(|(k, _)| *k == key)
            .map_or(String::new(), |(_, v)| (*v).to_owned()),
    };
    KEYS.iter().map(|k| format!("{k}=\"{}\"\n", value(k))).collect()
}

/// A root that a jail can be started with: the template of the site's base, or a link into a base where there is none.
pub(crate) fn thin_root(site: &Site, dot: &str, name: &str) {
    let root = site.root.join(format!("var/lib/qjail/jails{dot}")).join(name);
    std::fs::create_dir_all(root.parent().unwrap()).unwrap();
    let template = site.jails().join("template/");
    if dot.is_empty() && template.exists() {
        let _ = sh(
            &format!(
                "cp -a {0}/template/ {1} && cp -a {0}/flavors/default/. {1}",
                site.jails().display(),
                root.display()
            ),
            &site.root,
        )
        .ok();
    } else {
        std::fs::create_dir_all(root.join("usr")).unwrap();
        std::os::unix::fs::symlink("/sharedfs/usr/bin", root.join("usr/bin")).unwrap();
    }
}

pub(crate) fn picture(dir: &Path) -> String {
    sh(
        "find . -printf '%y %m %p %l %T@\\n' | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum",
        dir,
    )
    .out
}

#[test]
fn jails_of_qjail_5_become_jails_and_run() {
    let site = Site::from_host();
    let dir = old(
        &site,
        &[
            ("plain", "", &[("rsockets", "allow.raw_sockets")]),
            (
                "manual.man",
                "",
                &[("sysvipc", "allow.sysvipc"), ("poststartssh", "yes")],
            ),
            ("never.norun", "", &[]),
            ("zoned", "web", &[("ip4", "10.99.0.9"), ("interface", "lo9")]),
            ("level", "", &[("securelevel", "2")]),
        ],
    );
    std::fs::create_dir_all(dir.join("qjail.packages")).unwrap();
    std::fs::write(dir.join("qjail.packages/plain"), "nano\nvim\n").unwrap();
    std::fs::create_dir_all(dir.join("qjail.fstab.web")).unwrap();
    std::fs::write(
        dir.join("qjail.fstab.web/zoned"),
        "/data /usr/jails.web/zoned/data nullfs rw 0 0\n",
    )
    .unwrap();
    let (before, at) = (picture(&dir), dir.to_str().unwrap());
    let site_before = site.picture();
    let _ = site
        .qjail(&["import", "--from", "qjail", at])
        .refused(2, "nobody is there");
    qjail_tests::same(&site.picture(), &site_before, "without --yes");
    let dry = site.qjail(&["import", "--from", "qjail", at, "--dry-run"]).ok();
    assert!(
        dry.out.contains("Plan of import plain") && dry.out.contains("allow.raw_sockets = true"),
        "{dry:#?}"
    );
    qjail_tests::same(&site.picture(), &site_before, "--dry-run");
    let done = site.qjail(&["import", "--from", "qjail", at, "--yes"]).ok();
    for says in [
        "Successfully imported plain\n",
        "/jails.web/zoned/data nullfs rw 0 0 (what is mounted below a jail is not a parameter on Linux)",
        "the list of 2 packages to install is not used",
        "SysV IPC is shared with the host",
        "the user for ssh has not been made yet: qjail config -h manual",
        "not taken over: securelevel = 2",
        "jails.web has no base yet",
    ] {
        assert!(done.out.contains(says), "{says}: {done:#?}");
    }
    assert_eq!(picture(&dir), before, "the originals");
    let definition = |name: &str| std::fs::read_to_string(site.definition(name)).unwrap();
    assert!(definition("plain").contains("\"allow.raw_sockets\" = true"));
    assert!(
        definition("manual").contains("manual = true")
            && definition("manual").contains("sysvshm = \"inherit\"")
    );
    assert!(definition("never").contains("norun = true") && definition("level").contains("norun = true"));
    assert!(definition("zoned").contains("zone = \"web\"") && definition("zoned").contains("10.99.0.9"));
    // Without its data it must not run by itself.
    assert!(definition("zoned").contains("norun = true") && !definition("plain").contains("norun"));
    let _ = site.qjail(&["start", "plain"]).ok();
    assert_eq!(site.inside("plain", "id -u"), "0");
    let _ = site.qjail(&["stop", "plain"]).ok();
    let again = site.qjail(&["import", "--from", "qjail", at, "--yes"]);
    assert_eq!(again.code, 1);
    assert!(
        again.err.contains("qjail: Bypassed existing jail plain\nhint: "),
        "{again:#?}"
    );
}

#[test]
fn what_is_wrong_with_one_jail_does_not_stop_the_others() {
    let site = Site::from_host();
    let names = [
        "good",
        "shell",
        "junk",
        "fifo",
        "dir",
        "link",
        "long",
        "differs",
        "two",
        "gone",
        "other",
        "bad-ip",
        "elsewhere",
    ];
    let jails: Vec<Old<'_>> = names.iter().map(|n| (*n, "", &[] as &[_])).collect();
    let dir = old(&site, &jails);
    let local = dir.join("qjail.local");
    let write = |name: &str, text: &[u8]| {
        for place in ["qjail.local", "qjail.global"] {
            std::fs::write(dir.join(place).join(name), text).unwrap();
        }
    };
    write(
        "shell",
        b"name=\"shell\"\nip4=\"$(touch /tmp/qjail-import-ran)\"\n",
    );
    write("junk", b"\xff\xfe\0\x01\x02");
    write(
        "long",
        format!("name=\"long\"\nip4=\"{}\"\n", "1".repeat(1 << 20)).as_bytes(),
    );
    write("two.man", control("two", "", &[]).as_bytes());
    write(
        "bad-ip",
        control("bad-ip", "", &[("ip4", "10.0.0.999")]).as_bytes(),
    );
    let elsewhere = control("elsewhere", "", &[]).replace("/usr/jails/elsewhere", "/etc");
    write("elsewhere", elsewhere.as_bytes());
    std::fs::write(
        dir.join("qjail.global/differs"),
        control("differs", "", &[("fib", "1")]),
    )
    .unwrap();
    std::fs::remove_dir_all(site.jails().join("gone")).unwrap();
    std::fs::write(local.join("other"), control("another", "", &[])).unwrap();
    let script = "rm fifo dir link; mkfifo fifo; mkdir dir; ln -s good link";
    let _ = sh(script, &local).ok();
    let ran = site.qjail(&["import", "--from", "qjail", dir.to_str().unwrap(), "--yes"]);
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.out.contains("Successfully imported good\n"), "{ran:#?}");
    for (name, why) in [
        ("shell", "line 2"),
        ("junk", "no UTF-8"),
        ("fifo", "FIFO"),
        ("dir", "directory"),
        ("link", "symbolic link"),
        ("long", "larger than"),
        ("differs", "differ in fib"),
        ("two", "two files for it"),
        ("gone", "does not exist"),
        ("other", "is about a jail another"),
        ("bad-ip", "10.0.0.999"),
        ("elsewhere", "its root is /etc"),
    ] {
        let line = ran
            .err
            .lines()
            .find(|l| l.starts_with(&format!("qjail: import {name}: ")));
        assert!(line.is_some_and(|l| l.contains(why)), "{name}: {why}: {ran:#?}");
        assert!(!site.definition(name).exists(), "{name}");
    }
    assert_eq!(
        ran.err.matches("qjail: ").count(),
        ran.err.matches("hint: ").count(),
        "{ran:#?}"
    );
    assert!(!Path::new("/tmp/qjail-import-ran").exists());
    let empty = site.root.join("empty");
    std::fs::create_dir(&empty).unwrap();
    let _ = site
        .qjail(&["import", "--from", "qjail", empty.to_str().unwrap()])
        .refused(1, "no control files of qjail 5");
    let _ = site
        .qjail(&["import", "--from", "qjail", "/nonexistent"])
        .refused(1, "/nonexistent");
    let _ = site.qjail(&["import", "--from", "else"]).refused(2, "else");
    let _ = site.qjail(&["import"]).refused(2, "--from");
    let _ = site
        .qjail(&["import", "--from", "jail.conf"])
        .refused(2, "name the file");
}

#[test]
fn jails_of_a_jail_conf() {
    let site = Site::from_host();
    for name in ["web", "db", "hook", "wrong", "one", "two"] {
        thin_root(&site, "", name);
    }
    let write = |name: &str, text: &str| std::fs::write(site.root.join(name), text).unwrap();
    write(
        "included.conf",
        "db { allow.raw_sockets; depend = web; mount += \"/data /usr/jails/db/data nullfs rw 0 0\"; }\n",
    );
    write(
        "jail.conf",
        "$base = \"/usr/jails\"; path = \"$base/$name\"; exec.clean; mount.devfs;\n\
         exec.start = \"/bin/sh /etc/rc\"; exec.stop = \"/bin/sh /etc/rc.shutdown\";\n\
         .include \"inc*.conf\";\nweb { host.hostname = \"web.example.org\"; sysvshm = new; }\n\
         hook { exec.prestart = \"touch /tmp/ran\"; Odd = 1; }\n\
         wrong { allow.raw_socket; children.max = many; }\n\
         one { depend = two, web, web, far; }\ntwo { depend = one; }\nfar { path = /srv/far; }\n",
    );
    let file = site.root.join("jail.conf");
    let file = file.to_str().unwrap();
    let ran = site.qjail(&["import", "--from", "jail.conf", file, "--yes"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("qjail: import far: its root is /srv/far"),
        "{ran:#?}"
    );
    for says in [
        "Successfully imported web\n",
        "host.hostname = web.example.org",
        "/jails/db/data nullfs rw 0 0 (what is mounted below a jail is not a parameter on Linux)",
        "depends on web",
        "not taken over: exec.prestart = touch /tmp/ran (commands on the host are not run on Linux)",
        "not taken over: Odd = 1 (`Odd` is not the name of a jail parameter)",
        "not taken over: allow.raw_socket = true (jail(8) has no parameter allow.raw_socket, but allow.raw_sockets)",
        "not taken over: depend = two (that one waits for this jail)",
        "not taken over: depend = far (there is no such jail, and none is taken over)",
        "not taken over: children.max = many (children.max: `many` is not a whole number from 0 to",
    ] {
        assert!(ran.out.contains(says), "{says}: {ran:#?}");
    }
    let one = std::fs::read_to_string(site.definition("one")).unwrap();
    assert!(
        one.contains("norun = true") && one.contains("depend = [\"web\"]"),
        "{one}"
    );
    let two = std::fs::read_to_string(site.definition("two")).unwrap();
    assert!(
        !two.contains("norun") && two.contains("depend = [\"one\"]"),
        "{two}"
    );
    let web = std::fs::read_to_string(site.definition("web")).unwrap();
    assert!(
        !web.contains("exec.start") && !web.contains("path") && web.contains("sysvshm = \"new\""),
        "{web}"
    );
    let wrong = std::fs::read_to_string(site.definition("wrong")).unwrap();
    assert!(
        wrong.contains("norun = true") && !wrong.contains("allow") && !wrong.contains("children"),
        "{wrong}"
    );
    let _ = site.qjail(&["start", "web"]).ok();
    assert_eq!(
        site.inside("web", "cat /proc/sys/kernel/hostname"),
        "web.example.org"
    );
    let _ = site.qjail(&["stop", "web"]).ok();
    write("bad.conf", "a {\n  path = ;\n}\n");
    let bad = site.root.join("bad.conf");
    let refused = site
        .qjail(&["import", "--from", "jail.conf", bad.to_str().unwrap()])
        .refused(1, "bad.conf: line 2, column 10");
    assert!(refused.err.contains("hint: "), "{refused:#?}");
    let _ = site
        .qjail(&["import", "--from", "jail.conf", file, "nosuch", "--yes"])
        .refused(1, "Jail doesn't exist. nosuch");
    // The others are done.
    let _ = site.qjail(&["delete", "web", "two", "one", "db"]).ok();
    thin_root(&site, "", "web");
    let some = site.qjail(&["import", "--from", "jail.conf", file, "web", "nosuch", "--yes"]);
    assert!(
        some.code == 1
            && some
                .err
                .contains("qjail: Error: Jail doesn't exist. nosuch\nhint: there are: "),
        "{some:#?}"
    );
    assert!(some.out.contains("Successfully imported web\n"), "{some:#?}");
    let _ = sh("chmod 666 included.conf", &site.root).ok();
    let _ = site
        .qjail(&["import", "--from", "jail.conf", file])
        .refused(1, "can be changed by others than root");
}
