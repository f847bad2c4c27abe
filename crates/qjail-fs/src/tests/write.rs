use super::{Stage, rel, run, with_private_mounts};
use crate::{ErrorKind, IfExists, Kind, RelPath, Root, WriteOptions, Written};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

fn options() -> WriteOptions {
    WriteOptions {
        sync: false,
        ..WriteOptions::default()
    }
}

fn mode(path: std::path::PathBuf) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_new_file_has_its_content_mode_and_owner() {
    let s = Stage::new();
    let wanted = WriteOptions {
        mode: Some(0o4711),
        owner: Some((12, 34)),
        ..options()
    };
    assert_eq!(
        s.root.write(&rel("f"), b"text", &wanted).unwrap(),
        Written::Created
    );
    let found = fs::metadata(s.inside("f")).unwrap();
    assert_eq!((found.uid(), found.gid(), mode(s.inside("f"))), (12, 34, 0o4711));
    assert_eq!(fs::read_to_string(s.inside("f")).unwrap(), "text");
    s.root
        .write(&rel("plain"), b"", &WriteOptions::default())
        .unwrap();
    assert_eq!(mode(s.inside("plain")), 0o644);
}

#[test]
fn a_replaced_file_keeps_owner_and_mode_and_other_names_their_content() {
    let s = Stage::new();
    s.root
        .write(
            &rel("f"),
            b"old",
            &WriteOptions {
                mode: Some(0o600),
                owner: Some((7, 8)),
                ..options()
            },
        )
        .unwrap();
    fs::hard_link(s.inside("f"), s.inside("other")).unwrap();
    assert_eq!(
        s.root.write(&rel("f"), b"new", &options()).unwrap(),
        Written::Replaced
    );
    let found = fs::metadata(s.inside("f")).unwrap();
    assert_eq!((found.uid(), found.gid(), mode(s.inside("f"))), (7, 8, 0o600));
    assert_eq!(fs::read_to_string(s.inside("other")).unwrap(), "old");
}

#[test]
fn keep_and_fail_leave_the_file_alone() {
    let s = Stage::new();
    fs::write(s.inside("f"), "old").unwrap();
    let with = |if_exists| WriteOptions {
        if_exists,
        ..options()
    };
    assert_eq!(
        s.root.write(&rel("f"), b"new", &with(IfExists::Keep)).unwrap(),
        Written::Kept
    );
    assert!(
        s.root
            .write(&rel("f"), b"new", &with(IfExists::Fail))
            .unwrap_err()
            .is_exists()
    );
    assert_eq!(fs::read_to_string(s.inside("f")).unwrap(), "old");
    assert_eq!(
        s.root.write(&rel("g"), b"new", &with(IfExists::Keep)).unwrap(),
        Written::Created
    );
    assert_eq!(
        s.root.write(&rel("h"), b"new", &with(IfExists::Fail)).unwrap(),
        Written::Created
    );
}

#[test]
fn nothing_but_a_regular_file_is_replaced() {
    let s = Stage::new();
    s.link(s.outside().join("secret"), "link");
    s.link(s.outside().join("new"), "dangling");
    s.link(s.outside(), "linkdir");
    s.fifo("fifo");
    fs::create_dir(s.inside("dir")).unwrap();
    s.root
        .make_node(&rel("null"), Kind::CharDevice, 0o666, (1, 3))
        .unwrap();
    for path in [
        "link",
        "dangling",
        "linkdir/secret",
        "linkdir/new",
        "fifo",
        "dir",
        "null",
    ] {
        for if_exists in [IfExists::Replace, IfExists::Keep, IfExists::Fail] {
            let e = s
                .root
                .write(
                    &rel(path),
                    b"evil",
                    &WriteOptions {
                        if_exists,
                        ..options()
                    },
                )
                .unwrap_err();
            assert!(
                matches!(e.kind(), ErrorKind::Link { .. } | ErrorKind::WrongKind { .. }),
                "{path}: {e}"
            );
        }
        assert!(s.root.ensure_line(&rel(path), "evil", None).is_err(), "{path}");
    }
    for path in ["linkdir/x", "link/x"] {
        assert!(s.root.make_dir(&rel(path), 0o755, None).is_err());
        assert!(s.root.make_dirs(&rel(path), 0o755, None).is_err());
        assert!(s.root.symlink("t", &rel(path)).is_err());
        assert!(s.root.create_file(&rel(path), 0o600).is_err());
        assert!(s.root.set_mode(&rel(path), 0o777).is_err());
        assert!(s.root.remove_file(&rel("linkdir/secret")).is_err());
        assert!(s.root.remove_tree(&rel("linkdir/secret"), &crate::never).is_err());
        assert!(s.root.rename(&rel("null"), &rel(path)).is_err());
    }
    assert!(s.root.make_dirs(&rel("linkdir"), 0o755, None).is_err());
    assert!(s.root.set_mode(&rel("link"), 0o777).is_err());
    s.root.set_owner(&rel("link"), 1, 1).unwrap();
    s.root.set_mtime(&rel("link"), (1, 1)).unwrap();
    assert_eq!(fs::metadata(s.outside().join("secret")).unwrap().uid(), 0);
    assert!(fs::metadata(s.outside().join("secret")).unwrap().mtime() > 1);
    s.assert_outside_untouched();
}

#[test]
fn the_root_itself_is_no_name() {
    let s = Stage::new();
    let e = s.root.write(&RelPath::root(), b"", &options()).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::NoName));
    assert!(s.root.remove_tree(&RelPath::root(), &crate::never).is_err());
    assert!(!s.root.make_dirs(&RelPath::root(), 0o755, None).unwrap());
}

#[test]
fn a_failed_write_leaves_no_temporary_file() {
    let s = Stage::new();
    fs::create_dir(s.inside("dir")).unwrap();
    assert!(s.root.write(&rel("dir"), b"x", &options()).is_err());
    assert!(s.root.replace_symlink("t", &rel("dir")).is_err());
    assert_eq!(s.root.list(&RelPath::root()).unwrap().len(), 1);
}

#[test]
fn what_a_killed_writer_left_is_removed_and_nothing_else() {
    let s = Stage::new();
    let root = &s.root;
    let (a, b) = (rel("etc/a"), rel("etc/b"));
    fs::create_dir(s.inside("etc")).unwrap();
    let left = |target: &str| {
        let name = crate::write::temporary_name(target.as_ref());
        fs::write(s.inside("etc").join(&name), "half").unwrap();
        name.into_string().unwrap()
    };
    root.write(&a, b"whole", &options()).unwrap();
    left("a");
    let of_b = left("b");
    let planted = crate::write::temporary_name("a".as_ref()).into_string().unwrap();
    fs::create_dir(s.inside("etc").join(&planted)).unwrap();
    root.remove_leftovers(&a).unwrap();
    let names: Vec<_> = root
        .list(&rel("etc"))
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().any(|n| *n == *of_b) && names.iter().any(|n| *n == *planted));
    root.remove_leftovers(&b).unwrap();
    assert_eq!(root.list(&rel("etc")).unwrap().len(), 2);
    assert!(
        root.remove_leftovers(&rel("nosuch/a"))
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn lines_are_ensured_once() {
    let s = Stage::new();
    assert!(s.root.ensure_line(&rel("f"), "a=1", Some("a=")).unwrap());
    assert!(!s.root.ensure_line(&rel("f"), "a=1", Some("a=")).unwrap());
    assert!(s.root.ensure_line(&rel("f"), "a=2", Some("a=")).unwrap());
    assert!(s.root.ensure_line(&rel("f"), "b", None).unwrap());
    assert_eq!(fs::read_to_string(s.inside("f")).unwrap(), "a=2\nb\n");
    let e = s.root.ensure_line(&rel("f"), "two\nlines", None).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::NotOneLine));
    assert!(
        s.root
            .ensure_line(&rel("no/f"), "x", None)
            .unwrap_err()
            .is_not_found()
    );
}

#[test]
fn directories_are_made_with_mode_and_owner() {
    let s = Stage::new();
    assert!(s.root.make_dirs(&rel("a/b/c"), 0o1777, Some((3, 4))).unwrap());
    for path in ["a", "a/b", "a/b/c"] {
        assert_eq!(
            (mode(s.inside(path)), fs::metadata(s.inside(path)).unwrap().uid()),
            (0o1777, 3)
        );
    }
    assert!(!s.root.make_dirs(&rel("a/b/c"), 0o700, None).unwrap());
    assert!(!s.root.make_dir(&rel("a"), 0o700, None).unwrap());
    assert_eq!(mode(s.inside("a")), 0o1777);
    fs::write(s.inside("f"), "").unwrap();
    let e = s.root.make_dir(&rel("f"), 0o700, None).unwrap_err();
    assert!(matches!(
        e.kind(),
        ErrorKind::WrongKind {
            expected: Kind::Dir,
            found: Kind::File,
            ..
        }
    ));
}

#[test]
fn links_are_made_and_replaced_in_one_step() {
    let s = Stage::new();
    s.root.symlink("one", &rel("l")).unwrap();
    assert!(s.root.symlink("two", &rel("l")).unwrap_err().is_exists());
    s.root.replace_symlink("two", &rel("l")).unwrap();
    s.root.replace_symlink("three", &rel("fresh")).unwrap();
    assert_eq!(s.root.read_link(&rel("l")).unwrap(), "two");
    assert_eq!(s.root.read_link(&rel("fresh")).unwrap(), "three");
    s.link(s.outside(), "out");
    s.root.replace_symlink("in", &rel("out")).unwrap();
    assert_eq!(s.root.read_link(&rel("out")).unwrap(), "in");
    s.assert_outside_untouched();
}

#[test]
fn names_are_moved_and_removed() {
    let s = Stage::new();
    fs::write(s.inside("a"), "a").unwrap();
    fs::write(s.inside("b"), "b").unwrap();
    let e = s
        .root
        .rename_no_replace(&rel("a"), &s.root, &rel("b"))
        .unwrap_err();
    assert!(e.is_exists() && e.path().ends_with("b"), "{e}");
    s.root.exchange(&rel("a"), &rel("b")).unwrap();
    assert_eq!(fs::read_to_string(s.inside("a")).unwrap(), "b");
    s.root.rename(&rel("a"), &rel("b")).unwrap();
    assert_eq!(fs::read_to_string(s.inside("b")).unwrap(), "b");
    s.link(s.outside().join("secret"), "l");
    s.root.hard_link(&rel("l"), &rel("l2")).unwrap();
    assert_eq!(s.root.metadata(&rel("l2")).unwrap().unwrap().kind, Kind::Link);
    assert!(s.root.remove_file(&rel("l")).unwrap() && !s.root.remove_file(&rel("l")).unwrap());
    fs::create_dir(s.inside("d")).unwrap();
    assert!(s.root.remove_file(&rel("d")).is_err());
    assert!(s.root.remove_dir(&rel("d")).unwrap() && !s.root.remove_dir(&rel("d")).unwrap());
    s.assert_outside_untouched();
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    with_private_mounts("tests::write::a_full_disk_leaves_the_old_file", || {
        let s = Stage::new();
        run(
            "mount",
            &[
                "-t",
                "tmpfs",
                "-o",
                "size=64k",
                "none",
                s.inside("").to_str().unwrap(),
            ],
        );
        let root = Root::open(&s.inside("")).unwrap();
        root.write(&rel("f"), b"old", &options()).unwrap();
        let e = root.write(&rel("f"), &vec![1; 200_000], &options()).unwrap_err();
        assert!(e.is_no_space(), "{e}");
        assert_eq!(root.read(&rel("f"), 10).unwrap(), b"old");
        assert_eq!(root.list(&RelPath::root()).unwrap().len(), 1);
    });
}
