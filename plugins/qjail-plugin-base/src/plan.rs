//! The steps that only this plugin knows, as data: what `install` plans and [`crate::steps`] runs.

use qjail_plugin_api::{PluginError, Step};
use serde::{Deserialize, Serialize};

/// Brings a file to the directory of downloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fetch {
    /// Where it lies, in the order to be tried.
    pub(crate) urls: Vec<String>,
    /// Its name in the directory of downloads.
    pub(crate) file: String,
    /// Its SHA-256, where it is known.
    pub(crate) sha256: Option<String>,
}

/// Where the archive is when it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Archive {
    /// The host's file of that absolute path.
    File(String),
    /// The file of that name in the directory of downloads.
    Download(String),
}

/// Checks an archive and unpacks it into a new base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Extract {
    /// The base's name.
    pub(crate) id: String,
    /// The archive.
    pub(crate) archive: Archive,
    /// The SHA-256 that it must have.
    pub(crate) sha256: Option<String>,
    /// What the record is to say of where it came from.
    pub(crate) source: String,
    /// What the record is to say of its architecture.
    pub(crate) arch: String,
}

/// Divides what was unpacked into the shared part and the template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Split {
    /// The base's name.
    pub(crate) id: String,
}

/// Makes a base of the running system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FromHost {
    /// The base's name.
    pub(crate) id: String,
    /// What the record is to say of its release.
    pub(crate) release: String,
    /// What the record is to say of its architecture.
    pub(crate) arch: String,
}

/// The names of the operations.
pub(crate) mod op {
    pub(crate) const FETCH: &str = "fetch";
    pub(crate) const EXTRACT: &str = "extract";
    pub(crate) const SPLIT: &str = "split";
    pub(crate) const FROM_HOST: &str = "from-host";
}

/// The directory of downloads, below the state directory.
pub(crate) const DOWNLOADS: &str = "downloads";

/// A step of this plugin.
pub(crate) fn step(op: &str, about: String, data: &impl Serialize) -> Result<Step, PluginError> {
    let data =
        serde_json::to_value(data).map_err(|e| PluginError::new(format!("plan the step {op}: {e}")))?;
    Ok(Step::Plugin {
        plugin: String::new(),
        op: op.to_owned(),
        about,
        data,
    })
}

/// The directory where a base is made, below the zone's directory of jails.
pub(crate) fn staging(id: &str) -> String {
    format!("{}/.new-{id}", crate::bases::DIR)
}

/// The record of a base that is being made, below the state directory; `dir` is the zone's directory of records.
pub(crate) fn staged_record(dir: &str, id: &str) -> String {
    format!("{dir}/.new-{id}.toml")
}
