//! What can go wrong with a system, as text that a user can act on.

use std::fmt;

/// Result of a call to a system.
pub type Result<T> = std::result::Result<T, SysError>;

/// What was attempted, why it failed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysError {
    /// What was attempted, on what: `mount /usr/jails/jail1/sharedfs`.
    pub attempt: String,
    /// Why it failed: `Device busy`.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl SysError {
    /// An error.
    pub fn new(attempt: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            attempt: attempt.into(),
            why: why.to_string(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.attempt, self.why)
    }
}

impl std::error::Error for SysError {}
