//! Errors as the user meets them: what was attempted, why it failed, what to do.

use std::fmt;

use qjail_fs::ErrorKind;
use qjail_plugin_api::{Objection, PluginError};
use qjail_sys::SysError;

/// Result of an operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it is; decides the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something failed.
    Failed,
    /// The command line asks for something that can not be; exit status 2.
    Usage,
    /// The user ended it.
    Cancelled,
}

/// One failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind of failure.
    pub kind: Kind,
    /// One line: what was attempted, on what, and why it failed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Further failures that came with it: other objections, or what went wrong while undoing.
    pub more: Vec<Error>,
}

impl Error {
    /// A failure.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Failed,
            message: message.to_string(),
            hint: None,
            more: Vec::new(),
        }
    }

    /// A mistake in the command line.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Usage,
            ..Self::new(message)
        }
    }

    /// The user has had enough.
    #[must_use]
    pub fn cancelled() -> Self {
        Self {
            kind: Kind::Cancelled,
            ..Self::new("interrupted")
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// The same with what it was about in front.
    #[must_use]
    pub fn about(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Several objections as one error: the first with the others behind it.
    #[must_use]
    pub fn all(mut errors: Vec<Error>) -> Option<Error> {
        if errors.is_empty() {
            return None;
        }
        let mut first = errors.remove(0);
        first.more.extend(errors);
        Some(first)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<SysError> for Error {
    fn from(e: SysError) -> Self {
        let mut error = Self::new(&e);
        error.hint = e.hint;
        error
    }
}

impl From<qjail_fs::Error> for Error {
    fn from(e: qjail_fs::Error) -> Self {
        if e.is_cancelled() {
            return Self::cancelled();
        }
        let error = Self::new(&e);
        match e.kind() {
            _ if e.is_no_space() => error.hint("free some space there and try again; nothing was changed"),
            ErrorKind::Link { .. } | ErrorKind::WrongKind { .. } => {
                error.hint("look at it, and put back what belongs there; a jail's root can have changed it")
            }
            _ => error,
        }
    }
}

impl From<qjail_store::Error> for Error {
    fn from(e: qjail_store::Error) -> Self {
        let error = Self::new(&e);
        match &e {
            qjail_store::Error::Busy { .. } => error.hint("wait until it has ended, and try again"),
            qjail_store::Error::Definition(_) => {
                error.hint("mend that file; the other jails are not affected")
            }
            e if e.is_no_space() => error.hint("free some space there and try again; nothing was changed"),
            _ => error,
        }
    }
}

impl From<PluginError> for Error {
    fn from(e: PluginError) -> Self {
        let mut error = Self::new(&e.message);
        error.hint = e.hint;
        error.kind = match e.code.as_str() {
            "usage" => Kind::Usage,
            "cancelled" => Kind::Cancelled,
            _ => Kind::Failed,
        };
        error
    }
}

impl From<Objection> for Error {
    fn from(o: Objection) -> Self {
        Self {
            hint: o.hint,
            ..Self::new(o.message)
        }
    }
}
