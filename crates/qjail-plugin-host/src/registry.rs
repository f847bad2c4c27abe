//! All plugins, those that are used and those that are not.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use qjail_plugin_abi::Library;
use qjail_plugin_api::{Event, Manifest, Plugin, PluginError, Point};

use crate::cache::Cache;
use crate::claims::{self, Contender};
use crate::find::{self, Found};
use crate::load::FileName;
use crate::trust::{self, FileId};
use crate::{HostConfig, Refusal, Refused, contact, load, manifest, negotiate, order};

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is linked into the program.
    BuiltIn,
    /// It is this file.
    File(PathBuf),
}

/// A plugin's code, or where to get it.
pub(crate) enum Body {
    BuiltIn(&'static dyn Plugin),
    File(FileBody),
}

/// A shared object that is loaded when it is first needed.
pub(crate) struct FileBody {
    path: PathBuf,
    name: FileName,
    id: FileId,
    pin: Option<String>,
    library: OnceLock<Result<Library, Refusal>>,
    loads: Arc<AtomicUsize>,
}

impl FileBody {
    pub(crate) fn new(
        path: &Path,
        name: FileName,
        id: FileId,
        pin: Option<String>,
        loads: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            path: path.to_path_buf(),
            name,
            id,
            pin,
            library: OnceLock::new(),
            loads,
        }
    }

    /// It was loaded on the way to its manifest.
    pub(crate) fn loaded(&self, library: Library) {
        self.library.get_or_init(|| Ok(library));
    }

    pub(crate) fn library(&self, patience: Duration) -> Result<Library, Refusal> {
        self.library.get_or_init(|| self.load(patience)).clone()
    }

    /// Checks everything about the file again: the manifest came from the cache, and time has passed.
    fn load(&self, patience: Duration) -> Result<Library, Refusal> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        let shown = self.path.display();
        let trusted = trust::open(&self.path)?;
        if trusted.id != self.id {
            return Err(
                Refusal::new(format!("{shown} was replaced while qjail was running")).hint("try again"),
            );
        }
        if let Some(pin) = &self.pin {
            let is =
                load::sum(&trusted.file).map_err(|e| Refusal::new(format!("can not read {shown}: {e}")))?;
            load::check_sum(&self.path, &is, pin)?;
        }
        let (path, name) = (self.path.clone(), self.name.clone());
        let work = move || load::load(&trusted.file, &path, &name).map(|l| l.library);
        match contact::wait(patience, work) {
            Ok(Ok(result)) => result,
            Ok(Err(e)) => Err(Refusal::new(format!("can not load {shown}: {}", e.message))),
            Err(_) => Err(Refusal::new(format!("{shown} hangs while it is being loaded"))),
        }
    }
}

/// A plugin that is used.
pub struct Entry {
    pub(crate) manifest: Manifest,
    pub(crate) body: Body,
    /// Set once it has panicked or hung: what it did.
    pub(crate) fell: OnceLock<&'static str>,
}

impl Entry {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// What it said about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        match &self.body {
            Body::BuiltIn(_) => Origin::BuiltIn,
            Body::File(file) => Origin::File(file.path.clone()),
        }
    }
}

/// All plugins of one program run.
pub struct Registry {
    entries: Vec<Entry>,
    refused: Vec<Refused>,
    notes: Vec<String>,
    loads: Arc<AtomicUsize>,
    pub(crate) patience: Duration,
}

impl Registry {
    /// Finds all plugins. Loads those files only whose manifests are not in the cache.
    #[must_use]
    pub fn discover(config: &HostConfig) -> Self {
        let loads = Arc::new(AtomicUsize::new(0));
        let mut cache = Cache::open(config.cache.as_deref());
        let mut found = find::builtins(config);
        let (files, notes) = find::files(config, &found, &mut cache, &loads);
        found.extend(files);
        cache.save();
        let mut registry = Self {
            entries: Vec::new(),
            refused: Vec::new(),
            notes,
            loads,
            patience: config.patience,
        };
        registry.select(found, config);
        registry
    }

    fn select(&mut self, found: Vec<Found>, config: &HostConfig) {
        let mut usable = Vec::new();
        for Found { name, path, outcome } in found {
            match outcome.and_then(|(m, body)| fits(&m, config).map(|()| (m, body))) {
                Ok((manifest, body)) => usable.push((
                    path,
                    Entry {
                        manifest,
                        body,
                        fell: OnceLock::new(),
                    },
                )),
                Err(why) => self.refused.push(Refused { name, path, why }),
            }
        }
        let contenders: Vec<Contender<'_>> = usable
            .iter()
            .map(|(path, e)| Contender {
                manifest: &e.manifest,
                built_in: path.is_none(),
            })
            .collect();
        let verdicts = claims::judge(&contenders, config);
        for ((path, entry), verdict) in usable.into_iter().zip(verdicts) {
            match verdict {
                None => self.entries.push(entry),
                Some(why) => self.refused.push(Refused {
                    name: entry.manifest.name,
                    path,
                    why,
                }),
            }
        }
        self.entries.sort_by(|a, b| a.name().cmp(b.name()));
        self.note_unknown_commands(config);
    }

    /// Options for a command that this program does not have yet are left out; the rest of the plugin works.
    fn note_unknown_commands(&mut self, config: &HostConfig) {
        let known = |command: &str| config.commands.iter().any(|c| c.name == command);
        for entry in &self.entries {
            for extension in entry.manifest.extends.iter().filter(|e| !known(&e.command)) {
                let (name, command) = (entry.name(), &extension.command);
                self.notes.push(format!(
                    "plugin {name} adds options to `{command}`, which this qjail does not have"
                ));
            }
        }
    }

    /// The plugins that are used, by name.
    #[must_use]
    pub fn plugins(&self) -> &[Entry] {
        &self.entries
    }

    /// The plugin of this name, where it is used.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name() == name)
    }

    /// The plugins that are not used, each with the reason.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// What else there is to say: files that a built-in plugin supersedes, options that are left out.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How often a file was loaded, or was tried to be.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::Relaxed)
    }

    /// The plugins that want to be asked, in the order in which they are asked; events that take down run in reverse.
    #[must_use]
    pub fn hooks(&self, event: Event, point: Point) -> Vec<String> {
        let hook = |m: &Manifest| {
            m.hooks
                .iter()
                .find(|h| h.event == event && h.point == point)
                .map(|h| h.order)
        };
        let manifests: Vec<&Manifest> = self.entries.iter().map(|e| &e.manifest).collect();
        // One without the hook still stands between two that have it, but must not hold anyone up. There are no cycles:
        // who is on one has been refused.
        let sorted = order::sort(&manifests, |m| hook(m).unwrap_or(i32::MIN)).unwrap_or_default();
        let wanted = sorted.into_iter().filter(|i| hook(manifests[*i]).is_some());
        let mut names: Vec<String> = wanted.map(|i| manifests[i].name.clone()).collect();
        if matches!(event, Event::Stop | Event::Delete) {
            names.reverse();
        }
        names
    }

    /// The plugin, or an error that says why it is not used.
    pub(crate) fn used(&self, name: &str) -> Result<&Entry, PluginError> {
        if let Some(entry) = self.get(name) {
            return Ok(entry);
        }
        match self.refused.iter().find(|r| r.name == name) {
            Some(refused) => Err(refused.why.clone().into()),
            None => Err(
                PluginError::with_code("refused", format!("there is no plugin {name}"))
                    .hint("install it, or see `qjail plugins` for what is there"),
            ),
        }
    }
}

/// What can be said of a manifest without looking at others.
pub(crate) fn fits(manifest: &Manifest, config: &HostConfig) -> Result<(), Refusal> {
    manifest::check(manifest).map_err(|why| malformed(manifest, &why))?;
    negotiate::api(manifest)?;
    negotiate::platform(manifest, &config.os)
}

pub(crate) fn malformed(manifest: &Manifest, why: &str) -> Refusal {
    Refusal::new(format!(
        "plugin {} has a bad manifest: {why}",
        manifest.name.escape_debug()
    ))
    .hint("this is a defect of the plugin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_can_be_shared_by_threads() {
        fn is_shared<T: Send + Sync>(_: &T) {}
        is_shared(&Registry::discover(&HostConfig::default()));
    }
}
