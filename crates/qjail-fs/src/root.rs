//! The root, the walk to a name, and everything that only looks.

use crate::error::{Error, ErrorKind, Result};
use crate::meta::{Entry, Kind, Meta};
use crate::path::RelPath;
use qjail_os::FileInfo;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A directory below which files are reached without following a link.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    label: PathBuf,
}

/// The directory that holds a name: the root's own descriptor, or one opened on the way.
pub(crate) enum Place<'a> {
    Root(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for Place<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Place::Root(fd) => *fd,
            Place::Below(fd) => fd.as_fd(),
        }
    }
}

impl Root {
    /// Opens a directory of the host by its absolute path. The path is trusted: links on it are the host's own and followed.
    ///
    /// # Errors
    /// The path is not absolute, does not exist, or is no directory.
    pub fn open(path: &Path) -> Result<Root> {
        let fail = |kind| Error::new("open directory", path.to_owned(), kind);
        if !path.is_absolute() {
            return Err(fail(ErrorKind::NotAbsolute));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| fail(e.into()))?;
        Ok(Root {
            fd,
            label: path.to_owned(),
        })
    }

    /// Opens a directory below as a root of its own.
    ///
    /// # Errors
    /// A component does not exist, is a link, or is no directory.
    pub fn open_dir(&self, path: &RelPath) -> Result<Root> {
        let fd = self
            .walk(path)
            .map_err(|k| self.error("open directory", path, k))?;
        Ok(Root {
            fd,
            label: self.full(path),
        })
    }

    /// Another handle of the same directory.
    ///
    /// # Errors
    /// The process has too many open files.
    pub fn try_clone(&self) -> Result<Root> {
        let fd = self
            .fd
            .try_clone()
            .map_err(|e| self.error("open directory", &RelPath::root(), e.into()))?;
        Ok(Root {
            fd,
            label: self.label.clone(),
        })
    }

    /// Writes to disk whatever the file system of the root still holds in memory; see [`qjail_os::flush_file_system`].
    ///
    /// # Errors
    /// The disk failed.
    pub fn flush_file_system(&self) -> Result<()> {
        qjail_os::flush_file_system(self.fd.as_fd())
            .map_err(|e| self.error("flush", &RelPath::root(), e.into()))
    }

    /// Makes the names directly in the root last.
    ///
    /// # Errors
    /// The disk failed.
    pub fn flush_names(&self) -> Result<()> {
        qjail_os::flush_names(self.fd.as_fd()).map_err(|e| self.error("flush", &RelPath::root(), e.into()))
    }

    /// The directory's descriptor.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Where the root was opened: for messages only.
    #[must_use]
    pub fn label(&self) -> &Path {
        &self.label
    }

    /// Metadata of a name, of a link itself; `None` where the name, or a directory on the way to it, does not exist.
    ///
    /// # Errors
    /// A component on the way is a link or no directory.
    pub fn metadata(&self, path: &RelPath) -> Result<Option<Meta>> {
        match self.info(path) {
            Ok(found) => Ok(Some(Meta::from(&found))),
            Err(ErrorKind::Io(e)) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(kind) => Err(self.error("look at", path, kind)),
        }
    }

    /// Reads a regular file of at most `limit` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`]; [`ErrorKind::WrongKind`] and [`ErrorKind::Link`] for anything but a regular file.
    pub fn read(&self, path: &RelPath, limit: u64) -> Result<Vec<u8>> {
        self.read_kind(path, limit)
            .map_err(|k| self.error("read", path, k))
    }

    /// Reads a regular file of at most `limit` bytes as UTF-8 text.
    ///
    /// # Errors
    /// As [`Root::read`], and [`ErrorKind::NotText`].
    pub fn read_to_string(&self, path: &RelPath, limit: u64) -> Result<String> {
        String::from_utf8(self.read(path, limit)?).map_err(|_| self.error("read", path, ErrorKind::NotText))
    }

    /// Opens a regular file for reading; a FIFO or device in its place is refused, without waiting for anybody.
    ///
    /// # Errors
    /// [`ErrorKind::WrongKind`] and [`ErrorKind::Link`] for anything but a regular file.
    pub fn open_file(&self, path: &RelPath) -> Result<File> {
        self.open_regular(path)
            .map(|(file, _)| file)
            .map_err(|k| self.error("open", path, k))
    }

    /// The target of a symbolic link, as it is written.
    ///
    /// # Errors
    /// The name does not exist or is no link.
    pub fn read_link(&self, path: &RelPath) -> Result<OsString> {
        self.in_parent("read link", path, |dir, name| {
            match rustix::fs::readlinkat(dir, name, Vec::new()) {
                Ok(target) => Ok(OsString::from_vec(target.into_bytes())),
                Err(Errno::INVAL) => Err(wrong_kind(dir, name, Kind::Link, Errno::INVAL)),
                Err(e) => Err(e.into()),
            }
        })
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// A component does not exist, is a link, or is no directory.
    pub fn list(&self, path: &RelPath) -> Result<Vec<Entry>> {
        let listed = self.walk(path).and_then(|fd| Ok(read_dir(fd.as_fd())?));
        let mut entries = listed.map_err(|k| self.error("list", path, k))?;
        entries.sort();
        Ok(entries)
    }

    pub(crate) fn error(&self, what: &'static str, path: &RelPath, kind: ErrorKind) -> Error {
        Error::new(what, self.full(path), kind)
    }

    pub(crate) fn full(&self, path: &RelPath) -> PathBuf {
        if path.is_root() {
            self.label.clone()
        } else {
            self.label.join(path.as_os_str())
        }
    }

    /// Opens a directory, component by component.
    pub(crate) fn walk(&self, path: &RelPath) -> std::result::Result<OwnedFd, ErrorKind> {
        let mut components = path.components();
        let Some(first) = components.next() else {
            return Ok(self.fd.try_clone()?);
        };
        components.try_fold(open_subdir(self.as_fd(), first)?, |at, name| {
            open_subdir(at.as_fd(), name)
        })
    }

    /// Opens the directory that holds the last component.
    pub(crate) fn place<'p>(
        &self,
        path: &'p RelPath,
    ) -> std::result::Result<(Place<'_>, &'p OsStr), ErrorKind> {
        let mut components = path.components();
        let name = components.next_back().ok_or(ErrorKind::NoName)?;
        let mut at = Place::Root(self.as_fd());
        for component in components {
            at = Place::Below(open_subdir(at.as_fd(), component)?);
        }
        Ok((at, name))
    }

    pub(crate) fn in_parent<T>(
        &self,
        what: &'static str,
        path: &RelPath,
        act: impl FnOnce(BorrowedFd<'_>, &OsStr) -> std::result::Result<T, ErrorKind>,
    ) -> Result<T> {
        self.place(path)
            .and_then(|(dir, name)| act(dir.as_fd(), name))
            .map_err(|kind| self.error(what, path, kind))
    }

    pub(crate) fn info(&self, path: &RelPath) -> std::result::Result<FileInfo, ErrorKind> {
        if path.is_root() {
            return Ok(qjail_os::info(self.as_fd())?);
        }
        let (dir, name) = self.place(path)?;
        Ok(qjail_os::info_at(dir.as_fd(), name)?)
    }

    pub(crate) fn open_regular(&self, path: &RelPath) -> std::result::Result<(File, FileInfo), ErrorKind> {
        let (dir, name) = self.place(path)?;
        // Looked at before it is opened: opening alone can already mean something to a device.
        expect_kind(name, &qjail_os::info_at(dir.as_fd(), name)?, Kind::File)?;
        open_regular_at(dir.as_fd(), name)
    }

    fn read_kind(&self, path: &RelPath, limit: u64) -> std::result::Result<Vec<u8>, ErrorKind> {
        let (file, found) = self.open_regular(path)?;
        if found.size > limit {
            return Err(ErrorKind::TooLarge { limit });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(found.size).unwrap_or(0));
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(ErrorKind::TooLarge { limit });
        }
        Ok(bytes)
    }
}

/// Opens a directory by one name; a link is refused by name.
pub(crate) fn open_subdir(dir: BorrowedFd<'_>, name: &OsStr) -> std::result::Result<OwnedFd, ErrorKind> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(dir, name, flags, Mode::empty()).map_err(|e| wrong_kind(dir, name, Kind::Dir, e))
}

/// Opens one name for reading if it is a regular file. `NONBLOCK`: a FIFO must not make us wait.
pub(crate) fn open_regular_at(
    dir: BorrowedFd<'_>,
    name: &OsStr,
) -> std::result::Result<(File, FileInfo), ErrorKind> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = openat(dir, name, flags, Mode::empty()).map_err(|e| wrong_kind(dir, name, Kind::File, e))?;
    let found = qjail_os::info(fd.as_fd())?;
    expect_kind(name, &found, Kind::File)?;
    Ok((File::from(fd), found))
}

pub(crate) fn expect_kind(
    name: &OsStr,
    found: &FileInfo,
    expected: Kind,
) -> std::result::Result<(), ErrorKind> {
    match Kind::of_mode(found.mode) {
        kind if kind == expected => Ok(()),
        Kind::Link => Err(ErrorKind::Link {
            name: name.to_owned(),
        }),
        found => Err(ErrorKind::WrongKind {
            name: name.to_owned(),
            expected,
            found,
        }),
    }
}

// Systems differ in the number they give for "that is a link" (ELOOP, EMLINK, ENOTDIR): ask what it is.
fn wrong_kind(dir: BorrowedFd<'_>, name: &OsStr, expected: Kind, errno: Errno) -> ErrorKind {
    if !matches!(
        errno,
        Errno::LOOP | Errno::MLINK | Errno::NOTDIR | Errno::INVAL | Errno::NXIO | Errno::OPNOTSUPP
    ) {
        return errno.into();
    }
    match qjail_os::info_at(dir, name).map(|found| expect_kind(name, &found, expected)) {
        Ok(Err(kind)) => kind,
        _ => errno.into(),
    }
}

/// The names in an open directory, in the file system's order.
pub(crate) fn read_dir(dir: BorrowedFd<'_>) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let kind = match Kind::of_entry(entry.file_type()) {
            Some(kind) => kind,
            None => match qjail_os::info_at(dir, name) {
                Ok(found) => Kind::of_mode(found.mode),
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            },
        };
        entries.push(Entry {
            name: name.to_owned(),
            kind,
        });
    }
    Ok(entries)
}
