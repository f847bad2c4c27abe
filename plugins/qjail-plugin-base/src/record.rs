//! What is known of a base: `bases/ZONE/ID.toml` in the state directory.

use std::path::PathBuf;

use qjail_plugin_api::{Context, PluginError};
use serde::{Deserialize, Serialize};

/// How a base came to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Unpacked from an archive.
    #[default]
    Archive,
    /// The running system's own executables.
    Host,
}

/// The record of a base. Unknown keys are those of a later version and do no harm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The base's own name.
    pub(crate) id: String,
    /// How it came to be.
    #[serde(default)]
    pub(crate) kind: Kind,
    /// `freebsd` or `linux`.
    #[serde(default)]
    pub(crate) os: String,
    /// What the base says of itself: `15.0-RELEASE-p1`, `Debian GNU/Linux 12 (bookworm)`.
    #[serde(default)]
    pub(crate) release: String,
    /// What it was made for, as far as known.
    #[serde(default)]
    pub(crate) arch: String,
    /// The file or URL that it came from, without user and password; `host`.
    #[serde(default)]
    pub(crate) source: String,
    /// Of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// Seconds since 1970 when it was installed.
    #[serde(default)]
    pub(crate) created: u64,
    /// Bytes of files that were unpacked or copied.
    #[serde(default)]
    pub(crate) bytes: u64,
    /// Entries that were unpacked or copied.
    #[serde(default)]
    pub(crate) entries: u64,
    /// Directories of the host that are mounted below `sharedfs`, without a leading `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) binds: Vec<String>,
    /// Copied from a host whose base system is made of packages (FreeBSD's pkgbase).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pkgbase: bool,
}

impl Record {
    /// Reads the text of a record.
    pub(crate) fn parse(text: &str) -> Result<Self, PluginError> {
        toml::from_str(text).map_err(|e| PluginError::new(e.message().lines().collect::<Vec<_>>().join(", ")))
    }

    /// The text of the file.
    pub(crate) fn to_text(&self) -> Result<String, PluginError> {
        toml::to_string(self)
            .map_err(|e| PluginError::new(format!("write the record of base {}: {e}", self.id)))
    }

    /// Reads the record of a base; none where there is no file.
    pub(crate) fn load(context: &Context, id: &str) -> Result<Option<Self>, PluginError> {
        let path = PathBuf::from(&context.state_dir).join(file(context, id));
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text)
                .map(Some)
                .map_err(|e| PluginError::new(format!("read {}: {e}", path.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(PluginError::new(format!("read {}: {e}", path.display()))),
        }
    }
}

/// The directory of the zone's records, below the state directory.
pub(crate) fn dir(context: &Context) -> String {
    format!("bases/{}", context.zone.as_deref().unwrap_or("default"))
}

/// The record of a base, below the state directory.
pub(crate) fn file(context: &Context, id: &str) -> String {
    format!("{}/{id}.toml", dir(context))
}
