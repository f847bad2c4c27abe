//! All access to files below a root directory that somebody else may control.
//!
//! A [`Root`] is a directory descriptor; a [`RelPath`] is a relative path that cannot climb. Every component is opened on its
//! own, and no symbolic link is followed, neither on the way nor at the end: whoever is root in a jail may plant links, FIFOs,
//! devices and directories anywhere and swap them at any time, and nothing outside the root is reached. Also here:
//! atomic writes, copying and merging of trees ([`copy_tree`]), and deleting of trees without crossing a mount.
//!
//! # Limits
//! There is no call that takes a joined path string; only [`Root::open`] takes a path, the host's own. Extended attributes
//! of links, FIFOs and devices are not copied. A mount made below a tree *while* it is deleted is not entered, but what was
//! deleted before it was met is gone. Between looking at a name and opening it a hostile process may put a device there: it
//! is then opened (without waiting), recognised and closed again, never read.
#![forbid(unsafe_code)]

mod change;
mod copy;
mod error;
mod lines;
mod meta;
mod path;
mod queue;
mod remove;
mod root;
mod walk;
mod write;

pub use copy::{CopyOptions, CopyStats, OnConflict, copy_tree};
pub use error::{Error, ErrorKind, Result};
pub use meta::{Entry, Kind, Meta};
pub use path::{PathError, RelPath};
pub use root::Root;
pub use walk::TreeSize;
pub use write::{IfExists, WriteOptions, Written};

/// A question asked before each entry of a tree: true ends the work with [`ErrorKind::Cancelled`].
pub type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// A [`Cancelled`] that never cancels: pass `&never`.
#[must_use]
pub fn never() -> bool {
    false
}

#[cfg(test)]
mod tests;
