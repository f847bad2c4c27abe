use super::remove::deep;
use super::{Stage, rel, run, with_private_mounts};
use crate::{CopyOptions, CopyStats, ErrorKind, Kind, OnConflict, copy_tree, never};
use std::fs;

const MERGE: OnConflict = OnConflict::MergeReplace;

fn copy(s: &Stage, from: &str, to: &str, on_conflict: OnConflict) -> crate::Result<CopyStats> {
    let (from, to) = (
        s.root.open_dir(&rel(from)).unwrap(),
        s.root.open_dir(&rel(to)).unwrap(),
    );
    copy_tree(
        &from,
        &to,
        &CopyOptions {
            on_conflict,
            ..CopyOptions::default()
        },
    )
}

fn two_dirs() -> Stage {
    let s = Stage::new();
    fs::create_dir(s.inside("from")).unwrap();
    fs::create_dir(s.inside("to")).unwrap();
    s
}

#[test]
fn a_merge_replaces_links_and_follows_none() {
    let s = two_dirs();
    fs::write(s.inside("from/file"), "new").unwrap();
    s.link(s.outside().join("secret"), "to/file");
    assert_eq!(copy(&s, "from", "to", MERGE).unwrap().files, 1);
    assert_eq!(s.root.read(&rel("to/file"), 9).unwrap(), b"new");
    fs::create_dir(s.inside("from/dir")).unwrap();
    fs::write(s.inside("from/dir/secret"), "evil").unwrap();
    s.link(s.outside(), "to/dir");
    let e = copy(&s, "from", "to", MERGE).unwrap_err();
    assert!(
        matches!(e.kind(), ErrorKind::Link { .. }) && e.path().ends_with("to/dir"),
        "{e}"
    );
    s.assert_outside_untouched();
}

#[test]
fn a_merge_keeps_existing_directories_and_replaces_files_links_and_fifos() {
    let s = two_dirs();
    fs::create_dir_all(s.inside("from/etc/rc.d")).unwrap();
    fs::write(s.inside("from/etc/conf"), "new").unwrap();
    s.link("target", "from/etc/link");
    s.fifo("from/etc/pipe");
    s.root.make_dir(&rel("to/etc"), 0o711, Some((5, 6))).unwrap();
    fs::write(s.inside("to/etc/conf"), "a longer old text").unwrap();
    fs::write(s.inside("to/etc/link"), "a file").unwrap();
    s.link(s.outside(), "to/etc/pipe");
    fs::write(s.inside("to/etc/own"), "stays").unwrap();
    let stats = copy(&s, "from", "to", MERGE).unwrap();
    assert_eq!((stats.files, stats.dirs, stats.links, stats.nodes), (1, 1, 1, 1));
    let etc = s.root.metadata(&rel("to/etc")).unwrap().unwrap();
    assert_eq!((etc.mode, etc.uid, etc.gid), (0o711, 5, 6));
    assert_eq!(fs::read_to_string(s.inside("to/etc/conf")).unwrap(), "new");
    assert_eq!(fs::read_to_string(s.inside("to/etc/own")).unwrap(), "stays");
    assert_eq!(s.root.read_link(&rel("to/etc/link")).unwrap(), "target");
    assert_eq!(
        s.root.metadata(&rel("to/etc/pipe")).unwrap().unwrap().kind,
        Kind::Fifo
    );
    s.assert_outside_untouched();
}

#[test]
fn directory_and_file_do_not_replace_each_other() {
    let s = two_dirs();
    fs::create_dir(s.inside("from/x")).unwrap();
    fs::write(s.inside("to/x"), "").unwrap();
    let e = copy(&s, "from", "to", MERGE).unwrap_err();
    assert!(
        e.to_string()
            .ends_with("to/x: x is a regular file, not a directory"),
        "{e}"
    );
    let e = copy(&s, "to", "from", MERGE).unwrap_err();
    assert!(
        e.to_string()
            .ends_with("from/x: x is a directory, not a regular file"),
        "{e}"
    );
}

#[test]
fn fail_fails_at_whatever_exists() {
    for (in_from, in_to) in [
        ("dir", "dir"),
        ("file", "file"),
        ("file", "link"),
        ("link", "file"),
        ("dir", "link"),
    ] {
        let s = two_dirs();
        for (side, what) in [("from", in_from), ("to", in_to)] {
            match what {
                "dir" => fs::create_dir(s.inside(&format!("{side}/x"))).unwrap(),
                "file" => fs::write(s.inside(&format!("{side}/x")), "").unwrap(),
                _ => s.link(s.outside().join("new"), &format!("{side}/x")),
            }
        }
        let e = copy(&s, "from", "to", OnConflict::Fail).unwrap_err();
        assert!(
            e.is_exists() && e.path().ends_with("to/x"),
            "{in_from} over {in_to}: {e}"
        );
        s.assert_outside_untouched();
    }
}

#[test]
fn what_is_skipped_or_a_socket_is_not_there() {
    let s = two_dirs();
    fs::create_dir_all(s.inside("from/a/b")).unwrap();
    fs::write(s.inside("from/a/b/f"), "").unwrap();
    fs::write(s.inside("from/a/keep"), "").unwrap();
    fs::write(s.inside("from/a/drop"), "").unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(s.inside("from/sock")).unwrap();
    let skip = [rel("a/b"), rel("a/drop")];
    let (from, to) = (
        s.root.open_dir(&rel("from")).unwrap(),
        s.root.open_dir(&rel("to")).unwrap(),
    );
    let stats = copy_tree(
        &from,
        &to,
        &CopyOptions {
            skip: &skip,
            ..CopyOptions::default()
        },
    )
    .unwrap();
    assert_eq!((stats.files, stats.dirs, stats.sockets_skipped), (1, 1, 1));
    assert_eq!(s.root.list(&rel("to")).unwrap().len(), 1);
    assert_eq!(s.root.list(&rel("to/a")).unwrap()[0].name, "keep");
}

#[test]
fn a_tree_is_not_copied_into_itself() {
    let s = two_dirs();
    fs::create_dir(s.inside("from/inner")).unwrap();
    fs::write(s.inside("from/f"), "").unwrap();
    for to in ["from", "from/inner"] {
        let e = copy(&s, "from", to, MERGE).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::InsideItself), "{e}");
    }
}

#[test]
fn depth_and_width_are_no_limits() {
    let s = two_dirs();
    deep(&s, "from/deep", 350);
    fs::create_dir(s.inside("from/wide")).unwrap();
    for i in 0..1000 {
        fs::write(s.inside(&format!("from/wide/{i}")), i.to_string()).unwrap();
    }
    let stats = copy(&s, "from", "to", OnConflict::Fail).unwrap();
    assert_eq!((stats.files, stats.dirs), (1001, 351));
    assert_eq!(s.root.read(&rel("to/wide/999"), 9).unwrap(), b"999");
    let size = |path| s.root.tree_size(&rel(path), &never).unwrap();
    assert_eq!(size("from"), size("to"));
    s.root.remove_tree(&rel("to"), &never).unwrap();
    s.root.remove_tree(&rel("from"), &never).unwrap();
}

#[test]
fn cancelling_ends_the_work() {
    let s = two_dirs();
    fs::write(s.inside("from/f"), "").unwrap();
    let (from, to) = (
        s.root.open_dir(&rel("from")).unwrap(),
        s.root.open_dir(&rel("to")).unwrap(),
    );
    let e = copy_tree(
        &from,
        &to,
        &CopyOptions {
            cancelled: &|| true,
            ..CopyOptions::default()
        },
    )
    .unwrap_err();
    assert!(e.is_cancelled());
    assert!(s.root.list(&rel("to")).unwrap().is_empty());
}

#[test]
fn mounts_in_the_source_are_left_out() {
    with_private_mounts("tests::copy::mounts_in_the_source_are_left_out", || {
        let s = two_dirs();
        fs::create_dir(s.inside("from/mnt")).unwrap();
        fs::write(s.inside("from/file"), "under").unwrap();
        run(
            "mount",
            &[
                "--bind",
                s.outside().to_str().unwrap(),
                s.inside("from/mnt").to_str().unwrap(),
            ],
        );
        let secret = s.outside().join("secret");
        run(
            "mount",
            &[
                "--bind",
                secret.to_str().unwrap(),
                s.inside("from/file").to_str().unwrap(),
            ],
        );
        let stats = copy(&s, "from", "to", OnConflict::Fail).unwrap();
        assert_eq!((stats.mounts_skipped, stats.files), (2, 0));
        assert!(s.root.list(&rel("to/mnt")).unwrap().is_empty());
    });
}

#[test]
fn a_full_disk_says_so() {
    with_private_mounts("tests::copy::a_full_disk_says_so", || {
        let s = two_dirs();
        for i in 0..20_u8 {
            fs::write(s.inside(&format!("from/{i}")), vec![i; 100_000]).unwrap();
        }
        let image = s.inside("image");
        fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
        run(
            "mkfs.ext4",
            &["-q", "-O", "^has_journal", image.to_str().unwrap()],
        );
        run(
            "mount",
            &[
                "-o",
                "loop",
                image.to_str().unwrap(),
                s.inside("to").to_str().unwrap(),
            ],
        );
        let e = copy(&s, "from", "to", OnConflict::MergeReplace).unwrap_err();
        assert!(e.is_no_space(), "{e}");
        assert!(e.path().starts_with(s.inside("to")), "{e}");
    });
}

#[test]
fn another_file_system_gets_the_same_bytes() {
    with_private_mounts("tests::copy::another_file_system_gets_the_same_bytes", || {
        let s = two_dirs();
        let big: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 253) as u8).collect();
        fs::write(s.inside("from/big"), &big).unwrap();
        run(
            "mount",
            &["-t", "tmpfs", "none", s.inside("to").to_str().unwrap()],
        );
        copy(&s, "from", "to", OnConflict::Fail).unwrap();
        assert_eq!(fs::read(s.inside("to/big")).unwrap(), big);
    });
}
