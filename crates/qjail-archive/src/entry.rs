//! One entry of an archive, as it is described there.

use std::ffi::OsString;
use std::path::PathBuf;

/// What an entry makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link with this target.
    Symlink(OsString),
    /// Another name for an earlier entry.
    HardLink(PathBuf),
    /// A named pipe.
    Fifo,
    /// A character device with its major and minor number.
    CharDevice(u32, u32),
    /// A block device with its major and minor number.
    BlockDevice(u32, u32),
}

/// One entry. Nothing in it is checked: names may climb or be absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryInfo {
    /// The name as the archive has it.
    pub path: PathBuf,
    /// What it makes.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky (`0o7777`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a regular file with its holes; 0 for anything else.
    pub size: u64,
    /// Last modification: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes with their namespace.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// File flags as chflags(1) names them, comma-separated; empty for none.
    pub flags: String,
}
