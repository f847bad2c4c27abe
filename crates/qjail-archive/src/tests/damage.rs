//! Archives cut short and with wrong bytes: an error in one line, never a panic, nothing outside.

use super::builder::Tar;
use super::{Stage, archived, as_format, run};
use crate::{ArchiveError, CreateFormat};
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;

/// A tree with one of each, some of it under extended headers.
fn sample() -> Stage {
    let s = Stage::new();
    let long = format!("{}/{}", "d".repeat(90), "n".repeat(90));
    fs::create_dir(s.inside("d".repeat(90))).unwrap();
    fs::write(s.inside(&long), "long").unwrap();
    fs::write(s.inside("text"), "some text, ".repeat(300)).unwrap();
    fs::hard_link(s.inside("text"), s.inside("zz")).unwrap();
    symlink("text", s.inside("link")).unwrap();
    let sparse = File::create(s.inside("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 1 << 20).unwrap();
    let text = File::open(s.inside("text")).unwrap();
    qjail_os::set_xattr(text.as_fd(), "user.x".as_ref(), b"value").unwrap();
    s
}

/// The sample in every form that is read.
fn archives() -> Vec<(&'static str, Vec<u8>)> {
    let s = sample();
    let tree = s.inside("");
    vec![
        ("tar", archived(&tree, &as_format(CreateFormat::Tar))),
        ("gz", archived(&tree, &as_format(CreateFormat::TarGz))),
        ("xz", archived(&tree, &as_format(CreateFormat::TarXz))),
        (
            "gnu",
            run("tar", &["--format=gnu", "--sparse", "-cf", "-", "."], &tree),
        ),
        (
            "pax 0.0",
            run(
                "tar",
                &[
                    "--format=pax",
                    "--sparse",
                    "--sparse-version=0.0",
                    "-cf",
                    "-",
                    ".",
                ],
                &tree,
            ),
        ),
        ("zst", run("tar", &["--zstd", "-cf", "-", "."], &tree)),
    ]
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// The last byte before the end marker's zeros.
fn end_of_content(archive: &[u8]) -> usize {
    archive.iter().rposition(|b| *b != 0).unwrap()
}

#[test]
fn an_archive_cut_anywhere_is_told_so() {
    for (kind, archive) in archives() {
        let plain = matches!(kind, "tar" | "gnu" | "pax 0.0");
        // A plain archive is whole as soon as one block of its end marker is there.
        let end = if plain {
            end_of_content(&archive).next_multiple_of(512) + 512
        } else {
            archive.len()
        };
        let mut random = Random(7);
        let cuts = (0..end).step_by(512).chain((0..60).map(|_| random.below(end)));
        for cut in cuts.chain([1, 2, 5, 6, end - 1]) {
            let e = match Stage::new().extract(&archive[..cut]) {
                Err(e) => e,
                Ok(done) => panic!("{kind} cut at {cut} of {end}: {done:?}"),
            };
            let early = cut < 512 && matches!(e, ArchiveError::NotArchive(_));
            assert!(
                early || matches!(e, ArchiveError::Truncated { .. }),
                "{kind} cut at {cut} of {end}: {e}"
            );
            assert!(!e.to_string().contains('\n'));
        }
    }
}

#[test]
fn the_error_counts_the_entries_that_were_complete() {
    let tar = Tar::new().file("a", "1").file("b", "2").file("c", "3").end();
    for (cut, entries) in [(1024, 1), (2048, 2), (2560, 2), (2561, 3), (3072, 3)] {
        let e = Stage::new().refusal(&tar[..cut]);
        assert_eq!(
            e,
            format!("unexpected end of the archive after {entries} entries"),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_wrong_bit_anywhere_is_found_in_xz() {
    for (kind, archive) in archives() {
        let mut random = Random(3);
        for _ in 0..250 {
            let at = random.below(archive.len());
            let mut damaged = archive.clone();
            damaged[at] ^= 1 << random.below(8);
            let done = Stage::new().extract(&damaged);
            if let Err(e) = &done {
                assert!(!e.to_string().contains('\n'), "{e}");
            }
            // Every byte of an xz file is checked; tar checks its headers only, gzip not all of its own.
            if kind == "xz" {
                assert!(done.is_err(), "xz, byte {at}");
            }
        }
    }
}

#[test]
fn data_that_does_not_match_its_checksum_is_corrupt() {
    let noise: Vec<u8> = {
        let mut random = Random(5);
        (0..200_000).map(|_| random.below(256) as u8).collect()
    };
    let s = Stage::new();
    fs::write(s.inside("f"), noise).unwrap();
    let tree = s.inside("");
    for (kind, archive) in [
        ("gz", archived(&tree, &as_format(CreateFormat::TarGz))),
        ("xz", archived(&tree, &as_format(CreateFormat::TarXz))),
        (
            "zst",
            run("sh", &["-c", "tar -cf - . | zstd -q --check -c"], &tree),
        ),
    ] {
        let mut damaged = archive.clone();
        damaged[archive.len() / 2] ^= 0x10;
        let e = Stage::new().extract(&damaged).unwrap_err();
        assert!(matches!(e, ArchiveError::Corrupt { .. }), "{kind}: {e}");
    }
    // The checksum at the end itself.
    let mut gz = archived(&tree, &as_format(CreateFormat::TarGz));
    let at = gz.len() - 6;
    gz[at] ^= 1;
    let e = Stage::new().extract(&gz).unwrap_err();
    assert!(matches!(e, ArchiveError::Corrupt { .. }), "{e}");
}

#[test]
fn wrong_bytes_under_a_right_checksum_never_reach_outside() {
    let mut random = Random(11);
    for _ in 0..1500 {
        let mut tar = Tar::new();
        for _ in 0..4 {
            let kind = b"0123456xgLKSDV7"[random.below(15)];
            let name: &[u8] =
                [b"a".as_slice(), b"../outside/x", b"/a/b", b"a/b", b"outside"][random.below(5)];
            let target: &[u8] =
                [b"..".as_slice(), b"../outside", b"a", b"/", b"../outside/secret"][random.below(5)];
            let mut changes: Vec<(usize, u8)> = Vec::new();
            for _ in 0..random.below(4) {
                changes.push((100 + random.below(412), random.below(256) as u8));
            }
            let data = ["", "11 path=../x\n", "1\n0\n3\n"][random.below(3)];
            tar = tar.raw(kind, name, |block| {
                block[157..157 + target.len()].copy_from_slice(target);
                super::builder::set_size(block, data.len());
                for (at, byte) in &changes {
                    block[*at] = *byte;
                }
            });
            tar = tar.bytes(data.as_bytes());
        }
        let _ = Stage::new().extract(&tar.end());
    }
}
