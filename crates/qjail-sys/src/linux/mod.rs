//! Jails on Linux: `runtime` isolates their processes, `net` connects them, and this module joins the two and speaks the
//! vocabulary of jail(8).

mod host;
mod image;
mod login;
mod net;
mod runtime;
mod translate;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use qjail_model::{Limits, Network, Params};

use crate::{
    ExecSpec, HostInfo, Interface, InterfaceChange, JailSpec, Missing, Need, RcChange, Result, Running,
    StopOptions, SysError, System, Usage, params,
};
use net::JailNetwork;
use runtime::Runtime;

pub(crate) use runtime::helper_main;

/// The running Linux.
#[derive(Debug)]
pub(crate) struct Linux {
    runtime: Runtime,
    network: JailNetwork,
}

impl Linux {
    /// `state_dir` holds the run-time files of running jails, below `run`, and tells its jails' interfaces apart from
    /// those of another state directory.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self {
            runtime: Runtime::new(state_dir.join("run")),
            network: JailNetwork::new(state_dir),
        }
    }

    /// What the runtime has to run for `spec`: the user is looked up in the jail.
    fn command(&self, name: &str, spec: &ExecSpec) -> Result<runtime::ExecSpec> {
        let pid = self
            .find(name)?
            .map(|r| r.jid)
            .ok_or_else(|| translate::not_running(name))?;
        let root = login::root_of(name, pid)?;
        // The number may have been another process's by then.
        if self.find(name)?.map(|r| r.jid) != Some(pid) {
            return Err(translate::not_running(name));
        }
        login::command(name, &root, spec)
    }

    /// Takes away what a jail without processes still has.
    fn disconnected(&self, name: &str, ended: std::result::Result<(), runtime::RuntimeError>) -> Result<()> {
        let disconnected = self.network.unwire(name);
        ended.map_err(translate::error).and(disconnected)
    }
}

impl System for Linux {
    fn os(&self) -> &'static str {
        "linux"
    }

    fn host(&self) -> Result<HostInfo> {
        Ok(host::info())
    }

    fn missing(&self, need: Need) -> Vec<Missing> {
        host::missing(need, &self.runtime)
    }

    fn refused_params(&self, params: &Params) -> Vec<(String, String)> {
        let mut refused = params::refused_by_linux(params);
        if let Some(list) = params.text("cpuset.id")
            && !refused.iter().any(|(key, _)| key == "cpuset.id")
            && let Some(why) = host::without_processors(list)
        {
            refused.push(("cpuset.id".to_owned(), why));
        }
        refused
    }

    fn refused_limits(&self, limits: &Limits) -> Vec<(String, Missing)> {
        let lacking = Runtime::lacking(&translate::resources(limits));
        let hint = "mount /sys/fs/cgroup with it; in a container, let it write there";
        let missing = |what| Missing {
            what,
            hint: Some(hint.to_owned()),
        };
        lacking
            .into_iter()
            .map(|(limit, why)| (limit.to_owned(), missing(why)))
            .collect()
    }

    fn usage(&self, name: &str) -> Result<Usage> {
        let used = self.runtime.used(name);
        Ok(Usage {
            memory: used.memory,
            pids: used.pids,
            cpu_time: used.cpu,
            cpu_percent: None,
        })
    }

    fn running(&self) -> Result<BTreeMap<String, Running>> {
        let running = self.runtime.running().map_err(|e| {
            let hint = match e.kind() {
                std::io::ErrorKind::PermissionDenied => "only root may see what runs",
                _ => "look at the directory `run` below the state directory",
            };
            SysError::new("list the running jails", e).hint(hint)
        })?;
        Ok(running
            .into_iter()
            .map(|(name, jid)| {
                let running = Running {
                    jid,
                    dying: false,
                    path: None,
                };
                (name, running)
            })
            .collect())
    }

    fn start(&self, spec: &JailSpec, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<i32> {
        if let Some((param, why)) = self.refused_params(&spec.params).first() {
            return Err(SysError::new(
                format!("start {}", spec.name),
                format!("{param}: {why}"),
            ));
        }
        if cancelled() {
            return Err(translate::error(runtime::RuntimeError::Cancelled {
                name: spec.name.clone(),
            }));
        }
        // The runtime knows a failed connection as a text only.
        let mut unconnected = None;
        let mut wire = |pid| {
            self.network.wire(pid, &spec.name, &spec.params).map_err(|e| {
                let text = e.to_string();
                unconnected = Some(e);
                text
            })
        };
        match self.runtime.start(&translate::start(spec), cancelled, &mut wire) {
            Ok(pid) => Ok(pid),
            // The jail that runs keeps its network.
            Err(running @ runtime::RuntimeError::Running { .. }) => Err(translate::error(running)),
            Err(error) => {
                let error = unconnected.unwrap_or_else(|| translate::start_error(error, spec));
                // What could not be removed now is found by the clean-up; the cause is what the user has to know.
                let _ = self.network.unwire(&spec.name);
                Err(error)
            }
        }
    }

    fn stop(&self, spec: &JailSpec, how: StopOptions, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let how = translate::stop(spec, how);
        self.disconnected(&spec.name, self.runtime.stop(&spec.name, &how, cancelled))
    }

    fn cleanup(&self, spec: &JailSpec) -> Result<()> {
        self.disconnected(&spec.name, self.runtime.cleanup(&spec.name))
    }

    fn exec(&self, name: &str, spec: &ExecSpec) -> Result<i32> {
        let command = self.command(name, spec)?;
        self.runtime.exec(name, &command).map_err(translate::error)
    }

    fn exec_logged(&self, name: &str, spec: &ExecSpec, log: &Path, limit: Duration) -> Result<i32> {
        let command = self.command(name, spec)?;
        self.runtime
            .exec_logged(name, &command, log, limit)
            .map_err(translate::error)
    }

    fn make_image(&self, file: &Path, bytes: u64) -> Result<()> {
        image::make(file, bytes)
    }

    fn attach_image(&self, file: &Path, at: &Path) -> Result<()> {
        image::attach(file, at)
    }

    fn detach_image(&self, file: &Path, at: &Path) -> Result<()> {
        image::detach(file, at)
    }

    fn image_device(&self, file: &Path) -> Result<Option<String>> {
        image::device(file)
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        net::interfaces()
    }

    fn ensure_interface(&self, name: &str, addresses: &[Network]) -> Result<InterfaceChange> {
        net::ensure(name, addresses)
    }

    fn remove_interface(&self, name: &str, addresses: &[Network], whole: bool) -> Result<()> {
        net::remove(name, addresses, whole)
    }

    fn rc_value(&self, variable: &str) -> Result<Option<String>> {
        Err(SysError::new(
            format!("read {variable} of rc.conf"),
            params::NO_RC_CONF,
        ))
    }

    fn rc_conf(&self, variable: &str, _: &RcChange) -> Result<()> {
        Err(SysError::new(
            format!("change {variable} of rc.conf"),
            params::NO_RC_CONF,
        ))
    }
}

#[cfg(test)]
mod tests;
