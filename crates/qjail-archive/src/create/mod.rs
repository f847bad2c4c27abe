//! Putting trees into an archive.

mod encode;
mod member;
mod walk;

use crate::error::ArchiveError;
use crate::extract::Progress;
use encode::Encoder;
use member::Members;
use qjail_fs::{Cancelled, RelPath, Root};
use std::io::{self, Write};
use std::num::NonZero;
use std::thread;
use walk::Walk;

/// How a new archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CreateFormat {
    /// Not at all.
    Tar,
    /// By gzip.
    TarGz,
    /// By xz, in blocks with their sizes in the headers: decoded on all cores.
    #[default]
    TarXz,
}

/// How an archive is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// The compression.
    pub format: CreateFormat,
    /// 0 (fast) to 9 (small); `None` is the program's own default, 6.
    pub level: Option<u32>,
    /// Threads that compress, for xz.
    pub threads: u32,
    /// Bytes in an xz block before compression; `None` is three times the dictionary, 24 MiB at level 6.
    pub block_size: Option<u64>,
}

impl Default for CreateOptions {
    /// xz at its default level, a thread for each processor that the process may use.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        CreateOptions {
            format: CreateFormat::default(),
            level: None,
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            block_size: None,
        }
    }
}

/// What went into an archive, and what did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Created {
    /// Entries.
    pub entries: u64,
    /// Bytes of files, without holes and before compression.
    pub bytes: u64,
    /// Further names of files that were already there.
    pub hard_links: u64,
    /// Sockets, which no archive can hold.
    pub skipped_sockets: u64,
    /// Mount points: the directory goes in, what is mounted there does not.
    pub skipped_mounts: u64,
}

/// Archives trees below `from`, in the pax format; [`RelPath::root`] is the whole root. No link is followed, no mount entered.
///
/// Names are sorted, so that the same tree gives the same archive. Another name of a file that is in the archive is a hard link; one of
/// a symbolic link, FIFO or device is an entry of its own. `progress` counts the bytes of files in [`Progress::read`] too.
///
/// # Errors
/// A file cannot be read or changes meanwhile; the archive cannot be written.
pub fn create<W: Write>(
    from: &Root,
    names: &[RelPath],
    to: W,
    options: &CreateOptions,
    cancelled: Cancelled<'_>,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Created, ArchiveError> {
    let encoder = Encoder::new(to, options).map_err(ArchiveError::Write)?;
    let mut members = Members::new(io::BufWriter::new(encoder), cancelled, progress);
    let mut walk = Walk::new(from, &mut members)?;
    for name in names {
        walk.tree(name)?;
    }
    let (out, created) = members.finish()?;
    let encoder = out
        .into_inner()
        .map_err(|e| ArchiveError::Write(e.into_error()))?;
    encoder.finish().map_err(ArchiveError::Write)?;
    Ok(created)
}
