//! The engine: what every operation works with, and nothing that changes while it works.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qjail_model::{Definition, JailName, Selector, ZoneName, nearest};
use qjail_plugin_api::{JailInfo, LogLevel, Progress};
use qjail_plugin_host::Registry;
use qjail_store::{Definitions, Journal, Layout, Lock, Settings, Wait};
use qjail_sys::{Need, Running, System};
use serde_json::Value;

use crate::action::Action;
use crate::places::Places;
use crate::port::Port;
use crate::{Error, Result, transaction};

/// How long a command waits for another one that is checking names and addresses.
const DEFINITIONS_WAIT: Duration = Duration::from_secs(120);

/// Where messages and progress go. Called from any thread.
pub trait Ui: Send + Sync {
    /// A line of the log.
    fn log(&self, level: LogLevel, message: &str);
    /// How far a long step is.
    fn progress(&self, progress: &Progress);
    /// The long step is over.
    fn progress_done(&self);
}

/// All operations on jails, in one set of directories and one zone.
pub struct Engine {
    /// The directories.
    pub layout: Layout,
    /// The system.
    pub system: Arc<dyn System>,
    /// The plugins.
    pub registry: Registry,
    /// Messages and progress.
    pub ui: Box<dyn Ui>,
    /// Set when the user wants to stop.
    pub cancel: Arc<AtomicBool>,
    /// The zone of the command; none is the default zone.
    pub zone: Option<ZoneName>,
    /// Show plans instead of running them.
    pub dry_run: bool,
    /// How many jails are started or stopped at once.
    pub jobs: usize,
    /// Seconds since 1970 when the command began.
    pub now: u64,
    /// The command, for locks and messages: `start`.
    pub command: String,
    /// Jails that a `--dry-run` of several would have made by now.
    pub planned: Mutex<Vec<JailInfo>>,
}

impl Engine {
    /// Whether the user wants to end.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    pub(crate) fn log_action(&self, action: &Action) {
        self.ui.log(LogLevel::Info, &action.to_string());
    }

    pub(crate) fn warn(&self, message: &str) {
        self.ui.log(LogLevel::Warn, message);
    }

    pub(crate) fn definitions(&self) -> Definitions {
        Definitions::new(self.layout.definitions_dir())
    }

    pub(crate) fn settings(&self) -> Result<Settings> {
        Ok(Settings::load(&self.layout.settings_file())?)
    }

    /// Changes one value of `qjail.toml` under its lock.
    pub(crate) fn change_setting(&self, path: &[String], value: Option<&Value>) -> Result<()> {
        let _lock = self.wait_lock("settings")?;
        let mut settings = self.settings()?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match value {
            Some(value) => settings.set(&path, value)?,
            None => settings.unset(&path)?,
        }
        if settings.to_text().is_empty() {
            return self.remove_settings();
        }
        Ok(settings.save()?)
    }

    /// A file that says nothing is the same as none, which is what there was before the first setting.
    fn remove_settings(&self) -> Result<()> {
        let path = self.layout.settings_file();
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::new(format!("remove {}: {e}", path.display())))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn port(&self, plugin: &str) -> Port<'_> {
        Port {
            engine: self,
            plugin: plugin.to_owned(),
        }
    }

    /// Where a plan of this command works; `jail` is the jail's directory below the zone's.
    pub(crate) fn places(&self, zone: Option<&ZoneName>, jail: Option<String>) -> Places {
        Places {
            jails: self.layout.jails_dir(zone),
            config: self.layout.config_dir(),
            state: self.layout.state_dir(),
            zone: zone.map(ToString::to_string),
            jail,
            now: self.now,
        }
    }

    /// Refuses before anything is changed when the system lacks what `need` needs. A plan that is only shown needs
    /// nothing.
    pub(crate) fn require(&self, need: Need) -> Result<()> {
        if self.dry_run {
            return Ok(());
        }
        let missing = self.system.missing(need);
        let errors = missing
            .into_iter()
            .map(|m| Error {
                hint: m.hint,
                ..Error::new(m.what)
            })
            .collect();
        Error::all(errors).map_or(Ok(()), Err)
    }

    /// The lock `name`, at once or not at all; and first the end of whatever was cut off under it.
    pub(crate) fn lock(&self, name: &str) -> Result<Option<Lock>> {
        self.lock_with(name, Wait::No)
    }

    /// The lock on names and addresses of all jails, with some patience: others hold it for moments.
    pub(crate) fn wait_lock(&self, name: &str) -> Result<Option<Lock>> {
        self.lock_with(name, Wait::For(DEFINITIONS_WAIT))
    }

    fn lock_with(&self, name: &str, wait: Wait) -> Result<Option<Lock>> {
        if self.dry_run {
            return Ok(None);
        }
        self.layout.create()?;
        let lock = Lock::acquire(&self.layout.locks_dir(), name, &self.command, wait)?;
        self.recover_one(name)?;
        Ok(Some(lock))
    }

    fn recover_one(&self, lock: &str) -> Result<()> {
        Journal::clear_unbegun(&self.layout.journal_dir(), lock)?;
        for pending in Journal::pending(&self.layout.journal_dir())? {
            if pending.name == lock {
                let message = transaction::recover(self, pending)?;
                self.warn(&message);
            }
        }
        Ok(())
    }

    /// Brings everything that was cut off to its end, as far as nobody is at it. Called by each command that changes
    /// something; what can not be repaired is a warning here and an error for the command that needs it.
    pub fn recover(&self) {
        if self.dry_run {
            return;
        }
        let dir = self.layout.journal_dir();
        let pending = Journal::pending(&dir).unwrap_or_default();
        let names = pending.into_iter().map(|p| p.name);
        let unbegun = Journal::unbegun(&dir).unwrap_or_default();
        for name in names.chain(unbegun).collect::<std::collections::BTreeSet<_>>() {
            // A lock that is held belongs to a command that still runs.
            let Ok(_lock) = Lock::acquire(&self.layout.locks_dir(), &name, &self.command, Wait::No) else {
                continue;
            };
            if let Err(e) = self.recover_one(&name) {
                self.warn(&e.to_string());
            }
        }
        self.release_images();
    }

    /// The definition of a jail, of whatever zone.
    ///
    /// # Errors
    /// There is no such jail, or its file can not be read.
    pub fn definition(&self, name: &JailName) -> Result<Definition> {
        match self.definitions().load(name)? {
            Some(definition) => Ok(definition),
            None => Err(self.no_such_jail(name)),
        }
    }

    fn no_such_jail(&self, name: &JailName) -> Error {
        let error = Error::new(format!("Error: Jail doesn't exist. {name}"));
        let names: Vec<String> = self.all().into_iter().map(|(n, _)| n.to_string()).collect();
        match nearest(name.as_str(), names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("there is a jail {near}")),
            None => error.hint("qjail list shows the jails; another zone's with -z ZONE"),
        }
    }

    /// Every definition of every zone; broken ones are warnings.
    pub(crate) fn all(&self) -> Vec<(JailName, Definition)> {
        let list = self.definitions().list().unwrap_or_else(|e| {
            self.warn(&e.to_string());
            Vec::new()
        });
        list.into_iter()
            .filter_map(|(name, definition)| match definition {
                Ok(definition) => Some((name, definition)),
                Err(e) => {
                    self.warn(&e.to_string());
                    None
                }
            })
            .collect()
    }

    /// The definitions of the command's zone.
    pub(crate) fn zone_jails(&self) -> Vec<(JailName, Definition)> {
        self.all()
            .into_iter()
            .filter(|(_, d)| d.zone == self.zone)
            .collect()
    }

    /// Refuses a zone that does not exist: it has neither a directory nor a jail.
    ///
    /// # Errors
    /// `Un-known zone`, with the zones there are.
    pub fn check_zone(&self) -> Result<()> {
        let Some(zone) = &self.zone else { return Ok(()) };
        if self.layout.jails_dir(Some(zone)).is_dir() {
            return Ok(());
        }
        let zones = self.layout.zones()?;
        if zones.contains(zone) {
            return Ok(());
        }
        let known: Vec<&str> = zones.iter().map(ZoneName::as_str).collect();
        let make = format!("qjail -z {zone} install makes it");
        Err(Error::new("Error: Un-known zone.").hint(if known.is_empty() {
            format!("there is no zone {zone}, only the default one; {make}")
        } else {
            format!("there is no zone {zone}, but {}; {make}", known.join(", "))
        }))
    }

    /// The jails of the command's zone that are meant, in the order of their names, and an error for each selector
    /// that means none. No selector means all.
    pub fn select(&self, selectors: &[Selector]) -> (Vec<JailName>, Vec<Error>) {
        self.select_in(selectors, false)
    }

    /// As [`Engine::select`]; of every zone with `all_zones`.
    pub(crate) fn select_in(&self, selectors: &[Selector], all_zones: bool) -> (Vec<JailName>, Vec<Error>) {
        let jails = || {
            let jails = if all_zones { self.all() } else { self.zone_jails() };
            jails.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        if selectors.is_empty() {
            return (jails(), Vec::new());
        }
        let mut names = std::collections::BTreeSet::new();
        let mut errors = Vec::new();
        let mut known: Option<Vec<JailName>> = None;
        for selector in selectors {
            match selector {
                Selector::Name(name) => match self.definition_in_zone(name, all_zones) {
                    Ok(()) => drop(names.insert(name.clone())),
                    Err(e) => errors.push(e),
                },
                Selector::Prefix(prefix) => {
                    let known = known.get_or_insert_with(jails);
                    let before = names.len();
                    names.extend(known.iter().filter(|n| selector.matches(n)).cloned());
                    if names.len() == before {
                        errors.push(
                            Error::new(format!("Error: No match for group prefix. {prefix}"))
                                .hint("qjail list shows the names"),
                        );
                    }
                }
            }
        }
        (names.into_iter().collect(), errors)
    }

    pub(crate) fn definition_in_zone(&self, name: &JailName, all_zones: bool) -> Result<()> {
        let definition = self.definition(name)?;
        if all_zones || definition.zone == self.zone {
            return Ok(());
        }
        let error = Error::new(format!("Error: Jail doesn't exist. {name}"));
        Err(match definition.zone {
            Some(zone) => error.hint(format!("it is in zone {zone}: add -z {zone}")),
            None => error.hint("it is in the default zone: leave out -z"),
        })
    }

    /// Jails of ours that run and have no definition that can be read: a typo in the file, or no file at all.
    pub(crate) fn running_undefined(&self) -> Vec<JailName> {
        let defined: std::collections::BTreeSet<String> =
            self.all().into_iter().map(|(name, _)| name.to_string()).collect();
        let running = self.system.running().unwrap_or_default().into_keys();
        running
            .filter(|name| !defined.contains(name))
            .filter_map(|name| JailName::new(name).ok())
            // On FreeBSD jails of other managers run beside those of qjail.
            .filter(|name| self.system.os() == "linux" || self.definitions().exists(name))
            .collect()
    }

    pub(crate) fn running(&self) -> Result<BTreeMap<String, Running>> {
        Ok(self.system.running()?)
    }

    /// Every jail as plugin `plugin` sees it.
    pub(crate) fn jail_infos(&self, plugin: &str) -> Vec<JailInfo> {
        let defined = self.all();
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        defined
            .iter()
            .map(|(n, d)| jail_info(n, d, plugin))
            .chain(planned.iter().cloned())
            .collect()
    }
}

/// A jail as plugin `plugin` sees it.
pub(crate) fn jail_info(name: &JailName, definition: &Definition, plugin: &str) -> JailInfo {
    let kept = definition.plugins.get(plugin).cloned().unwrap_or_default();
    let kept = serde_json::to_value(kept)
        .ok()
        .and_then(|v| serde_json::from_value(v).ok())
        .unwrap_or_default();
    JailInfo {
        name: name.to_string(),
        zone: definition.zone.as_ref().map(ToString::to_string),
        thick: definition.thick,
        base: definition.base.clone(),
        flavors: definition.flavors.clone(),
        params: definition.params.clone(),
        kept,
    }
}
