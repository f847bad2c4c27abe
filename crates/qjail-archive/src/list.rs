//! What is in an archive, without writing anything.

use crate::decode::{DecodeOptions, with_input};
use crate::entry::EntryInfo;
use crate::error::ArchiveError;
use crate::reader::Reader;
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
