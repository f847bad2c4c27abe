use super::{Stage, rel, run, with_private_mounts};
use crate::{ErrorKind, Kind, never};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `depth` directories inside each other; deeper than any path string may be.
pub(super) fn deep(s: &Stage, first: &str, depth: usize) {
    fs::create_dir(s.inside(first)).unwrap();
    let mut at: std::os::fd::OwnedFd = fs::File::open(s.inside(first)).unwrap().into();
    let name = "d".repeat(100);
    for _ in 1..depth {
        rustix::fs::mkdirat(&at, &name, 0o755.into()).unwrap();
        at = crate::root::open_subdir(at.as_fd(), OsStr::new(&name)).unwrap();
    }
    crate::write::create_new(at.as_fd(), OsStr::new("bottom"), 0o644).unwrap();
}

#[test]
fn a_hostile_tree_goes_and_what_its_links_point_to_stays() {
    let s = Stage::new();
    fs::create_dir_all(s.inside("j/a/b")).unwrap();
    s.link(s.outside(), "j/a/out");
    s.link(s.outside().join("secret"), "j/secret");
    s.link("/", "j/a/b/slash");
    s.link("nowhere", "j/dangling");
    s.fifo("j/fifo");
    let _listener = UnixListener::bind(s.inside("j/sock")).unwrap();
    s.root
        .make_node(&rel("j/null"), Kind::CharDevice, 0o666, (1, 3))
        .unwrap();
    fs::hard_link(s.outside().join("secret"), s.inside("j/hard")).unwrap();
    fs::write(s.inside("j").join(OsStr::from_bytes(b"\xff\n")), "").unwrap();
    fs::write(s.inside("j").join("n".repeat(255)), "").unwrap();
    fs::set_permissions(s.inside("j/a"), Permissions::from_mode(0o000)).unwrap();
    assert!(s.root.remove_tree(&rel("j"), &never).unwrap());
    assert!(!s.inside("j").exists());
    assert!(!s.root.remove_tree(&rel("j"), &never).unwrap());
    s.assert_outside_untouched();
}

#[test]
fn a_link_in_the_place_of_the_tree_goes_alone() {
    let s = Stage::new();
    s.link(s.outside(), "j");
    assert!(s.root.remove_tree(&rel("j"), &never).unwrap());
    assert!(fs::symlink_metadata(s.inside("j")).is_err());
    s.assert_outside_untouched();
}

#[test]
fn depth_is_no_limit() {
    let s = Stage::new();
    deep(&s, "j", 400);
    assert_eq!(s.root.tree_size(&rel("j"), &never).unwrap().files, 1);
    assert!(s.root.remove_tree(&rel("j"), &never).unwrap());
    assert!(!s.inside("j").exists());
}

fn refuses_and_deletes_nothing(s: &Stage, mounted: &str) {
    let seen = s.root.check_unmounted(&rel("j"), &never).unwrap_err();
    assert!(
        matches!(seen.kind(), ErrorKind::Mounted) && seen.path().ends_with(mounted),
        "{seen}"
    );
    let e = s.root.remove_tree(&rel("j"), &never).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Mounted), "{e}");
    assert!(e.path().ends_with(mounted), "{e}");
    assert_eq!(fs::read_to_string(s.inside("j/first")).unwrap(), "1");
    assert!(s.inside("j/a/b").exists());
    s.assert_outside_untouched();
}

fn with_something_to_lose() -> Stage {
    let s = Stage::new();
    fs::create_dir_all(s.inside("j/a/b/c")).unwrap();
    fs::write(s.inside("j/first"), "1").unwrap();
    fs::write(s.inside("j/a/file"), "2").unwrap();
    s
}

#[test]
fn a_bind_mount_of_the_same_file_system_is_refused() {
    with_private_mounts(
        "tests::remove::a_bind_mount_of_the_same_file_system_is_refused",
        || {
            let s = with_something_to_lose();
            let at = s.inside("j/a/b/c");
            run(
                "mount",
                &["--bind", s.outside().to_str().unwrap(), at.to_str().unwrap()],
            );
            refuses_and_deletes_nothing(&s, "root/j/a/b/c");
            run("umount", &[at.to_str().unwrap()]);
            assert!(s.root.remove_tree(&rel("j"), &never).unwrap());
            s.assert_outside_untouched();
        },
    );
}

#[test]
fn a_file_mounted_on_a_file_is_refused() {
    with_private_mounts("tests::remove::a_file_mounted_on_a_file_is_refused", || {
        let s = with_something_to_lose();
        let secret = s.outside().join("secret");
        run(
            "mount",
            &[
                "--bind",
                secret.to_str().unwrap(),
                s.inside("j/a/file").to_str().unwrap(),
            ],
        );
        refuses_and_deletes_nothing(&s, "root/j/a/file");
    });
}

#[test]
fn another_file_system_and_the_tree_itself_mounted_are_refused() {
    with_private_mounts(
        "tests::remove::another_file_system_and_the_tree_itself_mounted_are_refused",
        || {
            let s = with_something_to_lose();
            run(
                "mount",
                &["-t", "tmpfs", "none", s.inside("j/a/b/c").to_str().unwrap()],
            );
            refuses_and_deletes_nothing(&s, "root/j/a/b/c");
            run(
                "mount",
                &[
                    "--bind",
                    s.inside("j").to_str().unwrap(),
                    s.inside("j").to_str().unwrap(),
                ],
            );
            refuses_and_deletes_nothing(&s, "root/j");
        },
    );
}

#[test]
fn cancelling_ends_the_work() {
    let s = Stage::new();
    for i in 0..20 {
        fs::create_dir_all(s.inside(&format!("j/{i}"))).unwrap();
    }
    let asked = AtomicUsize::new(0);
    // 20 entries are looked at first; the sixth deletion is refused.
    let e = s
        .root
        .remove_tree(&rel("j"), &|| asked.fetch_add(1, Ordering::Relaxed) >= 25)
        .unwrap_err();
    assert!(e.is_cancelled());
    assert_eq!(s.root.list(&rel("j")).unwrap().len(), 15);
}
