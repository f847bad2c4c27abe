use super::{SECRET, Stage, rel};
use crate::{CopyOptions, OnConflict, Root, WriteOptions, copy_tree, never};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TIME: Duration = Duration::from_millis(700);

/// Runs `work` again and again while another thread swaps the directory `root/d` for a link to `outside` and back.
fn while_swapping(s: &Stage, mut work: impl FnMut()) {
    fs::create_dir_all(s.inside("d/secret")).unwrap();
    s.link(s.outside(), "evil");
    let done = AtomicBool::new(false);
    let (a, b) = (rel("d"), rel("evil"));
    let swapped = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut count = 0_u64;
            while !done.load(Ordering::Relaxed) {
                count += u64::from(s.root.exchange(&a, &b).is_ok());
                let _ = fs::create_dir_all(s.inside("d/sub/secret"));
                let _ = fs::create_dir(s.inside("d"));
            }
            count
        });
        let start = Instant::now();
        while start.elapsed() < TIME {
            work();
        }
        done.store(true, Ordering::Relaxed);
        swapper.join().unwrap()
    });
    assert!(swapped > 10, "only {swapped} swaps: the test shows nothing");
}

fn assert_untouched(outside: &Path) {
    // The swapper itself makes directories through the link: what counts is that ours are not there.
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), SECRET);
    for ours in ["written", "made", "copied"] {
        assert!(
            fs::symlink_metadata(outside.join(ours)).is_err(),
            "{ours} outside"
        );
    }
}

#[test]
fn writing_never_leaves_the_root() {
    let s = Stage::new();
    let options = WriteOptions {
        sync: false,
        ..WriteOptions::default()
    };
    let mut written = 0;
    while_swapping(&s, || {
        written += u64::from(s.root.write(&rel("d/written"), b"x", &options).is_ok());
        let _ = s.root.make_dirs(&rel("d/made/deeper"), 0o755, None);
        let _ = s.root.set_mode(&rel("d/secret"), 0o777);
    });
    assert!(
        written > 10,
        "only {written} files were written: the test shows nothing"
    );
    assert_untouched(&s.outside());
}

#[test]
fn deleting_never_leaves_the_root() {
    let s = Stage::new();
    let mut deleted = 0;
    while_swapping(&s, || {
        deleted += u64::from(s.root.remove_tree(&rel("d/sub"), &never).is_ok_and(|d| d));
        let _ = s.root.remove_file(&rel("d/secret"));
        let _ = s.root.remove_tree(&rel("d"), &never);
    });
    assert!(
        deleted > 3,
        "only {deleted} trees were deleted: the test shows nothing"
    );
    assert_untouched(&s.outside());
}

#[test]
fn merging_never_leaves_the_root() {
    let s = Stage::new();
    let from = tempfile::tempdir().unwrap();
    fs::create_dir(from.path().join("d")).unwrap();
    fs::write(from.path().join("d/copied"), "x").unwrap();
    let source = Root::open(from.path()).unwrap();
    let options = CopyOptions {
        on_conflict: OnConflict::MergeReplace,
        threads: 2,
        ..CopyOptions::default()
    };
    let mut copied = 0;
    while_swapping(&s, || {
        copied += u64::from(copy_tree(&source, &s.root, &options).is_ok());
    });
    assert!(copied > 3, "only {copied} merges worked: the test shows nothing");
    assert_untouched(&s.outside());
}
