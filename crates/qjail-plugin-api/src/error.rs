//! Errors and objections as they cross the boundary: plain data.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a plugin could not do what it was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PluginError {
    /// A word for programs: `failed`, `panic`, `unknown-op`, `bad-document`, `usage`, `cancelled`, ….
    pub code: String,
    /// One line for people: what was attempted, on what, why it failed.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
    /// Deeper reasons, the nearest first; shown with `-v`.
    #[serde(default)]
    pub causes: Vec<String>,
}

impl PluginError {
    /// A failure with its message.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self::with_code("failed", message)
    }

    /// A failure with a code of its own.
    #[must_use]
    pub fn with_code(code: &str, message: impl fmt::Display) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_string(),
            ..Self::default()
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PluginError {}

/// A reason not to begin; all of them are collected and shown together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Objection {
    /// One line: what is wrong with what.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

impl Objection {
    /// An objection.
    #[must_use]
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}
