//! Compressed streams: several after each other, padding, other data behind them.

use super::builder::Tar;
use super::{Stage, archived, as_format, run};
use crate::{ArchiveError, CreateFormat, DecodeOptions, Format, decompress, detect};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{self, Read, Write};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn program(name: &str, args: &[&str], bytes: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in"), bytes).unwrap();
    let args: Vec<&str> = args.iter().copied().chain(["-c", "in"]).collect();
    run(name, &args, dir.path())
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    program("xz", &["-0"], bytes)
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    program("zstd", &["-q", "--check"], bytes)
}

/// Bytes that do not compress well, the same ones every time.
fn noise(len: usize) -> String {
    let mut state = 1_u64;
    let mut step = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + (state >> 33) as u8 % 90)
    };
    (0..len).map(|_| step()).collect()
}

#[test]
fn each_format_is_told_by_its_content() {
    let tar = Tar::new().file("a", "1").end();
    assert_eq!(detect(&tar), Ok(Format::Tar));
    assert_eq!(detect(&gzip(&tar)), Ok(Format::Gzip));
    assert_eq!(detect(&xz(&tar)), Ok(Format::Xz));
    assert_eq!(detect(&zstd(&tar)), Ok(Format::Zstd));
}

#[test]
fn members_one_after_the_other_are_one_archive() {
    let content = noise(700_000);
    let tar = Tar::new().file("a", &content).file("b", "2").end();
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    for cut in [1, 512, 100_000, tar.len() - 1024] {
        let (first, second) = tar.split_at(cut);
        let zeros: &[u8] = &[0; 8];
        for archive in [
            [gzip(first), gzip(second)].concat(),
            [gzip(first), gzip(b""), gzip(second), zeros.to_vec()].concat(),
            [xz(first), xz(second)].concat(),
            [xz(first), zeros.to_vec(), xz(second), zeros.to_vec()].concat(),
            [zstd(first), zstd(second)].concat(),
            [skippable.to_vec(), zstd(first), skippable.to_vec(), zstd(second)].concat(),
        ] {
            let s = Stage::new();
            assert_eq!(s.extract(&archive).unwrap().entries, 2);
            assert_eq!(fs::read_to_string(s.inside("a")).unwrap(), content);
            assert_eq!(fs::read_to_string(s.inside("b")).unwrap(), "2");
        }
    }
}

#[test]
fn other_data_after_the_end_is_refused() {
    let tar = Tar::new().file("a", "1").end();
    let more = b"something else";
    for archive in [
        [tar.as_slice(), more].concat(),
        [tar.as_slice(), &[0; 9000], more].concat(),
        [tar.as_slice(), &tar].concat(),
        [gzip(&tar).as_slice(), more].concat(),
        [gzip(&tar).as_slice(), &[0; 100], more].concat(),
        [xz(&tar).as_slice(), more].concat(),
        [zstd(&tar).as_slice(), more].concat(),
        [xz(&tar), gzip(&tar)].concat(),
        gzip(&[tar.as_slice(), more].concat()),
    ] {
        let e = Stage::new().extract(&archive).unwrap_err();
        assert!(matches!(e, ArchiveError::Garbage), "{e}");
    }
    let padded = [tar.as_slice(), &[0; 9000]].concat();
    Stage::new().extract(&padded).unwrap();
    // One block of zeros is enough to end an archive.
    Stage::new().extract(&tar[..tar.len() - 512]).unwrap();
}

#[test]
fn an_archive_compressed_twice_is_told_so() {
    let twice = xz(&gzip(&Tar::new().file("a", "1").end()));
    let e = Stage::new().refusal(&twice);
    assert!(e.starts_with("this is an archive compressed twice"), "{e}");
}

#[test]
fn one_thread_and_little_memory_are_enough() {
    let s = Stage::new();
    fs::write(s.inside("f"), noise(3 << 20)).unwrap();
    let archive = archived(&s.inside(""), &as_format(CreateFormat::TarXz));
    for options in [
        DecodeOptions {
            threads: 1,
            memory: 1 << 30,
        },
        DecodeOptions {
            threads: 0,
            memory: 1 << 30,
        },
        DecodeOptions {
            threads: 4,
            memory: 0,
        },
        DecodeOptions {
            threads: 3,
            memory: 1 << 30,
        },
    ] {
        let mut bytes = Vec::new();
        decompress(archive.as_slice(), &options, |input| {
            input.read_to_end(&mut bytes)
        })
        .unwrap();
        assert_eq!(bytes.len() % 512, 0);
        assert!(bytes.len() > 3 << 20);
    }
}

#[test]
fn an_archive_that_needs_too_much_memory_is_refused() {
    let tar = Tar::new().file("a", &noise(10_000)).end();
    let greedy = program("xz", &["--lzma2=preset=0,dict=1GiB"], &tar);
    let little = crate::ExtractOptions {
        decode: DecodeOptions {
            threads: 2,
            memory: 200 << 20,
        },
        ..super::options()
    };
    let e = Stage::new().extract_with(&greedy, &little).unwrap_err();
    assert_eq!(
        e.to_string(),
        "decoding the archive needs more than 200 MiB of memory"
    );
    let greedy = program(
        "zstd",
        &["-q", "--long=30", "--ultra", "-1"],
        &vec![b'x'; 300 << 20],
    );
    let e = Stage::new().extract(&greedy).unwrap_err();
    assert!(matches!(e, ArchiveError::Memory { .. }), "{e}");
}

/// Gives some bytes, then fails.
struct Breaks(io::Cursor<Vec<u8>>);

impl Read for Breaks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into)? {
            0 => Err(io::Error::other("the line is down")),
            n => Ok(n),
        }
    }
}

#[test]
fn a_reader_that_fails_is_named_as_the_reason() {
    let tar = Tar::new().file("a", &noise(300_000)).end();
    for whole in [tar.clone(), gzip(&tar), xz(&tar), zstd(&tar)] {
        for part in [0, 3, 100_000] {
            let s = Stage::new();
            let reader = Breaks(io::Cursor::new(whole[..part].to_vec()));
            let e = crate::extract(reader, &s.root, &super::options(), &qjail_fs::never, &mut |_| {})
                .unwrap_err();
            assert_eq!(e.to_string(), "cannot read the archive: the line is down");
        }
    }
}

/// Panics in the decoder's thread.
struct Panics;

impl Read for Panics {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        panic!("on purpose")
    }
}

#[test]
fn a_panic_in_the_decoder_is_an_error_here() {
    let s = Stage::new();
    let e = crate::extract(Panics, &s.root, &super::options(), &qjail_fs::never, &mut |_| {}).unwrap_err();
    assert!(e.to_string().ends_with("the decoder stopped"), "{e}");
}
