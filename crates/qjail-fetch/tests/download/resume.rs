//! Downloads that go well, are broken off, and go on.

use std::fs;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use crate::place::{ALL, Place, archive, only_error};
use crate::server::{Server, header, send, serve};
use qjail_fetch::{Digest, Event, FetchError, MirrorError};

#[test]
fn a_plain_download_with_progress() {
    let body = archive(3_000_000);
    let sent = body.clone();
    let server = Server::start(move |_, head, s| serve(s, head, &sent, "\"1\"", ALL));
    let place = Place::expecting(&body);
    let mut seen = Vec::new();
    let fetched = place.fetch_with(&[server.url("base.txz")], &mut |event| {
        if let Event::Progress { done, total, .. } = event {
            seen.push((done, total));
        }
        ControlFlow::Continue(())
    });
    let fetched = fetched.unwrap();
    assert_eq!(
        (fetched.size, fetched.sha256),
        (body.len() as u64, Digest::of(&body))
    );
    place.holds(&body);
    assert!(seen.len() > 10 && seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().all(|(_, total)| *total == Some(body.len() as u64)));
    // The second time nothing is asked.
    assert_eq!(place.fetch(&[server.url("base.txz")]).unwrap().url, None);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_cut_connection_is_resumed() {
    let body = archive(500_000);
    let sent = body.clone();
    let server =
        Server::start(move |n, head, s| serve(s, head, &sent, "\"1\"", if n < 2 { 200_000 } else { ALL }));
    let place = Place::expecting(&body);
    place.fetch(&[server.url("base.txz")]).unwrap();
    place.holds(&body);
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(header(&requests[0], "range"), None);
    assert_eq!(header(&requests[1], "range"), Some("bytes=200000-"));
    assert_eq!(header(&requests[2], "range"), Some("bytes=400000-"));
    assert_eq!(header(&requests[1], "if-range"), Some("\"1\""));
}

#[test]
fn always_cut_ends_with_an_error_and_keeps_the_part() {
    let body = archive(500_000);
    let sent = body.clone();
    // After the first cut nothing more ever comes.
    let server =
        Server::start(move |n, head, s| serve(s, head, &sent, "\"1\"", if n == 0 { 1000 } else { 0 }));
    let place = Place::expecting(&body);
    fs::write(place.to(), "old").unwrap();
    let error = only_error(place.fetch(&[server.url("base.txz")]));
    assert!(
        matches!(
            error,
            MirrorError::Truncated {
                got: 1000,
                total: Some(500_000)
            }
        ),
        "{error}"
    );
    assert_eq!(server.requests().len(), 4);
    assert_eq!(fs::read(place.to()).unwrap(), b"old");
    assert_eq!(place.part_len(), 1000);
}

#[test]
fn a_close_delimited_body_shorter_than_promised() {
    let body = archive(1000);
    let sent = body.clone();
    let server = Server::start(move |_, _, s| send(s, "200 OK", &[], &sent[..400]));
    let place = Place {
        size: Some(1000),
        ..Place::new()
    };
    let error = only_error(place.fetch(&[server.url("base.txz")]));
    assert!(
        matches!(
            error,
            MirrorError::Truncated {
                got: 400,
                total: Some(1000)
            }
        ),
        "{error}"
    );
}

#[test]
fn cancel_then_resume() {
    let body = archive(4_000_000);
    let sent = body.clone();
    let server = Server::start(move |_, head, s| serve(s, head, &sent, "\"1\"", ALL));
    let urls = [server.url("base.txz")];
    let place = Place::expecting(&body);
    let error = place.cancel_after(&urls, 1_000_000);
    let FetchError::Cancelled { kept } = error else {
        panic!("{error}")
    };
    assert!((1_000_000..4_000_000).contains(&kept) && place.part_len() == kept);
    assert_eq!(place.names(), ["base.txz.part", "base.txz.part.info"]);
    let mut checked = 0;
    place
        .fetch_with(&urls, &mut |event| {
            if let Event::Checking { done, .. } = event {
                checked = done;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(checked, kept);
    assert_eq!(
        header(&server.requests()[1], "range"),
        Some(format!("bytes={kept}-").as_str())
    );
    place.holds(&body);
}

#[test]
fn resumed_without_a_known_digest_when_the_server_vouches() {
    let body = archive(2_000_000);
    let sent = body.clone();
    let server = Server::start(move |_, head, s| serve(s, head, &sent, "\"1\"", ALL));
    let urls = [server.url("base.txz")];
    let place = Place::new();
    place.cancel_after(&urls, 500_000);
    let fetched = place.fetch(&urls).unwrap();
    assert_eq!(fetched.sha256, Digest::of(&body));
    assert!(header(&server.requests()[1], "if-range").is_some());
    place.holds(&body);
}

#[test]
fn a_server_that_ignores_ranges() {
    let body = archive(2_000_000);
    let sent = body.clone();
    let server = Server::start(move |_, _, s| serve(s, "", &sent, "\"1\"", ALL));
    let urls = [server.url("base.txz")];
    let place = Place::expecting(&body);
    place.cancel_after(&urls, 500_000);
    place.fetch(&urls).unwrap();
    assert!(header(&server.requests()[1], "range").is_some());
    place.holds(&body);
}

#[test]
fn a_file_that_changed_between_attempts() {
    let (old, new) = (
        archive(2_000_000),
        archive(2_000_000).into_iter().rev().collect::<Vec<u8>>(),
    );
    let sent = new.clone();
    let server = Server::start(move |n, head, s| {
        if n == 0 {
            serve(s, head, &old, "\"1\"", ALL);
        } else {
            serve(s, head, &sent, "\"2\"", ALL);
        }
    });
    let urls = [server.url("base.txz")];
    let place = Place::new();
    place.cancel_after(&urls, 500_000);
    place.fetch(&urls).unwrap();
    place.holds(&new);
}

#[test]
fn another_mirror_completes_a_part_when_the_digest_is_known() {
    let body = archive(2_000_000);
    let (one, two) = (body.clone(), body.clone());
    let first =
        Server::start(move |n, head, s| serve(s, head, &one, "\"1\"", if n == 0 { 700_000 } else { 0 }));
    let second = Server::start(move |_, head, s| serve(s, head, &two, "\"x\"", ALL));
    let place = Place::expecting(&body);
    let fetched = place
        .fetch(&[first.url("base.txz"), second.url("base.txz")])
        .unwrap();
    assert_eq!(fetched.url, Some(second.url("base.txz")));
    let requests = second.requests();
    assert_eq!(
        (header(&requests[0], "range"), header(&requests[0], "if-range")),
        (Some("bytes=700000-"), None)
    );
    place.holds(&body);
}

#[test]
fn a_bad_part_is_found_by_the_hash_and_fetched_again() {
    let body = archive(2_000_000);
    let sent = body.clone();
    let server = Server::start(move |_, head, s| serve(s, head, &sent, "\"1\"", ALL));
    let urls = [server.url("base.txz")];
    let place = Place::expecting(&body);
    place.cancel_after(&urls, 500_000);
    let part = place.dir.path().join("base.txz.part");
    let mut bytes = fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    fs::write(&part, bytes).unwrap();
    place.fetch(&urls).unwrap();
    assert_eq!(server.requests().len(), 3);
    place.holds(&body);
}

#[test]
fn a_complete_part_is_published_after_416() {
    let body = archive(300_000);
    let sent = body.clone();
    let server = Server::start(move |_, head, s| serve(s, head, &sent, "\"1\"", ALL));
    let urls = [server.url("base.txz")];
    let place = Place::new();
    place.cancel_after(&urls, 300_000);
    assert_eq!(place.part_len(), 300_000);
    place.fetch(&urls).unwrap();
    assert_eq!(server.requests().len(), 2);
    place.holds(&body);
}

#[test]
fn a_416_that_does_not_fit_starts_over() {
    let body = archive(300_000);
    let sent = body.clone();
    let server = Server::start(move |n, head, s| match n {
        1 => send(
            s,
            "416 Range Not Satisfiable",
            &[("Content-Range", "bytes */5".to_owned())],
            b"",
        ),
        _ => serve(s, head, &sent, "\"1\"", ALL),
    });
    let urls = [server.url("base.txz")];
    let place = Place::expecting(&body);
    place.cancel_after(&urls, 100_000);
    place.fetch(&urls).unwrap();
    assert_eq!(header(&server.requests()[2], "range"), None);
    place.holds(&body);
}

#[test]
fn a_silent_server_times_out_and_the_download_goes_on() {
    let body = archive(200_000);
    let sent = body.clone();
    let server = Server::start(move |n, head, s| {
        serve(s, head, &sent, "\"1\"", if n == 0 { 50_000 } else { ALL });
        if n == 0 {
            thread::sleep(Duration::from_secs(3));
        }
    });
    let mut place = Place::expecting(&body);
    place.options.read_timeout = Duration::from_millis(300);
    let mut reasons = Vec::new();
    place
        .fetch_with(&[server.url("base.txz")], &mut |event| {
            if let Event::Retrying { error, .. } = event {
                reasons.push(error.to_string());
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(reasons, ["waiting for data timed out after 0.3 s"]);
    assert_eq!(header(&server.requests()[1], "range"), Some("bytes=50000-"));
    place.holds(&body);
}

#[test]
fn cancel_does_not_wait_for_a_silent_server() {
    let server = Server::start(|_, _, _| thread::sleep(Duration::from_secs(4)));
    let place = Place::new();
    let (start, mut calls) = (Instant::now(), 0);
    let error = place.fetch_with(&[server.url("base.txz")], &mut |_| {
        calls += 1;
        if calls > 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(matches!(error, Err(FetchError::Cancelled { kept: 0 })));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(place.names().is_empty());
}

#[test]
fn redirects_keep_the_range_and_have_an_end() {
    let body = archive(300_000);
    let sent = body.clone();
    let server = Server::start(move |n, head, s| match head.split(' ').nth(1).unwrap() {
        "/loop" => send(s, "302 Found", &[("Location", "/loop".to_owned())], b""),
        "/old" => send(s, "301 Moved", &[("Location", "/new".to_owned())], b""),
        _ => serve(s, head, &sent, "\"1\"", if n < 2 { 100_000 } else { ALL }),
    });
    let place = Place::expecting(&body);
    place.fetch(&[server.url("old")]).unwrap();
    assert_eq!(header(&server.requests()[3], "range"), Some("bytes=100000-"));
    place.holds(&body);
    let error = only_error(Place::new().fetch(&[server.url("loop")]));
    assert!(matches!(error, MirrorError::Redirects), "{error}");
}
