//! What is to be done with a jail, as the data of a step.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The word for the step that switches ssh on.
pub(crate) const ON: &str = "on";
/// The word for the step that switches it off.
pub(crate) const OFF: &str = "off";

/// Which password a user gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Password {
    /// The hash of one that must be changed at the first login; an account that is there keeps its own.
    First(String),
    /// The hash of one that may stay.
    Given(String),
    /// None: only keys let in.
    None,
}

/// Switch ssh on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct On {
    /// The user.
    pub(crate) user: String,
    /// Lines for its `authorized_keys`.
    pub(crate) keys: Vec<String>,
    /// Its password.
    pub(crate) password: Password,
    /// Today, in days since 1970.
    pub(crate) day: u64,
    /// The jail is being made: host keys in it are others'.
    pub(crate) fresh: bool,
    /// The directory of the shared base, for its skeleton files.
    pub(crate) shared: String,
    /// Directories that are going to be made, for undo.
    #[serde(default)]
    pub(crate) made: Vec<String>,
}

/// Switch ssh off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Off {
    /// The users that it was switched on for.
    pub(crate) users: Vec<String>,
    /// Those that were there before, and the group that each was put into.
    #[serde(default)]
    pub(crate) joined: BTreeMap<String, String>,
}
