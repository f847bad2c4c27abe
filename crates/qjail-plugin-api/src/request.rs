//! The documents that go to a plugin and come back.

use std::collections::BTreeMap;

use qjail_model::Params;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Plan, PluginError};

/// Values of options by their id. Only what was given (or has a default) is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Options {
    /// The values: `true`, a number, a text or a list of texts.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
}

impl Options {
    /// Whether the switch is on.
    #[must_use]
    pub fn is_on(&self, id: &str) -> bool {
        self.values.get(id).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The text of an option.
    #[must_use]
    pub fn text(&self, id: &str) -> Option<&str> {
        self.values.get(id).and_then(Value::as_str)
    }

    /// The texts of an option that may be repeated; one text is a list of one.
    #[must_use]
    pub fn list(&self, id: &str) -> Vec<&str> {
        match self.values.get(id) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(s)) => vec![s.as_str()],
            _ => Vec::new(),
        }
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All values as the plugin's own struct.
    ///
    /// # Errors
    /// `bad-document` when they do not fit.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, PluginError> {
        let map = self.values.clone().into_iter().collect();
        serde_json::from_value(Value::Object(map))
            .map_err(|e| PluginError::with_code("bad-document", format!("options: {e}")))
    }
}

/// Where the plugin is being called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Context {
    /// `freebsd` or `linux`.
    pub os: String,
    /// The zone; none is the default zone.
    #[serde(default)]
    pub zone: Option<String>,
    /// The zone's directory of jails, absolute.
    pub jails_dir: String,
    /// The directory of definitions and settings, absolute.
    pub config_dir: String,
    /// The directory of locks, journal and records, absolute.
    pub state_dir: String,
    /// The plugin's table `[plugin.NAME]` of `qjail.toml`.
    #[serde(default)]
    pub settings: Value,
    /// Whether the plan will only be shown.
    #[serde(default)]
    pub dry_run: bool,
    /// Seconds since 1970 when the command began: the only clock a plan may depend on.
    #[serde(default)]
    pub now: u64,
}

/// A jail as a plugin sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JailInfo {
    /// Its name.
    pub name: String,
    /// Its zone; none is the default zone.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether it has its own full copy of the base.
    #[serde(default)]
    pub thick: bool,
    /// The base it is pinned to.
    #[serde(default)]
    pub base: Option<String>,
    /// The flavors that it was made with, in their order.
    #[serde(default)]
    pub flavors: Vec<String>,
    /// The parameters of its definition.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub params: Params,
    /// What the plugin has kept in the definition.
    #[serde(default)]
    pub kept: BTreeMap<String, Value>,
}

/// Sent with `resolve/1`, `validate/1` and `plan/1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookRequest {
    /// What happens.
    pub event: crate::Event,
    /// Before or after the core's own steps; `pre` for `resolve/1` and `validate/1`.
    pub point: crate::Point,
    /// The jail.
    pub jail: JailInfo,
    /// The options that this plugin added to the command; after `resolve/1` with the resolved ones.
    #[serde(default)]
    pub options: Options,
    /// Set for `create --duplicate`: values that must differ between jails (addresses) are the first of a row; take
    /// the next that is free.
    #[serde(default)]
    pub duplicate: bool,
    /// Set for `config` with several jails: a value that only one jail can have (an address) is to be objected to.
    #[serde(default)]
    pub several: bool,
    /// For the event `rename`, and for `config` in the same command: the name that the jail is going to have. `jail` still
    /// bears the old one.
    #[serde(default)]
    pub new_name: Option<String>,
    /// Where.
    pub context: Context,
}

/// Answer to `resolve/1`: values for options that were not given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// The values.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
}

/// Sent with `command/1` for a subcommand of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandRequest {
    /// The words of the command: `["net", "create"]`.
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(default)]
    pub options: Options,
    /// Where.
    pub context: Context,
}

/// What a command shows: the host renders it as text or, with `--json`, as data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The heads of the columns; empty for plain lines.
    #[serde(default)]
    pub columns: Vec<String>,
    /// The rows, or one text a line.
    #[serde(default)]
    pub rows: Vec<Vec<String>>,
    /// The same as data.
    #[serde(default)]
    pub data: Value,
}

/// Answer to `command/1`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandReply {
    /// What is to be done; shown and not run with `--dry-run`.
    #[serde(default)]
    pub plan: Plan,
    /// What is to be shown.
    #[serde(default)]
    pub output: Option<Output>,
}

/// Sent with `step/1` and `undo/1` for a [`crate::Step::Plugin`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRequest {
    /// The plugin's word for the step.
    pub op: String,
    /// What the plan gave it.
    #[serde(default)]
    pub data: Value,
    /// The jail's root directory, absolute, where the plan is about a jail.
    #[serde(default)]
    pub jail_root: Option<String>,
    /// Where.
    pub context: Context,
}
