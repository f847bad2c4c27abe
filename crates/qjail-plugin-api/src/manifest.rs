//! How a plugin introduces itself.

use schemars::JsonSchema;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::{CommandSpec, Extension, HookSpec};

/// The version of the documents in this crate. A plugin names the versions it understands in [`Manifest::api`].
pub const API_VERSION: &str = "1.0.0";

/// What this host can do beyond the plain operations; a plugin asks for them in [`Manifest::needs`].
pub const CAPABILITIES: [&str; 8] = [
    "commands/1",
    "extends/1",
    "hooks/1",
    "steps/1",
    "mounts/1",
    "run-in-jail/1",
    "remember-files/1",
    "log/1",
];

/// Everything the host knows of a plugin before it calls it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Short name, unique among plugins: `net`, `base`.
    pub name: String,
    /// The plugin's own version.
    pub version: Version,
    /// The API versions it works with, as a semver requirement such as `^1.0`.
    #[schemars(with = "String")]
    pub api: VersionReq,
    /// One line for `qjail plugins`.
    pub about: String,
    /// `freebsd`, `linux`; empty for every system.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// Capabilities it offers to others.
    #[serde(default)]
    pub provides: Vec<String>,
    /// Capabilities without which it can not work.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Plugins whose hooks run before its own.
    #[serde(default)]
    pub after: Vec<String>,
    /// Plugins whose hooks run after its own.
    #[serde(default)]
    pub before: Vec<String>,
    /// Its own subcommands.
    #[serde(default)]
    pub commands: Vec<CommandSpec>,
    /// Options it adds to commands of the core.
    #[serde(default)]
    pub extends: Vec<Extension>,
    /// What it wants to be asked about.
    #[serde(default)]
    pub hooks: Vec<HookSpec>,
    /// The jail(8) parameters it writes. Two plugins that write the same one are refused.
    #[serde(default)]
    pub params: Vec<String>,
}

impl Manifest {
    /// A manifest with a name, a version and a line about it, made for this API and otherwise empty.
    ///
    /// `version` is usually `env!("CARGO_PKG_VERSION")`; one that is no semantic version becomes `0.0.0`.
    #[must_use]
    pub fn new(name: &str, version: &str, about: &str) -> Self {
        let major = VersionReq::parse(&format!("^{API_VERSION}")).unwrap_or_default();
        Self {
            name: name.to_owned(),
            version: Version::parse(version).unwrap_or_else(|_| Version::new(0, 0, 0)),
            api: major,
            about: about.to_owned(),
            platforms: Vec::new(),
            provides: Vec::new(),
            needs: Vec::new(),
            after: Vec::new(),
            before: Vec::new(),
            commands: Vec::new(),
            extends: Vec::new(),
            hooks: Vec::new(),
            params: Vec::new(),
        }
    }
}
