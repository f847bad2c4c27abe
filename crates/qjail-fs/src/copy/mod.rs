//! Copying a tree with all that belongs to its files.

mod entry;
mod tree;

use crate::error::{Error, Result};
use crate::path::RelPath;
use crate::root::Root;
use crate::{Cancelled, never};

/// What [`copy_tree`] does with a name that exists in the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Any name that exists is an error.
    #[default]
    Fail,
    /// A directory merges into a real directory, which keeps its owner and mode. Anything else replaces anything but a
    /// directory; a link is replaced, never followed. Directory over something else, or the reverse, is an error.
    MergeReplace,
}

/// How [`copy_tree`] works.
#[derive(Clone, Copy)]
pub struct CopyOptions<'a> {
    /// Paths relative to the source that are left out, with all below them.
    pub skip: &'a [RelPath],
    /// What happens with names that exist.
    pub on_conflict: OnConflict,
    /// Number of threads; 0 means as many as there are processors, at most 4.
    pub threads: usize,
    /// Asked before each entry.
    pub cancelled: Cancelled<'a>,
}

impl Default for CopyOptions<'_> {
    fn default() -> Self {
        CopyOptions {
            skip: &[],
            on_conflict: OnConflict::Fail,
            threads: 0,
            cancelled: &never,
        }
    }
}

/// What [`copy_tree`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyStats {
    /// Regular files copied, further names of one file not counted.
    pub files: u64,
    /// Directories made; in a merge, those that existed are not counted.
    pub dirs: u64,
    /// Symbolic links made.
    pub links: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// FIFOs and device nodes made.
    pub nodes: u64,
    /// Bytes of regular files, holes included.
    pub bytes: u64,
    /// Sockets left out: they mean nothing without the process that listens.
    pub sockets_skipped: u64,
    /// Names left out because something is mounted on them in the source.
    pub mounts_skipped: u64,
    /// Files and directories whose extended attributes the destination cannot hold.
    pub attributes_lost: u64,
}

impl CopyStats {
    fn add(&mut self, other: &CopyStats) {
        self.files += other.files;
        self.dirs += other.dirs;
        self.links += other.links;
        self.hard_links += other.hard_links;
        self.nodes += other.nodes;
        self.bytes += other.bytes;
        self.sockets_skipped += other.sockets_skipped;
        self.mounts_skipped += other.mounts_skipped;
        self.attributes_lost += other.attributes_lost;
    }
}

/// Copies the contents of `from` into the directory `to`.
///
/// Owner, mode (setuid too), times, hard links within the tree, links as they are, devices, FIFOs, holes, extended attributes
/// with POSIX ACLs and capabilities, and FreeBSD's flags are kept. Data is cloned or copied inside the kernel where possible.
/// With [`OnConflict::Fail`] the directory `to` itself gets the owner, mode and times of `from`. Without root's rights, owners
/// that cannot be given are left at the process's own. Nothing is undone on an error: the caller deletes what is there.
///
/// # Errors
/// A name exists, no space, `to` lies inside `from`, cancelled; the error names the file.
pub fn copy_tree(from: &Root, to: &Root, options: &CopyOptions<'_>) -> Result<CopyStats> {
    tree::Copy::new(from, to, options)?.run()
}

fn error(root: &Root, path: &RelPath, kind: crate::ErrorKind) -> Error {
    root.error("copy", path, kind)
}
