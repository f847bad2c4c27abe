//! Files and directories that must not be believed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{Drive, EVIL, install, set_mode, trusted_dir};

/// The only line, which must be a refusal, with nothing loaded.
fn refusal(dir: &Path) -> String {
    let mut lines = Drive::new(dir).run(&["load-count"]);
    assert_eq!(lines.pop().as_deref(), Some("load-count 0"), "{lines:?}");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(trusted_dir().path()).unwrap().uid() == 0
}

#[test]
fn files_that_others_can_write() {
    for (mode, told) in [
        (0o666, "(mode 0666)"),
        (0o664, "(mode 0664)"),
        (0o646, "(mode 0646)"),
    ] {
        let dir = trusted_dir();
        set_mode(&install(dir.path(), EVIL), mode);
        let line = refusal(dir.path());
        assert!(
            line.contains("can be written by others than root") && line.contains(told),
            "{line}"
        );
        assert!(
            line.contains(&format!("[chmod go-w {}/{EVIL}", dir.path().display())),
            "{line}"
        );
    }
}

#[test]
fn files_that_are_setuid() {
    let dir = trusted_dir();
    set_mode(&install(dir.path(), EVIL), 0o4755);
    assert!(refusal(dir.path()).contains("is setuid or setgid (mode 4755)"));
}

#[test]
fn files_of_another_user() {
    if !is_root() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let dir = trusted_dir();
    let file = install(dir.path(), EVIL);
    std::os::unix::fs::chown(&file, Some(65534), None).unwrap();
    let line = refusal(dir.path());
    assert!(
        line.contains("belongs to user 65534, not to root [chown root "),
        "{line}"
    );
}

#[test]
fn directories_that_others_can_write() {
    let outer = trusted_dir();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    set_mode(&inner, 0o755);
    install(&inner, EVIL);
    assert!(Drive::new(&inner).run(&[])[0].starts_with("used evil"));
    set_mode(outer.path(), 0o1777);
    let line = refusal(&inner);
    assert!(
        line.contains("can be written by others than root (mode 1777)"),
        "{line}"
    );
    assert!(
        line.contains("[move the plugins to a directory that only root can write]"),
        "{line}"
    );
    set_mode(outer.path(), 0o755);
    set_mode(&inner, 0o775);
    assert!(refusal(&inner).contains("inner can be written by others than root (mode 0775)"));
}

#[test]
fn the_place_for_temporary_files_is_no_place_for_plugins() {
    let dir = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
    install(dir.path(), EVIL);
    assert!(refusal(dir.path()).contains("/tmp can be written by others than root (mode 1777)"));
}

#[test]
fn links_to_files_and_things_that_are_no_files() {
    let (dir, elsewhere) = (trusted_dir(), trusted_dir());
    let path = dir.path().join(EVIL);
    symlink(install(elsewhere.path(), EVIL), &path).unwrap();
    assert!(refusal(dir.path()).contains("is a symbolic link"));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(refusal(dir.path()).contains("is no regular file"));
    fs::remove_dir(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(refusal(dir.path()).contains("is no regular file"));
}

#[test]
fn links_to_directories_are_followed_as_far_as_they_can_be_trusted() {
    let dir = trusted_dir();
    let real = dir.path().join("real");
    fs::create_dir(&real).unwrap();
    set_mode(&real, 0o755);
    install(&real, EVIL);
    symlink("real", dir.path().join("relative")).unwrap();
    symlink(&real, dir.path().join("absolute")).unwrap();
    symlink("../real/.", real.join("up")).unwrap();
    for link in ["relative", "absolute", "relative/up", "real/../absolute"] {
        let lines = Drive::new(&dir.path().join(link)).run(&["plan"]);
        assert!(lines[0].starts_with("used evil"), "{link}: {lines:?}");
        assert!(lines[1].starts_with("plan {"), "{link}: {lines:?}");
    }
    // A link that stands where others can change it.
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    symlink(&real, open.join("link")).unwrap();
    set_mode(&open, 0o777);
    assert!(refusal(&open.join("link")).contains("open can be written by others than root (mode 0777)"));
    // A link that leads to such a place.
    install(&open, EVIL);
    symlink(&open, dir.path().join("to-open")).unwrap();
    assert!(refusal(&dir.path().join("to-open")).contains("open can be written by others"));
}

#[test]
fn relative_directories_are_not_looked_into() {
    let lines = Drive::new(Path::new("plugins")).run(&[]);
    assert_eq!(
        lines,
        [
            "refused (any): plugins are taken from absolute paths only, not from plugins [write the path from / down]"
        ]
    );
}

#[test]
fn directories_that_do_not_exist_are_passed_over() {
    assert!(Drive::new(Path::new("/no/such/directory")).run(&[]).is_empty());
}

#[test]
fn links_in_a_circle_end() {
    let dir = trusted_dir();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    assert!(
        Drive::new(&dir.path().join("a")).run(&[]).is_empty(),
        "nothing can be listed there"
    );
}
