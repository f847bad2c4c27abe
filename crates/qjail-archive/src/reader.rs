//! From decoded bytes to entries: headers, the extended headers before them, holes, and the end.

use crate::decode::{Input, not_a_tar};
use crate::entry::{EntryInfo, EntryKind};
use crate::error::{ArchiveError, EntryError, Failure};
use crate::header::{BLOCK, Header, gnu_sparse_block};
use crate::pax::{self, Records};
use crate::sparse::{self, InPax, MapInData, Piece};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Bytes of all extended headers before one entry.
const MOST_EXTENDED: u64 = 8 << 20;
/// Extended headers before one entry.
const MOST_HEADERS: u32 = 64;
/// Zero bytes after the end marker; programs pad to a record, 10 KiB if not told otherwise.
const MOST_PADDING: u64 = 64 << 20;

/// One entry: what it is, and where its bytes belong.
pub(crate) struct Entry {
    pub(crate) info: EntryInfo,
    /// The runs of bytes that the archive holds, one for a file without holes.
    pub(crate) pieces: Vec<Piece>,
}

pub(crate) struct Reader<'i, 'a> {
    input: &'i mut Input<'a>,
    global: Records,
    /// Stored bytes of the current entry that were not read, and the padding after them.
    left: u64,
    padding: u64,
    /// Entries that were read in full.
    entries: u64,
    started: bool,
    /// The first header was one.
    begun: bool,
}

/// What stands before an entry and describes it.
#[derive(Default)]
struct Before {
    records: Records,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    bytes: u64,
    headers: u32,
}

impl<'i, 'a> Reader<'i, 'a> {
    pub(crate) fn new(input: &'i mut Input<'a>) -> Self {
        Reader {
            input,
            global: Records::default(),
            left: 0,
            padding: 0,
            entries: 0,
            started: false,
            begun: false,
        }
    }

    pub(crate) fn read_so_far(&self) -> u64 {
        self.input.read_so_far()
    }

    /// The next entry; what was not read of the one before is passed over. `None` after the end marker.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let done = self.next_entry();
        done.map_err(|stop| stop.after(self.entries))
    }

    /// Gives an entry's bytes with their place in the file, in order.
    pub(crate) fn data(
        &mut self,
        entry: &Entry,
        mut sink: impl FnMut(u64, &[u8]) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        for piece in &entry.pieces {
            let mut at = 0;
            while at < piece.len {
                let bytes = match self.input.fill() {
                    Ok([]) => return Err(Failure::Truncated.after(self.entries)),
                    Ok(bytes) => bytes,
                    Err(f) => return Err(f.after(self.entries)),
                };
                let n = usize::try_from(piece.len - at)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                sink(piece.offset + at, &bytes[..n])?;
                self.input.consume(n);
                at += n as u64;
                self.left -= n as u64;
            }
        }
        Ok(())
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, Stop> {
        self.finish_entry()?;
        let mut before = Before::default();
        loop {
            let Some(header) = self.header()? else {
                if before.headers > 0 {
                    return Err(corrupt(
                        "an extended header describes an entry that does not follow",
                    ));
                }
                self.drain()?;
                return Ok(None);
            };
            match header.type_byte() {
                b'x' | b'X' => {
                    let bytes = self.extended(&header, &mut before)?;
                    before.records.add(&bytes).ok_or_else(malformed)?;
                }
                b'g' => {
                    let bytes = self.extended(&header, &mut before)?;
                    self.global = Records::default();
                    self.global.add(&bytes).ok_or_else(malformed)?;
                }
                b'L' => before.path = Some(without_end(self.extended(&header, &mut before)?)),
                b'K' => before.link = Some(without_end(self.extended(&header, &mut before)?)),
                // A volume's label is no file.
                b'V' => {
                    self.extended(&header, &mut before)?;
                }
                _ => return self.entry(&header, before).map(Some),
            }
        }
    }

    fn finish_entry(&mut self) -> Result<(), Failure> {
        self.input.skip(self.left)?;
        self.left = 0;
        // Counted before its padding: the entry itself is complete.
        self.entries += u64::from(std::mem::take(&mut self.started));
        self.input.skip(std::mem::take(&mut self.padding))
    }

    /// The next header; `None` for a block of zeros, the end marker.
    fn header(&mut self) -> Result<Option<Header>, Stop> {
        let mut block = [0; BLOCK];
        let len = self.input.block(&mut block)?;
        let header = Header::new(block);
        if len == BLOCK && header.is_zero() {
            return Ok(None);
        }
        let complete = len == BLOCK;
        match self.begun {
            _ if complete && header.checksum_fits() => {
                self.begun = true;
                Ok(Some(header))
            }
            true if complete => Err(corrupt("the checksum of the next header is wrong")),
            true => Err(Failure::Truncated.into()),
            false => Err(not_a_tar(&header.bytes()[..len]).into()),
        }
    }

    /// The bytes of an extended header.
    fn extended(&mut self, header: &Header, before: &mut Before) -> Result<Vec<u8>, Stop> {
        let size = size_of(header)?;
        before.headers += 1;
        before.bytes = before.bytes.saturating_add(size);
        if before.bytes > MOST_EXTENDED || before.headers > MOST_HEADERS {
            return Err(corrupt("the extended headers of one entry are too large"));
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            let next = self.input.fill()?;
            if next.is_empty() {
                return Err(Failure::Truncated.into());
            }
            let n = next
                .len()
                .min(usize::try_from(size).unwrap_or(usize::MAX) - bytes.len());
            bytes.extend_from_slice(&next[..n]);
            self.input.consume(n);
        }
        self.input.skip(padding(size))?;
        Ok(bytes)
    }

    fn entry(&mut self, header: &Header, before: Before) -> Result<Entry, Stop> {
        let path = name(&before, "path", before.path.as_ref(), || header.path());
        let path = match before.records.get("GNU.sparse.name") {
            Some(name) => name.to_vec(),
            None => path,
        };
        let kind = self.kind(header, &before, &path)?;
        let stored = self.stored(header, &before, &kind)?;
        self.left = stored;
        self.padding = padding(stored);
        self.started = true;
        let (pieces, size) = self.pieces(header, &before, &kind, stored)?;
        let records = &before.records;
        let info = EntryInfo {
            path: PathBuf::from(OsString::from_vec(path)),
            mode: mode(header)?,
            uid: self.id(records, "uid", header.uid())?,
            gid: self.id(records, "gid", header.gid())?,
            size,
            mtime: match self.any(records, "mtime") {
                Some(value) => pax::time(value).ok_or_else(malformed)?,
                None => (header.mtime().ok_or_else(|| corrupt("a time is no number"))?, 0),
            },
            xattrs: xattrs(records),
            flags: records
                .get("SCHILY.fflags")
                .map(|f| String::from_utf8_lossy(f).into_owned())
                .unwrap_or_default(),
            kind,
        };
        Ok(Entry { info, pieces })
    }

    fn kind(&self, header: &Header, before: &Before, path: &[u8]) -> Result<EntryKind, Stop> {
        let link = || name(before, "linkpath", before.link.as_ref(), || header.link());
        let device = || -> Result<(u32, u32), Stop> {
            let (major, minor) = header.device().ok_or_else(bad_device)?;
            let narrow = |n: i64| u32::try_from(n).map_err(|_| bad_device());
            Ok((narrow(major)?, narrow(minor)?))
        };
        Ok(match header.type_byte() {
            // Before there was a type for directories their names ended in a slash.
            b'0' | 0 if path.ends_with(b"/") => EntryKind::Dir,
            b'0' | 0 | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink(PathBuf::from(OsString::from_vec(link()))),
            b'2' => EntryKind::Symlink(OsString::from_vec(link())),
            b'3' => device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
            b'5' | b'D' => EntryKind::Dir,
            b'6' => EntryKind::Fifo,
            other => {
                let path = PathBuf::from(OsString::from_vec(path.to_vec()));
                return Err(Stop::Refused(ArchiveError::entry(
                    path,
                    EntryError::Type(char::from(other)),
                )));
            }
        })
    }

    /// How many bytes of data follow the header.
    fn stored(&self, header: &Header, before: &Before, kind: &EntryKind) -> Result<u64, Stop> {
        let stated = match before.records.get("size") {
            Some(value) => pax::decimal(value).ok_or_else(malformed)?,
            None => size_of(header)?,
        };
        let has_data = match kind {
            EntryKind::File => true,
            // GNU's incremental archives list the names that were there.
            EntryKind::Dir => header.type_byte() == b'D',
            // Only pax lets a hard link bring the data again; older programs state the size of what it points to.
            EntryKind::HardLink(_) => !before.records.is_empty(),
            _ => false,
        };
        match i64::try_from(stated) {
            Ok(_) if has_data => Ok(stated),
            Ok(_) => Ok(0),
            Err(_) => Err(corrupt("an entry is larger than a file can be")),
        }
    }

    /// The entry's pieces and its length with holes. A map that stands in the data is read here.
    fn pieces(
        &mut self,
        header: &Header,
        before: &Before,
        kind: &EntryKind,
        stored: u64,
    ) -> Result<(Vec<Piece>, u64), Stop> {
        if *kind != EntryKind::File {
            return Ok((Vec::new(), 0));
        }
        let whole = Piece {
            offset: 0,
            len: stored,
        };
        let (pieces, size) = if header.type_byte() == b'S' {
            let size = header.gnu_real_size().and_then(|n| u64::try_from(n).ok());
            (self.gnu_pieces(header)?, size.ok_or_else(bad_map)?)
        } else {
            let pieces = match sparse::in_pax(&before.records).ok_or_else(bad_map)? {
                InPax::None => return Ok((vec![whole], stored)),
                InPax::Map(pieces) => pieces,
                InPax::InData => self.pieces_in_data()?,
            };
            let size = sparse::real_size(&before.records).and_then(pax::decimal);
            (pieces, size.ok_or_else(bad_map)?)
        };
        if !sparse::fits(&pieces, size, self.left) || i64::try_from(size).is_err() {
            return Err(bad_map());
        }
        Ok((pieces, size))
    }

    fn gnu_pieces(&mut self, header: &Header) -> Result<Vec<Piece>, Stop> {
        let mut pieces = Vec::new();
        let (found, mut more) = header.gnu_sparse();
        sparse::add_gnu(&mut pieces, &found).ok_or_else(bad_map)?;
        while more {
            let mut block = [0; BLOCK];
            if self.input.block(&mut block)? < BLOCK {
                return Err(Failure::Truncated.into());
            }
            let found = gnu_sparse_block(&block);
            more = found.1;
            // A chain of blocks that add nothing would never end.
            if found.0.is_empty() && more {
                return Err(bad_map());
            }
            sparse::add_gnu(&mut pieces, &found.0).ok_or_else(bad_map)?;
        }
        Ok(pieces)
    }

    fn pieces_in_data(&mut self) -> Result<Vec<Piece>, Stop> {
        let mut map = MapInData::default();
        loop {
            let mut block = [0; BLOCK];
            self.left = self.left.checked_sub(BLOCK as u64).ok_or_else(bad_map)?;
            if self.input.block(&mut block)? < BLOCK {
                return Err(Failure::Truncated.into());
            }
            if map.take(&block).ok_or_else(bad_map)? {
                return map.pieces().ok_or_else(bad_map);
            }
        }
    }

    /// After the end marker nothing but zeros may follow; reading them lets the decoder compare its last checksum.
    fn drain(&mut self) -> Result<(), Stop> {
        let mut read = 0;
        loop {
            let bytes = self.input.fill()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let len = bytes.len();
            read += len as u64;
            if bytes.iter().any(|b| *b != 0) || read > MOST_PADDING {
                return Err(Failure::Garbage.into());
            }
            self.input.consume(len);
        }
    }

    fn any<'r>(&'r self, records: &'r Records, key: &str) -> Option<&'r [u8]> {
        records.get(key).or_else(|| self.global.get(key))
    }

    fn id(&self, records: &Records, key: &str, in_header: Option<i64>) -> Result<u32, Stop> {
        let found = match self.any(records, key) {
            Some(value) => pax::decimal(value).and_then(|n| u32::try_from(n).ok()),
            None => in_header.and_then(|n| u32::try_from(n).ok()),
        };
        // The highest number means "leave it" to chown(2).
        found
            .filter(|n| *n != u32::MAX)
            .ok_or_else(|| corrupt("an owner or group is no number that a system knows"))
    }
}

/// Why there is no next entry.
enum Stop {
    Failed(Failure),
    Refused(ArchiveError),
}

impl Stop {
    fn after(self, entries: u64) -> ArchiveError {
        match self {
            Stop::Failed(failure) => failure.after(entries),
            Stop::Refused(e) => e,
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

fn corrupt(why: &str) -> Stop {
    Stop::Failed(Failure::Corrupt(why.to_owned()))
}

fn malformed() -> Stop {
    corrupt("an extended header is malformed")
}

fn bad_map() -> Stop {
    corrupt("the map of a file with holes is malformed")
}

fn bad_device() -> Stop {
    corrupt("the number of a device is malformed")
}

fn size_of(header: &Header) -> Result<u64, Stop> {
    header
        .size()
        .and_then(|size| u64::try_from(size).ok())
        .ok_or_else(|| corrupt("the size of an entry is no number that a file can have"))
}

fn mode(header: &Header) -> Result<u32, Stop> {
    let mode = header.mode().ok_or_else(|| corrupt("a mode is no number"))?;
    Ok(u32::try_from(mode & 0o7777).unwrap_or(0))
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// A pax record counts more than a GNU long name, and that more than the header.
fn name(before: &Before, key: &str, long: Option<&Vec<u8>>, in_header: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    match (before.records.get(key), long) {
        (Some(name), _) => name.to_vec(),
        (None, Some(name)) => name.clone(),
        (None, None) => in_header(),
    }
}

fn without_end(mut name: Vec<u8>) -> Vec<u8> {
    while name.last() == Some(&0) {
        name.pop();
    }
    name
}

fn xattrs(records: &Records) -> Vec<(OsString, Vec<u8>)> {
    let named = records.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(b"SCHILY.xattr.")?;
        Some((OsString::from_vec(name.to_vec()), value.to_vec()))
    });
    named.collect()
}
