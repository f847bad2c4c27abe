//! Where everything lies.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use qjail_model::{JailName, ZoneName};

use crate::{Definitions, Error, Result};

/// Everybody may look.
const OPEN: u32 = 0o755;
/// For root alone: the journal may hold what only root may read.
const PRIVATE: u32 = 0o700;

/// The operating system whose directories are meant; a value, so that both can be tested on either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// hier(7) of FreeBSD: `/usr/jails`, `/usr/local/etc`, `/var/db`.
    FreeBsd,
    /// The file hierarchy standard: `/etc`, `/var/lib`.
    Linux,
}

/// The directories and files of qjail on one operating system, below one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    os: Os,
    root: PathBuf,
}

impl Layout {
    /// The layout of `os`. With `root`, an absolute path, everything lies below it.
    #[must_use]
    pub fn new(os: Os, root: Option<&Path>) -> Self {
        Self {
            os,
            root: root.unwrap_or(Path::new("/")).to_owned(),
        }
    }

    /// The directory that everything lies below: `/`, or what `--root` says.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, freebsd: &str, linux: &str) -> PathBuf {
        self.root.join(match self.os {
            Os::FreeBsd => freebsd,
            Os::Linux => linux,
        })
    }

    fn all_jails(&self) -> PathBuf {
        self.at("usr/jails", "var/lib/qjail/jails")
    }

    /// The directory of a zone's jails, bases, archives and flavors: `/usr/jails`, `/usr/jails.ZONE`.
    #[must_use]
    pub fn jails_dir(&self, zone: Option<&ZoneName>) -> PathBuf {
        let default = self.all_jails();
        match zone {
            None => default,
            Some(zone) => default.with_file_name(format!("jails.{zone}")),
        }
    }

    /// Definitions and settings.
    #[must_use]
    pub fn config_dir(&self) -> PathBuf {
        self.at("usr/local/etc/qjail", "etc/qjail")
    }

    /// One `NAME.toml` for each jail. Apart from the settings: a jail may be called `qjail`.
    #[must_use]
    pub fn definitions_dir(&self) -> PathBuf {
        self.config_dir().join("jails.d")
    }

    /// The settings, `qjail.toml`.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.config_dir().join("qjail.toml")
    }

    /// What qjail keeps for itself.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.at("var/db/qjail", "var/lib/qjail/state")
    }

    /// Lock files.
    #[must_use]
    pub fn locks_dir(&self) -> PathBuf {
        self.state_dir().join("locks")
    }

    /// Journals of what is being changed.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.state_dir().join("journal")
    }

    /// Records of bases.
    #[must_use]
    pub fn bases_dir(&self) -> PathBuf {
        self.state_dir().join("bases")
    }

    /// Files that are of use only while the host runs.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.state_dir().join("run")
    }

    /// The log of commands.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.root.join("var/log/qjail.log")
    }

    /// What a jail writes to its console.
    #[must_use]
    pub fn console_log(&self, name: &JailName) -> PathBuf {
        self.root.join(format!("var/log/qjail.{name}.console.log"))
    }

    /// Where plugins are looked for, in this order.
    #[must_use]
    pub fn plugin_dirs(&self) -> Vec<PathBuf> {
        let dirs: &[&str] = match self.os {
            Os::FreeBsd => &["usr/local/lib/qjail/plugins"],
            Os::Linux => &["usr/lib/qjail/plugins", "usr/local/lib/qjail/plugins"],
        };
        dirs.iter().map(|d| self.root.join(d)).collect()
    }

    /// Makes the directories that do not exist: the default zone's jails, configuration, state and log. Existing ones
    /// keep their modes, except that the jails and the state are closed to all but their owner: a jail's root can make
    /// setuid programs and devices, and no user of the host may find them.
    ///
    /// # Errors
    /// [`Error::Io`] with the directory.
    pub fn create(&self) -> Result<()> {
        for dir in [self.definitions_dir(), self.root.join("var/log")] {
            make_dir(&dir, OPEN)?;
        }
        for dir in [self.jails_dir(None), self.state_dir()] {
            make_dir(&dir, PRIVATE)?;
            close(&dir)?;
        }
        for dir in [
            self.locks_dir(),
            self.journal_dir(),
            self.bases_dir(),
            self.run_dir(),
        ] {
            make_dir(&dir, PRIVATE)?;
        }
        Ok(())
    }

    /// Makes the directory of a zone's jails, closed to all but its owner. Tells whether it is new.
    ///
    /// # Errors
    /// [`Error::Io`] with the directory.
    pub fn create_zone(&self, zone: &ZoneName) -> Result<bool> {
        let dir = self.jails_dir(Some(zone));
        let new = !dir.exists();
        make_dir(&dir, PRIVATE)?;
        close(&dir).map(|()| new)
    }

    /// Removes the directory of a zone, if nothing is in it.
    pub fn remove_empty_zone(&self, zone: &ZoneName) {
        // What is in it keeps it.
        let _ = fs::remove_dir(self.jails_dir(Some(zone)));
    }

    /// The zones that exist: those that definitions name, and those that have a directory. Definitions that can not
    /// be read are passed over.
    ///
    /// # Errors
    /// [`Error::Io`] when a directory can not be read.
    pub fn zones(&self) -> Result<BTreeSet<ZoneName>> {
        let mut zones = self.zone_dirs()?;
        let defined = Definitions::new(self.definitions_dir()).list()?;
        zones.extend(defined.into_iter().filter_map(|(_, d)| d.ok()?.zone));
        Ok(zones)
    }

    fn zone_dirs(&self) -> Result<BTreeSet<ZoneName>> {
        let jails = self.all_jails();
        let dir = jails.parent().unwrap_or(&self.root);
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(e) => return Err(Error::io("read", dir)(e)),
        };
        let mut zones = BTreeSet::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", dir))?;
            let name = entry.file_name();
            let zone = name
                .to_str()
                .and_then(|n| n.strip_prefix("jails."))
                .and_then(|z| ZoneName::new(z).ok());
            zones.extend(zone.filter(|_| entry.path().is_dir()));
        }
        Ok(zones)
    }
}

/// Makes `dir` with `mode` and the directories above it with 0755, where they do not exist.
fn make_dir(dir: &Path, mode: u32) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dir(parent, OPEN)?;
    }
    match DirBuilder::new().mode(mode).create(dir) {
        // The umask may have taken more away than was meant.
        Ok(()) => {
            fs::set_permissions(dir, Permissions::from_mode(mode)).map_err(Error::io("set the mode of", dir))
        }
        // Another qjail was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) => Err(Error::io("make the directory", dir)(e)),
    }
}

fn close(dir: &Path) -> Result<()> {
    let mode = fs::metadata(dir)
        .map_err(Error::io("look at", dir))?
        .permissions()
        .mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(dir, Permissions::from_mode(PRIVATE)).map_err(Error::io("set the mode of", dir))
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
