//! Telling what a file is by its first bytes, never by its name.

use crate::header::{BLOCK, Header};
use std::fmt;

/// How many first bytes [`detect`] needs to tell everything apart.
pub(crate) const NEEDED: usize = BLOCK;

/// A kind of archive that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// tar, not compressed.
    Tar,
    /// Compressed by gzip (RFC 1952).
    Gzip,
    /// Compressed by xz.
    Xz,
    /// Compressed by zstd (RFC 8878).
    Zstd,
}

/// Why bytes are none of the [`Format`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undetected {
    /// No archive at all.
    #[error("this is no archive but {0}")]
    NotArchive(Looks),
    /// An archive or compressed file of another kind, named with its article.
    #[error("this is {0}, which is not supported")]
    Unsupported(&'static str),
}

/// What something that is no archive looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// Nothing in it.
    Empty,
    /// A page for a browser: what a server or a portal answers instead of a file.
    Html,
    /// An executable program or shared object.
    Elf,
    /// A script that starts with `#!`.
    Script,
    /// Text.
    Text,
    /// None of these.
    Unknown,
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Looks::Empty => "an empty file",
            Looks::Html => "an HTML page",
            Looks::Elf => "an ELF program",
            Looks::Script => "a script",
            Looks::Text => "text",
            Looks::Unknown => "data of an unknown kind",
        })
    }
}

const XZ: &[u8] = b"\xfd7zXZ\0";
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

const OTHERS: &[(&[u8], &str)] = &[
    (b"BZh", "a bzip2 archive"),
    (b"LZIP", "an lzip archive"),
    (b"\x5d\0\0", "an lzma archive"),
    (b"\x04\x22\x4d\x18", "an lz4 archive"),
    (b"\x1f\x9d", "an archive of compress(1)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"070701", "a cpio archive"),
    (b"070707", "a cpio archive"),
    (b"!<arch>", "an ar archive"),
    (b"xar!", "a xar archive"),
];

/// What a file is, by its first bytes: 512 of them, or all there are.
///
/// # Errors
/// [`Undetected`]: an archive of another kind, or none, and what it looks like.
pub fn detect(first: &[u8]) -> Result<Format, Undetected> {
    if first.starts_with(XZ) {
        return Ok(Format::Xz);
    }
    if first.starts_with(GZIP) {
        return Ok(Format::Gzip);
    }
    if first.starts_with(ZSTD) || is_zstd_skippable(first) {
        return Ok(Format::Zstd);
    }
    if is_tar(first) {
        return Ok(Format::Tar);
    }
    match OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        Some((_, what)) => Err(Undetected::Unsupported(what)),
        None => Err(Undetected::NotArchive(looks(first))),
    }
}

/// Whether more of the same compression starts here.
pub(crate) fn continues(format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::Xz => bytes.starts_with(XZ),
        Format::Gzip => bytes.starts_with(GZIP),
        Format::Zstd => bytes.starts_with(ZSTD) || is_zstd_skippable(bytes),
        Format::Tar => false,
    }
}

// RFC 8878, 3.1.2: sixteen numbers mark frames that a decoder passes over.
pub(crate) fn is_zstd_skippable(bytes: &[u8]) -> bool {
    bytes.len() >= 4 && bytes[0] & 0xf0 == 0x50 && bytes[1..4] == [0x2a, 0x4d, 0x18]
}

fn is_tar(first: &[u8]) -> bool {
    let Some(block) = first.first_chunk::<BLOCK>() else {
        return false;
    };
    let header = Header::new(*block);
    header.is_zero() || header.checksum_fits()
}

/// What bytes look like that are no archive.
pub(crate) fn looks(first: &[u8]) -> Looks {
    if first.is_empty() {
        return Looks::Empty;
    }
    if first.starts_with(b"\x7fELF") {
        return Looks::Elf;
    }
    if first.starts_with(b"#!") {
        return Looks::Script;
    }
    let Some(text) = text_of(first) else {
        return Looks::Unknown;
    };
    let start = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    let page = ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"];
    if page.iter().any(|tag| start.starts_with(tag)) {
        return Looks::Html;
    }
    Looks::Text
}

fn text_of(first: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        // The last character may be cut in two.
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&first[..e.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\x0c' | '\x1b');
    (!text.is_empty() && !text.contains(control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_is_told_by_what_it_looks_like() {
        let cases: &[(&[u8], Looks)] = &[
            (b"", Looks::Empty),
            (b"\n <!DOCTYPE html><title>404", Looks::Html),
            (b"\xef\xbb\xbf<HTML>", Looks::Html),
            (b"\x7fELF\x02\x01", Looks::Elf),
            (b"#!/bin/sh\n", Looks::Script),
            (b"a MANIFEST\tof \xc3\xa4", Looks::Text),
            (b"cut \xc3", Looks::Text),
            (b"\0\x01\x02", Looks::Unknown),
            (b"\xff\xfe", Looks::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(detect(bytes), Err(Undetected::NotArchive(*expected)), "{bytes:?}");
        }
    }

    #[test]
    fn other_archives_are_refused_by_name() {
        for (magic, name) in OTHERS {
            let mut bytes = magic.to_vec();
            bytes.resize(600, 1);
            assert_eq!(detect(&bytes), Err(Undetected::Unsupported(name)));
        }
    }

    #[test]
    fn an_empty_tar_is_a_tar() {
        assert_eq!(detect(&[0; 512]), Ok(Format::Tar));
        assert_eq!(detect(&[0; 511]), Err(Undetected::NotArchive(Looks::Unknown)));
    }
}
