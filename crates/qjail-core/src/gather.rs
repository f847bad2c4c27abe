//! Asks the plugins about an event: resolve, validate, plan; and puts their answers together.

use std::collections::BTreeMap;

use qjail_model::{Definition, JailName, Params};
use qjail_plugin_api::{At, Event, HookRequest, Mount, Options, Point, Step};

use crate::action::Action;
use crate::engine::{Engine, jail_info};
use crate::places::{Places, rel};
use crate::{Error, Result};

/// The options that the user gave to plugins, by the name of the plugin.
pub type PluginOptions = BTreeMap<String, Options>;

/// A question to all plugins that have hooks for an event.
pub(crate) struct Question<'a> {
    pub(crate) event: Event,
    pub(crate) name: &'a JailName,
    pub(crate) definition: &'a Definition,
    pub(crate) options: &'a PluginOptions,
    pub(crate) duplicate: bool,
    /// The same options are for other jails too.
    pub(crate) several: bool,
    /// What the jail is going to be called, for `rename`.
    pub(crate) new_name: Option<&'a JailName>,
    pub(crate) places: &'a Places,
}

/// What the plugins want done, in order.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Parameters set (or taken away) by plugins.
    pub(crate) params: BTreeMap<String, Option<qjail_model::ParamValue>>,
    /// What plugins keep in the definition.
    pub(crate) keep: BTreeMap<String, toml::Table>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) pre: Vec<Action>,
    pub(crate) post: Vec<Action>,
    pub(crate) commit: Vec<Action>,
    pub(crate) cleanup: Vec<Action>,
    pub(crate) notes: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Gathered {
    /// With what another question was answered, behind it.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.params.extend(other.params);
        self.keep.extend(other.keep);
        self.mounts.extend(other.mounts);
        self.pre.extend(other.pre);
        self.post.extend(other.post);
        self.commit.extend(other.commit);
        self.cleanup.extend(other.cleanup);
        self.notes.extend(other.notes);
        self.warnings.extend(other.warnings);
        self
    }
}

/// Resolves, validates and plans. `objections` are those of the core; all are reported together.
///
/// # Errors
/// Every objection in one error; or a plugin that can not answer.
pub(crate) fn gather(
    engine: &Engine,
    question: &Question<'_>,
    mut objections: Vec<Error>,
) -> Result<Gathered> {
    let mut requests = Vec::new();
    for plugin in plugins_of(engine, question.event) {
        let mut request = request(engine, question, &plugin)?;
        let port = engine.port(&plugin);
        match engine.registry.resolve(&plugin, &port, &request) {
            Ok(resolved) => {
                for (key, value) in resolved.values {
                    request.options.values.entry(key).or_insert(value);
                }
            }
            Err(e) if question.event == Event::Stop => {
                engine.warn(&format!("plugin {plugin}: {e}"));
                continue;
            }
            Err(e) => {
                objections.push(e.into());
                continue;
            }
        }
        match engine.registry.validate(&plugin, &port, &request) {
            Ok(list) => objections.extend(list.into_iter().map(Error::from)),
            Err(e) if question.event == Event::Stop => engine.warn(&format!("plugin {plugin}: {e}")),
            Err(e) => objections.push(e.into()),
        }
        requests.push((plugin, request));
    }
    match Error::all(objections) {
        Some(error) => Err(error),
        None => plan(engine, question.event, requests),
    }
}

/// Each plugin with a hook for `event`, once, in the order of its first hook.
fn plugins_of(engine: &Engine, event: Event) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for point in [Point::Pre, Point::Post] {
        for name in engine.registry.hooks(event, point) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn request(engine: &Engine, question: &Question<'_>, plugin: &str) -> Result<HookRequest> {
    let settings = engine.settings()?.plugin(plugin);
    Ok(HookRequest {
        event: question.event,
        point: Point::Pre,
        jail: jail_info(question.name, question.definition, plugin),
        options: question.options.get(plugin).cloned().unwrap_or_default(),
        duplicate: question.duplicate,
        several: question.several,
        new_name: question.new_name.map(ToString::to_string),
        context: question
            .places
            .context(engine.system.os(), settings, engine.dry_run),
    })
}

fn plan(engine: &Engine, event: Event, requests: Vec<(String, HookRequest)>) -> Result<Gathered> {
    let mut requests: BTreeMap<String, HookRequest> = requests.into_iter().collect();
    let mut writers: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Gathered::default();
    for point in [Point::Pre, Point::Post] {
        for plugin in engine.registry.hooks(event, point) {
            let Some(request) = requests.get_mut(&plugin) else {
                continue;
            };
            request.point = point;
            let plan = match engine.registry.plan(&plugin, &engine.port(&plugin), request) {
                // A jail can be stopped whatever a plugin says.
                Err(e) if event == Event::Stop => {
                    engine.warn(&format!("plugin {plugin}: {e}"));
                    continue;
                }
                plan => plan?,
            };
            for (key, value) in plan.params {
                one_writer(&mut writers, &key, &plugin)?;
                if let Some(value) = &value {
                    Params::check(&key, value).map_err(|e| Error::new(format!("plugin {plugin}: {e}")))?;
                }
                all.params.insert(key, value);
            }
            if let Some(keep) = plan.keep {
                all.keep.insert(plugin.clone(), to_toml(&plugin, &keep)?);
            }
            all.mounts.extend(plan.mounts);
            let side = if point == Point::Pre {
                &mut all.pre
            } else {
                &mut all.post
            };
            side.extend(owned(&plugin, plan.steps)?);
            all.commit.extend(owned(&plugin, plan.commit)?);
            all.cleanup.extend(owned(&plugin, plan.cleanup)?);
            all.notes.extend(plan.notes);
            all.warnings.extend(plan.warnings);
        }
    }
    Ok(all)
}

fn one_writer(writers: &mut BTreeMap<String, String>, key: &str, plugin: &str) -> Result<()> {
    match writers.insert(key.to_owned(), plugin.to_owned()) {
        Some(other) if other != plugin => Err(Error::new(format!(
            "plugins {other} and {plugin} both set the jail parameter {key}"
        ))
        .hint("disable one of them: `disable` below [plugins] in qjail.toml")),
        _ => Ok(()),
    }
}

/// The steps of a plugin, checked and with its name in them.
pub(crate) fn owned(plugin: &str, steps: Vec<Step>) -> Result<Vec<Action>> {
    steps
        .into_iter()
        .map(|step| {
            check_paths(&step).map_err(|e| e.about(format!("plugin {plugin} returned a bad step")))?;
            Ok(own(plugin, step))
        })
        .collect()
}

fn check_paths(step: &Step) -> Result<()> {
    if let Step::RememberFiles { files } = step {
        return files.iter().try_for_each(|at| rel(&at.path).map(drop));
    }
    let paths: &[&At] = match step {
        Step::MakeDir { at, .. }
        | Step::WriteFile { at, .. }
        | Step::EnsureLine { at, .. }
        | Step::RemoveFile { at }
        | Step::SetLink { at, .. }
        | Step::RemoveTree { at } => &[at],
        Step::CopyTree { from, to } | Step::Rename { from, to } => &[from, to],
        Step::Setting { .. }
        | Step::EnsureInterface { .. }
        | Step::RemoveInterface { .. }
        | Step::RcConf { .. }
        | Step::RunInJail { .. }
        | Step::RememberFiles { .. }
        | Step::SwitchLog { .. }
        | Step::Plugin { .. } => &[],
    };
    paths.iter().try_for_each(|at| rel(&at.path).map(drop))
}

fn own(plugin: &str, step: Step) -> Action {
    let what = match step {
        Step::Plugin { op, about, data, .. } => Step::Plugin {
            plugin: plugin.to_owned(),
            op,
            about,
            data,
        },
        other => other,
    };
    Action::Step {
        owner: plugin.to_owned(),
        what,
    }
}

fn to_toml(plugin: &str, keep: &BTreeMap<String, serde_json::Value>) -> Result<toml::Table> {
    toml::Table::try_from(keep)
        .map_err(|e| Error::new(format!("plugin {plugin}: what it wants to keep: {e}")))
}

/// Sets and takes away parameters.
pub(crate) fn apply_params(params: &mut Params, changes: &BTreeMap<String, Option<qjail_model::ParamValue>>) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(params.set(key.clone(), value.clone())),
            None => drop(params.unset(key)),
        }
    }
}
