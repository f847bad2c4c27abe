//! Any tree that goes into an archive comes out as it was.

use super::picture::{assert_same, picture};
use super::{Stage, archived, as_format};
use crate::CreateFormat;
use proptest::prelude::*;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

#[derive(Debug, Clone)]
enum What {
    File { len: usize, holes: Vec<u32> },
    Dir,
    Symlink(Vec<u8>),
    Again(usize),
}

#[derive(Debug, Clone)]
struct Item {
    name: Vec<u8>,
    /// In which of the directories made so far.
    at: usize,
    what: What,
    mode: u32,
    owner: (u32, u32),
    mtime: (u32, u32),
    xattr: Option<Vec<u8>>,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no name has it", |b| *b != 0 && *b != b'/');
    prop::collection::vec(byte, 1..120).prop_filter("taken", |n| n != b"." && n != b"..")
}

fn what() -> impl Strategy<Value = What> {
    let target = prop::collection::vec(1_u8..=255, 1..300);
    prop_oneof![
        3 => (0_usize..5000, prop::collection::vec(0_u32..3_000_000, 0..4))
            .prop_map(|(len, holes)| What::File { len, holes }),
        2 => Just(What::Dir),
        1 => target.prop_map(What::Symlink),
        1 => any::<usize>().prop_map(What::Again),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let xattr = prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
    let owner = (0_u32..5_000_000, 0_u32..5_000_000);
    let mtime = (any::<u32>(), 0_u32..1_000_000_000);
    (
        name(),
        any::<usize>(),
        what(),
        0_u32..0o10000,
        owner,
        mtime,
        xattr,
    )
        .prop_map(|(name, at, what, mode, owner, mtime, xattr)| Item {
            name,
            at,
            what,
            mode,
            owner,
            mtime,
            xattr,
        })
}

fn make(s: &Stage, items: &[Item]) {
    let (mut dirs, mut files, mut all) = (vec![s.inside("")], Vec::new(), Vec::new());
    for item in items {
        let path = dirs[item.at % dirs.len()].join(OsStr::from_bytes(&item.name));
        if fs::symlink_metadata(&path).is_ok() {
            continue;
        }
        match &item.what {
            What::File { len, holes } => {
                let file = File::create(&path).unwrap();
                file.write_all_at(&vec![b'x'; *len], 0).unwrap();
                for at in holes {
                    file.write_all_at(b"y", (*at).into()).unwrap();
                }
                files.push(path.clone());
            }
            What::Dir => {
                fs::create_dir(&path).unwrap();
                dirs.push(path.clone());
            }
            What::Symlink(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            What::Again(_) if files.is_empty() => continue,
            What::Again(n) => {
                fs::hard_link(&files[n % files.len()], &path).unwrap();
                continue;
            }
        }
        all.push((path, item));
    }
    // Deepest last made, first finished: a directory's time changes with its children.
    for (path, item) in all.iter().rev() {
        finish(path, item);
    }
}

fn finish(path: &PathBuf, item: &Item) {
    lchown(path, Some(item.owner.0), Some(item.owner.1)).unwrap();
    if matches!(item.what, What::Symlink(_)) {
        return;
    }
    let file = File::open(path).unwrap();
    if let Some(value) = &item.xattr {
        qjail_os::set_xattr(file.as_fd(), OsStr::new("user.test"), value).unwrap();
    }
    fs::set_permissions(path, Permissions::from_mode(item.mode)).unwrap();
    let (seconds, nanoseconds) = item.mtime;
    let at = SystemTime::UNIX_EPOCH + Duration::new(seconds.into(), nanoseconds);
    file.set_times(FileTimes::new().set_modified(at)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_comes_back(items in prop::collection::vec(item(), 0..25), format in 0..3) {
        let s = Stage::new();
        make(&s, &items);
        let format = [CreateFormat::Tar, CreateFormat::TarGz, CreateFormat::TarXz][format as usize];
        let archive = archived(&s.inside(""), &as_format(format));
        let into = Stage::new();
        into.extract(&archive).unwrap();
        assert_same(&picture(&s.inside("")), &picture(&into.inside("")));
    }
}
