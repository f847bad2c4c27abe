//! Walking a tree and telling its entries apart.

use super::member::{Member, Members};
use crate::error::{ArchiveError, EntryError};
use qjail_fs::{Entry, Kind, RelPath, Root};
use qjail_os::{FileInfo, MountId};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// Directories of the way down that stay open; those above are opened again on the way back.
const OPEN: usize = 48;

struct Frame {
    path: RelPath,
    dir: Option<Root>,
    names: std::vec::IntoIter<Entry>,
}

pub(super) struct Walk<'a, 'm, 'c, W> {
    from: &'a Root,
    mount: MountId,
    /// Files with several names, and the first of them.
    seen: HashMap<(u64, u64), OsString>,
    members: &'m mut Members<'c, W>,
}

impl<'a, 'm, 'c, W: Write> Walk<'a, 'm, 'c, W> {
    pub(super) fn new(from: &'a Root, members: &'m mut Members<'c, W>) -> Result<Self, ArchiveError> {
        let mount = qjail_os::mount_id(from.as_fd()).map_err(|e| cannot_read(&RelPath::root(), e))?;
        Ok(Walk {
            from,
            mount,
            seen: HashMap::new(),
            members,
        })
    }

    /// Archives a name and all below it.
    pub(super) fn tree(&mut self, start: &RelPath) -> Result<(), ArchiveError> {
        let mut frames = Vec::new();
        match start.parent() {
            None => frames.extend(self.enter(self.from.try_clone()?, start)?),
            Some(above) => frames.extend(self.one(&self.from.open_dir(&above)?, start)?),
        }
        while let Some(frame) = frames.last_mut() {
            let Some(entry) = frame.names.next() else {
                frames.pop();
                continue;
            };
            let path = frame
                .path
                .join(&entry.name)
                .map_err(|why| ArchiveError::entry(&entry.name, why))?;
            let dir = match frame.dir.take() {
                Some(dir) => dir,
                None => self.from.open_dir(&frame.path)?,
            };
            let below = self.one(&dir, &path)?;
            frame.dir = Some(dir);
            if let Some(below) = below {
                frames.push(below);
                if let Some(above) = frames.len().checked_sub(OPEN + 1) {
                    frames[above].dir = None;
                }
            }
        }
        Ok(())
    }

    /// Archives one name; returns what to go down into.
    fn one(&mut self, dir: &Root, path: &RelPath) -> Result<Option<Frame>, ArchiveError> {
        let name = path.file_name().unwrap_or_default();
        let relative = RelPath::new(name).map_err(|why| ArchiveError::entry(path.as_os_str(), why))?;
        let Some(meta) = dir.metadata(&relative)? else {
            // It was there when the directory was read, or the caller named it.
            return Err(cannot_read(path, rustix::io::Errno::NOENT.into()));
        };
        let info = qjail_os::info_at(dir.as_fd(), name).map_err(|e| cannot_read(path, e))?;
        match meta.kind {
            Kind::Dir => return self.enter(dir.open_dir(&relative)?, path),
            _ if info.mount != self.mount => self.members.done.skipped_mounts += 1,
            Kind::File => self.file(dir, &relative, path)?,
            Kind::Link => {
                let target = dir.read_link(&relative)?;
                self.plain(b'2', path.as_os_str(), &target, &info)?;
            }
            Kind::Fifo => self.plain(b'6', path.as_os_str(), OsStr::new(""), &info)?,
            Kind::CharDevice => self.plain(b'3', path.as_os_str(), OsStr::new(""), &info)?,
            Kind::BlockDevice => self.plain(b'4', path.as_os_str(), OsStr::new(""), &info)?,
            Kind::Socket | Kind::Other => self.members.done.skipped_sockets += 1,
        }
        Ok(None)
    }

    fn enter(&mut self, dir: Root, path: &RelPath) -> Result<Option<Frame>, ArchiveError> {
        let info = qjail_os::info(dir.as_fd()).map_err(|e| cannot_read(path, e))?;
        let mut name = if path.is_root() {
            OsString::from(".")
        } else {
            path.as_os_str().to_owned()
        };
        name.push("/");
        let xattrs = xattrs(dir.as_fd()).map_err(|e| cannot_read(path, e))?;
        self.members.plain(&Member {
            type_byte: b'5',
            path: &name,
            link: OsStr::new(""),
            info: &info,
            xattrs,
        })?;
        if info.mount != self.mount {
            self.members.done.skipped_mounts += 1;
            return Ok(None);
        }
        let names = dir.list(&RelPath::root())?.into_iter();
        Ok(Some(Frame {
            path: path.clone(),
            dir: Some(dir),
            names,
        }))
    }

    fn file(&mut self, dir: &Root, name: &RelPath, path: &RelPath) -> Result<(), ArchiveError> {
        let file = dir.open_file(name)?;
        let info = qjail_os::info(file.as_fd()).map_err(|e| cannot_read(path, e))?;
        if info.nlink > 1 {
            if let Some(first) = self.seen.get(&(info.dev, info.ino)).cloned() {
                self.members.done.hard_links += 1;
                return self.plain(b'1', path.as_os_str(), &first, &info);
            }
            self.seen
                .insert((info.dev, info.ino), path.as_os_str().to_owned());
        }
        let xattrs = xattrs(file.as_fd()).map_err(|e| cannot_read(path, e))?;
        let member = Member {
            type_byte: b'0',
            path: path.as_os_str(),
            link: OsStr::new(""),
            info: &info,
            xattrs,
        };
        self.members.file(&member, &file)
    }

    fn plain(
        &mut self,
        type_byte: u8,
        path: &OsStr,
        link: &OsStr,
        info: &FileInfo,
    ) -> Result<(), ArchiveError> {
        self.members.plain(&Member {
            type_byte,
            path,
            link,
            info,
            xattrs: Vec::new(),
        })
    }
}

fn xattrs(fd: BorrowedFd<'_>) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let names = match qjail_os::list_xattrs(fd) {
        Err(e) if e.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        names => names?,
    };
    let mut all = Vec::new();
    for name in names {
        if let Some(value) = qjail_os::get_xattr(fd, &name)? {
            all.push((name, value));
        }
    }
    all.sort();
    Ok(all)
}

fn cannot_read(path: &RelPath, e: io::Error) -> ArchiveError {
    let path = if path.is_root() {
        OsStr::new(".")
    } else {
        path.as_os_str()
    };
    ArchiveError::entry(path, EntryError::Read(e))
}
