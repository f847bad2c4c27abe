//! Refusals: one line with a hint, status 1 or 2, nothing changed.

use qjail_tests::Site;

#[test]
fn names_addresses_flavors_and_parameters() {
    let site = Site::from_host();
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network()])
        .ok();
    let _ = site
        .qjail(&["create", "-n", &site.bridge(), "-4", &site.address(2), "taken"])
        .ok();
    let before = site.picture();
    let (bridge, taken, own) = (site.bridge(), site.address(2), site.address(1));
    let (net, cast) = (site.address(0), site.address(255));
    for (args, code, says) in [
        (&["create", "a b"] as &[&str], 2, "' '"),
        (&["create", "../x"], 2, "'.'"),
        (&["create", "123"], 2, "jail id"),
        (&["create", "template"], 2, "reserved"),
        (&["create", &"x".repeat(51)], 2, "51 characters"),
        (&["create", "taken"], 1, "already exists"),
        (&["create", "-f", "nosuch", "a"], 1, "there is no flavor nosuch"),
        (&["create", "-f", "defualt", "a"], 1, "defualt"),
        (&["create", "-n", "nosuch0", "-4", "10.1.2.3", "a"], 1, "nosuch0"),
        (&["create", "-n", "lo", "-4", "10.1.2.3", "a"], 1, "lo"),
        (
            &["create", "-n", &bridge, "-4", "10.1.2.300", "a"],
            2,
            "10.1.2.300",
        ),
        (&["create", "-n", &bridge, "-4", "192.0.2.9", "a"], 1, "192.0.2.9"),
        (&["create", "-n", &bridge, "-4", &taken, "a"], 1, "taken"),
        (&["create", "-n", &bridge, "-4", &own, "a"], 1, &own),
        (&["create", "-n", &bridge, "-4", &net, "a"], 1, "network"),
        (&["create", "-n", &bridge, "-4", &cast, "a"], 1, "broadcast"),
        (&["create", "-n", &bridge, "-4", "fd00::1", "a"], 1, "fd00::1"),
        (&["create", "--param", "sekurelevel=1", "a"], 2, "sekurelevel"),
        (&["create", "--param", "securelevel=2", "a"], 1, "securelevel"),
        (&["create", "--param", "x y=1", "a"], 2, "x y"),
        (&["create"], 2, "NAME"),
        (&["create", "--no-such", "a"], 2, "--no-such"),
        (&["nosuch"], 2, "nosuch"),
        (&["start", "nosuch"], 1, "Jail doesn't exist. nosuch"),
        (&["start", "a/b"], 2, "'/'"),
        (&["delete"], 2, "--all"),
        (&["delete", "--all"], 2, "nobody is there"),
        (&["list", "-o", "nosuch"], 2, "nosuch"),
        (&["-z", "a b", "list"], 2, "' '"),
        (&["stop", "--timeout", "soon", "taken"], 2, "soon"),
        (&["net", "create", &bridge, "10.9.0.1/24"], 1, &bridge),
        (&["net", "create", "qenew", "10.9.0.1"], 2, "/28"),
        (&["net", "create", "much-too-long-for-it", "10.9.0.1/24"], 2, "15"),
        (&["net", "delete", "nosuch0"], 1, "nosuch0"),
        (&["net", "delete", &bridge], 1, "taken"),
    ] {
        let ran = site.qjail(args).refused(code, says);
        assert!(ran.err.contains("hint: "), "{ran:#?}");
        assert!(
            ran.err.lines().filter(|l| !l.starts_with("hint: ")).count() <= 2,
            "{ran:#?}"
        );
        qjail_tests::same(&site.picture(), &before, &format!("{args:?}"));
    }
}

#[test]
fn all_objections_come_at_once() {
    let site = Site::from_host();
    let both = site.qjail(&["create", "-f", "nosuch", "-n", "nosuch0", "-4", "10.1.2.3", "a"]);
    assert_eq!(both.code, 1);
    assert!(
        both.err.contains("flavor nosuch") && both.err.contains("nosuch0"),
        "{both:#?}"
    );
}

#[test]
fn a_base_must_be_there() {
    let site = Site::empty();
    let none = site.qjail(&["create", "a"]).refused(1, "no base is installed");
    assert!(
        none.err.contains("hint: ") && none.err.contains("qjail install"),
        "{none:#?}"
    );
    assert!(!site.definition("a").exists());
}

#[test]
fn a_typo_in_a_definition_is_named_and_hurts_no_other_jail() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "good"]).ok();
    let _ = site.qjail(&["create", "bad"]).ok();
    std::fs::write(site.definition("bad"), "format = 1\nmanuel = true\n").unwrap();
    let list = site.qjail(&["list"]).ok();
    assert!(list.out.contains(" good\n"), "{list:#?}");
    assert!(
        list.err.contains("bad.toml: line 2, column 1") && list.err.contains("manuel"),
        "{list:#?}"
    );
    // Several parts of these commands look at all definitions.
    for args in [
        &["create", "other"] as &[&str],
        &["config", "-4", "none", "other"],
        &["delete", "other"],
    ] {
        let ran = site.qjail(args).ok();
        assert_eq!(ran.err.matches("manuel").count(), 1, "{ran:#?}");
    }
    let _ = site.qjail(&["start", "good"]).ok();
    let bad = site
        .qjail(&["start", "bad"])
        .refused(1, "bad.toml: line 2, column 1");
    assert_eq!(
        bad.err.lines().filter(|l| l.contains("manuel")).count(),
        1,
        "{bad:#?}"
    );
    let shown = site
        .qjail(&["config", "-d", "bad"])
        .refused(1, "bad.toml: line 2, column 1");
    assert!(shown.err.contains("hint: mend that file"), "{shown:#?}");
    let again = site.qjail(&["create", "bad"]).refused(1, "already exists");
    assert_eq!(again.out, "");
    // Not even a running jail is lost by it.
    std::fs::write(site.definition("good"), "format = 1\nnorum = true\n").unwrap();
    let list = site.qjail(&["list"]).ok();
    assert!(
        list.out
            .lines()
            .any(|l| l.starts_with("DR ") && l.ends_with(" good")),
        "{list:#?}"
    );
    let stopped = site.qjail(&["stop"]).ok();
    assert!(
        stopped.out.contains("Jail successfully stopped  good"),
        "{stopped:#?}"
    );
    site.assert_no_trace();
}

#[test]
fn a_directory_in_the_way_is_left_alone() {
    let site = Site::from_host();
    std::fs::create_dir(site.jails().join("mine")).unwrap();
    std::fs::write(site.jails().join("mine/precious"), "x").unwrap();
    let _ = site.qjail(&["create", "mine"]).refused(1, "exists already");
    assert!(site.jails().join("mine/precious").exists());
}

#[test]
fn delete_does_not_cross_a_mount() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let data = site.root.join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("precious"), "x").unwrap();
    let inside = site.jails().join("a/mnt");
    let _ = qjail_tests::sh(
        &format!("mount --bind {} {}", data.display(), inside.display()),
        &site.root,
    )
    .ok();
    let refused = site.qjail(&["delete", "a"]);
    let _ = qjail_tests::sh(&format!("umount {}", inside.display()), &site.root).ok();
    let refused = refused.refused(1, "mount");
    assert!(refused.err.contains("/a/mnt"), "{refused:#?}");
    assert!(data.join("precious").exists() && site.definition("a").exists());
    assert!(site.jails().join("a/etc/rc").exists(), "the jail must be whole");
    let _ = site.qjail(&["delete", "a"]).ok();
}

#[test]
fn without_root_it_says_so_before_anything_else() {
    let site = Site::from_host();
    let before = site.picture();
    let script = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups env QJAIL_ROOT={} {} start x",
        site.root.display(),
        qjail_tests::program().display()
    );
    // The program must be readable by anybody to be run as nobody.
    let copy = site.root.join("qjail");
    std::fs::copy(qjail_tests::program(), &copy).unwrap();
    let script = script.replace(
        &qjail_tests::program().display().to_string(),
        &copy.display().to_string(),
    );
    let ran = qjail_tests::sh(&script, &site.root);
    let list = qjail_tests::sh(&script.replace("start x", "list"), &site.root);
    std::fs::remove_file(copy).unwrap();
    assert_eq!(list.code, 1, "{list:#?}");
    assert!(
        list.err.contains("hint: only root may see what runs"),
        "{list:#?}"
    );
    assert_eq!(ran.code, 1, "{ran:#?}");
    assert!(ran.err.contains("qjail must be run by root"), "{ran:#?}");
    qjail_tests::same(&site.picture(), &before, "all is as before");
}

#[test]
fn a_full_disk_leaves_all_as_it_was() {
    let site = Site::from_host();
    let image = site.root.with_extension("img");
    let place = site.root.join("var/lib/qjail");
    let script = format!(
        "truncate -s 24M {i} && mkfs.ext4 -q -N 4096 {i} && mkdir keep && mv {p} keep/qjail && mkdir {p} && \
         mount -o loop {i} {p} && cp -a keep/qjail/. {p}/",
        i = image.display(),
        p = place.display()
    );
    let _ = qjail_tests::sh(&script, &site.root).ok();
    let filler = place.join("filler");
    let _ = qjail_tests::sh(
        &format!(
            "dd if=/dev/zero of={} bs=64k 2>/dev/null; truncate -s -300K {0}",
            filler.display()
        ),
        &site.root,
    );
    let before = site.picture();
    let full = site.qjail(&["create", "a"]);
    let after = site.picture();
    let mended = {
        std::fs::remove_file(&filler).unwrap();
        site.qjail(&["create", "a"])
    };
    let _ = qjail_tests::sh(&format!("umount {}", place.display()), &site.root).ok();
    std::fs::remove_file(&image).unwrap();
    let full = full.refused(1, "No space left");
    assert!(full.err.contains("hint: "), "{full:#?}");
    qjail_tests::same(&after, &before, "a full disk");
    let _ = mended.ok();
}
