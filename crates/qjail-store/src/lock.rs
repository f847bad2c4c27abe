//! Locks between commands: flock(2) on files that stay, so that a crashed holder leaves nothing behind.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use qjail_model::{JailName, ZoneName};
use serde::{Deserialize, Serialize};

use crate::time::clock;
use crate::{Error, Result, now};

/// The note about the holder has always this length in bytes: written by one call, never cut.
const NOTE: usize = 256;
/// The longest command in a note, in bytes.
const COMMAND: usize = 100;
/// How often a wanted lock is tried.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock on a jail: its definition, its directory, its running.
#[must_use]
pub fn jail_lock(name: &JailName) -> String {
    format!("jail.{name}")
}

/// The lock on the bases of a zone: exclusive to change them, shared to make jails from them.
#[must_use]
pub fn base_lock(zone: Option<&ZoneName>) -> String {
    zone.map_or_else(|| "base".to_owned(), |z| format!("base.{z}"))
}

/// What a lock protects, in words.
pub(crate) fn subject(lock: &str) -> String {
    match lock.split_once('.') {
        Some(("jail", name)) => name.to_owned(),
        Some((kind, zone)) => format!("the {kind} lock of zone {zone}"),
        None => format!("the {lock} lock"),
    }
}

/// What to do when another command holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Give up at once.
    No,
    /// Try again for this long.
    For(Duration),
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its command: `start`.
    pub command: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "qjail {} (pid {}, since {} UTC)",
            self.command,
            self.pid,
            clock(self.since)
        )
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exclusive,
    Shared,
}

/// A lock that is held until it is dropped or the process ends. It is not passed to programs that are executed.
#[derive(Debug)]
#[must_use = "the lock is given up when it is dropped"]
pub struct Lock {
    file: File,
    exclusive: bool,
}

impl Lock {
    /// Takes the lock `name` in `dir` for `command` alone. `name` is `KIND` or `KIND.NAME`.
    ///
    /// # Errors
    /// [`Error::Busy`] tells who holds it; [`Error::Io`], [`Error::BadName`].
    pub fn acquire(dir: &Path, name: &str, command: &str, wait: Wait) -> Result<Self> {
        take(dir, name, command, wait, Kind::Exclusive)
    }

    /// Takes the lock `name` together with others that share it.
    ///
    /// # Errors
    /// [`Error::Busy`] when somebody has it alone; [`Error::Io`], [`Error::BadName`].
    pub fn acquire_shared(dir: &Path, name: &str, command: &str, wait: Wait) -> Result<Self> {
        take(dir, name, command, wait, Kind::Shared)
    }

    /// Takes several locks, each for `command` alone, in the order of their names whatever order they are given in: two
    /// commands can not wait for each other.
    ///
    /// # Errors
    /// As [`Lock::acquire`]; none is held then.
    pub fn acquire_all(
        dir: &Path,
        names: &[impl AsRef<str>],
        command: &str,
        wait: Wait,
    ) -> Result<Vec<Self>> {
        let mut names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| Self::acquire(dir, name, command, wait))
            .collect()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.exclusive {
            // Whoever finds the lock taken before the next holder has signed it shall not be told the wrong name.
            let _ = self.file.write_all_at(&[b' '; NOTE], 0);
        }
        // Not by closing: a process that another thread is just starting has a copy of the descriptor for a moment.
        let _ = self.file.unlock();
    }
}

fn take(dir: &Path, name: &str, command: &str, wait: Wait, kind: Kind) -> Result<Lock> {
    check_name(name)?;
    let path = dir.join(format!("{name}.lock"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(Error::io("open the lock", &path))?;
    if !try_until(&file, kind, wait).map_err(Error::io("lock", &path))? {
        return Err(Error::Busy {
            lock: name.to_owned(),
            holder: read_holder(&file),
        });
    }
    // A full disk takes nothing but the name from a refusal.
    let _ = file.write_all_at(&note(command), 0);
    Ok(Lock {
        file,
        exclusive: kind == Kind::Exclusive,
    })
}

fn try_until(file: &File, kind: Kind, wait: Wait) -> std::io::Result<bool> {
    let start = Instant::now();
    loop {
        let tried = match kind {
            Kind::Exclusive => file.try_lock(),
            Kind::Shared => file.try_lock_shared(),
        };
        match tried {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) => {}
        }
        match wait {
            Wait::For(limit) if start.elapsed() < limit => {
                std::thread::sleep(PAUSE.min(limit.saturating_sub(start.elapsed())));
            }
            _ => return Ok(false),
        }
    }
}

fn note(command: &str) -> Vec<u8> {
    let cut = (0..=COMMAND.min(command.len()))
        .rev()
        .find(|i| command.is_char_boundary(*i))
        .unwrap_or(0);
    let holder = Holder {
        pid: std::process::id(),
        command: command[..cut].to_owned(),
        since: now(),
    };
    let mut text = serde_json::to_vec(&holder).unwrap_or_default();
    // Escapes may make it longer than the note; then the refusal names nobody.
    text.resize(NOTE, b' ');
    text
}

fn read_holder(mut file: &File) -> Option<Holder> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whether `name` can be the stem of a file name of a lock or a journal.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 120 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(Error::BadName(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;
