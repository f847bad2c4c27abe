//! What can be wrong with an archive, an entry, or the disk it goes to.

use crate::detect::{Looks, Undetected};
use qjail_fs::PathError;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

/// Why an archive was not read, extracted or created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The bytes are no archive.
    #[error("this is no archive but {0}")]
    NotArchive(Looks),
    /// An archive of a kind that is not supported.
    #[error("this is {0}, which is not supported; use tar, plain or compressed by xz, gzip or zstd")]
    Unsupported(&'static str),
    /// The archive could not be read from where it is.
    #[error("cannot read the archive: {0}")]
    Read(#[source] io::Error),
    /// The archive stops before its end.
    #[error("unexpected end of the archive after {entries} entries")]
    Truncated {
        /// Entries that were complete.
        entries: u64,
    },
    /// The compressed data or the archive's structure is damaged.
    #[error("the archive is corrupt after {entries} entries: {why}")]
    Corrupt {
        /// Entries that were complete.
        entries: u64,
        /// What does not fit.
        why: String,
    },
    /// Something that is no archive follows the archive's end.
    #[error("there is other data after the end of the archive")]
    Garbage,
    /// Decoding needs more memory than allowed.
    #[error("decoding the archive needs more than {} MiB of memory", limit >> 20)]
    Memory {
        /// The limit in bytes.
        limit: u64,
    },
    /// The files in the archive are larger than the caller allows.
    #[error("the archive holds more than {limit} bytes of files")]
    TooManyBytes {
        /// The limit in bytes.
        limit: u64,
    },
    /// The archive has more entries than the caller allows.
    #[error("the archive has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// One entry is refused.
    #[error("entry {}: {why}", path.display())]
    Entry {
        /// The entry's name as the archive has it.
        path: PathBuf,
        /// Why.
        why: EntryError,
    },
    /// A file of the tree that goes into an archive, or of the tree as a whole, could not be read.
    #[error(transparent)]
    Tree(#[from] qjail_fs::Error),
    /// The new archive could not be written.
    #[error("cannot write the archive: {0}")]
    Write(#[source] io::Error),
    /// The caller's `cancelled` said so.
    #[error("cancelled")]
    Cancelled,
}

/// Why one entry is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The name climbs, is empty or holds a NUL byte.
    #[error("{0}")]
    Path(#[from] PathError),
    /// The way to the name leads through a symbolic link.
    #[error("its path leads through the symbolic link {}", name.display())]
    ThroughLink {
        /// The component that is a link.
        name: OsString,
    },
    /// It would replace a directory.
    #[error("a directory stands in its place")]
    OverDirectory,
    /// A hard link to something that is not there.
    #[error("it is a hard link to {}, which does not exist", target.display())]
    NoTarget {
        /// The target.
        target: PathBuf,
    },
    /// A hard link whose target may not be linked to.
    #[error("it is a hard link to {}: {why}", target.display())]
    BadTarget {
        /// The target.
        target: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A symbolic link without a target, or with a NUL byte in it.
    #[error("the target of the symbolic link is empty or holds a NUL byte")]
    BadLink,
    /// An entry of a kind that has no place in a tree.
    #[error("its type {0:?} is not supported")]
    Type(char),
    /// Directories' attributes and file flags wait in memory until the end, and these are too many.
    #[error(
        "up to here the archive has more attributes of directories and file flags than are kept in memory"
    )]
    TooMuchMetadata,
    /// It changed or shrank while it was read into an archive.
    #[error("it changed while it was read")]
    Changed,
    /// The file could not be written.
    #[error("{0}")]
    Fs(#[from] qjail_fs::Error),
    /// The data or metadata could not be written.
    #[error("cannot write it: {0}")]
    Write(#[source] io::Error),
    /// The file could not be read.
    #[error("cannot read it: {0}")]
    Read(#[source] io::Error),
}

impl ArchiveError {
    pub(crate) fn entry(path: impl Into<PathBuf>, why: impl Into<EntryError>) -> Self {
        ArchiveError::Entry {
            path: path.into(),
            why: why.into(),
        }
    }

    /// Whether the file system that is written to is full, or a quota reached.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        let full = |e: &io::Error| {
            matches!(
                e.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        };
        match self {
            ArchiveError::Write(e) => full(e),
            ArchiveError::Tree(e) => e.is_no_space(),
            ArchiveError::Entry { why, .. } => match why {
                EntryError::Fs(e) => e.is_no_space(),
                EntryError::Write(e) => full(e),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the caller cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, ArchiveError::Cancelled)
    }
}

/// What stops the stream of decoded bytes; it does not know how many entries came before.
#[derive(Debug)]
pub(crate) enum Failure {
    Undetected(Undetected),
    Read(io::Error),
    Truncated,
    Corrupt(String),
    Garbage,
    Memory(u64),
    /// Nobody takes the bytes any more.
    Stopped,
}

impl Failure {
    pub(crate) fn after(self, entries: u64) -> ArchiveError {
        match self {
            Failure::Undetected(Undetected::NotArchive(looks)) => ArchiveError::NotArchive(looks),
            Failure::Undetected(Undetected::Unsupported(what)) => ArchiveError::Unsupported(what),
            Failure::Read(e) => ArchiveError::Read(e),
            Failure::Truncated => ArchiveError::Truncated { entries },
            Failure::Corrupt(why) => ArchiveError::Corrupt { entries, why },
            Failure::Garbage => ArchiveError::Garbage,
            Failure::Memory(limit) => ArchiveError::Memory { limit },
            Failure::Stopped => ArchiveError::Corrupt {
                entries,
                why: "the decoder stopped".to_owned(),
            },
        }
    }
}
