//! The crash journal: what a command is about to do, written before it does it.
//!
//! One file for each transaction, a JSON document in each line: first the header, then records, at last perhaps the
//! commit. It is removed when the transaction has ended. It may be cut at any byte; whole lines before the cut count.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::lock::check_name;
use crate::{Error, Result, file};

/// For root alone: a plan may hold what only root may read.
const MODE: u32 = 0o600;
const HEADER: &str = "header";
const RECORD: &str = "record";
const COMMIT: &str = "commit";

/// The journal of a transaction that is under way. Dropped without [`Journal::finish`] the file stays for a later
/// command, as after a crash.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// The length in bytes of the whole lines.
    len: u64,
}

impl Journal {
    /// Begins a transaction under the lock `name`, which the caller holds. When this returns the journal is on disk with
    /// its whole header; before, there is none.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::BadName`], [`Error::Journal`] when the header can not be written as JSON.
    pub fn begin(dir: &Path, name: &str, header: &impl Serialize) -> Result<Self> {
        check_name(name)?;
        let path = free_path(dir, name);
        let line = line(&path, HEADER, header)?;
        let new = file::temporary(&path);
        // Under its own name only when complete: whoever finds it without a lock never sees half a header.
        let written = file::write_new(&new, &line, MODE).and_then(|file| {
            fs::rename(&new, &path).map_err(Error::io("write", &path))?;
            file::sync_parent(&path)?;
            Ok(file)
        });
        match written {
            Ok(file) => Ok(Self {
                file,
                path,
                len: line.len() as u64,
            }),
            Err(e) => {
                let _ = fs::remove_file(&new).or_else(|_| fs::remove_file(&path));
                Err(e)
            }
        }
    }

    /// Appends a record. With `durable` it is on disk when this returns; without, it survives the end of the process but
    /// not that of the host.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Journal`]; the record does not count then.
    pub fn record(&mut self, record: &impl Serialize, durable: bool) -> Result<()> {
        let line = line(&self.path, RECORD, record)?;
        self.append(&line, durable)
    }

    /// Appends the commit, on disk when this returns: from now on the transaction is finished, not undone.
    ///
    /// # Errors
    /// [`Error::Io`]; it is not committed then.
    pub fn commit(&mut self) -> Result<()> {
        let line = line(&self.path, COMMIT, &true)?;
        self.append(&line, true)
    }

    /// Ends the transaction: the journal is gone when this returns.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn finish(self) -> Result<()> {
        finish(&self.path)
    }

    fn append(&mut self, line: &[u8], durable: bool) -> Result<()> {
        let written = self
            .file
            .write_all(line)
            .and_then(|()| if durable { self.file.sync_data() } else { Ok(()) });
        if let Err(e) = written {
            // What is half there must not swallow the next line, nor count when the host goes down now.
            self.file
                .set_len(self.len)
                .and_then(|()| self.file.sync_data())
                .map_err(Error::io("cut", &self.path))?;
            return Err(Error::io("write", &self.path)(e));
        }
        self.len += line.len() as u64;
        Ok(())
    }

    /// The transactions in `dir` that have not ended: cut off, or still under way when their lock is held. In the order
    /// of their names; the latest of one name first, as they must be undone.
    ///
    /// A journal whose header is cut never began anything, and is removed here.
    ///
    /// # Errors
    /// [`Error::Io`]; a directory that does not exist is empty.
    pub fn pending(dir: &Path) -> Result<Vec<Pending>> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read", dir)(e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::io("read", dir))?.path();
            if let Some((name, number)) = name_of(&path) {
                found.extend(read(&path, name)?.map(|p| (number, p)));
            }
        }
        found.sort_by(|(a, p), (b, q)| p.name.cmp(&q.name).then(b.cmp(a)));
        Ok(found.into_iter().map(|(_, p)| p).collect())
    }

    /// The locks under which a command was cut off before its journal was complete, that is before it changed anything.
    ///
    /// # Errors
    /// [`Error::Io`] with the directory.
    pub fn unbegun(dir: &Path) -> Result<Vec<String>> {
        let names = unbegun(dir)?.into_iter().map(|(name, _)| name);
        Ok(names.collect())
    }

    /// Removes what such a command has left under the lock `name`, which the caller holds.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn clear_unbegun(dir: &Path, name: &str) -> Result<()> {
        for (_, path) in unbegun(dir)?.into_iter().filter(|(n, _)| n == name) {
            file::remove(&path)?;
        }
        Ok(())
    }
}

/// Journals that were being written when their command ended, with the names of their locks.
fn unbegun(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", dir)(e)),
    };
    let paths = entries.flatten().map(|e| e.path());
    let of = |path: PathBuf| {
        let whole = path
            .file_name()?
            .to_str()?
            .strip_prefix('.')?
            .strip_suffix(".new")?;
        let (name, _) = name_of(Path::new(whole))?;
        Some((name, path))
    };
    Ok(paths.filter_map(of).collect())
}

/// A transaction that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The journal.
    pub path: PathBuf,
    /// The lock that it was done under; whoever ends it must hold that.
    pub name: String,
    /// What [`Journal::begin`] was given; null where it is no JSON (which no crash leaves behind).
    pub header: Value,
    /// The records, in order.
    pub records: Vec<Value>,
    /// Whether it was committed.
    pub committed: bool,
}

impl Pending {
    /// The transaction has been undone or finished: removes the journal.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn finish(self) -> Result<()> {
        finish(&self.path)
    }
}

fn finish(path: &Path) -> Result<()> {
    file::remove(path)?;
    file::sync_parent(path)
}

fn line(path: &Path, key: &str, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut object = serde_json::Map::new();
    let value = serde_json::to_value(value).map_err(|e| Error::Journal {
        path: path.to_owned(),
        message: e.to_string(),
    })?;
    object.insert(key.to_owned(), value);
    let mut line = Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    Ok(line)
}

/// `NAME.NUMBER.jsonl`; the lock that the caller holds keeps others from the same name.
fn free_path(dir: &Path, name: &str) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let path = dir.join(format!("{name}.{number}.jsonl"));
        if path.symlink_metadata().is_err() {
            return path;
        }
        number += 1;
    }
}

fn name_of(path: &Path) -> Option<(String, u32)> {
    let (name, number) = path
        .file_name()?
        .to_str()?
        .strip_suffix(".jsonl")?
        .rsplit_once('.')?;
    check_name(name).ok()?;
    Some((name.to_owned(), number.parse().ok()?))
}

fn read(path: &Path, name: String) -> Result<Option<Pending>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        // Its command has just finished it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path)(e)),
    };
    let mut lines = text
        .split_inclusive(|b| *b == b'\n')
        .filter(|l| l.ends_with(b"\n"));
    let Some(first) = lines.next() else {
        file::remove(path)?;
        return Ok(None);
    };
    let header = entry(first, HEADER).unwrap_or_default();
    let mut pending = Pending {
        path: path.to_owned(),
        name,
        header,
        records: Vec::new(),
        committed: false,
    };
    for line in lines {
        match (entry(line, RECORD), entry(line, COMMIT)) {
            (Some(record), _) => pending.records.push(record),
            (None, Some(Value::Bool(true))) => pending.committed = true,
            // Damage; what follows it is not to be trusted.
            _ => break,
        }
    }
    Ok(Some(pending))
}

fn entry(line: &[u8], key: &str) -> Option<Value> {
    let mut object: serde_json::Map<String, Value> = serde_json::from_slice(line).ok()?;
    object.remove(key)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
