//! What is in an archive, without writing anything.

use crate::decode::{DecodeOptions, with_input};
use crate::entry::{EntryInfo, EntryKind};
use crate::error::ArchiveError;
use crate::reader::{Entry, Reader};
use std::io::Read;
use std::ops::ControlFlow;

/// Calls `each` for every entry in order, until it breaks; returns how many there were.
///
/// A whole archive is read to its end, checksums and all: this is also how to check one. Memory does not grow with it.
///
/// # Errors
/// The archive is none, truncated, corrupt, or followed by other data.
pub fn list<R: Read + Send>(
    archive: R,
    options: &DecodeOptions,
    mut each: impl FnMut(EntryInfo) -> ControlFlow<()>,
) -> Result<u64, ArchiveError> {
    with_input(archive, options, |input| {
        let mut reader = Reader::new(input);
        let mut entries = 0;
        while let Some(entry) = reader.next()? {
            entries += 1;
            if each(entry.info).is_break() {
                break;
            }
        }
        Ok(entries)
    })
}

/// The first entry with its content, if it is a file of at most `limit` bytes.
///
/// # Errors
/// As [`list`], as far as was read.
pub fn first_file<R: Read + Send>(
    archive: R,
    options: &DecodeOptions,
    limit: u64,
) -> Result<Option<(EntryInfo, Vec<u8>)>, ArchiveError> {
    with_input(archive, options, |input| {
        let mut reader = Reader::new(input);
        let first = reader.next()?;
        let is_wanted = |e: &Entry| e.info.kind == EntryKind::File && e.info.size <= limit;
        let Some(entry) = first.filter(is_wanted) else {
            return Ok(None);
        };
        let mut content = Vec::new();
        reader.data(&entry, |at, bytes| {
            // What lies between is a hole.
            content.resize(usize::try_from(at).unwrap_or_default(), 0);
            content.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(Some((entry.info, content)))
    })
}
