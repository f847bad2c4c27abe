//! What a plugin is asked about, and in which order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happens to a jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A jail is made.
    Create,
    /// A stopped jail's definition changes.
    Config,
    /// A jail is started.
    Start,
    /// A jail is stopped.
    Stop,
    /// A jail is removed.
    Delete,
    /// A jail is put into an archive.
    Archive,
    /// A jail comes back from an archive.
    Restore,
    /// A jail gets another name.
    Rename,
    /// The zone's base changes.
    Update,
    /// An event of a later API; never asked for by this host.
    #[serde(other)]
    Unknown,
}

/// Before or after the core's own steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Point {
    /// Before.
    Pre,
    /// After.
    Post,
}

/// A wish to be asked. `resolve` and `validate` are asked once for each event, `plan` once for each hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HookSpec {
    /// The event.
    pub event: Event,
    /// Before or after the core's own steps.
    pub point: Point,
    /// Lower runs earlier; among equals `after`, `before` and then the name decide. Events that take down (stop,
    /// delete) run in reverse.
    #[serde(default)]
    pub order: i32,
}

impl HookSpec {
    /// A hook of order 0.
    #[must_use]
    pub fn new(event: Event, point: Point) -> Self {
        Self {
            event,
            point,
            order: 0,
        }
    }
}
