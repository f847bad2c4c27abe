use super::{Stage, rel};
use crate::{CopyOptions, CopyStats, Kind, Meta, RelPath, Root, copy_tree};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};

fn copied(s: &Stage) -> (Root, CopyStats) {
    fs::create_dir(s.inside("to")).unwrap();
    let (from, to) = (
        s.root.open_dir(&rel("from")).unwrap(),
        s.root.open_dir(&rel("to")).unwrap(),
    );
    let stats = copy_tree(&from, &to, &CopyOptions::default()).unwrap();
    (to, stats)
}

fn with_source() -> Stage {
    let s = Stage::new();
    fs::create_dir(s.inside("from")).unwrap();
    s
}

fn both(s: &Stage, path: &str) -> (Meta, Meta) {
    let meta = |side: &str| s.root.metadata(&rel(side).join(path).unwrap()).unwrap().unwrap();
    (meta("from"), meta("to"))
}

fn assert_same(s: &Stage, path: &str) {
    let (a, b) = both(s, path);
    assert_eq!(
        (a.kind, a.mode, a.uid, a.gid, a.nlink, a.mtime, a.rdev),
        (b.kind, b.mode, b.uid, b.gid, b.nlink, b.mtime, b.rdev),
        "{path}"
    );
}

fn own(s: &Stage, path: &str, owner: (u32, u32), mode: Option<u32>) {
    s.root.set_owner(&rel(path), owner.0, owner.1).unwrap();
    if let Some(mode) = mode {
        s.root.set_mode(&rel(path), mode).unwrap();
    }
    s.root
        .set_mtime(&rel(path), (1_000_000_007, 123_456_789))
        .unwrap();
}

#[test]
fn owner_mode_and_times_of_every_kind_are_kept() {
    let s = with_source();
    fs::create_dir(s.inside("from/dir")).unwrap();
    fs::write(s.inside("from/dir/su"), "#!").unwrap();
    s.link("/nowhere", "from/link");
    s.fifo("from/fifo");
    s.root
        .make_node(&rel("from/dev"), Kind::BlockDevice, 0o600, (259, 70_000))
        .unwrap();
    own(&s, "from/dir/su", (0, 1001), Some(0o6755));
    own(&s, "from/dir", (1002, 3), Some(0o3711));
    own(&s, "from/link", (77, 78), None);
    own(&s, "from/fifo", (1, 2), Some(0o622));
    own(&s, "from/dev", (1, 2), Some(0o777));
    own(&s, "from", (9, 10), Some(0o750));
    let (_, stats) = copied(&s);
    for path in ["dir", "dir/su", "link", "fifo", "dev", "."] {
        assert_same(&s, path);
    }
    assert_eq!(
        (stats.files, stats.dirs, stats.links, stats.nodes, stats.bytes),
        (1, 1, 1, 2, 2)
    );
}

#[test]
fn further_names_stay_further_names() {
    let s = with_source();
    fs::create_dir(s.inside("from/a")).unwrap();
    fs::create_dir(s.inside("from/b")).unwrap();
    fs::write(s.inside("from/a/one"), "text").unwrap();
    fs::hard_link(s.inside("from/a/one"), s.inside("from/b/two")).unwrap();
    fs::hard_link(s.inside("from/a/one"), s.inside("from/three")).unwrap();
    s.link("x", "from/a/link");
    fs::hard_link(s.inside("from/a/link"), s.inside("from/b/link")).unwrap();
    for dir in ["from/a", "from/b", "from"] {
        s.root.set_mtime(&rel(dir), (500, 0)).unwrap();
    }
    let (_, stats) = copied(&s);
    assert_eq!(
        (stats.files, stats.links, stats.hard_links, stats.bytes),
        (1, 1, 3, 4)
    );
    let ino = |path: &str| fs::symlink_metadata(s.inside(path)).unwrap().ino();
    assert_eq!(ino("to/a/one"), ino("to/b/two"));
    assert_eq!(ino("to/a/one"), ino("to/three"));
    assert_eq!(ino("to/a/link"), ino("to/b/link"));
    for path in ["a", "b", ".", "a/one", "b/link"] {
        assert_same(&s, path);
    }
}

#[test]
fn a_name_outside_the_tree_is_no_further_name() {
    let s = with_source();
    fs::hard_link(s.outside().join("secret"), s.inside("from/hard")).unwrap();
    let (to, stats) = copied(&s);
    assert_eq!((stats.files, stats.hard_links), (1, 0));
    assert_eq!(to.metadata(&rel("hard")).unwrap().unwrap().nlink, 1);
}

#[test]
fn holes_stay_holes() {
    let s = with_source();
    let file = fs::File::create(s.inside("from/sparse")).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(b"x", 500 << 20).unwrap();
    let (to, stats) = copied(&s);
    let found = to.metadata(&rel("sparse")).unwrap().unwrap();
    assert_eq!((found.size, stats.bytes), (1 << 30, 1 << 30));
    assert!(found.allocated < 1 << 20, "{} bytes allocated", found.allocated);
    let mut byte = [0];
    fs::File::open(s.inside("to/sparse"))
        .unwrap()
        .read_exact_at(&mut byte, 500 << 20)
        .unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn attributes_capabilities_and_access_lists_are_kept() {
    let s = with_source();
    fs::write(s.inside("from/ping"), "#!").unwrap();
    fs::create_dir(s.inside("from/dir")).unwrap();
    own(&s, "from/ping", (0, 55), Some(0o750));
    // linux/capability.h: revision 2, effective, CAP_NET_RAW permitted.
    let capability = [&[1_u8, 0, 0, 2, 0, 0x20, 0, 0][..], &[0; 12]].concat();
    // acl(5) as the kernel keeps it: version 2; owner rwx, user 1000 r-x, group r-x, mask r-x, others none.
    let entry = |tag: u16, rights: u16, id: u32| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let none = u32::MAX;
    let acl = [
        2_u32.to_le_bytes().to_vec(),
        entry(1, 7, none),
        entry(2, 5, 1000),
        entry(4, 5, none),
        entry(16, 5, none),
        entry(32, 0, none),
    ]
    .concat();
    let attributes: [(&str, &str, &[u8]); 6] = [
        ("ping", "security.capability", &capability),
        ("ping", "user.note", b"\0\xff"),
        ("ping", "trusted.secret", b"t"),
        ("ping", "system.posix_acl_access", &acl),
        ("dir", "system.posix_acl_default", &acl),
        ("dir", "user.dir", b"d"),
    ];
    for (path, name, value) in attributes {
        s.root
            .set_xattr(&rel("from").join(path).unwrap(), OsStr::new(name), value)
            .unwrap();
    }
    let (to, stats) = copied(&s);
    assert_eq!(stats.attributes_lost, 0);
    for (path, name, value) in attributes {
        let file = fs::File::open(s.inside("to").join(path)).unwrap();
        let found = qjail_os::get_xattr(file.as_fd(), OsStr::new(name)).unwrap();
        assert_eq!(found.as_deref(), Some(value), "{name} of {path}");
    }
    let (a, b) = both(&s, "ping");
    assert_eq!((a.mode, a.uid, a.gid), (b.mode, b.uid, b.gid));
    let names: Vec<OsString> = to
        .list(&RelPath::root())
        .unwrap()
        .into_iter()
        .map(|e| e.name)
        .collect();
    assert_eq!(names, ["dir", "ping"]);
}
