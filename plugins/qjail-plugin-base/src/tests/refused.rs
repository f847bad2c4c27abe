//! What `install` refuses, and that nothing is left of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use qjail_fetch::Digest;
use serde_json::json;

use super::Item::{Dir, File, Link};
use super::{Site, debian, freebsd, gzip, tar};

#[test]
fn a_base_newer_than_the_kernel_is_refused() {
    let site = Site {
        os: "freebsd",
        kernel: "14.3-RELEASE-p2",
        ..Site::new()
    };
    let before = site.picture();
    let named = site.file("15.0-RELEASE/base.txz", &freebsd("15.0-RELEASE"));
    let unnamed = site.file("base.txz", &freebsd("15.0-RELEASE"));
    for archive in [named, unnamed] {
        let error = site.install(&[("source", json!(archive))]).unwrap_err();
        assert_eq!(
            error.message,
            "base 15.0-RELEASE is newer than the running kernel, which is 14.3-RELEASE-p2"
        );
        assert_eq!(site.picture(), before);
    }
}

/// A host that was updated, by freebsd-update or by pkg, and was not booted since.
#[test]
fn a_host_that_is_newer_than_its_kernel_is_no_base() {
    let site = Site {
        os: "freebsd",
        kernel: "14.3-RELEASE-p2",
        ..Site::new()
    };
    let before = site.picture();
    let error = site.install(&[("from-host", json!(true))]).unwrap_err();
    assert_eq!(
        error.message,
        "base 15.0-RELEASE is newer than the running kernel, which is 14.3-RELEASE-p2"
    );
    assert_eq!(error.hint.as_deref(), Some("boot the new kernel first"));
    assert_eq!(site.picture(), before);
}

#[test]
fn what_is_no_base_leaves_all_as_it_was() {
    let site = Site::new();
    site.install(&[("from-host", json!(true))]).unwrap();
    let good = gzip(&debian());
    let mut bent = good.clone();
    bent[good.len() / 2] ^= 0xff;
    let evil = site.path("evil");
    let up = tar(&[Dir("bin", 0o755), File("../../../evil", 0o644, "x")]);
    let through = tar(&[
        Dir("bin", 0o755),
        Link("l", evil.to_str().unwrap()),
        File("l/f", 0o644, "x"),
    ]);
    let inside = tar(&[Dir("rootfs", 0o755), Dir("rootfs/bin", 0o755)]);
    let linked = tar(&[Dir("bin", 0o755), Link("etc", "/tmp")]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "noise",
            (0..30_000_u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
                .collect(),
            "not an archive",
        ),
        ("empty", Vec::new(), "not an archive: looks like an empty file"),
        (
            "page",
            b"<!DOCTYPE html><html>404".to_vec(),
            "not an archive: looks like a web page",
        ),
        (
            "zip",
            b"PK\x03\x04aaaaaaaaaaaaaaaa".to_vec(),
            "this is a zip archive, which is not supported",
        ),
        ("cut", good[..good.len() / 2].to_vec(), "unpack"),
        ("bent", bent, "unpack"),
        ("up", up, ".."),
        ("through", through, "l/f"),
        ("inside", inside, "neither bin nor usr/bin"),
        ("linked", linked, "/etc in the base is no directory"),
        (
            "freebsd",
            freebsd("15.0-RELEASE"),
            "this is a FreeBSD base; this host runs Linux",
        ),
    ];
    let before = site.picture();
    for (name, bytes, says) in cases {
        let path = site.file(&format!("work/{name}"), &bytes);
        let error = site.install(&[("source", json!(path))]).unwrap_err();
        assert!(error.message.contains(says), "{name}: {error}");
        assert!(
            !error.message.contains('\n') && error.hint.is_some(),
            "{name}: {error:?}"
        );
        assert_eq!(site.picture(), before, "{name}");
        assert!(!evil.exists(), "{name}");
    }
}

#[test]
fn a_linux_base_is_refused_on_freebsd() {
    let site = Site {
        os: "freebsd",
        kernel: "15.0-RELEASE",
        ..Site::new()
    };
    let early = tar(&[
        Dir("bin", 0o755),
        Dir("lib64", 0o755),
        File("lib64/ld-linux-x86-64.so.2", 0o755, "x"),
    ]);
    for (name, bytes, says) in [
        ("early", early, "this is a Linux base; this host runs FreeBSD"),
        ("late", debian(), "no FreeBSD base"),
    ] {
        let path = site.file(name, &bytes);
        let before = site.picture();
        let error = site.install(&[("source", json!(path))]).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert_eq!(site.picture(), before);
    }
}

#[test]
fn sources_that_are_none_are_refused() {
    let site = Site::new();
    let dir = site.path("nothing");
    fs::create_dir(&dir).unwrap();
    let archive = site.file("b.tar", &debian());
    let dev = "/dev/null".to_owned();
    for (options, says) in [
        (vec![], "which base to install is not said"),
        (
            vec![("release", json!("15.0-RELEASE"))],
            "FreeBSD's releases do not run on Linux",
        ),
        (
            vec![("source", json!("/no/such/file"))],
            "read /no/such/file: No such file or directory",
        ),
        (vec![("source", json!(dir))], "there is no base.txz in"),
        (vec![("source", json!(dev))], "is no file"),
        (
            vec![("source", json!("ftp://h/base.txz"))],
            "ftp:// is not supported",
        ),
        (
            vec![("source", json!(archive)), ("arch", json!("vax"))],
            "not built for `vax`",
        ),
        (
            vec![("source", json!(archive)), ("sha256", json!("abc"))],
            "--sha256: ",
        ),
        (
            vec![("source", json!(archive)), ("manifest", json!("/no/such"))],
            "read /no/such: ",
        ),
    ] {
        let before = site.picture();
        let error = site.install(&options).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert_eq!(site.picture(), before);
    }
}

#[test]
fn digests_are_verified_and_must_agree() {
    let site = Site::new();
    let archive = site.file("d/base.tar", &debian());
    let (right, wrong) = (Digest::of(&debian()).to_string(), "0".repeat(64));
    let before = site.picture();
    let error = site
        .install(&[("source", json!(archive)), ("sha256", json!(wrong))])
        .unwrap_err();
    assert!(
        error
            .message
            .contains(&format!("wrong sha256: expected {wrong}, got {right}")),
        "{error}"
    );
    assert_eq!(site.picture(), before);

    let manifest = site.file("M", format!("base.tar\t{wrong}\t1\tbase\t\"b\"\ton\n").as_bytes());
    let both = [
        ("source", json!(archive)),
        ("sha256", json!(right)),
        ("manifest", json!(manifest)),
    ];
    let error = site.install(&both).unwrap_err();
    assert!(
        error.message.contains("disagree about the sha256 of base.tar"),
        "{error}"
    );
    let lists = site.file("M2", format!("src.txz\t{wrong}\t1\tsrc\t\"b\"\ton\n").as_bytes());
    let error = site
        .install(&[("source", json!(archive)), ("manifest", json!(lists))])
        .unwrap_err();
    assert!(error.message.contains("M2 does not list base.tar"), "{error}");

    // A MANIFEST in a directory that is named counts; one that is none is refused.
    site.file(
        "d/MANIFEST",
        format!("base.tar\t{wrong}\t1\tbase\t\"b\"\ton\n").as_bytes(),
    );
    let error = site.install(&[("source", json!(site.path("d")))]).unwrap_err();
    assert!(error.message.contains("wrong sha256"), "{error}");
    site.file("d/MANIFEST", b"<html>");
    let error = site.install(&[("source", json!(site.path("d")))]).unwrap_err();
    assert!(
        error.message.contains("MANIFEST") && error.message.contains("web page"),
        "{error}"
    );
    assert_eq!(site.picture(), before);
    site.install(&[("source", json!(archive)), ("sha256", json!(right))])
        .unwrap();
}

/// A file system of a few blocks over a site's directory of jails; unmounted at the end.
struct Small(std::path::PathBuf);

impl Small {
    fn on(path: &Path, size: &str) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"])
            .arg(path)
            .status();
        assert!(mounted.unwrap().success(), "these tests run as root");
        Self(path.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_all_as_it_was() {
    let site = Site::new();
    let _small = Small::on(&site.path("jails"), "256k");
    let noise: String = (0..600_000_u32)
        .map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 24) as u8 % 26))
        .collect();
    let large = tar(&[Dir("bin", 0o755), File("bin/sh", 0o755, &noise)]);
    // That it can not fit is seen before anything begins.
    let archive = site.file("large.tar", &large);
    let before = site.picture();
    let error = site.install(&[("source", json!(archive))]).unwrap_err();
    assert!(
        error
            .message
            .contains("not enough space: at least 1 MiB needed, 0 MiB free"),
        "{error}"
    );
    // Or while it is unpacked: this one is small as an archive.
    let zeros = "0".repeat(600_000);
    let archive = site.file(
        "small.tar.gz",
        &gzip(&tar(&[Dir("bin", 0o755), File("bin/sh", 0o755, &zeros)])),
    );
    let error = site.install(&[("source", json!(archive))]).unwrap_err();
    assert!(error.message.contains("No space left on device"), "{error}");
    assert!(error.hint.unwrap().contains("free some space"), "and what to do");
    assert_eq!(site.picture(), before);
}

#[test]
fn a_directory_of_qjail_5_is_not_touched() {
    let site = Site::new();
    fs::create_dir(site.path("jails/sharedfs")).unwrap();
    let before = site.picture();
    let error = site.install(&[("from-host", json!(true))]).unwrap_err();
    assert!(error.message.contains("jails/sharedfs is in the way"), "{error}");
    assert_eq!(site.picture(), before);
}
