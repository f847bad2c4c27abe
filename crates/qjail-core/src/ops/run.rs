//! `start` and `stop` of one jail.

use std::collections::BTreeMap;

use qjail_model::{Definition, JailName, Limits, Params};
use qjail_plugin_api::Event;
use qjail_sys::{JailSpec, MountSpec, Need};

use crate::action::Action;
use crate::engine::Engine;
use crate::flavor::SHARED;
use crate::gather::{Gathered, PluginOptions, Question, apply_params, gather};
use crate::ops::accounts;
use crate::ops::create::jail_lock;
use crate::ops::image::image_of;
use crate::places::Places;
use crate::transaction::Plan;
use crate::{Error, Result};

/// How a jail is to be stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopRequest {
    /// Without `exec.stop`.
    pub force: bool,
    /// Seconds to wait for it instead of `stop.timeout`.
    pub timeout: Option<u64>,
}

/// What became of one jail of several.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Done; with `dry_run` the plan of it.
    Done(Box<Plan>),
    /// Nothing to do, and that is no failure: the classic message says why.
    Bypassed(String),
}

impl Engine {
    /// Starts one jail.
    ///
    /// # Errors
    /// What failed; nothing of the start is left then.
    pub fn start(&self, name: &JailName) -> Result<Outcome> {
        self.start_from(name, false)
    }

    /// As [`Engine::start`]; `stopped` when it is known not to run, whatever the kernel says.
    pub(crate) fn start_from(&self, name: &JailName, stopped: bool) -> Result<Outcome> {
        self.require(Need::Jails)?;
        self.definition(name)?;
        let _jail = self.lock(&jail_lock(name))?;
        // Read again: it is only certain under the lock.
        let definition = self.definition(name)?;
        if definition.norun {
            return Ok(Outcome::Bypassed(format!("Bypassed norun status {name}")));
        }
        let places = self.places(definition.zone.as_ref(), Some(name.to_string()));
        self.require_own(name, &places)?;
        if let Some(running) = self.system.find(name.as_str())?.filter(|_| !stopped) {
            if running.dying {
                return Err(
                    Error::new(format!("start {name}: the jail is dying")).hint("try again in a moment")
                );
            }
            return Ok(Outcome::Bypassed(format!("Jail already running.      {name}")));
        }
        let plan = self.with_image(name, &definition, &places, || {
            let plan = self
                .plan_start(name, &definition, &places)
                .map_err(|e| e.about(format!("start {name}")))?;
            self.perform(&plan)?;
            Ok(plan)
        })?;
        Ok(Outcome::Done(Box::new(plan)))
    }

    pub(crate) fn plan_start(
        &self,
        name: &JailName,
        definition: &Definition,
        places: &Places,
    ) -> Result<Plan> {
        let gathered = self.ask(Event::Start, name, definition, places)?;
        let spec = self.start_spec(name, definition, places, &gathered)?;
        self.check_params(name, &spec.params)?;
        Error::all(self.against_limits(name, &spec.limits)).map_or(Ok(()), Err)?;
        accounts::require_plain(places)?;
        let mut steps = gathered.pre;
        steps.push(Action::StartJail { spec: Box::new(spec) });
        steps.extend(gathered.post);
        let mut commit = gathered.commit;
        commit.extend(kept(name, definition, gathered.keep));
        Ok(Plan {
            title: format!("start {name}"),
            lock: jail_lock(name),
            places: places.clone(),
            image: image_of(name, definition, places),
            steps,
            commit,
            cleanup: gathered.cleanup,
            warnings: gathered.warnings,
            notes: gathered.notes,
        })
    }

    /// Refuses when a jail of another name runs in the jail's directory, or one of its name in another.
    pub(crate) fn require_own(&self, name: &JailName, places: &Places) -> Result<()> {
        let root = places.jails.join(name.as_str());
        if let Some(other) = self.system.elsewhere(name.as_str(), &root)? {
            let message = format!(
                "a jail {name} runs in {}, not in {}",
                other.display(),
                root.display()
            );
            return Err(Error::new(message).hint(format!(
                "stop it first with what has started it, or: jail -r {name}"
            )));
        }
        match self.system.occupant(&root)? {
            Some(other) if other != name.as_str() => Err(Error::new(format!(
                "{}: the jail {other} runs in this directory",
                root.display()
            ))
            .hint(format!(
                "stop it first with what has started it, or: jail -r {other}"
            ))),
            _ => Ok(()),
        }
    }

    pub(crate) fn ask(
        &self,
        event: Event,
        name: &JailName,
        definition: &Definition,
        places: &Places,
    ) -> Result<Gathered> {
        let options = PluginOptions::new();
        let question = Question {
            event,
            name,
            definition,
            options: &options,
            duplicate: false,
            several: false,
            new_name: None,
            places,
        };
        gather(self, &question, Vec::new())
    }

    /// All that the system needs to start the jail: its definition, and what the plugins say to a start.
    pub(crate) fn start_spec(
        &self,
        name: &JailName,
        definition: &Definition,
        places: &Places,
        gathered: &Gathered,
    ) -> Result<JailSpec> {
        let mut params = definition.params.clone();
        apply_params(&mut params, &gathered.params);
        self.spec(name, definition, places, &params, gathered)
    }

    fn spec(
        &self,
        name: &JailName,
        definition: &Definition,
        places: &Places,
        params: &Params,
        gathered: &Gathered,
    ) -> Result<JailSpec> {
        let mounts: Vec<MountSpec> = gathered
            .mounts
            .iter()
            .map(|m| MountSpec {
                source: m.source.clone().into(),
                target: m.target.clone(),
                read_only: m.read_only,
            })
            .collect();
        if !definition.thick && !mounts.iter().any(|m| m.target == SHARED) {
            return Err(Error::new(format!("nothing provides the shared base /{SHARED}"))
                .hint("the plugin `base` does: qjail plugins shows why it is not there"));
        }
        Ok(JailSpec {
            mounts,
            limits: definition.limits.clone(),
            ..self.bare_spec(name, places, params)
        })
    }

    /// What a system needs to stop a jail or to clean up after it.
    pub(crate) fn bare_spec(&self, name: &JailName, places: &Places, params: &Params) -> JailSpec {
        JailSpec {
            name: name.to_string(),
            path: places.jails.join(name.as_str()),
            params: defaults(name).overlaid(params),
            mounts: Vec::new(),
            console_log: Some(self.layout.console_log(name)),
            limits: Limits::default(),
        }
    }

    /// Stops one jail.
    ///
    /// # Errors
    /// What failed. `interrupted`: the user did not want to wait any more, and the jail has been killed.
    pub fn stop(&self, name: &JailName, request: StopRequest) -> Result<Outcome> {
        self.require(Need::Jails)?;
        let _jail = self.lock(&jail_lock(name))?;
        let running = self.system.find(name.as_str())?.is_some();
        let definition = match self.definition(name) {
            Ok(definition) => definition,
            // Whatever happened to its definition, a jail that runs can be stopped.
            Err(e) if running => {
                self.warn(&e.to_string());
                Definition {
                    zone: self.zone.clone(),
                    ..Definition::new()
                }
            }
            Err(e) => return Err(e),
        };
        let places = self.places(definition.zone.as_ref(), Some(name.to_string()));
        let image = image_of(name, &definition, &places).filter(|_| !self.dry_run);
        let release = || {
            image
                .as_ref()
                .map_or(Ok(()), |i| self.release_image(name.as_str(), i))
        };
        if !running {
            if !self.dry_run {
                // Its process 1 may have ended by itself, and left what the host holds for it.
                self.system
                    .cleanup(&self.bare_spec(name, &places, &definition.params))?;
                release()?;
            }
            return Ok(Outcome::Bypassed(format!("Jail already stopped.      {name}")));
        }
        let plan = self
            .plan_stop(name, &definition, &places, request)
            .map_err(|e| e.about(format!("stop {name}")))?;
        let stopped = self.perform(&plan);
        let released = release();
        stopped.map_err(|mut e| {
            e.more.extend(released.as_ref().err().cloned());
            e
        })?;
        released?;
        if self.cancelled() {
            // Half stopped helps nobody, so it has been done to the end; what comes after is not begun.
            let told = format!("stop {name}: stopped without waiting for what runs in it");
            return Err(Error::cancelled()
                .about(told)
                .hint(format!("qjail start {name} starts it again")));
        }
        Ok(Outcome::Done(Box::new(plan)))
    }

    fn plan_stop(
        &self,
        name: &JailName,
        definition: &Definition,
        places: &Places,
        request: StopRequest,
    ) -> Result<Plan> {
        let gathered = self.ask(Event::Stop, name, definition, places)?;
        let spec = Box::new(self.bare_spec(name, places, &definition.params));
        let stop = Action::StopJail {
            spec,
            force: request.force,
            timeout: request.timeout,
        };
        let mut steps = gathered.pre;
        steps.push(stop);
        steps.extend(gathered.post);
        Ok(Plan {
            title: format!("stop {name}"),
            lock: jail_lock(name),
            places: places.clone(),
            image: image_of(name, definition, places),
            steps,
            commit: gathered.commit,
            cleanup: gathered.cleanup,
            warnings: gathered.warnings,
            notes: gathered.notes,
        })
    }
}

/// Writes what plugins keep from now on; none where the definition says so already.
fn kept(name: &JailName, old: &Definition, keep: BTreeMap<String, toml::Table>) -> Option<Action> {
    let mut definition = old.clone();
    definition.plugins.extend(keep);
    definition.plugins.retain(|_, kept| !kept.is_empty());
    (definition.plugins != old.plugins).then(|| Action::WriteDefinition {
        name: name.to_string(),
        text: definition.to_text(),
    })
}

/// What every jail has unless its definition says otherwise.
fn defaults(name: &JailName) -> Params {
    let mut params = Params::new();
    params.set("host.hostname", name.as_str());
    params.set("exec.start", "/bin/sh /etc/rc");
    params.set("exec.stop", "/bin/sh /etc/rc.shutdown jail");
    params.set("exec.clean", true);
    params.set("mount.devfs", true);
    params.set("devfs_ruleset", "4");
    params
}
