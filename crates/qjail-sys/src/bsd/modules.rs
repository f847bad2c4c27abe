//! Modules of the kernel that a jail needs.

use std::path::Path;

use qjail_model::Params;

use super::host::Host;
use super::vnet;
use crate::{Result, SysError};

/// Those that every jail needs.
pub(crate) const OF_EVERY_JAIL: &[&str] = &["nullfs"];

/// Those that a jail with these parameters needs.
fn needed(params: &Params) -> Vec<&'static str> {
    let mut all = OF_EVERY_JAIL.to_vec();
    if vnet::needs_pair(params) {
        all.extend(["if_epair", "if_bridge"]);
    }
    all
}

/// Whether the kernel could load it: there is a file in a directory of `kern.module_path`.
pub(crate) fn can_be_loaded(host: &dyn Host, module: &str) -> bool {
    let directories = host.sysctl_text("kern.module_path").unwrap_or_default();
    directories
        .split(';')
        .filter(|d| !d.is_empty())
        .any(|d| host.has_file(&Path::new(d).join(format!("{module}.ko"))))
}

/// Loads what the jail needs and the kernel does not have. A module that was loaded stays.
pub(crate) fn load(host: &dyn Host, params: &Params) -> Result<()> {
    for module in needed(params).into_iter().filter(|m| !host.has_module(m)) {
        host.load_module(module).map_err(|e| {
            let hint = format!(
                "load it by hand, kldload {module}, or at boot: {module}_load=\"YES\" in /boot/loader.conf"
            );
            SysError::new(format!("load the module {module}"), e).hint(hint)
        })?;
    }
    Ok(())
}
