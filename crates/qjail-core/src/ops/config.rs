//! `config`: changes the definition of a stopped jail; all of what was asked for, or nothing.

use qjail_model::{Definition, JailName, ParamValue, known};
use qjail_plugin_api::{Event, Options};
use qjail_store::Lock;
use qjail_sys::Need;

use crate::action::Action;
use crate::engine::Engine;
use crate::gather::{Gathered, PluginOptions, Question, apply_params, gather};
use crate::ops::accounts;
use crate::ops::change::Change;
use crate::ops::contradict::{against_unset, check_contradictions};
use crate::ops::create::jail_lock;
use crate::ops::image::image_of;
use crate::ops::rename::move_mounts;
use crate::ops::run::{Outcome, StopRequest};
use crate::places::Places;
use crate::transaction::Plan;
use crate::{Error, Result};

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct ConfigRequest {
    /// The core's own changes, in this order.
    pub changes: Vec<Change>,
    /// The name that it gets.
    pub rename: Option<JailName>,
    /// Stop it where it runs, and start it again.
    pub restart: bool,
    /// The same is wanted of other jails too.
    pub several: bool,
    /// The options of plugins.
    pub options: PluginOptions,
}

impl ConfigRequest {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.rename.is_none() && self.options.values().all(Options::is_empty)
    }

    /// The name that a jail gets, where it is another one.
    fn new_name(&self, name: &JailName) -> Option<&JailName> {
        self.rename.as_ref().filter(|new| *new != name)
    }

    /// Refuses what can not be wanted of any jail: two changes of one parameter.
    ///
    /// # Errors
    /// Each pair, as a mistake in the command line.
    pub fn check(&self) -> Result<()> {
        let pairs = self
            .changes
            .iter()
            .enumerate()
            .flat_map(|(i, a)| self.changes[i + 1..].iter().map(move |b| (a, b)));
        let errors = pairs
            .filter_map(|(a, b)| Some((a, b, a.contradicts(b)?)))
            .map(|(a, b, key)| {
                Error::usage(format!("{} and {} both change {key}", a.option, b.option))
                    .hint("give one of them")
            });
        Error::all(errors.collect()).map_or(Ok(()), Err)
    }
}

/// What was done with a jail.
#[derive(Debug, Clone)]
pub struct Configured {
    /// Its name now.
    pub name: JailName,
    /// Its stop, the change, its start, as far as they were needed; with `dry_run` would be.
    pub plans: Vec<Plan>,
    /// A line for each change, in the classic words, then what plugins add.
    pub messages: Vec<String>,
}

/// The change of one jail, ready to be made.
struct Prepared {
    plan: Plan,
    definition: Definition,
    messages: Vec<String>,
}

impl Prepared {
    fn is_nothing(&self) -> bool {
        self.plan.actions().next().is_none()
    }
}

impl Engine {
    /// Changes one jail.
    ///
    /// # Errors
    /// `Bypassed running jail` without [`ConfigRequest::restart`]; all objections; or the first failure. All is as
    /// before then, and a jail that was stopped for it is started again: by a later command where this one was killed, by
    /// the user where it was interrupted. Only a jail that does not start with the change stays changed, and stopped.
    pub fn config(&self, name: &JailName, request: &ConfigRequest) -> Result<Configured> {
        self.require(Need::Files)?;
        request.check()?;
        self.definition(name)?;
        let running = self.system.find(name.as_str())?.is_some();
        if running && request.restart {
            return self.config_running(name, request);
        }
        let (change, _) = self.change(name, request, false, true)?;
        Ok(done(name, request, change))
    }

    /// Stop, change, start: the change is checked before anything is stopped.
    fn config_running(&self, name: &JailName, request: &ConfigRequest) -> Result<Configured> {
        self.require(Need::Jails)?;
        let (checked, places) = self.change(name, request, true, self.dry_run)?;
        if checked.is_nothing() {
            return Ok(done(name, request, checked));
        }
        if self.dry_run {
            return self.restarted(name, request, checked, &places);
        }
        // What its start would refuse is told before it is stopped.
        accounts::require_plain(&places).map_err(|e| e.about(format!("config {name}")))?;
        let names: Vec<&JailName> = request.new_name(name).into_iter().chain([name]).collect();
        let again = self.intend_start(&names, &places)?;
        let restarted = self.restarted(name, request, checked, &places);
        match (restarted, again.done()) {
            (Err(mut error), done) => {
                error.more.extend(done.err());
                Err(error)
            }
            (restarted, Ok(())) => restarted,
            (Ok(_), Err(error)) => Err(error),
        }
    }

    fn restarted(
        &self,
        name: &JailName,
        request: &ConfigRequest,
        checked: Prepared,
        places: &Places,
    ) -> Result<Configured> {
        let stopped = self.stop(name, StopRequest::default()).map_err(|mut e| {
            e.more
                .push(Error::new(format!("config {name}: the change is not made")));
            e
        })?;
        let Outcome::Done(stop) = stopped else {
            // It has been stopped meanwhile, by itself or by somebody.
            let (change, _) = self.change(name, request, false, true)?;
            return Ok(done(name, request, change));
        };
        if self.dry_run {
            let definition = checked.definition.clone();
            let mut done = done(name, request, checked);
            done.plans.insert(0, *stop);
            let mut start = self.plan_start(name, &definition, places)?;
            self.as_renamed(&mut start, &done.name, places);
            done.plans.push(start);
            return Ok(done);
        }
        let changed = self.change(name, request, false, true);
        let now = match (&changed, &request.rename) {
            (Ok(_), Some(new)) => new,
            _ => name,
        };
        let started = self.start(now);
        let (change, _) = changed.map_err(|mut e| {
            e.more.extend(started.as_ref().err().cloned());
            e
        })?;
        let mut done = done(name, request, change);
        done.plans.insert(0, *stop);
        let started = started.map_err(|mut e| {
            let stands = Error::new(format!(
                "config {now}: the change is made, and the jail is stopped"
            ));
            e.more.push(stands.hint(format!(
                "take the change back, or mend what is wrong; then qjail start {now}"
            )));
            e
        })?;
        match started {
            Outcome::Done(start) => done.plans.push(*start),
            Outcome::Bypassed(why) => done.messages.push(why),
        }
        Ok(done)
    }

    /// The plan of the start as it will be under the jail's new name.
    fn as_renamed(&self, start: &mut Plan, new: &JailName, places: &Places) {
        start.title = format!("start {new}");
        for action in &mut start.steps {
            if let Action::StartJail { spec } = action {
                spec.name = new.to_string();
                spec.path = places.jails.join(new.as_str());
                spec.console_log = Some(self.layout.console_log(new));
            }
        }
    }

    /// Plans the change under the locks, and makes it where `perform`. `running` says that the jail may run meanwhile.
    fn change(
        &self,
        name: &JailName,
        request: &ConfigRequest,
        running: bool,
        perform: bool,
    ) -> Result<(Prepared, Places)> {
        let _locks = self.config_locks(name, request)?;
        // Read again: it is only certain under the lock.
        let definition = self.definition(name)?;
        if !running && self.system.find(name.as_str())?.is_some() {
            return Err(Error::new(format!("Bypassed running jail {name}"))
                .hint("add --restart, which stops it, changes it and starts it again"));
        }
        let places = self.places(definition.zone.as_ref(), Some(name.to_string()));
        if !running && !self.dry_run && request.new_name(name).is_some() {
            // Its process 1 may have ended by itself, and left what the host holds for it under the old name.
            self.system
                .cleanup(&self.bare_spec(name, &places, &definition.params))?;
        }
        self.with_image(name, &definition, &places, || {
            let change = self.plan_config(name, &definition, request, &places, running)?;
            if perform && change.is_nothing() {
                change.plan.warnings.iter().for_each(|w| self.warn(w));
            } else if perform {
                self.perform(&change.plan)?;
            }
            Ok(change)
        })
        .map(|change| (change, places.clone()))
    }

    fn config_locks(&self, name: &JailName, request: &ConfigRequest) -> Result<Vec<Lock>> {
        let own = self.lock(&jail_lock(name))?;
        let names = self.wait_lock("definitions")?;
        let mut locks: Vec<Lock> = own.into_iter().chain(names).collect();
        if let Some(new) = request.new_name(name) {
            locks.extend(self.rename_locks(name, new)?);
        }
        Ok(locks)
    }

    fn plan_config(
        &self,
        name: &JailName,
        old: &Definition,
        request: &ConfigRequest,
        places: &Places,
        running: bool,
    ) -> Result<Prepared> {
        let mut definition = old.clone();
        let mut messages = Vec::new();
        let mut warnings = Vec::new();
        let mut objections = Vec::new();
        for change in &request.changes {
            objections.extend(against_unset(name, change, old));
            let changed = change.apply(&mut definition);
            messages.push(change.message(name, changed));
            if changed {
                warnings.extend(change.warning(name));
                objections.extend(self.against(name, change, &definition));
                objections.extend(self.against_depend(name, &definition.depend, change));
            }
        }
        if definition.limits != old.limits {
            objections.extend(self.against_limits(name, &definition.limits));
        }
        let new = request.new_name(name);
        match (&request.rename, new) {
            (_, Some(new)) => {
                objections.extend(self.against_rename(name, new, places, running || old.image.is_some())?);
                messages.push(format!("Successfully renamed {name} to {new}"));
                let root = |name: &JailName| places.jails.join(name.as_str());
                move_mounts(&mut definition.params, &root(name), &root(new));
            }
            (Some(_), None) => messages.push(format!("Already set to the name {name}. {name}")),
            (None, None) => {}
        }
        let gathered = self.ask_config(name, &mut definition, request, places, objections)?;
        let name_then = new.unwrap_or(name);
        if name_then != name || definition.params != old.params {
            let refused = self.against_name(name_then, &definition.params);
            refused.map_or(Ok(()), Err)?;
        }
        if definition.params != old.params {
            self.check_start(name_then, places, Some((name, &old.params)), &definition.params)?;
        }
        let mut plan = Plan {
            title: format!("config {name}"),
            lock: jail_lock(name),
            places: places.clone(),
            image: image_of(name, old, places),
            steps: [gathered.pre, gathered.post].concat(),
            commit: gathered.commit,
            cleanup: gathered.cleanup,
            warnings: [warnings, gathered.warnings].concat(),
            notes: gathered.notes,
        };
        if let Some(new) = new {
            let renaming = self.plan_rename(name, new, &mut definition, places, &plan.steps)?;
            plan.steps.extend(renaming.steps);
            plan.commit.extend(renaming.commit);
            plan.cleanup.extend(renaming.cleanup);
            plan.warnings.extend(renaming.warnings);
        } else if definition != *old {
            plan.commit.push(Action::WriteDefinition {
                name: name.to_string(),
                text: definition.to_text(),
            });
        }
        Ok(Prepared {
            plan,
            definition,
            messages,
        })
    }

    /// Asks the plugins, about a rename after all else; what they want in the definition is put there.
    pub(crate) fn ask_config(
        &self,
        name: &JailName,
        definition: &mut Definition,
        request: &ConfigRequest,
        places: &Places,
        objections: Vec<Error>,
    ) -> Result<Gathered> {
        let ask = |event, definition: &Definition, new_name, objections| {
            let question = Question {
                event,
                name,
                definition,
                options: &request.options,
                duplicate: false,
                several: request.several,
                new_name,
                places,
            };
            gather(self, &question, objections)
        };
        let name_then = request.new_name(name).unwrap_or(name);
        let mut gathered = ask(Event::Config, definition, request.new_name(name), objections)?;
        check_contradictions(request, definition, &gathered)?;
        self.check_changes(name_then, definition, &gathered)?;
        apply(definition, &gathered);
        if let Some(new) = request.new_name(name) {
            let more = ask(Event::Rename, definition, Some(new), Vec::new())?;
            self.check_changes(name_then, definition, &more)?;
            apply(definition, &more);
            gathered = gathered.and(more);
        }
        Ok(gathered)
    }

    /// What the system has against a change: one reason, with the option that asked for it.
    fn against(&self, name: &JailName, change: &Change, definition: &Definition) -> Option<Error> {
        let keys = change.keys();
        let of_it = |key: &String| Some((key.clone(), definition.params.get(key)?.clone()));
        let refused = self
            .system
            .refused_params(&keys.iter().filter_map(of_it).collect());
        let first = keys.iter().find_map(|k| refused.iter().find(|(r, _)| r == k))?;
        let (key, why) = first;
        let error = Error::new(format!("config {} {name}: parameter {key}: {why}", change.option));
        Some(match known::find(key) {
            Some((known, _)) => {
                error.hint(format!("qjail help params {} explains the parameter", known.name))
            }
            None => error.hint("qjail help params lists the parameters that are known"),
        })
    }

    /// What the system has against the parameters that plugins set.
    fn check_changes(&self, name: &JailName, definition: &Definition, gathered: &Gathered) -> Result<()> {
        let changed = |(key, value): (&String, &Option<ParamValue>)| {
            let value = value.clone().filter(|v| definition.params.get(key) != Some(v))?;
            Some((key.clone(), value))
        };
        self.check_params(name, &gathered.params.iter().filter_map(changed).collect())
    }
}

/// What plugins want in the definition.
fn apply(definition: &mut Definition, gathered: &Gathered) {
    apply_params(&mut definition.params, &gathered.params);
    definition.plugins.extend(gathered.keep.clone());
    definition
        .plugins
        .retain(|plugin, kept| !(kept.is_empty() && gathered.keep.contains_key(plugin)));
}

fn done(name: &JailName, request: &ConfigRequest, change: Prepared) -> Configured {
    let mut messages = change.messages;
    messages.extend(change.plan.notes.iter().cloned());
    Configured {
        name: request.rename.as_ref().unwrap_or(name).clone(),
        plans: vec![change.plan],
        messages,
    }
}
