//! Subcommands that belong to plugins: the plugin answers with a plan and something to show.

use qjail_plugin_api::{CommandRequest, CommandSpec, Options, Output};
use qjail_sys::Need;

use crate::engine::Engine;
use crate::gather::owned;
use crate::ops::create::current_template;
use crate::transaction::Plan;
use crate::{Error, Result};

/// What a plugin's command did and has to show.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was done, or with `dry_run` would be.
    pub plan: Plan,
    /// What is to be shown.
    pub output: Option<Output>,
}

impl Engine {
    /// Runs `words` (`["net", "create"]`), a command of `plugin`.
    ///
    /// # Errors
    /// What the plugin objects to, or the first failure; all is as before then.
    pub fn plugin_command(
        &self,
        plugin: &str,
        spec: &CommandSpec,
        words: &[String],
        options: &Options,
    ) -> Result<Answer> {
        if spec.needs_root {
            self.require(Need::Files)?;
        }
        let key = lock_name(
            spec,
            plugin,
            self.zone.as_ref().map(ToString::to_string).as_deref(),
        );
        let _lock = if spec.lock.is_some() {
            self.lock(&key)?
        } else {
            None
        };
        // What jails are created with (addresses, networks) must not change while they are. A base takes minutes, and each
        // is a directory of its own.
        let names = spec.lock.as_deref().is_some_and(|lock| lock != "base");
        let _names = if names {
            self.wait_lock("definitions")?
        } else {
            None
        };
        let zone = self
            .zone
            .as_ref()
            .filter(|_| spec.lock.as_deref() == Some("base") && !self.dry_run);
        let new = zone.map(|zone| self.layout.create_zone(zone)).transpose()?;
        let answer = self.ask_and_perform(plugin, spec, words, options, key);
        if let (Some(zone), Some(true), Err(_)) = (zone, new, &answer) {
            self.layout.remove_empty_zone(zone);
        }
        answer
    }

    /// Under the locks: what the plugin answers, done.
    fn ask_and_perform(
        &self,
        plugin: &str,
        spec: &CommandSpec,
        words: &[String],
        options: &Options,
        lock: String,
    ) -> Result<Answer> {
        let places = self.places(self.zone.as_ref(), None);
        let settings = self.settings()?.plugin(plugin);
        let request = CommandRequest {
            command: words.to_vec(),
            options: options.clone(),
            context: places.context(self.system.os(), settings, self.dry_run),
        };
        let reply = self.registry.command(plugin, &self.port(plugin), &request)?;
        let changes =
            !(reply.plan.steps.is_empty() && reply.plan.commit.is_empty() && reply.plan.cleanup.is_empty());
        if changes && spec.lock.is_none() {
            return Err(Error::new(format!(
                "plugin {plugin}: {} returned a plan but names no lock",
                words.join(" ")
            )));
        }
        let plan = Plan {
            title: words.join(" "),
            lock,
            places,
            image: None,
            steps: owned(plugin, reply.plan.steps)?,
            commit: owned(plugin, reply.plan.commit)?,
            cleanup: owned(plugin, reply.plan.cleanup)?,
            warnings: reply.plan.warnings,
            notes: reply.plan.notes,
        };
        let base = current_template(&plan.places).ok();
        self.perform(&plan)?;
        if current_template(&plan.places).ok() != base {
            self.follow_base();
        }
        Ok(Answer {
            plan,
            output: reply.output,
        })
    }
}

/// `plugin.LOCK`, or for a zone's `base` one for each zone.
fn lock_name(spec: &CommandSpec, plugin: &str, zone: Option<&str>) -> String {
    let lock = spec.lock.as_deref().unwrap_or(plugin);
    match zone {
        Some(zone) if lock == "base" => format!("plugin.{lock}.{zone}"),
        _ => format!("plugin.{lock}"),
    }
}
