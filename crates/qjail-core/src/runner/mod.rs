//! How each action is run, what must be remembered before it, and how it is undone. All of it idempotent.

mod calls;
mod files;

use std::path::Path;
use std::time::Duration;

use qjail_model::{JailName, Network};
use qjail_plugin_api::{At, Place, RcChange, Step};
use qjail_sys::{InterfaceChange, StopOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, is_staging};
use crate::engine::Engine;
use crate::flavor;
use crate::places::Places;
use crate::{Error, Result};
use files::{OldFile, move_file, remove_file, remove_image};

/// The setting that says whether commands are logged.
const LOG: &str = "log";

/// What was there before an action, as far as undoing needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "kebab-case")]
pub(crate) enum Undo {
    /// Undo needs to know nothing.
    Nothing,
    /// Whatever the action makes was there before: undo leaves it.
    There,
    /// A directory was missing, and so many of those above it.
    Missing { above: usize },
    /// A file with this content, or none.
    File { old: Option<OldFile> },
    /// Several files, in the order of the step.
    Files { old: Vec<Option<OldFile>> },
    /// A link with this target, or none.
    Link { old: Option<String> },
    /// A setting with this value, or none.
    Setting { old: Option<Value> },
    /// An interface that is going to be changed so.
    Interface { change: InterfaceChange },
    /// A variable of rc.conf(5) with this value, or none.
    Rc { old: Option<String> },
    /// A definition with this text, or none.
    Definition { old: Option<String> },
}

impl Undo {
    /// Whether it must be on disk before the action may run.
    pub(crate) fn must_last(&self) -> bool {
        !matches!(self, Self::Nothing | Self::There)
    }
}

/// Runs and undoes actions in one set of directories.
pub(crate) struct Runner<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) places: &'a Places,
}

impl Runner<'_> {
    /// What undoing `action` will need; nothing is changed.
    pub(crate) fn remember(&self, action: &Action) -> Result<Undo> {
        let Action::Step { owner, what } = action else {
            return self.remember_own(action);
        };
        if self.goes_with_staging(what) {
            return Ok(Undo::There);
        }
        Ok(match what {
            Step::MakeDir { at, .. } => self.missing_dirs(at)?,
            Step::WriteFile { at, .. } | Step::EnsureLine { at, .. } => Undo::File {
                old: self.old_file(at)?,
            },
            Step::RemoveFile { at } => self.remember_removed(at)?,
            Step::SetLink { at, .. } => Undo::Link {
                old: self.old_link(at)?,
            },
            Step::Setting { path, .. } => Undo::Setting {
                old: self.engine.settings()?.get(&setting_path(owner, path)),
            },
            Step::SwitchLog { .. } => Undo::Setting {
                old: self.engine.settings()?.get(&[LOG]),
            },
            Step::EnsureInterface { name, addresses } => Undo::Interface {
                change: self.interface_change(name, addresses)?,
            },
            Step::RcConf { variable, .. } => Undo::Rc {
                old: self.engine.system.rc_value(variable)?,
            },
            Step::CopyTree { to, .. } => self.was_there(to)?,
            Step::RememberFiles { files } => Undo::Files {
                old: files.iter().map(|at| self.old_file(at)).collect::<Result<_>>()?,
            },
            Step::RemoveTree { .. }
            | Step::Rename { .. }
            | Step::RunInJail { .. }
            | Step::RemoveInterface { .. }
            | Step::Plugin { .. } => Undo::Nothing,
        })
    }

    /// Whether a step changes only the directory of a jail that is being made, which is removed as a whole.
    fn goes_with_staging(&self, step: &Step) -> bool {
        if let Step::RememberFiles { files } = step {
            return files.iter().all(|at| self.in_staging(at));
        }
        let (Step::MakeDir { at, .. }
        | Step::WriteFile { at, .. }
        | Step::EnsureLine { at, .. }
        | Step::RemoveFile { at }
        | Step::SetLink { at, .. }) = step
        else {
            return false;
        };
        self.in_staging(at)
    }

    /// Whether the plan is about a jail that exists.
    fn is_of_a_jail(&self) -> bool {
        self.places.jail.as_deref().is_some_and(|j| !is_staging(j))
    }

    fn in_staging(&self, at: &At) -> bool {
        at.place == Place::Jail && self.places.jail.as_deref().is_some_and(is_staging)
    }

    fn remember_own(&self, action: &Action) -> Result<Undo> {
        match action {
            Action::WriteDefinition { name, .. } | Action::RemoveDefinition { name } => {
                Ok(Undo::Definition {
                    old: self.engine.definitions().read_text(&jail_name(name)?)?,
                })
            }
            Action::Unpack { .. } => self.was_there(&self.root_of_plan()),
            _ => Ok(Undo::Nothing),
        }
    }

    /// The jail's root directory, seen from the directory of jails.
    fn root_of_plan(&self) -> At {
        At::jails(self.places.jail.as_deref().unwrap_or_default())
    }

    fn unpack(&self, file: &Path, under: &str) -> Result<()> {
        let (jails, path) = self.places.resolve(&self.root_of_plan())?;
        jails.make_dirs(&path, 0o755, None)?;
        self.engine.unpack(self.places, file, under)
    }

    /// Runs `action`.
    pub(crate) fn run(&self, action: &Action) -> Result<()> {
        let system = &self.engine.system;
        match action {
            Action::Step { owner, what } => self.run_step(owner, what),
            Action::MergeFlavor { flavor } => flavor::merge(self.engine, self.places, flavor),
            Action::Unpack { file, under } => self.unpack(file, under),
            Action::Thicken { sources } => flavor::thicken(self.engine, self.places, sources),
            Action::WriteDefinition { name, text } => self.set_definition(&jail_name(name)?, Some(text)),
            Action::RemoveDefinition { name } => self.set_definition(&jail_name(name)?, None),
            Action::StartJail { spec } => {
                system.start(spec, &|| self.engine.cancelled())?;
                Ok(())
            }
            Action::StartAgain { names } => self.engine.start_again(names),
            Action::Forget { spec } => {
                system.cleanup(spec)?;
                spec.console_log.as_deref().map_or(Ok(()), remove_file)
            }
            Action::MoveLog { from, to } | Action::MoveImage { from, to } => move_file(from, to),
            Action::MakeImage { file, bytes } => Ok(system.make_image(file, *bytes)?),
            Action::AttachImage { image } => Ok(system.attach_image(&image.file, &image.at)?),
            Action::DetachImage { image } => Ok(system.detach_image(&image.file, &image.at)?),
            Action::LinkImage { from, to } => self.link_image(from, to),
            Action::RemoveImage { file } => remove_image(file),
            Action::StopJail { spec, force, timeout } => {
                let how = StopOptions {
                    force: *force,
                    timeout: timeout.map(Duration::from_secs),
                };
                Ok(system.stop(spec, how, &|| self.engine.cancelled())?)
            }
        }
    }

    /// Writes or removes a definition, and what the system keeps of it.
    fn set_definition(&self, name: &JailName, text: Option<&str>) -> Result<()> {
        let definitions = self.engine.definitions();
        match text {
            Some(text) => definitions.write_text(name, text)?,
            None => drop(definitions.remove(name)?),
        }
        self.engine.follow_definition(name);
        Ok(())
    }

    fn run_step(&self, owner: &str, step: &Step) -> Result<()> {
        let system = &self.engine.system;
        match step {
            Step::MakeDir { at, mode } => self.make_dir(at, *mode),
            Step::WriteFile {
                at,
                content,
                mode,
                if_exists,
            } => self.write_file(at, content, *mode, *if_exists),
            Step::EnsureLine { at, line, key } => {
                let (root, path) = self.places.resolve(at)?;
                root.ensure_line(&path, line, key.as_deref())?;
                Ok(())
            }
            Step::RemoveFile { at } => self.remove_file(at),
            Step::SetLink { at, target } => {
                let (root, path) = self.places.resolve(at)?;
                Ok(root.replace_symlink(target, &path)?)
            }
            Step::CopyTree { from, to } => self.copy_tree(from, to),
            Step::RemoveTree { at } => self.remove_tree(at),
            Step::Rename { from, to } => self.rename(from, to),
            Step::Setting { path, value } => self
                .engine
                .change_setting(&setting_path(owner, path), value.as_ref()),
            Step::SwitchLog { on } => self
                .engine
                .change_setting(&[LOG.to_owned()], Some(&Value::Bool(*on))),
            Step::EnsureInterface { name, addresses } => {
                system.ensure_interface(name, addresses)?;
                Ok(())
            }
            Step::RemoveInterface { name, addresses } => Ok(system.remove_interface(name, addresses, true)?),
            Step::RcConf { variable, change } => Ok(system.rc_conf(variable, &rc_change(change))?),
            Step::RunInJail { argv, user, .. } => self.run_in_jail(argv, user.as_deref()),
            // What it does is in what is remembered before it runs.
            Step::RememberFiles { .. } => Ok(()),
            Step::Plugin { op, data, .. } => self.call_plugin(owner, op, data, false),
        }
    }

    /// Undoes `action`, whether it ran, ran in part, or did not run.
    pub(crate) fn undo(&self, action: &Action, undo: &Undo) -> Result<()> {
        match (action, undo) {
            (Action::StartJail { spec }, _) => Ok(self.engine.system.cleanup(spec)?),
            // A jail that has been stopped stays so; what the stop had no time to clear away goes.
            (Action::StopJail { spec, .. }, _) => match self.engine.system.find(&spec.name)? {
                None => Ok(self.engine.system.cleanup(spec)?),
                Some(_) => Ok(()),
            },
            (
                Action::WriteDefinition { name, .. } | Action::RemoveDefinition { name },
                Undo::Definition { old },
            ) => self.set_definition(&jail_name(name)?, old.as_deref()),
            (Action::Unpack { .. }, Undo::Nothing) => self.remove_tree(&self.root_of_plan()),
            (Action::MakeImage { file, .. }, _) => remove_image(file),
            (Action::AttachImage { image }, _) => {
                Ok(self.engine.system.detach_image(&image.file, &image.at)?)
            }
            (Action::DetachImage { image }, _) => {
                Ok(self.engine.system.attach_image(&image.file, &image.at)?)
            }
            (Action::MoveImage { from, to }, _) => move_file(to, from),
            (Action::LinkImage { from, to }, _) => self.unlink_image(from, to),
            (Action::Step { owner, what }, undo) => self.undo_step(owner, what, undo),
            // What these made goes with the directory that an earlier step made.
            _ => Ok(()),
        }
    }

    /// Whether a step was about files of a jail whose directory somebody has taken away since: nothing is left to undo, and
    /// the jail must not be locked for it. Where the bases are missing too, the file system with all jails is not mounted.
    fn has_lost_its_jail(&self, step: &Step) -> bool {
        let at = match step {
            Step::MakeDir { at, .. }
            | Step::WriteFile { at, .. }
            | Step::EnsureLine { at, .. }
            | Step::RemoveFile { at }
            | Step::SetLink { at, .. }
            | Step::CopyTree { to: at, .. } => Some(at),
            Step::RememberFiles { files } => files.first(),
            _ => None,
        };
        let gone = |root: String| {
            let found = std::fs::symlink_metadata(root);
            found.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        };
        at.is_some_and(|at| at.place == Place::Jail)
            && self.places.jails.join(".bases").is_dir()
            && self.places.jail_root().is_some_and(gone)
    }

    fn undo_step(&self, owner: &str, step: &Step, undo: &Undo) -> Result<()> {
        if self.has_lost_its_jail(step) {
            return Ok(());
        }
        let system = &self.engine.system;
        match (step, undo) {
            (_, Undo::There) => Ok(()),
            (Step::MakeDir { at, .. }, Undo::Missing { above }) => self.remove_empty_dirs(at, *above),
            (Step::MakeDir { at, .. }, _) => self.remove_empty_dirs(at, 0),
            (Step::CopyTree { to, .. }, _) => self.remove_tree(to),
            (
                Step::WriteFile { at, .. } | Step::EnsureLine { at, .. } | Step::RemoveFile { at },
                Undo::File { old },
            ) => {
                self.remove_leftovers(at)?;
                self.restore_file(at, old.as_ref())
            }
            (Step::SetLink { at, .. } | Step::RemoveFile { at }, Undo::Link { old }) => {
                self.restore_link(at, old.as_deref())
            }
            (Step::Rename { from, to }, _) => self.rename_back(from, to),
            (Step::Setting { path, .. }, Undo::Setting { old }) => self
                .engine
                .change_setting(&setting_path(owner, path), old.as_ref()),
            (Step::SwitchLog { .. }, Undo::Setting { old }) => {
                self.engine.change_setting(&[LOG.to_owned()], old.as_ref())
            }
            // Another jail may be on it by now; it is declared, so it stays.
            (Step::EnsureInterface { .. }, _) if self.is_of_a_jail() => Ok(()),
            (Step::EnsureInterface { name, .. }, Undo::Interface { change }) => {
                Ok(system.remove_interface(name, &change.added, change.created)?)
            }
            (Step::RemoveInterface { name, addresses }, _) => {
                system.ensure_interface(name, addresses)?;
                Ok(())
            }
            (Step::RcConf { variable, .. }, Undo::Rc { old }) => {
                let change = old
                    .clone()
                    .map_or(qjail_sys::RcChange::Unset, qjail_sys::RcChange::Set);
                Ok(system.rc_conf(variable, &change)?)
            }
            (Step::RunInJail { undo, user, .. }, _) => self.undo_in_jail(undo, user.as_deref()),
            (Step::RememberFiles { files }, Undo::Files { old }) => self.restore_files(files, old),
            (Step::Plugin { op, data, .. }, _) => self.call_plugin(owner, op, data, true),
            _ => Ok(()),
        }
    }

    fn interface_change(&self, name: &str, addresses: &[Network]) -> Result<InterfaceChange> {
        let all = self.engine.system.interfaces()?;
        let now = all.iter().find(|i| i.name == name);
        let added = addresses
            .iter()
            .filter(|a| now.is_none_or(|i| !i.addresses.contains(a)))
            .copied()
            .collect();
        Ok(InterfaceChange {
            created: now.is_none(),
            added,
        })
    }
}

fn setting_path(owner: &str, path: &[String]) -> Vec<String> {
    ["plugin".to_owned(), owner.to_owned()]
        .into_iter()
        .chain(path.iter().cloned())
        .collect()
}

fn rc_change(change: &RcChange) -> qjail_sys::RcChange {
    match change {
        RcChange::Set(v) => qjail_sys::RcChange::Set(v.clone()),
        RcChange::Add(w) => qjail_sys::RcChange::Add(w.clone()),
        RcChange::Remove(w) => qjail_sys::RcChange::Remove(w.clone()),
        RcChange::Unset => qjail_sys::RcChange::Unset,
    }
}

fn jail_name(name: &str) -> Result<JailName> {
    JailName::new(name).map_err(Error::new)
}
