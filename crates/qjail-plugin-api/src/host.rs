//! What the host does for a plugin while it answers.

use std::net::IpAddr;

use qjail_model::Network;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{JailInfo, PluginError};

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Always shown.
    Error,
    /// Shown unless `--quiet`.
    Warn,
    /// Shown with `-v`.
    Info,
    /// Shown with `-vv`.
    Debug,
}

/// The running system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostInfo {
    /// `freebsd` or `linux`.
    pub os: String,
    /// Its release: `15.0-RELEASE-p1` (userland) on FreeBSD, the distribution's name and version on Linux.
    pub release: String,
    /// `uname -m`.
    pub machine: String,
    /// `uname -p`; the same as `machine` on Linux.
    pub machine_arch: String,
    /// `uname -r` of the running kernel.
    pub kernel: String,
}

/// A network interface of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses with the length of their networks.
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<Network>,
    /// Whether it is up.
    pub up: bool,
    /// Whether the IPv4 default route goes through it.
    pub default_route: bool,
    /// The routers that default routes through it go to, of both families.
    #[serde(default)]
    pub gateways: Vec<IpAddr>,
    /// Whether jails can have addresses on it: a bridge on Linux, any interface on FreeBSD.
    pub for_jails: bool,
}

/// How far a step is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// What is being done: `download base.txz`.
    pub about: String,
    /// Done so far.
    pub done: u64,
    /// All of it, where it is known.
    #[serde(default)]
    pub total: Option<u64>,
    /// Whether the numbers are bytes.
    #[serde(default)]
    pub bytes: bool,
}

/// The two functions that cross the boundary, whichever side of a shared object the caller is on.
pub trait HostPort {
    /// Writes a line to the log.
    fn log(&self, level: LogLevel, message: &str);

    /// Calls a service of the host.
    ///
    /// # Errors
    /// The serialised [`PluginError`].
    fn call(&self, op: &str, request: &[u8]) -> Result<Vec<u8>, Vec<u8>>;
}

/// The host as a plugin sees it, for the length of one call.
pub struct Host<'a> {
    port: &'a dyn HostPort,
}

impl<'a> Host<'a> {
    /// The host behind `port`.
    #[must_use]
    pub fn new(port: &'a dyn HostPort) -> Self {
        Self { port }
    }

    /// Writes a line to the log.
    pub fn log(&self, level: LogLevel, message: &str) {
        self.port.log(level, message);
    }

    /// Every jail of every zone.
    ///
    /// # Errors
    /// When definitions can not be read.
    pub fn jails(&self) -> Result<Vec<JailInfo>, PluginError> {
        self.ask("jails/1", &Value::Null)
    }

    /// Names of the jails that run, of every zone.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn running(&self) -> Result<Vec<String>, PluginError> {
        self.ask("running/1", &Value::Null)
    }

    /// The network interfaces of the host.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn interfaces(&self) -> Result<Vec<Interface>, PluginError> {
        self.ask("interfaces/1", &Value::Null)
    }

    /// The running system.
    ///
    /// # Errors
    /// When it can not be read.
    pub fn info(&self) -> Result<HostInfo, PluginError> {
        self.ask("host/1", &Value::Null)
    }

    /// Shows how far a step is. Does nothing where nobody looks.
    pub fn progress(&self, progress: &Progress) {
        // A progress bar that can not be drawn is no reason to fail.
        let _: Result<Value, PluginError> = self.ask("progress/1", progress);
    }

    /// Whether the user wants the step to end; it should then return an error with code `cancelled`.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.ask("cancelled/1", &Value::Null).unwrap_or(false)
    }

    fn ask<Q: Serialize, A: DeserializeOwned>(&self, op: &str, question: &Q) -> Result<A, PluginError> {
        let bad = |e: serde_json::Error| PluginError::with_code("bad-document", format!("{op}: {e}"));
        let request = serde_json::to_vec(question).map_err(bad)?;
        match self.port.call(op, &request) {
            Ok(answer) => serde_json::from_slice(&answer).map_err(bad),
            Err(error) => Err(serde_json::from_slice(&error).unwrap_or_else(bad)),
        }
    }
}
