//! Listing, extracting and creating archives: tar, plain or compressed by xz, gzip or zstd.
//!
//! An archive is hostile until it is extracted: nothing in it reaches past the [`qjail_fs::Root`] it is extracted into, no
//! link it made is followed, and what it may take of memory, disk and entries is bounded. What it holds survives: numeric
//! owners, modes with setuid, times to the nanosecond, hard links, holes, extended attributes and FreeBSD's file flags.
//! Decoding runs in threads of its own, on all cores when an xz archive has several blocks with their sizes in the headers.
//!
//! The formats: POSIX.1-2024 pax and ustar, the older v7 and GNU forms of tar(5), GNU's four ways to write holes.
//!
//! # Limits
//! Owners are numeric only: the names in an archive are ignored. ACLs are carried as extended attributes or not at all
//! (`SCHILY.acl.*` and libarchive's base64 attributes are ignored). zstd and xz archives are read, zstd is not written.
//! bzip2, lzip, lzma, lz4, compress, zip and cpio are recognised and refused by name; so are multi-volume archives. Gzip and zstd are
//! decoded on one core. An archive without its end marker counts as truncated, also where other programs let it pass. What a failed
//! extraction has already written stays: extract into a directory that can be thrown away.
#![forbid(unsafe_code)]

mod create;
mod decode;
mod detect;
mod entry;
mod error;
mod extract;
mod header;
mod list;
mod pax;
mod reader;
mod sparse;

pub use create::{CreateFormat, CreateOptions, Created, create};
pub use decode::{DecodeOptions, decompress};
pub use detect::{Format, Looks, Undetected, detect};
pub use entry::{EntryInfo, EntryKind};
pub use error::{ArchiveError, EntryError};
pub use extract::{Devices, ExtractOptions, Extracted, Progress, extract};
pub use list::{first_file, list};

#[cfg(test)]
mod tests;
