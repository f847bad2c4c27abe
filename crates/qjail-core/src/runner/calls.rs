//! What is asked of a running jail and of plugins.

use std::time::Duration;

use qjail_model::JailName;
use qjail_plugin_api::StepRequest;
use qjail_sys::ExecSpec;
use serde_json::Value;

use super::{Runner, jail_name};
use crate::action::is_staging;
use crate::{Error, Result};

/// How long a command may take that a step runs in a jail.
const IN_JAIL_LIMIT: Duration = Duration::from_secs(60);

impl Runner<'_> {
    pub(super) fn run_in_jail(&self, argv: &[String], user: Option<&str>) -> Result<()> {
        let name = self.jail_of_plan()?;
        let spec = ExecSpec {
            argv: argv.to_vec(),
            user: user.map(str::to_owned),
            ..ExecSpec::default()
        };
        let log = self.engine.layout.console_log(&name);
        let system = &self.engine.system;
        match system.exec_logged(name.as_str(), &spec, &log, IN_JAIL_LIMIT)? {
            0 => Ok(()),
            status => Err(
                Error::new(format!("{} in {name}: exit status {status}", argv.join(" ")))
                    .hint(format!("what it said is in {}", log.display())),
            ),
        }
    }

    pub(super) fn undo_in_jail(&self, undo: &[String], user: Option<&str>) -> Result<()> {
        let runs = || Ok::<_, Error>(self.engine.system.find(self.jail_of_plan()?.as_str())?.is_some());
        if undo.is_empty() || !runs()? {
            return Ok(());
        }
        self.run_in_jail(undo, user)
    }

    pub(super) fn jail_of_plan(&self) -> Result<JailName> {
        match self.places.jail.as_deref().filter(|j| !is_staging(j)) {
            Some(name) => jail_name(name),
            None => Err(Error::new(
                "the plan runs a command in a jail, but it is not about one that runs",
            )),
        }
    }

    pub(super) fn call_plugin(&self, owner: &str, op: &str, data: &Value, undo: bool) -> Result<()> {
        let settings = self.engine.settings()?.plugin(owner);
        let request = StepRequest {
            op: op.to_owned(),
            data: data.clone(),
            jail_root: self.places.jail_root(),
            context: self.places.context(self.engine.system.os(), settings, false),
        };
        let port = self.engine.port(owner);
        let registry = &self.engine.registry;
        let answer = if undo {
            registry.undo(owner, &port, &request)
        } else {
            registry.step(owner, &port, &request)
        };
        Ok(answer?)
    }
}
