use super::{SECRET, Stage, rel};
use crate::{ErrorKind, Kind, RelPath, Root};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

#[test]
fn a_link_is_followed_nowhere() {
    let s = Stage::new();
    s.link(s.outside(), "dir");
    s.link(s.outside().join("secret"), "file");
    s.link("nowhere", "dangling");
    s.link("/", "slash");
    s.link("loop", "loop");
    fs::create_dir(s.inside("a")).unwrap();
    s.link("../dir", "a/inner");
    for path in [
        "dir/secret",
        "file",
        "dangling",
        "slash/etc/passwd",
        "loop",
        "loop/x",
        "a/inner/secret",
    ] {
        let e = s.root.read(&rel(path), 1000).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Link { .. }), "{path}: {e}");
    }
    for path in ["dir", "file", "dangling", "slash", "a/inner", "dir/x"] {
        assert!(s.root.list(&rel(path)).is_err());
        assert!(s.root.open_dir(&rel(path)).is_err());
    }
    let e = s.root.metadata(&rel("a/inner/secret")).unwrap_err();
    let said = e.to_string();
    assert!(
        said.ends_with("/root/a/inner/secret: inner is a symbolic link, and links are not followed"),
        "{said}"
    );
}

#[test]
fn a_link_at_the_end_is_described_and_read_as_a_link() {
    let s = Stage::new();
    s.link("/etc/passwd", "l");
    assert_eq!(s.root.metadata(&rel("l")).unwrap().unwrap().kind, Kind::Link);
    assert_eq!(s.root.read_link(&rel("l")).unwrap(), "/etc/passwd");
    fs::write(s.inside("f"), "").unwrap();
    let e = s.root.read_link(&rel("f")).unwrap_err();
    assert!(
        matches!(
            e.kind(),
            ErrorKind::WrongKind {
                expected: Kind::Link,
                found: Kind::File,
                ..
            }
        ),
        "{e}"
    );
}

#[test]
fn what_is_no_regular_file_is_not_read_and_nothing_hangs() {
    let s = Stage::new();
    s.fifo("fifo");
    fs::create_dir(s.inside("dir")).unwrap();
    let _listener = UnixListener::bind(s.inside("sock")).unwrap();
    s.root
        .make_node(&rel("null"), Kind::CharDevice, 0o666, (1, 3))
        .unwrap();
    s.root
        .make_node(&rel("disk"), Kind::BlockDevice, 0o666, (7, 250))
        .unwrap();
    let kinds = [
        ("fifo", Kind::Fifo),
        ("dir", Kind::Dir),
        ("sock", Kind::Socket),
        ("null", Kind::CharDevice),
        ("disk", Kind::BlockDevice),
    ];
    for (path, kind) in kinds {
        let e = s.root.read(&rel(path), 10).unwrap_err();
        assert!(
            matches!(e.kind(), ErrorKind::WrongKind { found, .. } if *found == kind),
            "{e}"
        );
        assert!(s.root.open_file(&rel(path)).is_err());
        assert_eq!(s.root.metadata(&rel(path)).unwrap().unwrap().kind, kind);
    }
    assert!(
        s.root
            .list(&rel("fifo"))
            .unwrap_err()
            .to_string()
            .ends_with("fifo is a FIFO, not a directory")
    );
}

#[test]
fn a_file_larger_than_the_limit_is_refused() {
    let s = Stage::new();
    fs::write(s.inside("f"), "12345").unwrap();
    assert_eq!(s.root.read(&rel("f"), 5).unwrap(), b"12345");
    let e = s.root.read(&rel("f"), 4).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::TooLarge { limit: 4 }));
    fs::write(s.inside("b"), b"\xff").unwrap();
    assert!(matches!(
        s.root.read_to_string(&rel("b"), 5).unwrap_err().kind(),
        ErrorKind::NotText
    ));
}

#[test]
fn what_is_missing_is_none_or_says_so() {
    let s = Stage::new();
    assert_eq!(s.root.metadata(&rel("no")).unwrap(), None);
    assert_eq!(s.root.metadata(&rel("no/such/dir")).unwrap(), None);
    assert!(s.root.read(&rel("no"), 1).unwrap_err().is_not_found());
    fs::write(s.inside("f"), "").unwrap();
    assert!(s.root.metadata(&rel("f/x")).is_err());
}

#[test]
fn names_come_sorted_whatever_bytes_they_have() {
    let s = Stage::new();
    let odd = OsStr::from_bytes(b"\xff\xfe");
    let long = "n".repeat(255);
    for name in [OsStr::new("b"), OsStr::new("a"), odd, OsStr::new(&long)] {
        fs::write(s.inside("").join(name), "x").unwrap();
    }
    let listed = s.root.list(&RelPath::root()).unwrap();
    let names: Vec<_> = listed.iter().map(|e| e.name.as_os_str()).collect();
    assert_eq!(names, [OsStr::new("a"), OsStr::new("b"), OsStr::new(&long), odd]);
    assert_eq!(s.root.read(&RelPath::new(odd).unwrap(), 1).unwrap(), b"x");
    assert!(s.root.read(&rel(&"n".repeat(256)), 1).is_err());
}

#[test]
fn a_root_is_opened_by_an_absolute_path_only() {
    assert!(matches!(
        Root::open(Path::new("tmp")).unwrap_err().kind(),
        ErrorKind::NotAbsolute
    ));
    assert!(
        Root::open(Path::new("/no/such/place"))
            .unwrap_err()
            .is_not_found()
    );
    assert!(Root::open(Path::new("/etc/passwd")).is_err());
}

#[test]
fn a_tree_is_counted_by_its_own_files_only() {
    let s = Stage::new();
    fs::create_dir(s.inside("d")).unwrap();
    fs::write(s.inside("d/a"), "12345").unwrap();
    fs::hard_link(s.inside("d/a"), s.inside("d/b")).unwrap();
    s.link(s.outside(), "d/link");
    let size = s.root.tree_size(&RelPath::root(), &crate::never).unwrap();
    assert_eq!((size.files, size.bytes), (3, 5));
    assert!(
        s.root
            .tree_size(&RelPath::root(), &|| true)
            .unwrap_err()
            .is_cancelled()
    );
    assert_eq!(fs::read_to_string(s.outside().join("secret")).unwrap(), SECRET);
}
