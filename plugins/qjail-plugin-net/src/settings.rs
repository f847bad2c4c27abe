//! The networks that qjail keeps, as `[plugin.net]` of `qjail.toml` holds them.

use std::collections::BTreeMap;

use qjail_plugin_api::model::Network;
use qjail_plugin_api::{Context, PluginError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Declared {
    /// The host's own addresses in it.
    pub(crate) addresses: Vec<Network>,
    /// Variables of rc.conf(5) that `net create` set, which `net delete` takes away. FreeBSD only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rc: Vec<String>,
}

/// The whole table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    interfaces: BTreeMap<String, Declared>,
}

/// All networks by the name of their interface.
pub(crate) fn declared(context: &Context) -> Result<BTreeMap<String, Declared>, PluginError> {
    if context.settings.is_null() {
        return Ok(BTreeMap::new());
    }
    let table = Table::deserialize(&context.settings).map_err(|e| {
        let message = format!("{}/qjail.toml: [plugin.net]: {e}", context.config_dir);
        PluginError::new(message)
            .hint("a network is written so: [plugin.net.interfaces.lo1] addresses = [\"192.168.1.1/28\"]")
    })?;
    Ok(table.interfaces)
}

/// The keys of a network from the plugin's table down.
pub(crate) fn path(interface: &str) -> Vec<String> {
    vec!["interfaces".to_owned(), interface.to_owned()]
}

/// The value that is kept for a network.
pub(crate) fn value(declared: &Declared) -> Result<Value, PluginError> {
    serde_json::to_value(declared)
        .map_err(|e| PluginError::new(format!("write the settings of the network: {e}")))
}
