//! What stands at a name.

use qjail_os::FileInfo;
use std::ffi::OsString;
use std::fmt;

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Link,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Anything else (a whiteout, for one).
    Other,
}

impl Kind {
    // The type bits of st_mode, the same on every system that has stat(2).
    pub(crate) fn of_mode(mode: u32) -> Kind {
        match mode & 0o170_000 {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Dir,
            0o120_000 => Kind::Link,
            0o010_000 => Kind::Fifo,
            0o140_000 => Kind::Socket,
            0o020_000 => Kind::CharDevice,
            0o060_000 => Kind::BlockDevice,
            _ => Kind::Other,
        }
    }

    pub(crate) fn of_entry(found: rustix::fs::FileType) -> Option<Kind> {
        use rustix::fs::FileType as T;
        Some(match found {
            T::RegularFile => Kind::File,
            T::Directory => Kind::Dir,
            T::Symlink => Kind::Link,
            T::Fifo => Kind::Fifo,
            T::Socket => Kind::Socket,
            T::CharacterDevice => Kind::CharDevice,
            T::BlockDevice => Kind::BlockDevice,
            T::Unknown => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::File => "regular file",
            Kind::Dir => "directory",
            Kind::Link => "symbolic link",
            Kind::Fifo => "FIFO",
            Kind::Socket => "socket",
            Kind::CharDevice => "character device",
            Kind::BlockDevice => "block device",
            Kind::Other => "file of an unknown kind",
        })
    }
}

/// Metadata of one name; of a link, its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Bytes allocated on the disk; less than `size` in a file with holes.
    pub allocated: u64,
    /// Number of names.
    pub nlink: u64,
    /// Last modification: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Device the file is on.
    pub dev: u64,
    /// Number of the file on its device.
    pub ino: u64,
    /// Major and minor number of a device node.
    pub rdev: (u32, u32),
    /// FreeBSD's file flags; 0 on Linux.
    pub flags: u32,
}

impl From<&FileInfo> for Meta {
    fn from(i: &FileInfo) -> Self {
        Meta {
            kind: Kind::of_mode(i.mode),
            mode: i.mode & 0o7777,
            uid: i.uid,
            gid: i.gid,
            size: i.size,
            allocated: i.blocks.saturating_mul(512),
            nlink: i.nlink,
            mtime: i.mtime,
            dev: i.dev,
            ino: i.ino,
            rdev: i.rdev,
            flags: i.flags,
        }
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name.
    pub name: OsString,
    /// What it was when the directory was read.
    pub kind: Kind,
}
