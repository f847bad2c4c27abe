//! Archives that GNU tar and bsdtar make, and ours read by them.

use super::picture::{Loses, assert_same, picture, without};
use super::{Stage, archived, as_format, options, rel, run};
use crate::{CreateFormat, Created, Devices, ExtractOptions, create};
use qjail_fs::{Kind, Root, never};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A tree with everything that a system's tree may have.
fn fill(s: &Stage) {
    let at = |path: &str| s.inside(path);
    fs::create_dir_all(at("usr/bin")).unwrap();
    fs::create_dir_all(at("var/empty")).unwrap();
    fs::create_dir(at("tmp")).unwrap();
    fs::write(at("usr/bin/su"), "program").unwrap();
    fs::write(at("usr/bin/plain"), "x".repeat(100_000)).unwrap();
    fs::hard_link(at("usr/bin/plain"), at("usr/bin/second name")).unwrap();
    fs::hard_link(at("usr/bin/plain"), at("var/third")).unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::write(s.inside(OsStr::from_bytes(b"not\xff\xfetext\nline")), "1").unwrap();
    symlink("usr/bin", at("bin")).unwrap();
    symlink("/nowhere/at/all", at("dangling")).unwrap();
    fs::write(at("var/empty/child"), "of a closed directory").unwrap();
    s.root.make_node(&rel("pipe"), Kind::Fifo, 0o622, (0, 0)).unwrap();
    chown(at("usr/bin/su"), Some(1), Some(2)).unwrap();
    chown(at("usr/bin"), Some(3), Some(4)).unwrap();
    lchown(at("bin"), Some(5), Some(6)).unwrap();
    for (path, mode) in [
        ("usr/bin/su", 0o6755),
        ("tmp", 0o1777),
        ("usr/bin/plain", 0o000),
        ("var/empty", 0o555),
    ] {
        fs::set_permissions(at(path), Permissions::from_mode(mode)).unwrap();
    }
}

/// What only newer formats hold.
fn fill_more(s: &Stage) {
    let at = |path: &str| s.inside(path);
    let deep = format!("{}/{}", "d".repeat(120), "e".repeat(200));
    fs::create_dir_all(at(&deep)).unwrap();
    let long = format!("{deep}/{}", "n".repeat(250));
    fs::write(at(&long), "long").unwrap();
    fs::hard_link(at(&long), at(&format!("{deep}/other"))).unwrap();
    symlink(format!("{}/x", "t".repeat(300)), at("long target")).unwrap();
    let big = File::create(at("sparse")).unwrap();
    big.set_len(40 << 20).unwrap();
    for i in 0..60 {
        big.write_all_at(b"data", (i * 600_000) + 77).unwrap();
    }
    File::create(at("only a hole")).unwrap().set_len(5 << 20).unwrap();
    chown(at("sparse"), Some(3_000_000), Some(4_000_000)).unwrap();
    let some = File::open(at("usr/bin/su")).unwrap();
    qjail_os::set_xattr(some.as_fd(), OsStr::new("user.text"), b"two\nlines=\0\xff").unwrap();
    qjail_os::set_xattr(some.as_fd(), OsStr::new("user.large"), &[7; 2000]).unwrap();
    // setcap(8): cap_net_raw=ep in the second version of the attribute.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    qjail_os::set_xattr(some.as_fd(), OsStr::new("security.capability"), capability).unwrap();
    let dir = File::open(at("tmp")).unwrap();
    qjail_os::set_xattr(dir.as_fd(), OsStr::new("user.dir"), b"d").unwrap();
    for (path, seconds, nanoseconds) in [("usr", 1_000_000_000, 123_456_789), ("empty", -5, 0)] {
        set_time(&at(path), seconds, nanoseconds);
    }
}

fn set_time(path: &Path, seconds: i64, nanoseconds: u64) {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        SystemTime::UNIX_EPOCH - whole
    } else {
        SystemTime::UNIX_EPOCH + whole
    };
    let times = FileTimes::new().set_modified(base + Duration::from_nanos(nanoseconds));
    File::open(path).unwrap().set_times(times).unwrap();
}

/// Makes an archive by a program, extracts it and compares the trees.
fn comes_back(s: &Stage, program: &str, args: &[&str], loses: Loses) {
    let args: Vec<&str> = ["-cf", "-"].iter().chain(args).copied().chain(["."]).collect();
    let archive = run(program, &args, &s.inside(""));
    let into = Stage::new();
    into.extract(&archive)
        .unwrap_or_else(|e| panic!("{program} {args:?}: {e}"));
    let (before, after) = (picture(&s.inside("")), picture(&into.inside("")));
    assert_same(&without(before, loses), &without(after, loses));
}

#[test]
fn every_form_that_gnu_tar_writes_comes_back() {
    let s = Stage::new();
    fill(&s);
    for format in ["v7", "oldgnu", "gnu", "ustar"] {
        // v7 has no type for a FIFO.
        let pipe = if format == "v7" {
            "--exclude=./pipe"
        } else {
            "--check-links"
        };
        if format == "v7" {
            fs::remove_file(s.inside("pipe")).unwrap();
        }
        comes_back(&s, "tar", &["--format", format, pipe], Loses::All);
        if format == "v7" {
            s.root.make_node(&rel("pipe"), Kind::Fifo, 0o622, (0, 0)).unwrap();
        }
    }
    fill_more(&s);
    comes_back(&s, "tar", &["--format=gnu"], Loses::All);
    comes_back(&s, "tar", &["--format=gnu", "--sparse"], Loses::Fine);
    let all = ["--format=pax", "--xattrs", "--xattrs-include=*"];
    comes_back(&s, "tar", &all, Loses::Holes);
    for version in ["0.0", "0.1", "1.0"] {
        let version = format!("--sparse-version={version}");
        comes_back(
            &s,
            "tar",
            &[all.as_slice(), &["--sparse", &version]].concat(),
            Loses::Nothing,
        );
    }
    for compression in ["--gzip", "--xz", "--zstd"] {
        comes_back(
            &s,
            "tar",
            &[all.as_slice(), &["--sparse", compression]].concat(),
            Loses::Nothing,
        );
    }
}

#[test]
fn what_bsdtar_writes_comes_back() {
    let s = Stage::new();
    fill(&s);
    fill_more(&s);
    comes_back(
        &s,
        "bsdtar",
        &["--format=pax", "--xattrs", "--options", "hdrcharset=BINARY"],
        Loses::Nothing,
    );
    comes_back(
        &s,
        "bsdtar",
        &["--format=pax", "--xattrs", "-J", "--options", "hdrcharset=BINARY"],
        Loses::Nothing,
    );
    // Its GNU archives have no times before 1970.
    set_time(&s.inside("empty"), 5, 0);
    comes_back(&s, "bsdtar", &["--format=gnutar"], Loses::All);
}

#[test]
fn our_archives_are_read_by_both() {
    let s = Stage::new();
    fill(&s);
    fill_more(&s);
    // bsdtar does not set the time of the directory that it extracts into.
    let seen = |s: &Stage| {
        let mut seen = picture(&s.inside(""));
        seen.remove(Path::new(""));
        seen
    };
    let before = seen(&s);
    for format in [CreateFormat::Tar, CreateFormat::TarGz, CreateFormat::TarXz] {
        let archive = s.dir.path().join("outside/archive");
        fs::write(&archive, archived(&s.inside(""), &as_format(format))).unwrap();
        let archive = archive.to_str().unwrap();
        for (program, args) in [
            (
                "tar",
                [
                    "-xpf",
                    archive,
                    "--xattrs",
                    "--xattrs-include=*",
                    "--numeric-owner",
                ]
                .as_slice(),
            ),
            ("bsdtar", &["-xpf", archive, "--xattrs", "--numeric-owner"]),
        ] {
            let into = Stage::new();
            run(program, args, &into.inside(""));
            assert_same(&before, &seen(&into));
        }
    }
}

#[test]
fn our_archives_come_back_by_us() {
    let s = Stage::new();
    fill(&s);
    fill_more(&s);
    s.root
        .make_node(&rel("null"), Kind::CharDevice, 0o666, (1, 3))
        .unwrap();
    set_time(&s.inside("empty"), -5, 250_000_000);
    let make = ExtractOptions {
        devices: Devices::Make,
        ..options()
    };
    for format in [CreateFormat::Tar, CreateFormat::TarGz, CreateFormat::TarXz] {
        let archive = archived(&s.inside(""), &as_format(format));
        assert_eq!(
            archive,
            archived(&s.inside(""), &as_format(format)),
            "not the same twice"
        );
        let into = Stage::new();
        let done = into.extract_with(&archive, &make).unwrap();
        assert_eq!(done.hard_links, 3);
        // Onto what is there already: everything is replaced, nothing lost.
        into.extract_with(&archive, &make).unwrap();
        assert_same(&picture(&s.inside("")), &picture(&into.inside("")));
    }
}

#[test]
fn subtrees_sockets_and_mounts() {
    let s = Stage::new();
    fill(&s);
    let _listener = UnixListener::bind(s.inside("usr/socket")).unwrap();
    symlink(s.outside(), s.inside("out")).unwrap();
    let mut bytes = Vec::new();
    let plain = as_format(CreateFormat::Tar);
    let names = ["usr", "var/third", "out"].map(rel);
    let done = create(&s.root, &names, &mut bytes, &plain, &never, &mut |_| {}).unwrap();
    assert_eq!(
        done,
        Created {
            entries: 7,
            bytes: 100_007,
            hard_links: 2,
            skipped_sockets: 1,
            skipped_mounts: 0
        }
    );
    let into = Stage::new();
    into.extract(&bytes).unwrap();
    assert!(fs::symlink_metadata(into.inside("out")).unwrap().is_symlink());
    assert_eq!(fs::read(into.inside("var/third")).unwrap().len(), 100_000);
    let e = create(
        &s.root,
        &[rel("out/secret")],
        &mut bytes,
        &plain,
        &never,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(e.to_string().contains("symbolic link"), "{e}");
    let e = create(
        &s.root,
        &[rel("missing")],
        &mut bytes,
        &plain,
        &never,
        &mut |_| {},
    )
    .unwrap_err();
    assert!(
        e.to_string()
            .starts_with("entry missing: cannot read it: No such file"),
        "{e}"
    );
}

#[test]
fn what_is_mounted_below_is_left_out() {
    super::with_private_mounts("tests::real::what_is_mounted_below_is_left_out", || {
        let s = Stage::new();
        fs::create_dir(s.inside("mnt")).unwrap();
        fs::write(s.inside("file"), "below").unwrap();
        let outside = s.outside();
        let mount = |from: &Path, to: &str| {
            let to = s.inside(to);
            run(
                "mount",
                &["--bind", from.to_str().unwrap(), to.to_str().unwrap()],
                &s.inside(""),
            );
        };
        mount(&outside, "mnt");
        mount(&outside.join("secret"), "file");
        let mut bytes = Vec::new();
        let root = Root::open(&s.inside("")).unwrap();
        let plain = as_format(CreateFormat::Tar);
        let all = [qjail_fs::RelPath::root()];
        let done = create(&root, &all, &mut bytes, &plain, &never, &mut |_| {}).unwrap();
        assert_eq!((done.entries, done.skipped_mounts, done.bytes), (2, 2, 0));
    });
}

#[test]
fn deep_trees_are_no_limit() {
    let s = Stage::new();
    let name = "d".repeat(60);
    let mut dir = File::open(s.inside("")).unwrap();
    for _ in 0..150 {
        rustix::fs::mkdirat(&dir, &name, 0o755.into()).unwrap();
        dir = rustix::fs::openat(&dir, &name, rustix::fs::OFlags::RDONLY, 0.into())
            .unwrap()
            .into();
    }
    let archive = archived(&s.inside(""), &as_format(CreateFormat::TarXz));
    let into = Stage::new();
    assert_eq!(into.extract(&archive).unwrap().entries, 151);
    let again = archived(&into.inside(""), &as_format(CreateFormat::TarXz));
    assert!(archive == again);
}
