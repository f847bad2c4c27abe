//! Archives that want too much, and numbers that are none.

use super::builder::{Tar, set_size};
use super::{Stage, options, with_private_mounts};
use crate::{ArchiveError, ExtractOptions, Looks, extract, list};
use flate2::Compression;
use flate2::write::GzEncoder;
use qjail_fs::{Root, never};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[test]
fn sizes_that_no_file_has_are_refused() {
    let with = |field: [u8; 12]| {
        let tar = Tar::new()
            .file("ok", "")
            .raw(b'0', b"f", |block| block[124..136].copy_from_slice(&field));
        Stage::new().refusal(&tar.end())
    };
    let no_number =
        "the archive is corrupt after 1 entries: the size of an entry is no number that a file can have";
    assert_eq!(with([0xff; 12]), no_number);
    assert_eq!(with(*b"-0000000001\0"), no_number);
    assert_eq!(with(*b"99999999999\0"), no_number);
    assert_eq!(with(*b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), no_number);
    assert_eq!(
        with(*b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"),
        "the archive holds more than 68719476736 bytes of files"
    );
    assert_eq!(
        with(*b"00000400000\0"),
        "unexpected end of the archive after 1 entries"
    );
    for size in [
        b"-1".as_slice(),
        b"+1",
        b"99999999999999999999",
        b"18446744073709551615",
        b"1x",
    ] {
        let e = Stage::new().refusal(&Tar::new().pax(&[("size", size)]).file("f", "").end());
        assert!(e.starts_with("the archive is corrupt"), "{e}");
    }
}

#[test]
fn base_256_and_pax_sizes_count() {
    let s = Stage::new();
    let base_256 = |block: &mut [u8; 512]| block[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x03");
    let tar = Tar::new().raw(b'0', b"f", base_256).bytes(b"abc");
    // The record counts, the header's own size does not.
    let tar = tar
        .pax(&[("size", b"4"), ("path", b"renamed")])
        .raw(b'0', b"g", |block| set_size(block, 9_000));
    s.extract(&tar.bytes(b"abcd").file("last", "!").end()).unwrap();
    assert_eq!(fs::read_to_string(s.inside("f")).unwrap(), "abc");
    assert_eq!(fs::read_to_string(s.inside("renamed")).unwrap(), "abcd");
    assert_eq!(fs::read_to_string(s.inside("last")).unwrap(), "!");
}

#[test]
fn owners_and_modes_that_no_system_has_are_refused() {
    for (at, field) in [
        (108, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        (116, b"\x80\0\0\0\xff\xff\xff\xff"),
        (100, b"rwxr-xr-"),
    ] {
        let tar = Tar::new().raw(b'0', b"f", |block| block[at..at + 8].copy_from_slice(field));
        let e = Stage::new().refusal(&tar.end());
        assert!(e.starts_with("the archive is corrupt after 0 entries"), "{e}");
    }
    let e = Stage::new().refusal(&Tar::new().pax(&[("uid", b"4294967296")]).file("f", "").end());
    assert!(e.contains("owner or group"), "{e}");
}

#[test]
fn extended_headers_are_bounded() {
    // It claims a terabyte and brings zeros without end: neither is taken.
    let huge = Tar::new().raw(b'x', b"p", |block| {
        block[124..136].copy_from_slice(b"\x80\0\0\0\0\0\x01\0\0\0\0\0");
    });
    let e = Stage::new().refusal(&huge.end());
    assert!(
        e.ends_with("the extended headers of one entry are too large"),
        "{e}"
    );
    let many = (0..100).fold(Tar::new(), |tar, _| tar.pax(&[("comment", b"x")]));
    assert!(
        Stage::new()
            .refusal(&many.file("f", "").end())
            .contains("too large")
    );
    let alone = Tar::new().file("a", "").pax(&[("path", b"b")]);
    assert!(Stage::new().refusal(&alone.end()).contains("does not follow"));
    let malformed = Tar::new().of_type(b'x', b"p", b"999 path=x\n").file("f", "");
    assert!(Stage::new().refusal(&malformed.end()).contains("malformed"));
}

#[test]
fn what_must_wait_for_the_end_is_bounded() {
    let value = vec![b'x'; 7 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for i in 0..20 {
        let tar = Tar::new()
            .pax(&[("SCHILY.xattr.user.x", &value)])
            .dir(&format!("d{i}"));
        encoder.write_all(&tar.without_end()).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    let e = Stage::new().refusal(&encoder.finish().unwrap());
    assert!(
        e.starts_with("entry d18: up to here the archive has more attributes"),
        "{e}"
    );
}

#[test]
fn maps_of_holes_that_do_not_fit_are_refused() {
    let pax = |map: &[u8], size: &[u8], data: &str| {
        let records = [("GNU.sparse.map", map), ("GNU.sparse.size", size)];
        Stage::new().refusal(&Tar::new().pax(&records).file("f", data).end())
    };
    for (map, size, data) in [
        (b"0,1,0,1".as_slice(), b"10".as_slice(), "ab"),
        (b"9,2", b"10", "ab"),
        (b"0,1", b"10", "ab"),
        (b"0,1,4", b"10", "ab"),
        (b"18446744073709551615,2", b"18446744073709551615", "ab"),
        (b"0,2", b"99999999999999999999", "ab"),
        (b"0,2", b"18446744073709551615", "ab"),
    ] {
        let e = pax(map, size, data);
        assert!(e.ends_with("the map of a file with holes is malformed"), "{e}");
    }
    let records = [
        ("GNU.sparse.major", b"1".as_slice()),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.realsize", b"5"),
    ];
    for data in ["", "1\n", "9999999999\n", "x"] {
        let e = Stage::new().refusal(&Tar::new().pax(&records).file("f", data).end());
        assert!(
            e.ends_with("the map of a file with holes is malformed"),
            "{data:?}: {e}"
        );
    }
    // GNU's own form: a chain of blocks that adds nothing.
    let tar = Tar::new().raw(b'S', b"f", |block| block[482] = 1);
    let mut block = [0; 512];
    block[504] = 1;
    let e = Stage::new().refusal(&tar.bytes(&block).bytes(&block).end());
    assert!(e.ends_with("the map of a file with holes is malformed"), "{e}");
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let s = Stage::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let size = 200 << 20;
    encoder
        .write_all(
            &Tar::new()
                .raw(b'0', b"f", |block| set_size(block, size))
                .without_end(),
        )
        .unwrap();
    for _ in 0..200 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let limited = ExtractOptions {
        max_bytes: 1 << 20,
        ..options()
    };
    let e = s.extract_with(&bomb, &limited).unwrap_err();
    assert!(
        matches!(e, ArchiveError::TooManyBytes { limit: 1_048_576 }),
        "{e}"
    );
    // Together they are too large.
    let limited = ExtractOptions {
        max_bytes: 5,
        ..options()
    };
    let tar = Tar::new().file("a", "123").file("b", "45").file("c", "6");
    let e = s.extract_with(&tar.end(), &limited).unwrap_err();
    assert!(matches!(e, ArchiveError::TooManyBytes { limit: 5 }), "{e}");
    assert!(s.inside("b").exists() && !s.inside("c").exists());
    let limited = ExtractOptions {
        max_entries: 2,
        ..options()
    };
    let tar = Tar::new().file("a", "").file("b", "").file("c", "");
    let e = s.extract_with(&tar.end(), &limited).unwrap_err();
    assert!(matches!(e, ArchiveError::TooManyEntries { limit: 2 }), "{e}");
}

#[test]
fn zeros_without_end_after_the_archive_are_garbage() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&Tar::new().file("a", "").end()).unwrap();
    for _ in 0..70 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let e = Stage::new().extract(&encoder.finish().unwrap()).unwrap_err();
    assert!(matches!(e, ArchiveError::Garbage), "{e}");
}

#[test]
fn unknown_kinds_are_refused_and_labels_passed_over() {
    let s = Stage::new();
    assert_eq!(
        s.refusal(&Tar::new().of_type(b'M', b"v", b"").end()),
        "entry v: its type 'M' is not supported"
    );
    let tar = Tar::new()
        .of_type(b'V', b"label", b"")
        .of_type(b'7', b"f", b"1")
        .of_type(0, b"old/", b"");
    assert_eq!(s.extract(&tar.end()).unwrap().entries, 2);
    assert!(s.inside("old").is_dir() && !s.inside("label").exists());
}

#[test]
fn what_is_no_archive_is_told_so() {
    for (bytes, looks) in [
        (b"".as_slice(), Looks::Empty),
        (b"<html>", Looks::Html),
        (b"just text\n", Looks::Text),
        (b"\x7fELF", Looks::Elf),
    ] {
        let e = Stage::new().extract(bytes).unwrap_err();
        assert!(
            matches!(e, ArchiveError::NotArchive(found) if found == looks),
            "{e}"
        );
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        let e = Stage::new().extract(&encoder.finish().unwrap()).unwrap_err();
        assert!(
            matches!(e, ArchiveError::NotArchive(found) if found == looks),
            "{e}"
        );
    }
    let e = Stage::new().refusal(b"BZh91AY&SY");
    assert!(
        e.starts_with("this is a bzip2 archive, which is not supported; use tar"),
        "{e}"
    );
    let page = fs::read("/bin/sh").unwrap();
    assert_eq!(
        Stage::new().refusal(&page),
        "this is no archive but an ELF program"
    );
}

#[test]
fn cancelling_ends_the_work_between_entries_and_inside_one() {
    let s = Stage::new();
    let tar = (0..10)
        .fold(Tar::new(), |tar, i| tar.file(&format!("f{i}"), ""))
        .end();
    let asked = AtomicU32::new(0);
    let cancelled = || asked.fetch_add(1, Relaxed) == 3;
    let e = extract(tar.as_slice(), &s.root, &options(), &cancelled, &mut |_| {}).unwrap_err();
    assert!(e.is_cancelled());
    assert!(s.inside("f2").exists() && !s.inside("f3").exists());
    let large = Tar::new().file("large", &"x".repeat(3 << 20)).end();
    asked.store(0, Relaxed);
    let e = extract(large.as_slice(), &s.root, &options(), &cancelled, &mut |_| {}).unwrap_err();
    assert!(e.is_cancelled());
    assert!(fs::metadata(s.inside("large")).unwrap().len() < 3 << 20);
}

#[test]
fn progress_tells_what_was_read_and_written() {
    let s = Stage::new();
    let tar = Tar::new().file("a", "123").dir("d").file("d/b", "45").end();
    let (seen, last) = (Cell::new(0), Cell::new((0, 0, 0)));
    let mut progress = |p: &crate::Progress<'_>| {
        seen.set(seen.get() + 1);
        last.set((p.read, p.bytes, p.entries));
    };
    let done = extract(tar.as_slice(), &s.root, &options(), &never, &mut progress).unwrap();
    assert_eq!((done.entries, done.bytes), (3, 5));
    assert_eq!(last.get(), (tar.len() as u64, 5, 3));
    assert_eq!(seen.get(), 5);
}

#[test]
fn a_list_has_all_and_can_be_broken_off() {
    let tar = Tar::new()
        .file("a", "123")
        .symlink("l", "../x")
        .file("../evil", "")
        .end();
    let mut names = Vec::new();
    let all = list(tar.as_slice(), &options().decode, |info| {
        names.push(info.path);
        ControlFlow::Continue(())
    });
    assert_eq!(all.unwrap(), 3);
    assert_eq!(names, ["a", "l", "../evil"].map(std::path::PathBuf::from));
    let one = list(tar.as_slice(), &options().decode, |_| ControlFlow::Break(()));
    assert_eq!(one.unwrap(), 1);
}

#[test]
fn a_full_disk_is_told_in_one_line() {
    with_private_mounts("tests::bounds::a_full_disk_is_told_in_one_line", || {
        let s = Stage::new();
        let at = s.inside("");
        super::run(
            "mount",
            &["-t", "tmpfs", "-o", "size=64k", "none", at.to_str().unwrap()],
            &at,
        );
        let root = Root::open(&at).unwrap();
        let tar = Tar::new().file("big", &"x".repeat(200_000)).end();
        let e = extract(tar.as_slice(), &root, &options(), &never, &mut |_| {}).unwrap_err();
        assert!(e.is_no_space(), "{e}");
        assert!(
            e.to_string()
                .starts_with("entry big: cannot write it: No space left on device"),
            "{e}"
        );
    });
}
