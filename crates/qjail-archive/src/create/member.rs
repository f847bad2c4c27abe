//! Writing one entry: extended header, header, data.

use super::Created;
use crate::error::{ArchiveError, EntryError};
use crate::extract::Progress;
use crate::header::{BLOCK, Fields, LARGEST_ID, LARGEST_SIZE, LONGEST_NAME};
use crate::pax;
use crate::sparse::{self, Piece};
use qjail_fs::Cancelled;
use qjail_os::FileInfo;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// An entry to be written. Its type is one of the header's: tar(5).
pub(super) struct Member<'a> {
    pub(super) type_byte: u8,
    pub(super) path: &'a OsStr,
    pub(super) link: &'a OsStr,
    pub(super) info: &'a FileInfo,
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
}

pub(super) struct Members<'a, W> {
    out: W,
    cancelled: Cancelled<'a>,
    progress: &'a mut dyn FnMut(&Progress<'_>),
    buffer: Vec<u8>,
    pub(super) done: Created,
}

impl<'a, W: Write> Members<'a, W> {
    pub(super) fn new(out: W, cancelled: Cancelled<'a>, progress: &'a mut dyn FnMut(&Progress<'_>)) -> Self {
        Members {
            out,
            cancelled,
            progress,
            buffer: vec![0; 128 * 1024],
            done: Created::default(),
        }
    }

    /// Writes the end marker.
    pub(super) fn finish(mut self) -> Result<(W, Created), ArchiveError> {
        self.write(&[0; 2 * BLOCK])?;
        Ok((self.out, self.done))
    }

    /// Writes an entry without data.
    pub(super) fn plain(&mut self, member: &Member<'_>) -> Result<(), ArchiveError> {
        self.report(member.path)?;
        self.headers(member, 0, None)
    }

    /// Writes a regular file.
    pub(super) fn file(&mut self, member: &Member<'_>, file: &File) -> Result<(), ArchiveError> {
        self.report(member.path)?;
        let failed = |e| ArchiveError::entry(member.path, EntryError::Read(e));
        let size = member.info.size;
        let whole = Piece { offset: 0, len: size };
        let has_holes = member.info.blocks.saturating_mul(512) < size;
        let pieces = if has_holes {
            data_of(file, size).map_err(failed)?
        } else {
            vec![whole]
        };
        let stored: u64 = pieces.iter().map(|p| p.len).sum();
        let sparse = stored < size;
        let map = if sparse {
            sparse::map_in_data(&pieces)
        } else {
            Vec::new()
        };
        self.headers(member, stored + map.len() as u64, sparse.then_some(size))?;
        self.write(&map)?;
        for piece in pieces {
            self.copy(member.path, file, piece)?;
        }
        let padding = stored.next_multiple_of(BLOCK as u64) - stored;
        self.write(&[0; BLOCK][..usize::try_from(padding).unwrap_or(0)])
    }

    fn copy(&mut self, path: &OsStr, file: &File, piece: Piece) -> Result<(), ArchiveError> {
        let mut at = 0;
        while at < piece.len {
            let want = usize::try_from(piece.len - at)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            let n = match file.read_at(&mut self.buffer[..want], piece.offset + at) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(ArchiveError::entry(path, EntryError::Read(e))),
                Ok(0) => return Err(ArchiveError::entry(path, EntryError::Changed)),
                Ok(n) => n,
            };
            self.out
                .write_all(&self.buffer[..n])
                .map_err(ArchiveError::Write)?;
            at += n as u64;
            self.done.bytes += n as u64;
            self.tell(path)?;
        }
        Ok(())
    }

    fn report(&mut self, path: &OsStr) -> Result<(), ArchiveError> {
        self.done.entries += 1;
        self.tell(path)
    }

    fn tell(&mut self, path: &OsStr) -> Result<(), ArchiveError> {
        if (self.cancelled)() {
            return Err(ArchiveError::Cancelled);
        }
        (self.progress)(&Progress {
            read: self.done.bytes,
            bytes: self.done.bytes,
            entries: self.done.entries,
            path: Path::new(path),
        });
        Ok(())
    }

    fn headers(&mut self, member: &Member<'_>, stored: u64, real: Option<u64>) -> Result<(), ArchiveError> {
        let records = records(member, stored, real);
        let info = member.info;
        let fields = Fields {
            type_byte: member.type_byte,
            name: member.path.as_bytes(),
            link: member.link.as_bytes(),
            mode: info.mode & 0o7777,
            uid: info.uid.into(),
            gid: info.gid.into(),
            size: stored,
            mtime: u64::try_from(info.mtime.0).unwrap_or(0),
            device: info.rdev,
        };
        if !records.is_empty() {
            let before = Fields {
                type_byte: b'x',
                name: b"PaxHeader",
                link: b"",
                mode: 0o644,
                uid: 0,
                gid: 0,
                size: records.len() as u64,
                mtime: 0,
                device: (0, 0),
            };
            self.write(&before.to_block())?;
            let mut padded = records;
            padded.resize(padded.len().next_multiple_of(BLOCK), 0);
            self.write(&padded)?;
        }
        self.write(&fields.to_block())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.out.write_all(bytes).map_err(ArchiveError::Write)
    }
}

/// What the header cannot say.
fn records(member: &Member<'_>, stored: u64, real: Option<u64>) -> Vec<u8> {
    let info = member.info;
    let mut records = Vec::new();
    let mut add = |key: &str, value: &[u8]| pax::write(&mut records, key.as_bytes(), value);
    for (key, name) in [("path", member.path), ("linkpath", member.link)] {
        if name.len() > LONGEST_NAME {
            // Names are bytes; a reader must not take them for UTF-8 when they are not.
            if name.to_str().is_none() {
                add("hdrcharset", b"BINARY");
            }
            add(key, name.as_bytes());
        }
    }
    for (key, value, largest) in [
        ("uid", info.uid.into(), LARGEST_ID),
        ("gid", info.gid.into(), LARGEST_ID),
        ("size", stored, LARGEST_SIZE),
    ] {
        if value > largest {
            add(key, value.to_string().as_bytes());
        }
    }
    let (seconds, nanoseconds) = info.mtime;
    if nanoseconds != 0 || u64::try_from(seconds).is_ok_and(|s| s > LARGEST_SIZE) || seconds < 0 {
        add("mtime", time(seconds, nanoseconds).as_bytes());
    }
    if let Some(size) = real {
        add("GNU.sparse.major", b"1");
        add("GNU.sparse.minor", b"0");
        add("GNU.sparse.realsize", size.to_string().as_bytes());
    }
    let flags = qjail_os::format_file_flags(info.flags);
    if !flags.is_empty() {
        add("SCHILY.fflags", flags.as_bytes());
    }
    for (name, value) in &member.xattrs {
        let key = [b"SCHILY.xattr.", name.as_bytes()].concat();
        pax::write(&mut records, &key, value);
    }
    records
}

// A time before 1970 with a fraction: -1.25 is two seconds before it and 750 million nanoseconds after that.
fn time(seconds: i64, nanoseconds: u32) -> String {
    match (seconds, nanoseconds) {
        (s, 0) => s.to_string(),
        (s, n) if s < 0 => format!("-{}.{:09}", -(s + 1), 1_000_000_000 - n),
        (s, n) => format!("{s}.{n:09}"),
    }
}

/// The parts of a file that are no holes, by lseek(2).
fn data_of(file: &File, size: u64) -> io::Result<Vec<Piece>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match seek(file, SeekFrom::Data(at)) {
            Ok(offset) if offset < size => offset,
            Ok(_) | Err(Errno::NXIO) => break,
            // This file system does not tell: everything is data.
            Err(Errno::INVAL | Errno::NOTTY) => at,
            Err(e) => return Err(e.into()),
        };
        let end = match seek(file, SeekFrom::Hole(offset)) {
            Ok(end) => end.min(size),
            Err(Errno::INVAL | Errno::NOTTY | Errno::NXIO) => size,
            Err(e) => return Err(e.into()),
        };
        pieces.push(Piece {
            offset,
            len: end - offset,
        });
        at = end;
    }
    // Readers that know the length only from the map need a last piece there.
    if at < size || pieces.is_empty() {
        pieces.push(Piece { offset: size, len: 0 });
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_they_are_read() {
        for at in [
            (0, 0),
            (1, 5),
            (-1, 0),
            (-2, 750_000_000),
            (-1, 1),
            (i64::from(i32::MAX) * 100, 999_999_999),
        ] {
            assert_eq!(pax::time(time(at.0, at.1).as_bytes()), Some(at), "{at:?}");
        }
    }
}
