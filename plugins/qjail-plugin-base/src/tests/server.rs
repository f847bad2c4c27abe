//! `install` from a server on loopback, honest or not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use qjail_fetch::Digest;
use serde_json::json;

use super::{Site, debian, freebsd, gzip};

/// Status line with headers, and the body.
type Reply = (String, Vec<u8>);

/// A server that answers each path, and where from if the client has a part already.
fn serve(answer: impl Fn(&str, Option<usize>) -> Reply + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
            let lower = text.to_ascii_lowercase();
            let from = lower
                .split("range: bytes=")
                .nth(1)
                .and_then(|r| r.split('-').next()?.parse().ok());
            let (head, body) = answer(&path, from);
            let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes());
            let _ = stream.write_all(&body);
        }
    });
    address
}

fn whole(body: &[u8]) -> Reply {
    (format!("200 OK\r\nContent-Length: {}", body.len()), body.to_vec())
}

fn missing() -> Reply {
    ("404 Not Found\r\nContent-Length: 0".to_owned(), Vec::new())
}

fn manifest(file: &str, body: &[u8]) -> String {
    format!("{file}\t{}\t9\tbase\t\"Base\"\ton\n", Digest::of(body))
}

#[test]
fn a_release_directory_is_installed_and_a_broken_download_goes_on() {
    let site = Site::new();
    let body = gzip(&debian());
    let text = manifest("base.tar.gz", &body);
    let (hits, resumed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (h, r, b) = (Arc::clone(&hits), Arc::clone(&resumed), body.clone());
    let server = serve(move |path, from| {
        if path.ends_with("/MANIFEST") {
            return whole(text.as_bytes());
        }
        let first = h.fetch_add(1, Ordering::Relaxed) == 0;
        let at = from.unwrap_or(0);
        r.fetch_max(at, Ordering::Relaxed);
        let rest = &b[at..];
        let status = if at == 0 {
            "200 OK".to_owned()
        } else {
            format!(
                "206 Partial Content\r\nContent-Range: bytes {at}-{}/{}",
                b.len() - 1,
                b.len()
            )
        };
        let sent = if first { &rest[..rest.len() / 2] } else { rest };
        (
            format!("{status}\r\nETag: \"1\"\r\nContent-Length: {}", rest.len()),
            sent.to_vec(),
        )
    });
    let plan = site
        .install(&[("source", json!(format!("{server}/debian/")))])
        .unwrap();
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    assert!(resumed.load(Ordering::Relaxed) > 0);
    assert!(site.path("jails/template/etc/passwd").exists());
    assert_eq!(
        std::fs::read_dir(site.path("state/downloads")).unwrap().count(),
        0,
        "the archive is not kept"
    );
    let record = crate::record::Record::load(&site.context(), "debian-1")
        .unwrap()
        .unwrap();
    assert_eq!(record.sha256, Some(Digest::of(&body).to_string()));
}

#[test]
fn an_archive_without_a_manifest_is_installed_with_a_warning() {
    let site = Site::new();
    let body = gzip(&debian());
    let server = serve(move |path, _| {
        if path.ends_with(".tar.gz") {
            whole(&body)
        } else {
            missing()
        }
    });
    let plan = site
        .install(&[("source", json!(format!("{server}/x/alpine-3.tar.gz")))])
        .unwrap();
    assert!(
        plan.warnings[0].contains("can not be verified"),
        "{:?}",
        plan.warnings
    );
    assert!(site.path("jails/.bases/alpine-3-1").is_dir());
}

#[test]
fn a_server_that_lies_changes_nothing() {
    let site = Site::new();
    let body = gzip(&debian());
    let wrong = manifest("base.txz", b"another");
    let page = "<!DOCTYPE html><html>welcome to the hotel".to_owned();
    let other = manifest("src.txz", &body);
    let before = site.picture();
    for (name, manifest, body, says) in [
        ("wrong hash", wrong.clone(), body.clone(), "wrong sha256"),
        ("a page for the MANIFEST", page.clone(), body.clone(), "web page"),
        ("not listed", other, body.clone(), "does not list base.txz"),
        ("a page for the archive", wrong, page.into_bytes(), "web page"),
    ] {
        let server = serve(move |path, _| {
            if path.ends_with("MANIFEST") {
                whole(manifest.as_bytes())
            } else {
                whole(&body)
            }
        });
        let error = site
            .install(&[("source", json!(format!("{server}/base.txz")))])
            .unwrap_err();
        assert!(error.message.contains(says), "{name}: {error}");
        assert!(!error.message.contains('\n'), "{name}: {error}");
        assert_eq!(site.picture(), before, "{name}");
    }
    let nothing = serve(|_, _| missing());
    for path in ["/base.txz", "/15.0-RELEASE"] {
        let error = site
            .install(&[("source", json!(format!("{nothing}{path}")))])
            .unwrap_err();
        assert!(error.message.contains("404"), "{error}");
        assert_eq!(site.picture(), before);
    }
}

#[test]
fn freebsd_takes_its_own_release_from_a_mirror() {
    let site = Site {
        os: "freebsd",
        kernel: "15.0-RELEASE-p1",
        ..Site::new()
    };
    let body = freebsd("15.0-RELEASE");
    let text = manifest("base.txz", &body);
    let server = serve(move |path, _| match path {
        "/freebsd/releases/amd64/amd64/15.0-RELEASE/MANIFEST" => whole(text.as_bytes()),
        "/freebsd/releases/amd64/amd64/15.0-RELEASE/base.txz" => whole(&body),
        _ => missing(),
    });
    let dead = serve(|_, _| missing());
    let mirrors = json!([dead, format!("{server}/freebsd")]);
    site.install(&[("host", mirrors.clone())]).unwrap();
    assert!(site.path("jails/.bases/15.0-RELEASE-1/template/etc/rc").exists());
    let error = site
        .install(&[("host", mirrors), ("release", json!("15.1-RELEASE"))])
        .unwrap_err();
    assert!(error.message.contains("newer than the running kernel"), "{error}");
}

/// What goes wrong with `install` and `install --release` on FreeBSD: one line, what to do, nothing changed.
#[test]
fn a_release_that_can_not_be_had_is_refused() {
    let site = Site {
        os: "freebsd",
        kernel: "15.0-RELEASE-p1",
        ..Site::new()
    };
    let manifest_only = |text: &str| {
        let text = text.to_owned();
        serve(move |path, _| match path.rsplit('/').next() {
            Some("MANIFEST") => whole(text.as_bytes()),
            _ => missing(),
        })
    };
    let body = freebsd("15.0-RELEASE");
    let before = site.picture();
    for (mirror, says) in [
        (serve(|_, _| missing()), "404"),
        (manifest_only("<html>please log in"), "web page"),
        (
            manifest_only(&manifest("kernel.txz", &body)),
            "MANIFEST lists no base.txz",
        ),
        (manifest_only("base.txz\tshort\n"), "MANIFEST line 1: 2 fields"),
        (manifest_only(&manifest("base.txz", &body)), "404"),
    ] {
        let options = [("host", json!([mirror])), ("release", json!("14.9-RELEASE"))];
        let error = site.install(&options).unwrap_err();
        assert!(error.message.contains(says), "{says}: {error}");
        assert!(
            error.message.contains(&mirror) && !error.message.contains('\n'),
            "{error}"
        );
        assert_eq!(site.picture(), before, "{says}");
    }
    let options = [
        ("host", json!([serve(|_, _| missing())])),
        ("release", json!("14.9-RELEASE")),
    ];
    let hint = site.install(&options).unwrap_err().hint.unwrap();
    assert!(
        hint.contains("-h for another mirror, --release for another release"),
        "{hint}"
    );
}

#[test]
fn the_plan_of_a_download_undone_leaves_nothing_but_what_can_go_on() {
    let site = Site::new();
    let body = gzip(&debian());
    let text = manifest("base.tar.gz", &body);
    let server = serve(move |path, _| {
        if path.ends_with("MANIFEST") {
            whole(text.as_bytes())
        } else {
            whole(&body)
        }
    });
    let before = site.picture();
    let plan = site
        .command(&["install"], &[("source", json!(server))])
        .unwrap()
        .plan;
    let steps: Vec<_> = plan.steps.iter().chain(&plan.commit).collect();
    for cut in 0..=steps.len() {
        let mut done = Vec::new();
        for step in &steps[..cut] {
            site.run(step, &mut done).unwrap();
        }
        site.undo(done);
        assert_eq!(site.picture(), before, "{cut}");
    }
}

/// The user ends the download in the middle: what has arrived is kept, and the same command goes on from there.
#[test]
fn a_download_that_was_ended_goes_on_with_the_next_command() {
    let site = Site::new();
    let body = gzip(&debian());
    let text = manifest("base.tar.gz", &body);
    let (hits, resumed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (h, r, b) = (Arc::clone(&hits), Arc::clone(&resumed), body.clone());
    let server = serve(move |path, from| {
        if path.ends_with("/MANIFEST") {
            return whole(text.as_bytes());
        }
        let at = from.unwrap_or(0);
        r.fetch_max(at, Ordering::Relaxed);
        let rest = &b[at..];
        if h.fetch_add(1, Ordering::Relaxed) == 0 {
            return (
                format!("200 OK\r\nContent-Length: {}", rest.len()),
                rest[..rest.len() / 2].to_vec(),
            );
        }
        let range = format!("bytes {at}-{}/{}", b.len() - 1, b.len());
        (
            format!(
                "206 Partial Content\r\nContent-Range: {range}\r\nContent-Length: {}",
                rest.len()
            ),
            rest.to_vec(),
        )
    });
    let source = [("source", json!(format!("{server}/debian")))];
    let plan = site.command(&["install"], &source).unwrap().plan;
    let mut done = Vec::new();
    // The first answer breaks off; while the next try is waited for, patience ends.
    site.patience.set(6);
    let error = plan
        .steps
        .iter()
        .find_map(|step| site.run(step, &mut done).err())
        .expect("it was ended");
    assert_eq!(error.code, "cancelled", "{error}");
    site.patience.set(u32::MAX);
    site.undo(done);
    let kept = std::fs::read_dir(site.path("state/downloads")).unwrap().count();
    assert_eq!(kept, 2, "the part and the note about it");
    assert!(!site.path("jails/.bases").exists());
    site.install(&source).unwrap();
    assert!(resumed.load(Ordering::Relaxed) > 0, "the rest only");
    assert!(site.path("jails/template/etc/passwd").exists());
}
