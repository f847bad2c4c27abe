//! From the places that steps name to directories, opened so that nothing is followed out of them.

use std::path::PathBuf;

use qjail_fs::{RelPath, Root};
use qjail_plugin_api::{At, Context, Place};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The directories that a plan works in. Part of the journal, so that a later command can undo the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The zone's directory of jails.
    pub jails: PathBuf,
    /// Definitions and settings.
    pub config: PathBuf,
    /// Locks, journal, records.
    pub state: PathBuf,
    /// The zone; none is the default zone.
    pub zone: Option<String>,
    /// The jail's root directory below `jails`: its name, or its staging name while it is being made.
    pub jail: Option<String>,
    /// Seconds since 1970 when the command began.
    pub now: u64,
}

impl Places {
    /// The directory of `place`, opened.
    ///
    /// # Errors
    /// When it does not exist or is not a directory.
    pub fn open(&self, place: Place) -> Result<Root> {
        let root = match place {
            Place::Jails => Root::open(&self.jails)?,
            Place::Config => Root::open(&self.config)?,
            Place::State => Root::open(&self.state)?,
            Place::Jail => Root::open(&self.jails)?.open_dir(&rel(self.jail_dir()?)?)?,
        };
        Ok(root)
    }

    /// The directory of `at` and the path below it.
    ///
    /// # Errors
    /// When the directory can not be opened or the path is none.
    pub fn resolve(&self, at: &At) -> Result<(Root, RelPath)> {
        Ok((self.open(at.place)?, rel(&at.path)?))
    }

    /// The directory that `at` names, opened; an empty path is the place itself.
    ///
    /// # Errors
    /// When it does not exist or is not a directory.
    pub fn open_dir(&self, at: &At) -> Result<Root> {
        let root = self.open(at.place)?;
        if at.path.is_empty() {
            Ok(root)
        } else {
            Ok(root.open_dir(&rel(&at.path)?)?)
        }
    }

    /// The jail's root directory, absolute, for plugins that are called back.
    #[must_use]
    pub fn jail_root(&self) -> Option<String> {
        self.jail
            .as_ref()
            .map(|j| self.jails.join(j).display().to_string())
    }

    /// What a plugin is told of the directories.
    #[must_use]
    pub fn context(&self, os: &str, settings: serde_json::Value, dry_run: bool) -> Context {
        Context {
            os: os.to_owned(),
            zone: self.zone.clone(),
            jails_dir: self.jails.display().to_string(),
            config_dir: self.config.display().to_string(),
            state_dir: self.state.display().to_string(),
            settings,
            dry_run,
            now: self.now,
        }
    }

    fn jail_dir(&self) -> Result<&str> {
        self.jail
            .as_deref()
            .ok_or_else(|| Error::new("the plan names a file of a jail, but it is not about a jail"))
    }
}

/// `path` as a checked relative path.
pub(crate) fn rel(path: &str) -> Result<RelPath> {
    RelPath::new(path).map_err(|e| Error::new(format!("{path}: {e}")))
}
