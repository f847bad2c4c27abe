//! Archives that want to reach outside.

use super::builder::Tar;
use super::{Stage, options};
use crate::{ArchiveError, Devices, EntryError, ExtractOptions};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

#[test]
fn names_that_climb_are_refused_and_named() {
    for name in ["../x", "a/../../x", "/../x", "..", "a/..", "./../x"] {
        let s = Stage::new();
        let e = s.refusal(&Tar::new().file("first", "1").file(name, "evil").end());
        assert!(
            e.starts_with(&format!("entry {name}: ")) && e.contains("`..`"),
            "{e}"
        );
        let e = s.refusal(&Tar::new().dir(name).end());
        assert!(e.contains("`..`"), "{e}");
        let e = s.refusal(
            &Tar::new()
                .pax(&[("path", name.as_bytes())])
                .file("good", "evil")
                .end(),
        );
        assert!(e.contains("`..`"), "{e}");
        let long = [name.as_bytes(), b"\0"].concat();
        let e = s.refusal(
            &Tar::new()
                .of_type(b'L', b"long", &long)
                .file("good", "evil")
                .end(),
        );
        assert!(e.contains("`..`"), "{e}");
    }
}

#[test]
fn absolute_names_count_from_the_root() {
    let s = Stage::new();
    let tar = Tar::new()
        .file("/etc/x", "1")
        .file("//y", "2")
        .dir("/")
        .hard_link("z", "/etc/x");
    s.extract(&tar.end()).unwrap();
    assert_eq!(fs::read_to_string(s.inside("etc/x")).unwrap(), "1");
    assert_eq!(fs::read_to_string(s.inside("y")).unwrap(), "2");
    assert_eq!(fs::metadata(s.inside("z")).unwrap().nlink(), 2);
}

#[test]
fn nothing_is_written_through_a_link() {
    type Add = fn(Tar) -> Tar;
    let ways: [Add; 6] = [
        |t| t.file("a/secret", "evil"),
        |t| t.dir("a/b"),
        |t| t.symlink("a/b", "x"),
        |t| t.file("own", "1").hard_link("a/b", "own"),
        |t| t.of_type(b'6', b"a/b", b""),
        |t| t.file("a/b/c/d", "evil"),
    ];
    for (i, way) in ways.iter().enumerate() {
        // A link of the archive's own, absolute and relative, and one that was there.
        let s = Stage::new();
        let e = s
            .extract(&way(Tar::new().symlink("a", s.outside().to_str().unwrap())).end())
            .unwrap_err();
        assert!(is_through_link(&e), "{i}: {e}");
        let s = Stage::new();
        let e = s
            .extract(&way(Tar::new().symlink("a", "../outside")).end())
            .unwrap_err();
        assert!(is_through_link(&e), "{i}: {e}");
        let s = Stage::new();
        symlink(s.outside(), s.inside("a")).unwrap();
        let e = s.extract(&way(Tar::new()).end()).unwrap_err();
        assert!(is_through_link(&e), "{i}: {e}");
    }
    let s = Stage::new();
    let e = s.refusal(
        &Tar::new()
            .dir("d")
            .symlink("d/a", "../../outside")
            .file("d/a/x", "")
            .end(),
    );
    assert_eq!(e, "entry d/a/x: its path leads through the symbolic link a");
}

fn is_through_link(e: &ArchiveError) -> bool {
    let ArchiveError::Entry { why, .. } = e else {
        return false;
    };
    matches!(why, EntryError::ThroughLink { .. })
}

#[test]
fn a_link_at_the_end_is_replaced_not_followed() {
    let s = Stage::new();
    symlink(s.outside().join("secret"), s.inside("there")).unwrap();
    let tar = Tar::new()
        .symlink("a", s.outside().join("secret").to_str().unwrap())
        .file("a", "new")
        .file("there", "new")
        .symlink("new", s.outside().join("new").to_str().unwrap())
        .file("new", "new");
    s.extract(&tar.end()).unwrap();
    for name in ["a", "there", "new"] {
        assert!(fs::symlink_metadata(s.inside(name)).unwrap().is_file());
        assert_eq!(fs::read_to_string(s.inside(name)).unwrap(), "new");
    }
}

#[test]
fn a_link_that_becomes_a_directory_leads_nowhere() {
    let s = Stage::new();
    let tar = Tar::new()
        .symlink("a", "../outside")
        .dir("a/")
        .file("a/secret", "inside");
    s.extract(&tar.end()).unwrap();
    assert!(fs::symlink_metadata(s.inside("a")).unwrap().is_dir());
    assert_eq!(fs::read_to_string(s.inside("a/secret")).unwrap(), "inside");
    // And back: a directory never gives way.
    for tar in [
        Tar::new().dir("d").symlink("d", "../outside"),
        Tar::new().dir("d").file("d", ""),
        Tar::new().dir("d").of_type(b'6', b"d", b""),
        Tar::new().dir("d").file("f", "").hard_link("d", "f"),
        Tar::new().file("d/f", "").file("d", ""),
        Tar::new().file(".", ""),
        Tar::new().symlink("/", "x"),
    ] {
        let e = Stage::new().refusal(&tar.end());
        assert!(e.ends_with("a directory stands in its place"), "{e}");
    }
}

#[test]
fn hard_links_to_the_outside_are_refused() {
    let s = Stage::new();
    let secret = s.outside().join("secret");
    for (target, word) in [
        ("../outside/secret", "`..`"),
        ("../../../../../../etc/passwd", "`..`"),
        ("", "empty"),
        (secret.to_str().unwrap(), "does not exist"),
        ("missing", "does not exist"),
        ("d", "a directory has one name only"),
        ("l/secret", "l is a symbolic link"),
        (".", "a directory has one name only"),
    ] {
        let tar = Tar::new()
            .dir("d")
            .symlink("l", "../outside")
            .hard_link("h", target);
        let e = s.refusal(&tar.end());
        assert!(e.starts_with("entry h: ") && e.contains(word), "{target}: {e}");
        assert!(fs::symlink_metadata(s.inside("h")).is_err());
    }
    assert_eq!(fs::metadata(secret).unwrap().nlink(), 1);
}

#[test]
fn a_hard_link_to_a_link_is_that_link_and_no_way_out() {
    let s = Stage::new();
    let tar = Tar::new()
        .symlink("l", "../outside/secret")
        .hard_link("h", "l")
        .file("h", "mine");
    s.extract(&tar.end()).unwrap();
    assert_eq!(fs::read_to_string(s.inside("h")).unwrap(), "mine");
    assert_eq!(
        fs::read_link(s.inside("l")).unwrap().to_str(),
        Some("../outside/secret")
    );
    let s = Stage::new();
    let tar = Tar::new()
        .symlink("l", "../outside")
        .hard_link("h", "l")
        .file("h/x", "evil");
    assert!(is_through_link(&s.extract(&tar.end()).unwrap_err()));
}

#[test]
fn a_hard_link_to_itself_keeps_the_file() {
    let s = Stage::new();
    let tar = Tar::new()
        .file("a", "1")
        .hard_link("a", "./a")
        .hard_link("b", "a")
        .hard_link("b", "a");
    assert_eq!(s.extract(&tar.end()).unwrap().hard_links, 3);
    assert_eq!(fs::read_to_string(s.inside("b")).unwrap(), "1");
}

#[test]
fn devices_are_left_out_unless_they_are_asked_for() {
    let s = Stage::new();
    let tar = || {
        Tar::new()
            .of_type(b'3', b"dev/null", b"")
            .of_type(b'4', b"dev/disk", b"")
    };
    assert_eq!(s.extract(&tar().end()).unwrap().skipped_devices, 2);
    assert!(!s.inside("dev/null").exists());
    let make = ExtractOptions {
        devices: Devices::Make,
        ..options()
    };
    s.extract_with(&tar().end(), &make).unwrap();
    let found = fs::metadata(s.inside("dev/null")).unwrap();
    assert!(found.file_type().is_char_device());
    assert_eq!(found.rdev(), fs::metadata("/dev/null").unwrap().rdev());
    assert!(
        fs::metadata(s.inside("dev/disk"))
            .unwrap()
            .file_type()
            .is_block_device()
    );
    let tar = Tar::new()
        .symlink("a", "../outside")
        .of_type(b'3', b"a/null", b"");
    assert!(is_through_link(&s.extract_with(&tar.end(), &make).unwrap_err()));
}

#[test]
fn names_and_targets_that_no_system_has_are_refused() {
    let s = Stage::new();
    let nul = Tar::new().pax(&[("path", b"a\0b")]).file("a", "");
    assert!(s.refusal(&nul.end()).contains("NUL byte"));
    let nul = Tar::new().of_type(b'L', b"long", b"a\0b\0").file("a", "");
    assert!(s.refusal(&nul.end()).contains("NUL byte"));
    assert!(
        s.refusal(&Tar::new().file("", "x").end())
            .contains("the path is empty")
    );
    let bad = "the target of the symbolic link is empty or holds a NUL byte";
    assert!(s.refusal(&Tar::new().symlink("l", "").end()).ends_with(bad));
    let nul = Tar::new().pax(&[("linkpath", b"x\0y")]).symlink("l", "x");
    assert!(s.refusal(&nul.end()).ends_with(bad));
    let long = "n".repeat(256);
    let tar = Tar::new().pax(&[("path", long.as_bytes())]).file("a", "");
    assert!(s.refusal(&tar.end()).contains("too long"));
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one() {
    let s = Stage::new();
    let tar = Tar::new()
        .file("a", "first, and longer")
        .hard_link("other", "a")
        .file("a", "second")
        .dir("d")
        .file("d/f", "1")
        .raw(b'5', b"d/", |block| block[100..108].copy_from_slice(b"0000700\0"))
        .of_type(b'6', b"p", b"")
        .symlink("p", "a");
    s.extract(&tar.end()).unwrap();
    assert_eq!(fs::read_to_string(s.inside("a")).unwrap(), "second");
    assert_eq!(
        fs::read_to_string(s.inside("other")).unwrap(),
        "first, and longer"
    );
    assert_eq!(fs::metadata(s.inside("d")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(fs::read_link(s.inside("p")).unwrap().to_str(), Some("a"));
}

/// A part of an archive, as [`crate::ExtractOptions::under`] asks for it.
fn part(s: &Stage, tar: &[u8]) -> Result<crate::Extracted, ArchiveError> {
    let options = crate::ExtractOptions {
        under: Some(qjail_fs::RelPath::new("usr/jails/web").unwrap()),
        ..crate::ExtractOptions::default()
    };
    let root = qjail_fs::Root::open(&s.inside("")).unwrap();
    crate::extract(tar, &root, &options, &qjail_fs::never, &mut |_| {})
}

#[test]
fn of_a_part_nothing_else_is_extracted() {
    let s = Stage::new();
    let tar = Tar::new()
        .file("/usr/local/etc/control", "x")
        .dir("/usr/jails/web/")
        .file("/usr/jails/web/etc/a", "a")
        .hard_link("/usr/jails/web/b", "/usr/jails/web/etc/a")
        .file("/usr/jails/webmail/c", "c")
        .file("usr/jails/web2", "d");
    part(&s, &tar.end()).unwrap();
    assert_eq!(fs::read_to_string(s.inside("b")).unwrap(), "a");
    let mut names: Vec<_> = fs::read_dir(s.inside(""))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["b", "etc"]);
}

#[test]
fn a_part_can_not_be_left() {
    for (tar, word) in [
        (
            Tar::new().file("etc/a", "").hard_link("usr/jails/web/b", "etc/a"),
            "outside of what is extracted",
        ),
        (Tar::new().file("usr/jails/web/../x", ""), "`..`"),
        (Tar::new().symlink("usr/jails/web", "/etc"), "a directory stands"),
        (
            Tar::new()
                .symlink("usr/jails/web/etc", "/etc")
                .file("usr/jails/web/etc/x", ""),
            "symbolic link",
        ),
    ] {
        let s = Stage::new();
        let e = part(&s, &tar.end()).unwrap_err().to_string();
        assert!(e.contains(word), "{e}");
    }
}

#[test]
fn the_first_file_and_no_other() {
    let first = |tar: Tar, limit| {
        let found = crate::first_file(&tar.end()[..], &crate::DecodeOptions::default(), limit).unwrap();
        found.map(|(entry, content)| (entry.path, String::from_utf8(content).unwrap()))
    };
    let two = || Tar::new().file("a", "content").file("b", "");
    assert_eq!(first(two(), 7), Some(("a".into(), "content".to_owned())));
    assert_eq!(first(two(), 6), None);
    assert_eq!(first(Tar::new().dir("a").file("b", "x"), 6), None);
    assert_eq!(first(Tar::new(), 6), None);
}
