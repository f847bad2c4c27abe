//! `install`: from files, directories and servers, good and bad.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use qjail_tests::{Site, sh};

/// A small tree that looks like a Linux base, packed with `tar` and the flags given.
fn small_base(dir: &Path, pack: &str) -> PathBuf {
    let script = "mkdir -p tree/usr/bin tree/usr/lib tree/etc tree/var tree/tmp tree/root tree/usr/share \
        && printf 'root:x:0:0:root:/root:/bin/sh\\n' > tree/etc/passwd && printf 'root:x:0:\\n' > tree/etc/group \
        && cp /bin/true tree/usr/bin/tool && chmod 4755 tree/usr/bin/tool && ln tree/usr/bin/tool tree/usr/bin/hard \
        && ln -s usr/bin tree/bin && ln -s ../../etc/passwd tree/usr/share/out && chmod 1777 tree/tmp \
        && truncate -s 5M tree/usr/lib/sparse && setfattr -n user.note -v kept tree/usr/lib/sparse";
    let _ = sh(script, dir).ok();
    let _ = sh(pack, dir).ok();
    dir.join("base.bin")
}

fn work(site: &Site) -> PathBuf {
    let dir = site.root.join("work");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn every_format_is_told_by_its_content() {
    for pack in [
        "tar --xattrs -C tree -cf base.bin .",
        "tar --xattrs -C tree -czf base.bin .",
        "tar --xattrs -C tree -cJf base.bin .",
        "tar --xattrs -C tree -cf - . | xz -T2 --block-size=64KiB > base.bin",
        "tar --xattrs -C tree -cf - . | zstd -q > base.bin",
        "bsdtar -C tree -cf base.bin --format pax .",
    ] {
        let site = Site::empty();
        let file = small_base(&work(&site), pack);
        let done = site.qjail(&["install", file.to_str().unwrap()]).ok();
        assert!(
            done.out.contains("Successfully installed qjail system."),
            "{pack}: {done:#?}"
        );
        let shared = std::fs::canonicalize(site.jails().join("sharedfs")).unwrap();
        let look = sh(
            "stat -c '%a %h %i' usr/bin/tool usr/bin/hard; stat -c '%s %b' usr/lib/sparse; readlink usr/share/out; \
             getfattr --only-values -n user.note usr/lib/sparse",
            &shared,
        )
        .ok()
        .out;
        let lines: Vec<&str> = look.lines().collect();
        assert!(
            lines[0].starts_with("4755 2 ") && lines[0] == lines[1],
            "setuid and hard link: {look}"
        );
        let blocks: u64 = lines[2].split(' ').nth(1).unwrap().parse().unwrap();
        assert!(
            lines[2].starts_with("5242880 ") && (blocks < 100 || !pack.contains("bsdtar")),
            "{pack}: {look}"
        );
        assert_eq!(
            lines[3], "/etc/passwd",
            "a link out of the shared part is made absolute"
        );
        assert!(look.ends_with("kept"), "{pack}: {look}");
        let template = std::fs::canonicalize(site.jails().join("template")).unwrap();
        let look = sh("readlink usr/bin bin; stat -c %a tmp; ls etc/passwd", &template)
            .ok()
            .out;
        assert_eq!(look, "/sharedfs/usr/bin\nusr/bin\n1777\netc/passwd\n");
        for dir in ["archive", "flavors/default"] {
            assert!(site.jails().join(dir).is_dir(), "{dir}");
        }
    }
}

#[test]
fn what_is_no_base_is_refused_and_nothing_changes() {
    let site = Site::from_host();
    let dir = work(&site);
    let good = small_base(&dir, "tar -C tree -cJf base.bin .");
    let script = "head -c 30000 /dev/urandom > noise; : > empty; echo '<html><body>404' > page; head -c 2000 base.bin > cut; \
        cp base.bin bent; printf 'XXXXXXXX' | dd of=bent bs=1 seek=3000 conv=notrunc 2>/dev/null; cp /bin/ls program; \
        mkdir none; mkdir -p e; echo x > e/f; tar -cf up -P --transform 's,e/f,../../../../../../tmp/qjail-evil,' e/f; \
        ln -s /tmp/qjail-evil-dir l; mkdir ll; echo x > ll/f; tar -cf through l && tar -rf through --transform 's,ll/f,l/f,' ll/f";
    let _ = sh(script, &dir).ok();
    let before = site.picture();
    let sum = "0".repeat(64);
    for (file, says) in [
        ("noise", "not an archive"),
        ("empty", "empty"),
        ("page", "web page"),
        ("program", "program"),
        ("cut", "cut"),
        ("bent", "bent"),
        ("none", "none"),
        ("missing", "missing"),
        ("up", "up"),
        ("through", "through"),
    ] {
        let path = dir.join(file);
        let ran = site.qjail(&["install", path.to_str().unwrap()]);
        assert!(ran.code == 1 || ran.code == 2, "{file}: {ran:#?}");
        assert!(
            ran.err.starts_with("qjail: ") && ran.err.to_lowercase().contains(says),
            "{file}: {ran:#?}"
        );
        assert!(ran.err.lines().count() <= 2, "{file}: {ran:#?}");
        qjail_tests::same(&site.picture(), &before, file);
    }
    let wrong = site.qjail(&["install", "--sha256", &sum, good.to_str().unwrap()]);
    assert!(wrong.code == 1 && wrong.err.contains("sha256"), "{wrong:#?}");
    qjail_tests::same(&site.picture(), &before, "all is as before");
    assert!(!Path::new("/tmp/qjail-evil").exists() && !Path::new("/tmp/qjail-evil-dir").exists());
    let _ = site.qjail(&["create", "--start", "still-works"]).ok();
}

/// How a test server answers one request: status line and headers, then the body.
type Answer = Box<dyn Fn(&str, Option<u64>) -> (String, Vec<u8>) + Send + Sync>;

/// An HTTP server on loopback; returns its address. It lives as long as the test process.
fn serve(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    request.push(byte[0]);
                }
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
                let from = text
                    .split("range: bytes=")
                    .nth(1)
                    .and_then(|r| r.split('-').next()?.parse().ok());
                let (head, body) = answer(&path, from);
                let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
                let _ = stream.write_all(&body);
            });
        }
    });
    address
}

fn sha256(file: &Path) -> String {
    sh(&format!("sha256sum {}", file.display()), Path::new("/"))
        .ok()
        .out
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

#[test]
fn a_url_with_a_manifest_resumes_and_is_verified() {
    let site = Site::empty();
    let file = small_base(&work(&site), "tar -C tree -cJf base.bin .");
    let body = std::fs::read(&file).unwrap();
    let manifest = format!(
        "base.txz\t{}\t9\tbase\t\"Base system (MANDATORY)\"\ton\n",
        sha256(&file)
    );
    let (hits, resumed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (h, r, b) = (Arc::clone(&hits), Arc::clone(&resumed), body.clone());
    let server = serve(Box::new(move |path, from| {
        if path.ends_with("/manifest") {
            return (
                format!("200 OK\r\nContent-Length: {}", manifest.len()),
                manifest.clone().into_bytes(),
            );
        }
        let first = h.fetch_add(1, Ordering::Relaxed) == 0;
        let at = usize::try_from(from.unwrap_or(0)).unwrap();
        r.fetch_max(at, Ordering::Relaxed);
        let head = if at > 0 {
            format!(
                "206 Partial Content\r\nContent-Range: bytes {at}-{}/{}",
                b.len() - 1,
                b.len()
            )
        } else {
            "200 OK".to_owned()
        };
        let rest = &b[at..];
        // The first answer breaks off in the middle.
        let sent = if first { &rest[..rest.len() / 2] } else { rest };
        (
            format!("{head}\r\nETag: \"one\"\r\nContent-Length: {}", rest.len()),
            sent.to_vec(),
        )
    }));
    let done = site.qjail(&["install", &format!("{server}/rel/base.txz")]).ok();
    assert!(
        done.out.contains("Successfully installed qjail system."),
        "{done:#?}"
    );
    assert!(
        resumed.load(Ordering::Relaxed) > 0,
        "the second request asked for the rest"
    );
    assert!(site.jails().join("template/etc/passwd").exists());
}

#[test]
fn a_lying_server_changes_nothing() {
    let site = Site::from_host();
    let file = small_base(&work(&site), "tar -C tree -cJf base.bin .");
    let body = std::fs::read(&file).unwrap();
    let wrong = format!("base.txz\t{}\t9\tbase\t\"Base\"\ton\n", "a".repeat(64));
    let page = b"<!DOCTYPE html><html>welcome to the hotel".to_vec();
    let without = format!("src.txz\t{}\t9\tsrc\t\"Sources\"\toff\n", sha256(&file)).into_bytes();
    let before = site.picture();
    for (name, manifest, body, says) in [
        ("wrong hash", wrong.clone().into_bytes(), body.clone(), "sha256"),
        ("a page for the manifest", page.clone(), body.clone(), "web page"),
        ("no such file in the manifest", without, body.clone(), "base.txz"),
        ("a page for the archive", wrong.into_bytes(), page, "web page"),
    ] {
        let server = serve(Box::new(move |path, _| {
            let body = if path.ends_with("/manifest") {
                &manifest
            } else {
                &body
            };
            (format!("200 OK\r\nContent-Length: {}", body.len()), body.clone())
        }));
        let ran = site.qjail(&["install", &format!("{server}/base.txz")]);
        assert_eq!(ran.code, 1, "{name}: {ran:#?}");
        assert!(
            ran.err.contains(says) && ran.err.lines().count() <= 2,
            "{name}: {ran:#?}"
        );
        qjail_tests::same(&site.picture(), &before, name);
    }
    let nothing = serve(Box::new(|_, _| {
        ("404 Not Found\r\nContent-Length: 0".to_owned(), Vec::new())
    }));
    let ran = site.qjail(&["install", &format!("{nothing}/base.txz")]);
    assert!(ran.code == 1 && ran.err.contains("404"), "{ran:#?}");
    qjail_tests::same(&site.picture(), &before, &format!("{ran:#?}"));
}

#[test]
fn a_new_base_does_not_disturb_what_runs() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "--start", "old"]).ok();
    let _ = site.qjail(&["install", "--from-host"]).ok();
    assert_eq!(site.inside("old", "hostname"), "old");
    let _ = site.qjail(&["restart", "old"]).ok();
    let bases = site.qjail(&["bases"]).ok().out;
    assert!(bases.lines().count() >= 3, "{bases}");
}

#[test]
fn the_hosts_secrets_stay_with_the_host() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let jail = site.jails().join("a");
    let shadow = std::fs::read_to_string(jail.join("etc/shadow")).unwrap();
    assert!(
        shadow
            .lines()
            .all(|l| matches!(l.split(':').nth(1), Some("*" | "!" | "!*"))),
        "{shadow}"
    );
    let keys = sh(
        "find . -name 'ssh_host_*' -o -name '*.key' -o -path './etc/ssl/private/*'",
        &jail,
    )
    .out;
    assert_eq!(keys, "");
    assert!(!jail.join("etc/fstab").exists() && !jail.join("etc/sudoers").exists());
    let unreadable = sh("find etc -type f ! -perm -o+r", &jail).out;
    assert_eq!(
        unreadable
            .lines()
            .filter(|l| !l.contains("shadow"))
            .collect::<Vec<_>>(),
        Vec::<&str>::new()
    );
}
