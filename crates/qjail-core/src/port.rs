//! The services that the host gives to plugins while they answer.

use qjail_plugin_api::{HostInfo, HostPort, Interface, LogLevel, PluginError, Progress};
use serde::Serialize;

use crate::engine::Engine;
use crate::{Error, Result};

/// The host as one plugin sees it.
pub(crate) struct Port<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) plugin: String,
}

impl HostPort for Port<'_> {
    fn log(&self, level: LogLevel, message: &str) {
        self.engine.ui.log(level, &format!("{}: {message}", self.plugin));
    }

    fn call(&self, op: &str, request: &[u8]) -> std::result::Result<Vec<u8>, Vec<u8>> {
        self.answer(op, request).map_err(|e| {
            let error = PluginError {
                hint: e.hint.clone(),
                ..PluginError::new(&e)
            };
            serde_json::to_vec(&error).unwrap_or_default()
        })
    }
}

impl Port<'_> {
    fn answer(&self, op: &str, request: &[u8]) -> Result<Vec<u8>> {
        let engine = self.engine;
        match op {
            "jails/1" => json(&engine.jail_infos(&self.plugin)),
            "running/1" => json(&engine.running()?.into_keys().collect::<Vec<_>>()),
            "interfaces/1" => json(&self.interfaces()?),
            "host/1" => json(&self.host()?),
            "cancelled/1" => json(&engine.cancelled()),
            "progress/1" => {
                let progress: Progress = serde_json::from_slice(request).map_err(Error::new)?;
                engine.ui.progress(&progress);
                json(&())
            }
            _ => Err(Error::new(format!("the host has no service {op}"))),
        }
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        let list = self.engine.system.interfaces()?;
        Ok(list
            .into_iter()
            .map(|i| Interface {
                name: i.name,
                // Every interface has a link-local address of the kernel's own; no jail has one of that network.
                addresses: i
                    .addresses
                    .into_iter()
                    .filter(|a| !is_link_local(a.addr))
                    .collect(),
                up: i.up,
                default_route: i.default_route,
                gateways: i.gateways,
                for_jails: i.for_jails,
            })
            .collect())
    }

    fn host(&self) -> Result<HostInfo> {
        let h = self.engine.system.host()?;
        Ok(HostInfo {
            os: h.os,
            release: h.release,
            machine: h.machine,
            machine_arch: h.machine_arch,
            kernel: h.kernel,
        })
    }
}

/// Whether an address is in fe80::/10 (RFC 4291, 2.5.6).
fn is_link_local(addr: std::net::IpAddr) -> bool {
    matches!(addr, std::net::IpAddr::V6(a) if a.is_unicast_link_local())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(Error::new)
}
