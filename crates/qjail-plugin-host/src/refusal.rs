//! Why a plugin is not used.

use std::fmt;
use std::path::PathBuf;

use qjail_plugin_api::PluginError;
use serde::{Deserialize, Serialize};

/// One sentence why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong with what.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for PluginError {
    fn from(refusal: Refusal) -> Self {
        Self {
            hint: refusal.hint,
            ..Self::with_code("refused", refusal.message)
        }
    }
}

/// A plugin that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name, as far as it is known: that of a file comes from the file's name.
    pub name: String,
    /// The file; none for a built-in one.
    pub path: Option<PathBuf>,
    /// Why.
    pub why: Refusal,
}
