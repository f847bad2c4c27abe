//! `create --archive`: a jail's root from an archive of ours or of qjail 5, and from archives that somebody made to do harm.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use qjail_tests::{Site, same, sh};

/// A site with a jail `web` that has something of its own.
fn site() -> Site {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "web"]).ok();
    let root = site.jails().join("web/root");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join("own"), "of web").unwrap();
    std::fs::hard_link(root.join("own"), root.join("same")).unwrap();
    std::fs::write(root.join("tool"), "x").unwrap();
    std::fs::set_permissions(root.join("tool"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::symlink("/nowhere/else", root.join("link")).unwrap();
    site
}

/// Archives as qjail 5 does: absolute names, control files first, gzip whatever the name says.
fn archived_by_qjail_5(site: &Site, from: &str, file: &str) -> PathBuf {
    let to = site.jails().join("archive").join(file);
    let script = format!(
        "mkdir -p ctl && echo 'touch /tmp/never' > ctl/web &&
         tar czPf {to} --transform 's,^ctl,/usr/local/etc/qjail.config,S' --transform 's,^{jails}/{from},/usr/jails/{from},S' \
         ctl/web {jails}/{from}",
        to = to.display(),
        jails = site.jails().display(),
    );
    let _ = sh(&script, &site.root).ok();
    to
}

/// Packs `names` of the directory `evil` below the site, after `make` has filled it.
fn packed(site: &Site, make: &str, tar: &str) -> PathBuf {
    let script = format!("rm -rf evil e.tar && mkdir evil && cd evil && {make} && tar -cPf ../e.tar {tar}");
    let _ = sh(&script, &site.root).ok();
    site.root.join("e.tar")
}

fn assert_is_like_web(site: &Site, jail: &str) {
    let root = site.jails().join(jail).join("root");
    assert_eq!(
        std::fs::read_to_string(root.join("own")).unwrap(),
        "of web",
        "{jail}"
    );
    assert_eq!(std::fs::metadata(root.join("same")).unwrap().nlink(), 2, "{jail}");
    assert_eq!(
        std::fs::metadata(root.join("tool")).unwrap().mode() & 0o7777,
        0o4755,
        "{jail}"
    );
    assert_eq!(
        std::fs::read_link(root.join("link")).unwrap(),
        Path::new("/nowhere/else")
    );
}

#[test]
fn archives_of_qjail_5_by_name_by_file_and_by_path() {
    let site = site();
    let old = archived_by_qjail_5(&site, "web", "web@202601010000.00.tar");
    std::fs::write(site.jails().join("web/root/newer"), "").unwrap();
    let newest = archived_by_qjail_5(&site, "web", "web@202602010000.00.tar");
    let _ = archived_by_qjail_5(&site, "web", "webmail@202603010000.00.tar");
    let has_newer = |jail: &str| site.jails().join(jail).join("root/newer").exists();
    let _ = site.qjail(&["create", "-a", "web", "a"]).ok();
    assert!(has_newer("a"));
    let _ = site.qjail(&["create", "-a", "web@202601010000.00.tar", "b"]).ok();
    assert!(!has_newer("b"));
    let elsewhere = site.root.join("backup");
    std::fs::rename(&newest, &elsewhere).unwrap();
    let _ = site
        .qjail(&["create", "-a", elsewhere.to_str().unwrap(), "c"])
        .ok();
    assert!(has_newer("c"));
    for jail in ["a", "b", "c"] {
        assert_is_like_web(&site, jail);
        assert!(
            !site
                .jails()
                .join(jail)
                .join("usr/local/etc/qjail.config")
                .exists()
        );
    }
    // It is a jail like any other: it has its own name and starts.
    let _ = site.qjail(&["start", "a"]).ok();
    assert_eq!(
        site.inside("a", "hostname; cat /etc/hostname /root/own"),
        "a\na\nof web"
    );
    let _ = site.qjail(&["stop", "a"]).ok();
    // Another zone's archives, and back.
    let _ = site.qjail(&["-z", "dmz", "install", "--from-host"]).ok();
    let _ = site
        .qjail(&["-z", "dmz", "create", "-a", "web", "d"])
        .refused(1, "there is no archive web");
    let _ = site
        .qjail(&["-z", "dmz", "create", "-a", "web", "-A", "nozone", "d"])
        .ok();
    assert!(site.root.join("var/lib/qjail/jails.dmz/d/root/own").is_file());
    drop(old);
}

#[test]
fn archives_of_ours_in_every_compression_and_into_an_image() {
    let site = site();
    let definition = site.definition("web");
    for (option, name) in [("-cf", "t"), ("-czf", "g"), ("-cJf", "x"), ("--zstd -cf", "z")] {
        let script = format!(
            "cp {def} definition.toml && tar {option} {out} definition.toml -C {jails} --transform 's,^web,root,S' web",
            def = definition.display(),
            out = site.root.join(name).display(),
            jails = site.jails().display(),
        );
        let ran = sh(&script, &site.root);
        if ran.err.contains("zstd: Cannot exec") {
            continue;
        }
        let _ = ran.ok();
        let archive = site.root.join(name);
        let _ = site
            .qjail(&["create", "-a", archive.to_str().unwrap(), name])
            .ok();
        assert_is_like_web(&site, name);
        assert!(!site.jails().join(name).join("definition.toml").exists());
    }
    let archive = site.root.join("x");
    let small = ["create", "-i", "1m", "-a", archive.to_str().unwrap(), "small"];
    let _ = site.qjail(&small).refused(1, "too small");
    let _ = site
        .qjail(&["create", "-i", "256m", "-a", archive.to_str().unwrap(), "img"])
        .ok();
    let _ = site.qjail(&["start", "img"]).ok();
    assert_eq!(
        site.inside("img", "cat /root/own; echo; stat -f -c %T /"),
        "of web\next2/ext3"
    );
    let _ = site.qjail(&["stop", "img"]).ok();
}

#[test]
fn what_is_no_archive_of_a_jail_is_refused_and_changes_nothing() {
    let site = site();
    let file = |name: &str, content: &[u8]| {
        let path = site.root.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let text = file("text", b"hello\n");
    let empty = file("empty", b"");
    let whole = archived_by_qjail_5(&site, "web", "web@202601010000.00.tar");
    let bytes = std::fs::read(&whole).unwrap();
    let cut = file("cut", &bytes[..bytes.len() / 2]);
    let mut bad = bytes.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 0x55;
    let damaged = file("damaged", &bad);
    let other = packed(&site, "touch file", "file");
    let other = other.to_str().unwrap();
    let shared = site.jails().join("archive/sharedfs@1.tar");
    let _ = sh(
        "mkdir -p s && tar czPf s.tar --transform 's,^s,/usr/jails/sharedfs,' s",
        &site.root,
    )
    .ok();
    std::fs::rename(site.root.join("s.tar"), shared).unwrap();
    let fifo = site.root.join("fifo");
    let _ = sh("mkfifo fifo", &site.root).ok();
    let fifo = fifo.to_str().unwrap().to_owned();
    let before = site.picture();
    for (archive, what) in [
        (text.as_str(), "text"),
        (&empty, "empty"),
        (&cut, "cut"),
        (&damaged, "damaged"),
        (other, "this holds no jail"),
        ("sharedfs", "sharedfs"),
        ("nothing", "there is no archive nothing"),
        ("/nonexistent/x", "/nonexistent/x"),
        ("/dev/zero", "this is no file"),
        (&fifo, "this is no file"),
        ("/tmp", "this is no file"),
    ] {
        let _ = site.qjail(&["create", "-a", archive, "new"]).refused(1, what);
    }
    let _ = site
        .qjail(&["create", "-A", "nozone", "new"])
        .refused(2, "--archive-zone");
    let _ = site
        .qjail(&["create", "-a", "web", "-A", "nowhere", "new"])
        .refused(1, "Un-known zone");
    let _ = site
        .qjail(&["create", "-a", &text, "-A", "nozone", "new"])
        .refused(2, "--archive-zone");
    same(&site.picture(), &before, "refused");
}

#[test]
fn evil_archives_reach_nothing_outside() {
    let site = site();
    let outside = site.root.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    let out = outside.display();
    let under = "--transform 's,^w,/usr/jails/w,SH'";
    let cases = [
        // It climbs.
        (
            "mkdir w; touch w/x".to_owned(),
            "--transform 's,^w/x,/usr/jails/w/../../../x,' w w/x".to_owned(),
        ),
        // Through a link of its own.
        (
            format!("mkdir -p w a/w/etc; ln -s {out} w/etc; touch a/w/etc/evil"),
            format!("{under} w -C a w/etc/evil"),
        ),
        // A link in the way of what create itself writes.
        (format!("mkdir w; ln -s {out} w/etc"), format!("{under} w")),
        // Another name for a file of the host.
        (
            "mkdir w etc; touch etc/a; ln etc/a w/b".to_owned(),
            "--transform 's,^w,/usr/jails/w,' w/ etc/a w/b".to_owned(),
        ),
        (
            "mkdir w; ln -s x w/root; mv w/root root; ln -s /etc w2; rmdir w; mv w2 w".to_owned(),
            format!("{under} w"),
        ),
    ];
    for (make, tar) in cases {
        let archive = packed(&site, &make, &tar);
        let before = site.picture();
        let ran = site.qjail(&["create", "-a", archive.to_str().unwrap(), "new"]);
        assert!(
            ran.code == 1 && ran.err.starts_with("qjail: "),
            "{make}: {ran:#?}"
        );
        same(&site.picture(), &before, &make);
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "{make}");
    }
    // What lies beside the root is passed over, device nodes are left out.
    let archive = packed(
        &site,
        "mkdir -p w/etc w/dev; mknod w/dev/mem c 1 1; touch evil; echo kept > w/file",
        &format!("{under} --transform 's,^evil,{out}/evil,' evil w"),
    );
    let _ = site
        .qjail(&["create", "-a", archive.to_str().unwrap(), "new"])
        .ok();
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(
        std::fs::read_to_string(site.jails().join("new/file")).unwrap(),
        "kept\n"
    );
    assert!(!site.jails().join("new/dev/mem").exists());
}
