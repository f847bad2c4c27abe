//! Errors of the store. Each names the file and the reason.

use std::io;
use std::path::{Path, PathBuf};

use crate::definitions::DefinitionFileError;
use crate::lock::Holder;

/// Result of an operation of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{action} {}: {}", path.display(), reason(source))]
    Io {
        /// What was attempted: `write`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A definition can not be read.
    #[error(transparent)]
    Definition(#[from] DefinitionFileError),
    /// `qjail.toml` is not what it should be.
    #[error("{}: line {line}, column {column}: {message}", path.display())]
    Settings {
        /// The settings file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A value that can not stand in `qjail.toml`.
    #[error("{}: {key}: {message}", path.display())]
    Value {
        /// The settings file.
        path: PathBuf,
        /// The dotted key.
        key: String,
        /// Why not.
        message: String,
    },
    /// Another command holds the lock.
    #[error("{} is being used by {}", crate::lock::subject(lock), holder.as_ref().map_or_else(|| "another qjail".to_owned(), ToString::to_string))]
    Busy {
        /// The name of the lock: `jail.jail1`.
        lock: String,
        /// Who holds it, as far as it is known.
        holder: Option<Holder>,
    },
    /// A lock or journal name that is no file name.
    #[error("`{0}` can not name a lock: allowed are letters, digits, `_`, `-` and `.`")]
    BadName(String),
    /// A journal can not be written.
    #[error("journal {}: {message}", path.display())]
    Journal {
        /// The journal file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

impl Error {
    /// Whether another command holds what was asked for.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// Whether the disk or the quota is full.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The reason without the number that the standard library appends.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error")
        .map_or(text.as_str(), |(words, _)| words)
        .to_owned()
}
