//! Writing entries below a root.

mod apply;
mod later;
mod places;

use crate::decode::{DecodeOptions, with_input};
use crate::entry::{EntryInfo, EntryKind};
use crate::error::{ArchiveError, EntryError};
use crate::reader::{Entry, Reader};
use later::Later;
use places::Places;
use qjail_fs::{Cancelled, Kind, RelPath, Root};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Whether device nodes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Devices {
    /// They are left out and counted. A jail has a /dev of its own, and a node that its root can use reaches the host's device.
    #[default]
    Skip,
    /// They are made.
    Make,
}

/// What an extraction may use, and what it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractOptions {
    /// Bytes of data that are written at most; holes do not count.
    pub max_bytes: u64,
    /// Entries that are read at most.
    pub max_entries: u64,
    /// Only what lies below this name is extracted, without it; all else is passed over. A hard link from below it must not leave it.
    pub under: Option<RelPath>,
    /// What happens to device nodes.
    pub devices: Devices,
    /// How the archive is decoded.
    pub decode: DecodeOptions,
}

impl Default for ExtractOptions {
    /// 64 GiB and ten million entries, far more than any system has; no devices.
    fn default() -> Self {
        ExtractOptions {
            max_bytes: 64 << 30,
            max_entries: 10_000_000,
            under: None,
            devices: Devices::Skip,
            decode: DecodeOptions::default(),
        }
    }
}

/// How far an extraction is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Bytes of the archive file that have been read: what to compare with its size.
    pub read: u64,
    /// Bytes of data that have been written.
    pub bytes: u64,
    /// Entries that have been begun.
    pub entries: u64,
    /// The current entry.
    pub path: &'a Path,
}

/// What an extraction made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extracted {
    /// Entries in the archive.
    pub entries: u64,
    /// Bytes of data that were written; holes do not count.
    pub bytes: u64,
    /// Hard links among the entries.
    pub hard_links: u64,
    /// Device nodes that were left out.
    pub skipped_devices: u64,
    /// Extended attributes that the file system does not take.
    pub skipped_xattrs: u64,
    /// Entries whose file flags the system does not have (all on Linux), or does not know.
    pub skipped_flags: u64,
}

/// Extracts an archive below `into`. A leading `/` of names is dropped; `..` and every way through a link are refused.
///
/// A later entry takes the place of an earlier one, or of a file that was there; a directory is never replaced, and one that exists
/// is given the entry's metadata. `progress` is called for each entry and each chunk of a large one, `cancelled` as often.
///
/// # Errors
/// [`ArchiveError`]. What was written before stays: remove the directory.
pub fn extract<R: Read + Send>(
    archive: R,
    into: &Root,
    options: &ExtractOptions,
    cancelled: Cancelled<'_>,
    progress: &mut dyn FnMut(&Progress<'_>),
) -> Result<Extracted, ArchiveError> {
    with_input(archive, &options.decode, |input| {
        let mut work = Extraction {
            reader: Reader::new(input),
            root: into,
            places: Places::new(into),
            later: Later::default(),
            options,
            cancelled,
            progress,
            done: Extracted::default(),
        };
        work.run()?;
        Ok(work.done)
    })
}

struct Extraction<'w, 'i, 'a> {
    reader: Reader<'i, 'a>,
    root: &'w Root,
    places: Places<'w>,
    later: Later,
    options: &'w ExtractOptions,
    cancelled: Cancelled<'w>,
    progress: &'w mut dyn FnMut(&Progress<'_>),
    done: Extracted,
}

impl Extraction<'_, '_, '_> {
    fn run(&mut self) -> Result<(), ArchiveError> {
        while let Some(entry) = self.reader.next()? {
            self.done.entries += 1;
            if self.done.entries > self.options.max_entries {
                return Err(ArchiveError::TooManyEntries {
                    limit: self.options.max_entries,
                });
            }
            self.report(&entry.info.path)?;
            self.one(&entry)?;
        }
        self.later.apply(self.root, &mut self.places, &mut self.done)
    }

    fn report(&mut self, path: &Path) -> Result<(), ArchiveError> {
        if (self.cancelled)() {
            return Err(ArchiveError::Cancelled);
        }
        (self.progress)(&Progress {
            read: self.reader.read_so_far(),
            bytes: self.done.bytes,
            entries: self.done.entries,
            path,
        });
        Ok(())
    }

    fn one(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let info = &entry.info;
        let whole = below(&info.path).map_err(|why| ArchiveError::entry(&info.path, why))?;
        let Some(path) = self.wanted(whole) else {
            return Ok(());
        };
        let refused = |why| ArchiveError::entry(&info.path, why);
        match &info.kind {
            EntryKind::File => return self.file(entry, &path),
            EntryKind::Dir => self.dir(info, &path).map_err(refused)?,
            EntryKind::Symlink(target) => self.symlink(info, target.as_bytes(), &path).map_err(refused)?,
            EntryKind::HardLink(target) => self.hard_link(target, &path).map_err(refused)?,
            EntryKind::Fifo => self.node(info, Kind::Fifo, (0, 0), &path).map_err(refused)?,
            EntryKind::CharDevice(major, minor) => {
                self.device(info, Kind::CharDevice, (*major, *minor), &path)
                    .map_err(refused)?;
            }
            EntryKind::BlockDevice(major, minor) => {
                self.device(info, Kind::BlockDevice, (*major, *minor), &path)
                    .map_err(refused)?;
            }
        }
        Ok(())
    }

    /// The name below the part that is extracted; none where it is not part of that.
    fn wanted(&self, path: RelPath) -> Option<RelPath> {
        match &self.options.under {
            None => Some(path),
            Some(under) => stripped(&path, under),
        }
    }

    fn file(&mut self, entry: &Entry, path: &RelPath) -> Result<(), ArchiveError> {
        let info = &entry.info;
        let stored: u64 = entry.pieces.iter().map(|p| p.len).sum();
        if stored > self.options.max_bytes - self.done.bytes {
            return Err(ArchiveError::TooManyBytes {
                limit: self.options.max_bytes,
            });
        }
        let refused = |why| ArchiveError::entry(&info.path, why);
        let file = self.new_file(path).map_err(refused)?;
        self.fill(entry, &file)?;
        apply::to_open(&file, info, &mut self.done).map_err(refused)?;
        self.later.flags(path, &info.flags).map_err(refused)
    }

    fn new_file(&mut self, path: &RelPath) -> Result<File, EntryError> {
        self.make_way(path)?;
        let (dir, name) = self.places.of(path)?;
        match dir.create_file(&name, 0o600) {
            Err(e) if e.is_exists() => {
                self.remove(path)?;
                let (dir, name) = self.places.of(path)?;
                Ok(dir.create_file(&name, 0o600)?)
            }
            made => Ok(made?),
        }
    }

    fn fill(&mut self, entry: &Entry, file: &File) -> Result<(), ArchiveError> {
        let path = &entry.info.path;
        let (cancelled, reader, done, progress) = (
            self.cancelled,
            &mut self.reader,
            &mut self.done,
            &mut self.progress,
        );
        let read = reader.read_so_far();
        let mut end = 0;
        reader.data(entry, |at, bytes| {
            if cancelled() {
                return Err(ArchiveError::Cancelled);
            }
            file.write_all_at(bytes, at)
                .map_err(|e| ArchiveError::entry(path, EntryError::Write(e)))?;
            end = at + bytes.len() as u64;
            done.bytes += bytes.len() as u64;
            progress(&Progress {
                read,
                bytes: done.bytes,
                entries: done.entries,
                path,
            });
            Ok(())
        })?;
        if end < entry.info.size {
            file.set_len(entry.info.size)
                .map_err(|e| ArchiveError::entry(path, EntryError::Write(e)))?;
        }
        Ok(())
    }

    fn dir(&mut self, info: &EntryInfo, path: &RelPath) -> Result<(), EntryError> {
        if !path.is_root() {
            self.make_way(path)?;
            let (dir, name) = self.places.of(path)?;
            // Anything but a directory gives way to one, as to any later entry. Its mode comes last: children must get in.
            if dir.metadata(&name)?.is_some_and(|found| found.kind != Kind::Dir) {
                self.remove(path)?;
            }
            let (dir, name) = self.places.of(path)?;
            dir.make_dir(&name, 0o700, None)?;
        }
        self.later.dir(path, info)
    }

    fn symlink(&mut self, info: &EntryInfo, target: &[u8], path: &RelPath) -> Result<(), EntryError> {
        if target.is_empty() || target.contains(&0) {
            return Err(EntryError::BadLink);
        }
        self.replace(path, |dir, name| {
            dir.symlink(std::ffi::OsStr::from_bytes(target), name)
        })?;
        let (dir, name) = self.places.of(path)?;
        dir.set_owner(&name, info.uid, info.gid)?;
        dir.set_mtime(&name, info.mtime)?;
        self.later.flags(path, &info.flags)
    }

    /// A link to a symbolic link names the link itself, as another symbolic link would: it is not followed.
    fn hard_link(&mut self, target: &Path, path: &RelPath) -> Result<(), EntryError> {
        let bad = |why: String| EntryError::BadTarget {
            target: target.to_owned(),
            why,
        };
        let from = below(target).map_err(|why| bad(why.to_string()))?;
        let Some(from) = self.wanted(from) else {
            return Err(bad("it lies outside of what is extracted".to_owned()));
        };
        let found = self.root.metadata(&from).map_err(|e| bad(e.kind().to_string()))?;
        match found.map(|found| found.kind) {
            None => {
                return Err(EntryError::NoTarget {
                    target: target.to_owned(),
                });
            }
            Some(Kind::Dir) => return Err(bad("a directory has one name only".to_owned())),
            Some(_) => {}
        }
        self.done.hard_links += 1;
        if from == *path {
            return Ok(());
        }
        self.make_way(path)?;
        match self.root.hard_link(&from, path) {
            Err(e) if e.is_exists() => {
                self.remove(path)?;
                Ok(self.root.hard_link(&from, path)?)
            }
            made => Ok(made?),
        }
    }

    fn device(
        &mut self,
        info: &EntryInfo,
        kind: Kind,
        numbers: (u32, u32),
        path: &RelPath,
    ) -> Result<(), EntryError> {
        match self.options.devices {
            Devices::Make => self.node(info, kind, numbers, path),
            Devices::Skip => {
                self.done.skipped_devices += 1;
                Ok(())
            }
        }
    }

    fn node(
        &mut self,
        info: &EntryInfo,
        kind: Kind,
        numbers: (u32, u32),
        path: &RelPath,
    ) -> Result<(), EntryError> {
        self.replace(path, |dir, name| dir.make_node(name, kind, 0o600, numbers))?;
        let (dir, name) = self.places.of(path)?;
        dir.set_owner(&name, info.uid, info.gid)?;
        dir.set_mode(&name, info.mode)?;
        dir.set_mtime(&name, info.mtime)?;
        self.later.flags(path, &info.flags)
    }

    /// Makes a name, after what stood there has been removed.
    fn replace(
        &mut self,
        path: &RelPath,
        make: impl Fn(&Root, &RelPath) -> qjail_fs::Result<()>,
    ) -> Result<(), EntryError> {
        self.make_way(path)?;
        let (dir, name) = self.places.of(path)?;
        match make(dir, &name) {
            Err(e) if e.is_exists() => {
                self.remove(path)?;
                let (dir, name) = self.places.of(path)?;
                Ok(make(dir, &name)?)
            }
            made => Ok(made?),
        }
    }

    /// Removes what a later entry replaces; never a directory.
    fn remove(&mut self, path: &RelPath) -> Result<(), EntryError> {
        self.later.forget_flags(path);
        let (dir, name) = self.places.of(path)?;
        dir.remove_file(&name).map_err(|e| match e.kind() {
            qjail_fs::ErrorKind::WrongKind { found: Kind::Dir, .. } => EntryError::OverDirectory,
            _ => EntryError::Fs(e),
        })?;
        Ok(())
    }

    /// Opens the directory that will hold a name, made when the archive has no entry for it.
    fn make_way(&mut self, path: &RelPath) -> Result<(), EntryError> {
        if path.is_root() {
            return Err(EntryError::OverDirectory);
        }
        self.places.enter(path)
    }
}

/// An entry's name as a path below the root: absolute names count from it.
fn below(path: &Path) -> Result<RelPath, qjail_fs::PathError> {
    let bytes = path.as_os_str().as_bytes();
    let start = bytes.iter().position(|b| *b != b'/').unwrap_or(bytes.len());
    if start > 0 && start == bytes.len() {
        return Ok(RelPath::root());
    }
    RelPath::new(std::ffi::OsStr::from_bytes(&bytes[start..]))
}

fn stripped(path: &RelPath, prefix: &RelPath) -> Option<RelPath> {
    let mut rest = path.components();
    prefix
        .components()
        .all(|name| rest.next() == Some(name))
        .then(|| rest.try_fold(RelPath::root(), |at, name| at.join(name).ok()))?
}
