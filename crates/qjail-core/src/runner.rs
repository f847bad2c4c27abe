//! How each action is run, what must be remembered before it, and how it is undone. All of it idempotent.

use std::path::Path;
use std::time::Duration;

use qjail_fs::{CopyOptions, IfExists as FsIfExists, RelPath, Root, WriteOptions};
use qjail_model::{JailName, Network};
use qjail_plugin_api::{At, IfExists, Place, RcChange, Step, StepRequest};
use qjail_sys::{ExecSpec, InterfaceChange, StopOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::{Action, is_staging};
use crate::engine::Engine;
use crate::flavor;
use crate::places::{Places, rel};
use crate::{Error, Result};

/// The largest file whose old content is kept for undo.
const KEEP_LIMIT: u64 = 4 << 20;

/// How long a command may take that a step runs in a jail.
const IN_JAIL_LIMIT: Duration = Duration::from_secs(60);

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

/// A file as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldFile {
    content: Vec<u8>,
    mode: u32,
    uid: u32,
    gid: u32,
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
            Action::Forget { spec } => {
                system.cleanup(spec)?;
                spec.console_log.as_deref().map_or(Ok(()), remove_file)
            }
            Action::MoveLog { from, to } | Action::MoveImage { from, to } => move_file(from, to),
            Action::MakeImage { file, bytes } => Ok(system.make_image(file, *bytes)?),
            Action::AttachImage { image } => Ok(system.attach_image(&image.file, &image.at)?),
            Action::DetachImage { image } => Ok(system.detach_image(&image.file, &image.at)?),
            Action::RemoveImage { file } => remove_image(file),
            Action::StopJail { spec, force, timeout } => {
                let how = StopOptions {
                    force: *force,
                    timeout: timeout.map(Duration::from_secs),
                };
                Ok(system.stop(spec, how)?)
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
            (Action::Step { owner, what }, undo) => self.undo_step(owner, what, undo),
            // What these made goes with the directory that an earlier step made.
            _ => Ok(()),
        }
    }

    fn undo_step(&self, owner: &str, step: &Step, undo: &Undo) -> Result<()> {
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

    fn was_there(&self, at: &At) -> Result<Undo> {
        let there = at.path.is_empty() || {
            let (root, path) = self.places.resolve(at)?;
            root.metadata(&path)?.is_some()
        };
        Ok(if there { Undo::There } else { Undo::Nothing })
    }

    /// How many directories [`Step::MakeDir`] is going to make.
    fn missing_dirs(&self, at: &At) -> Result<Undo> {
        let (root, path) = self.places.resolve(at)?;
        let mut missing = 0;
        let mut next = Some(path).filter(|p| !p.is_root());
        while let Some(path) = next.filter(|p| !p.is_root()) {
            match root.metadata(&path) {
                Ok(Some(_)) => break,
                Ok(None) => missing += 1,
                Err(e) if e.is_not_found() => missing += 1,
                Err(e) => return Err(e.into()),
            }
            next = path.parent();
        }
        Ok(match missing {
            0 => Undo::There,
            n => Undo::Missing { above: n - 1 },
        })
    }

    fn old_file(&self, at: &At) -> Result<Option<OldFile>> {
        let (root, path) = self.places.resolve(at)?;
        let Some(meta) = root.metadata(&path)? else {
            return Ok(None);
        };
        let content = root.read(&path, KEEP_LIMIT)?;
        Ok(Some(OldFile {
            content,
            mode: meta.mode & 0o7777,
            uid: meta.uid,
            gid: meta.gid,
        }))
    }

    fn old_link(&self, at: &At) -> Result<Option<String>> {
        let (root, path) = self.places.resolve(at)?;
        if root.metadata(&path)?.is_none() {
            return Ok(None);
        }
        let target = root.read_link(&path)?;
        target
            .into_string()
            .map(Some)
            .map_err(|t| Error::new(format!("{at}: the link's target {} is not UTF-8", t.display())))
    }

    fn remember_removed(&self, at: &At) -> Result<Undo> {
        let (root, path) = self.places.resolve(at)?;
        let is_link = root
            .metadata(&path)?
            .is_some_and(|m| m.kind == qjail_fs::Kind::Link);
        if is_link {
            Ok(Undo::Link {
                old: self.old_link(at)?,
            })
        } else {
            Ok(Undo::File {
                old: self.old_file(at)?,
            })
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

    fn make_dir(&self, at: &At, mode: u32) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        root.make_dirs(&path, mode, None)?;
        Ok(())
    }

    fn write_file(&self, at: &At, content: &str, mode: Option<u32>, if_exists: IfExists) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        let if_exists = match if_exists {
            IfExists::Replace => FsIfExists::Replace,
            IfExists::Keep => FsIfExists::Keep,
            IfExists::Fail => FsIfExists::Fail,
        };
        // A crash of the program removes the staging directory as a whole; against a loss of power nothing in it is flushed.
        let sync = !self.in_staging(at);
        root.write(
            &path,
            content.as_bytes(),
            &WriteOptions {
                mode,
                if_exists,
                sync,
                ..WriteOptions::default()
            },
        )?;
        Ok(())
    }

    fn remove_file(&self, at: &At) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        root.remove_file(&path)?;
        Ok(())
    }

    fn copy_tree(&self, from: &At, to: &At) -> Result<()> {
        let source = self.places.open_dir(from)?;
        let (root, path) = self.places.resolve(to)?;
        root.make_dirs(&path, 0o755, None)?;
        let target = root.open_dir(&path)?;
        let cancelled = || self.engine.cancelled();
        let options = CopyOptions {
            cancelled: &cancelled,
            ..CopyOptions::default()
        };
        qjail_fs::copy_tree(&source, &target, &options)?;
        Ok(())
    }

    fn remove_tree(&self, at: &At) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        root.remove_tree(&path, &qjail_fs::never)?;
        Ok(())
    }

    /// Removes a directory that a step made, and those above it that it made too; one that something was put into since
    /// stays.
    fn remove_empty_dirs(&self, at: &At, above: usize) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        let mut next = Some(path);
        for _ in 0..=above {
            let Some(path) = next else { return Ok(()) };
            match root.remove_dir(&path) {
                Err(e)
                    if e.io()
                        .is_some_and(|e| e.kind() == std::io::ErrorKind::DirectoryNotEmpty) =>
                {
                    return Ok(());
                }
                // It was not reached, or is gone already; one above it may be there.
                Err(e) if e.is_not_found() => {}
                other => drop(other?),
            }
            next = path.parent();
        }
        Ok(())
    }

    fn rename(&self, from: &At, to: &At) -> Result<()> {
        let (root, source, target) = self.both(from, to)?;
        let renamed_before = root.metadata(&source)?.is_none() && root.metadata(&target)?.is_some();
        if renamed_before {
            return Ok(());
        }
        Ok(root.rename_no_replace(&source, &root, &target)?)
    }

    fn rename_back(&self, from: &At, to: &At) -> Result<()> {
        let (root, source, target) = self.both(from, to)?;
        if root.metadata(&source)?.is_some() || root.metadata(&target)?.is_none() {
            return Ok(());
        }
        Ok(root.rename_no_replace(&target, &root, &source)?)
    }

    fn both(&self, from: &At, to: &At) -> Result<(Root, RelPath, RelPath)> {
        if from.place != to.place {
            return Err(Error::new(format!(
                "rename {from} to {to}: both must be in the same place"
            )));
        }
        Ok((self.places.open(from.place)?, rel(&from.path)?, rel(&to.path)?))
    }

    /// Takes away what a writer left that was killed in the middle.
    fn remove_leftovers(&self, at: &At) -> Result<()> {
        let (root, path) = self.places.resolve(at)?;
        match root.remove_leftovers(&path) {
            Err(e) if e.is_not_found() => Ok(()),
            other => Ok(other?),
        }
    }

    fn restore_file(&self, at: &At, old: Option<&OldFile>) -> Result<()> {
        let Some(old) = old else {
            return self.remove_file(at);
        };
        let (root, path) = self.places.resolve(at)?;
        let options = WriteOptions {
            mode: Some(old.mode),
            owner: Some((old.uid, old.gid)),
            ..WriteOptions::default()
        };
        root.write(&path, &old.content, &options)?;
        Ok(())
    }

    /// Brings back every file that is not as it was; one failure does not keep the others from being brought back.
    fn restore_files(&self, files: &[At], old: &[Option<OldFile>]) -> Result<()> {
        let errors = files
            .iter()
            .zip(old)
            .filter_map(|(at, old)| self.restore_changed(at, old.as_ref()).err());
        Error::all(errors.collect()).map_or(Ok(()), Err)
    }

    fn restore_changed(&self, at: &At, old: Option<&OldFile>) -> Result<()> {
        self.remove_leftovers(at)?;
        match self.old_file(at) {
            Ok(now) if now.as_ref() == old => Ok(()),
            _ => self.restore_file(at, old),
        }
    }

    fn run_in_jail(&self, argv: &[String], user: Option<&str>) -> Result<()> {
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

    fn undo_in_jail(&self, undo: &[String], user: Option<&str>) -> Result<()> {
        let runs = || Ok::<_, Error>(self.engine.system.find(self.jail_of_plan()?.as_str())?.is_some());
        if undo.is_empty() || !runs()? {
            return Ok(());
        }
        self.run_in_jail(undo, user)
    }

    fn jail_of_plan(&self) -> Result<JailName> {
        match self.places.jail.as_deref().filter(|j| !is_staging(j)) {
            Some(name) => jail_name(name),
            None => Err(Error::new(
                "the plan runs a command in a jail, but it is not about one that runs",
            )),
        }
    }

    fn restore_link(&self, at: &At, old: Option<&str>) -> Result<()> {
        self.remove_leftovers(at)?;
        let (root, path) = self.places.resolve(at)?;
        match old {
            Some(target) => Ok(root.replace_symlink(target, &path)?),
            None => {
                root.remove_file(&path)?;
                Ok(())
            }
        }
    }

    fn call_plugin(&self, owner: &str, op: &str, data: &Value, undo: bool) -> Result<()> {
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

/// A file that is not there has been removed before, or there was none.
fn remove_file(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::new(format!("remove {}: {e}", file.display())))
        }
        _ => Ok(()),
    }
}

/// Removes the file of an image jail, and the directory of such files when it was the last.
fn remove_image(file: &Path) -> Result<()> {
    remove_file(file)?;
    if let Some(dir) = file.parent() {
        // Others are in it, or it is gone.
        let _ = std::fs::remove_dir(dir);
    }
    Ok(())
}

/// A file that is not there has been moved before, or there was none.
fn move_file(from: &Path, to: &Path) -> Result<()> {
    match std::fs::rename(from, to) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::new(format!(
            "rename {} to {}: {e}",
            from.display(),
            to.display()
        ))),
        _ => Ok(()),
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
