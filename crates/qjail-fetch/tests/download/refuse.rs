//! Downloads that must fail, each with its reason and an untouched destination; texts, proxies, https.

use std::fs;
use std::io::Write;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::place::{ALL, Place, archive, only_error};
use crate::server::{Server, read_head, send, serve};
use qjail_fetch::{Event, Expect, FetchError, MirrorError, Options, Proxies, Request, fetch, fetch_small};

#[test]
fn the_first_mirrors_fail_and_the_last_one_serves() {
    let body = archive(50_000);
    let mut wrong = body.clone();
    wrong[49_999] ^= 1;
    let sent = body.clone();
    let server = Server::start(move |_, head, s| match head.split(' ').nth(1).unwrap() {
        "/404" => send(
            s,
            "404 Not Found",
            &[("Content-Type", "text/html".to_owned())],
            b"<html>no",
        ),
        "/portal" => send(
            s,
            "200 OK",
            &[("Content-Type", "text/html; charset=utf-8".to_owned())],
            b"<html>log in",
        ),
        "/sniffed" => send(s, "200 OK", &[], b"\r\n<!DOCTYPE html>"),
        "/wrong" => serve(s, head, &wrong, "\"w\"", ALL),
        "/busy" => send(s, "503 Busy", &[], b""),
        _ => serve(s, head, &sent, "\"1\"", ALL),
    });
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut urls: Vec<String> = ["404", "portal", "sniffed", "wrong", "busy"]
        .map(|p| server.url(p))
        .into();
    urls.extend([
        format!("http://{closed}/x"),
        "ftp://ftp.freebsd.org/x".to_owned(),
        "nonsense".to_owned(),
    ]);
    let place = Place::expecting(&body);

    let FetchError::Mirrors(failures) = place.fetch(&urls).unwrap_err() else {
        panic!()
    };
    let texts: Vec<String> = failures.iter().map(|f| f.error.to_string()).collect();
    let wants = [
        "404 (no such file)",
        "a web page, not an archive",
        "a web page, not an archive",
        "wrong sha256: expected",
        "503 (the server",
        "cannot connect",
        "ftp is not supported",
        "not a usable URL",
    ];
    assert_eq!(texts.len(), wants.len());
    for (text, want) in texts.iter().zip(wants) {
        assert!(
            text.contains(want) && !text.contains('\n'),
            "{text:?} lacks {want:?}"
        );
    }
    assert!(place.names().is_empty(), "{:?}", place.names());

    urls.push(server.url("good"));
    let mut failed = 0;
    let fetched = place.fetch_with(&urls, &mut |event| {
        failed += usize::from(matches!(event, Event::MirrorFailed { .. }));
        ControlFlow::Continue(())
    });
    assert_eq!(fetched.unwrap().url, Some(server.url("good")));
    assert_eq!(failed, wants.len());
    place.holds(&body);
}

#[test]
fn wrong_hash_leaves_the_destination_alone() {
    let server = Server::start(move |_, head, s| serve(s, head, &archive(100_000), "\"1\"", ALL));
    let place = Place::expecting(b"something else");
    fs::write(place.to(), "old").unwrap();
    let error = only_error(place.fetch(&[server.url("base.txz")]));
    assert!(matches!(error, MirrorError::WrongHash { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
    place.holds(b"old");
}

#[test]
fn too_large_and_of_another_size() {
    let server = Server::start(move |_, head, s| match head.split(' ').nth(1).unwrap() {
        // No length announced, and no end.
        "/endless" => {
            send(s, "200 OK", &[], b"x");
            while s.write_all(&[b'x'; 4096]).is_ok() {}
        }
        _ => serve(s, head, &archive(100_000), "\"1\"", ALL),
    });
    let limited = Place {
        max_size: Some(99_999),
        ..Place::new()
    };
    for path in ["announced", "endless"] {
        let error = only_error(limited.fetch(&[server.url(path)]));
        assert!(
            matches!(error, MirrorError::TooLarge { limit: 99_999 }),
            "{path}: {error}"
        );
        assert!(limited.names().is_empty());
    }
    let sized = Place {
        size: Some(99_999),
        ..Place::new()
    };
    let error = only_error(sized.fetch(&[server.url("announced")]));
    assert!(
        matches!(
            error,
            MirrorError::WrongSize {
                expected: 99_999,
                got: 100_000
            }
        ),
        "{error}"
    );
}

#[test]
fn file_urls() {
    let place = Place::new();
    let source = tempfile::tempdir().unwrap();
    let body = archive(200_000);
    fs::write(source.path().join("a b.txz"), &body).unwrap();
    let url = |name: &str| format!("file://{}/{name}", source.path().display());
    assert_eq!(
        place.fetch(&[url("none"), url("a%20b.txz")]).unwrap().size,
        200_000
    );
    place.holds(&body);
    for (name, want) in [("none", "No such file"), ("", "not a regular file")] {
        let error = Place::new().fetch(&[url(name)]).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn local_troubles_are_named() {
    let mut place = Place::new();
    assert!(matches!(place.fetch(&[]), Err(FetchError::NoUrls)));
    let missing = place.to().join("below");
    place.options.attempts = 0;
    let request = Request {
        urls: &["file:///etc/passwd".to_owned()],
        to: &missing,
        expect: Expect::Any,
        sha256: None,
        size: None,
        max_size: None,
        options: &place.options,
    };
    let error = fetch(&request, &mut |_| ControlFlow::Continue(()))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot write") && error.contains("base.txz/below"),
        "{error}"
    );
}

#[test]
fn passwords_stay_out_of_messages_and_notes() {
    let server = Server::start(move |_, head, s| serve(s, head, &archive(500_000), "\"1\"", 1000));
    let url = server.url("x").replace("http://", "http://me:s3cret@");
    let mut place = Place::new();
    place.options.attempts = 1;
    let error = place.fetch(&[url]).unwrap_err().to_string();
    let note = fs::read_to_string(place.dir.path().join("base.txz.part.info")).unwrap();
    assert!(
        !error.contains("s3cret") && !note.contains("s3cret"),
        "{error}\n{note}"
    );
}

#[test]
fn small_texts() {
    let server = Server::start(|_, head, s| match head.split(' ').nth(1).unwrap() {
        "/page" => send(s, "200 OK", &[], b" <html>"),
        "/big" => send(s, "200 OK", &[], &[b'x'; 5000]),
        "/404" => send(s, "404 Not Found", &[], b""),
        _ => send(s, "200 OK", &[("Content-Length", "4".to_owned())], b"text"),
    });
    let options = Options::default();
    let get = |paths: &[&str]| {
        let urls: Vec<String> = paths.iter().map(|p| server.url(p)).collect();
        fetch_small(&urls, 4096, Expect::Manifest, &options, &mut |_| {
            ControlFlow::Continue(())
        })
    };
    assert_eq!(
        get(&["404", "MANIFEST"]).unwrap(),
        (b"text".to_vec(), server.url("MANIFEST"))
    );
    let error = get(&["page", "big", "404"]).unwrap_err().to_string();
    for want in [
        "a web page, not a MANIFEST",
        "more than the allowed 4.0 KiB",
        "404",
    ] {
        assert!(error.contains(want), "{error}");
    }
    let cancelled = fetch_small(&[server.url("x")], 9, Expect::Any, &options, &mut |_| {
        ControlFlow::Break(())
    });
    assert!(matches!(cancelled, Err(FetchError::Cancelled { .. })));
}

#[test]
fn a_proxy_is_used_as_told() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = log.clone();
    // Answers CONNECT, then plays the server itself.
    let proxy = Server::start(move |_, head, s| {
        seen.lock()
            .unwrap()
            .push(head.lines().next().unwrap_or_default().to_owned());
        let _ = s.write_all(b"HTTP/1.1 200 Connected\r\n\r\n");
        assert!(read_head(s).starts_with("get /x "));
        send(s, "200 OK", &[("Content-Length", "4".to_owned())], b"text");
    });
    let proxies = Proxies {
        http: Some(proxy.url("")),
        ..Proxies::default()
    };
    let options = Options {
        proxies,
        ..Options::default()
    };
    let url = "http://no-such-host.invalid/x".to_owned();
    let got = fetch_small(&[url], 99, Expect::Any, &options, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(got.0, b"text");
    assert_eq!(
        log.lock().unwrap().as_slice(),
        ["connect no-such-host.invalid:80 http/1.1"]
    );
}

/// On a file system of 1 MiB, made in a mount namespace of its own: the test runs itself again there.
#[test]
fn a_full_disk() {
    const DIR: &str = "QJAIL_FETCH_TEST_SMALL_DISK";
    if let Some(dir) = std::env::var_os(DIR) {
        return on_a_small_disk(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let script =
        "mount -t tmpfs -o size=1m none \"$1\" && exec \"$2\" --exact refuse::a_full_disk --nocapture";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .args([dir.path(), &std::env::current_exe().unwrap()])
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn on_a_small_disk(dir: &Path) {
    let server = Server::start(move |_, head, s| match head.split(' ').nth(1).unwrap() {
        "/unannounced" => send(s, "200 OK", &[], &archive(3 << 20)),
        _ => serve(s, head, &archive(3 << 20), "\"1\"", ALL),
    });
    let mut place = Place::new();
    place.dir = tempfile::tempdir_in(dir).unwrap();
    fs::write(place.to(), "old").unwrap();
    let error = place.fetch(&[server.url("announced")]).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(
            error,
            FetchError::NoSpace {
                needed: Some(3_145_728),
                free: 1..=1_048_576,
                ..
            }
        ),
        "{text}"
    );
    assert!(
        text.starts_with("not enough space: 3.0 MiB needed, ") && text.contains(" free on /"),
        "{text}"
    );
    place.holds(b"old");
    let error = place.fetch(&[server.url("unannounced")]).unwrap_err();
    assert!(
        matches!(error, FetchError::NoSpace { needed: None, .. }),
        "{error}"
    );
    place.holds(b"old");
}

/// `openssl s_server` with a certificate for `localhost`, below `dir`.
struct TlsServer {
    child: Child,
    port: u16,
    pem: Vec<u8>,
}

impl TlsServer {
    fn start(dir: &Path) -> TlsServer {
        let config = "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=localhost\n\
                      [v3]\nsubjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";
        fs::write(dir.join("cnf"), config).unwrap();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ])
            .args(["-config", "cnf", "-keyout", "key", "-out", "cert", "-days", "2"])
            .current_dir(dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-cert",
                "cert",
                "-key",
                "key",
                "-HTTP",
            ])
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok())
            .unwrap();
        TlsServer {
            child,
            port,
            pem: fs::read(dir.join("cert")).unwrap(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn https_is_checked_and_never_left() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Server::start(|_, _, s| send(s, "200 OK", &[("Content-Length", "4".to_owned())], b"evil"));
    let down = format!(
        "HTTP/1.0 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        plain.url("x")
    );
    fs::write(dir.path().join("down"), down).unwrap();
    fs::write(
        dir.path().join("good"),
        "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\ntext",
    )
    .unwrap();
    let server = TlsServer::start(dir.path());
    let get = |path: &str, options: &Options| {
        fetch_small(&[server.url(path)], 99, Expect::Any, options, &mut |_| {
            ControlFlow::Continue(())
        })
    };
    let trusting = Options {
        ca_pem: Some(server.pem.clone()),
        ..Options::default()
    };
    assert_eq!(get("good", &trusting).unwrap().0, b"text");
    let downgraded = get("down", &trusting).unwrap_err().to_string();
    assert!(
        downgraded.contains("redirects from https to plain http, which is refused"),
        "{downgraded}"
    );
    assert!(plain.requests().is_empty());
    // The built-in roots do not know this server.
    let unknown = get("good", &Options::default()).unwrap_err().to_string();
    assert!(
        unknown.contains("no secure connection") && unknown.contains("UnknownIssuer"),
        "{unknown}"
    );
    let none = get(
        "good",
        &Options {
            ca_pem: Some(b"junk".to_vec()),
            ..Options::default()
        },
    )
    .unwrap_err()
    .to_string();
    assert!(none.contains("holds no certificate"), "{none}");
}
