//! One error for all operations: what was attempted, on what, and why it failed.

use crate::meta::Kind;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// The result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// What was attempted, on what, and why it failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {kind}", path.display())]
pub struct Error {
    what: &'static str,
    path: PathBuf,
    kind: Box<ErrorKind>,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system refused.
    #[error("{0}")]
    Io(io::Error),
    /// A component of the path is a symbolic link.
    #[error("{} is a symbolic link, and links are not followed", name.display())]
    Link {
        /// The component.
        name: OsString,
    },
    /// Something of another kind stands there.
    #[error("{} is a {found}, not a {expected}", name.display())]
    WrongKind {
        /// The component.
        name: OsString,
        /// What the operation works on.
        expected: Kind,
        /// What was found.
        found: Kind,
    },
    /// The name exists and may not be replaced.
    #[error("it exists already")]
    Exists,
    /// The file has more bytes than the caller accepts.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The caller's limit in bytes.
        limit: u64,
    },
    /// The file is no UTF-8 text.
    #[error("it is no UTF-8 text")]
    NotText,
    /// A text for one line holds a line break.
    #[error("the text is not one line")]
    NotOneLine,
    /// The root itself was named where a name below it is needed.
    #[error("the path names the root directory itself")]
    NoName,
    /// A path for [`crate::Root::open`] is not absolute.
    #[error("the path is not absolute")]
    NotAbsolute,
    /// Something is mounted there.
    #[error("something is mounted there; unmount it first")]
    Mounted,
    /// A tree is to be copied into itself.
    #[error("the destination lies inside the source")]
    InsideItself,
    /// Another process changed the tree in the middle of the work.
    #[error("it changed while it was being worked on")]
    Changed,
    /// The caller's `cancelled` said so.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(crate) fn new(what: &'static str, path: PathBuf, kind: ErrorKind) -> Self {
        Error {
            what,
            path,
            kind: Box::new(kind),
        }
    }

    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The file that the operation worked on, as the root's label and the relative path: for messages only.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The system's error, where there is one.
    #[must_use]
    pub fn io(&self) -> Option<&io::Error> {
        match self.kind() {
            ErrorKind::Io(e) => Some(e),
            _ => None,
        }
    }

    /// Whether the file system is full, or a quota reached.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        self.io_kind_is(&[io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded])
    }

    /// Whether the file, or a directory on the way to it, does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.io_kind_is(&[io::ErrorKind::NotFound])
    }

    /// Whether the name exists and may not be replaced.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(self.kind(), ErrorKind::Exists) || self.io_kind_is(&[io::ErrorKind::AlreadyExists])
    }

    /// Whether the caller cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind(), ErrorKind::Cancelled)
    }

    fn io_kind_is(&self, kinds: &[io::ErrorKind]) -> bool {
        self.io().is_some_and(|e| kinds.contains(&e.kind()))
    }
}

impl From<io::Error> for ErrorKind {
    fn from(e: io::Error) -> Self {
        ErrorKind::Io(e)
    }
}

impl From<rustix::io::Errno> for ErrorKind {
    fn from(e: rustix::io::Errno) -> Self {
        ErrorKind::Io(e.into())
    }
}
