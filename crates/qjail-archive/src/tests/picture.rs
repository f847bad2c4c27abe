//! All that a user could see of a tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: (i64, i64),
    pub(super) rdev: u64,
    /// Content, target, or nothing.
    pub(super) content: Vec<u8>,
    pub(super) holes: bool,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
    /// The first path with the same inode.
    pub(super) same_as: PathBuf,
}

pub(super) type Picture = BTreeMap<PathBuf, Seen>;

pub(super) fn picture(root: &Path) -> Picture {
    let (mut all, mut inodes) = (Picture::new(), BTreeMap::new());
    add(root, Path::new(""), &mut all, &mut inodes);
    all
}

/// What a format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loses {
    Nothing,
    Holes,
    /// Attributes and parts of a second.
    Fine,
    All,
}

/// The same without that.
pub(super) fn without(mut picture: Picture, loses: Loses) -> Picture {
    for seen in picture.values_mut() {
        if matches!(loses, Loses::Fine | Loses::All) {
            seen.mtime.1 = 0;
            seen.xattrs.clear();
        }
        if matches!(loses, Loses::Holes | Loses::All) {
            seen.holes = false;
        }
    }
    picture
}

fn add(root: &Path, at: &Path, all: &mut Picture, inodes: &mut BTreeMap<u64, PathBuf>) {
    let path = root.join(at);
    let meta = fs::symlink_metadata(&path).unwrap();
    let same_as = if meta.is_dir() || meta.nlink() < 2 {
        at.to_owned()
    } else {
        inodes.entry(meta.ino()).or_insert_with(|| at.to_owned()).clone()
    };
    let content = match () {
        () if meta.is_file() => fs::read(&path).unwrap(),
        () if meta.is_symlink() => fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec(),
        () => Vec::new(),
    };
    let seen = Seen {
        mode: meta.mode(),
        owner: (meta.uid(), meta.gid()),
        mtime: (meta.mtime(), meta.mtime_nsec()),
        rdev: meta.rdev(),
        content,
        holes: meta.is_file() && meta.blocks() * 512 + 4096 < meta.len(),
        xattrs: xattrs(&path, &meta),
        same_as,
    };
    all.insert(at.to_owned(), seen);
    if meta.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        names.sort();
        for name in names {
            add(root, &at.join(name), all, inodes);
        }
    }
}

fn xattrs(path: &Path, meta: &fs::Metadata) -> Vec<(String, Vec<u8>)> {
    if !meta.is_file() && !meta.is_dir() {
        return Vec::new();
    }
    let file = fs::File::open(path).unwrap();
    let mut names = qjail_os::list_xattrs(file.as_fd()).unwrap();
    names.sort();
    let value = |name| qjail_os::get_xattr(file.as_fd(), name).unwrap().unwrap();
    names
        .iter()
        .map(|n| (n.to_string_lossy().into_owned(), value(n)))
        .collect()
}

/// Fails with the entries that differ, not with two whole trees.
pub(super) fn assert_same(a: &Picture, b: &Picture) {
    let differing: Vec<_> = a
        .keys()
        .chain(b.keys())
        .filter(|path| a.get(*path) != b.get(*path))
        .map(|path| (path, a.get(path).map(short), b.get(path).map(short)))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}

fn short(seen: &Seen) -> Seen {
    let mut seen = seen.clone();
    seen.content.truncate(40);
    seen
}
