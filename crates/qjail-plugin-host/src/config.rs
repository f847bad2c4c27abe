//! What the program tells its plugin host.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use qjail_plugin_api::{ArgSpec, Builtin, CAPABILITIES, CommandSpec};

/// The largest manifest, in bytes.
pub const MANIFEST_LIMIT: usize = 1 << 20;

/// The largest answer to any other question, in bytes.
pub const REPLY_LIMIT: usize = 16 << 20;

/// Where plugins are, which of them may be used, and what they may not take away.
#[derive(Clone)]
pub struct HostConfig {
    /// Directories to look in, absolute. One that does not exist is passed over.
    pub dirs: Vec<PathBuf>,
    /// Names of plugins that are not used.
    pub disable: Vec<String>,
    /// Names of the only plugins that are used; none for all.
    pub allow: Option<Vec<String>>,
    /// SHA-256 sums (hexadecimal) that the files of some plugins must have, by the plugin's name.
    pub sha256: BTreeMap<String, String>,
    /// `freebsd` or `linux`.
    pub os: String,
    /// What this program offers; usually [`CAPABILITIES`].
    pub capabilities: Vec<String>,
    /// The file that remembers manifests; none to ask every plugin every time.
    pub cache: Option<PathBuf>,
    /// The plugins that are linked in, usually all of `inventory::iter::<Builtin>`.
    pub builtins: Vec<&'static Builtin>,
    /// The program's own commands.
    pub commands: Vec<CommandSpec>,
    /// The options that every command has. A command may use their letters for its own, not their long names.
    pub globals: Vec<ArgSpec>,
    /// How long a plugin may think about a question before it is given up. Steps and their undo may take any time.
    pub patience: Duration,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            dirs: Vec::new(),
            disable: Vec::new(),
            allow: None,
            sha256: BTreeMap::new(),
            os: String::new(),
            capabilities: CAPABILITIES.iter().map(|c| (*c).to_owned()).collect(),
            cache: None,
            builtins: Vec::new(),
            commands: Vec::new(),
            globals: Vec::new(),
            patience: Duration::from_secs(10),
        }
    }
}
