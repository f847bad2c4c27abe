//! The definition files: `NAME.toml` for each jail of every zone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use qjail_model::{Definition, DefinitionError, JailName, NameError};
use rustix::fs::{Mode, OFlags};

use crate::error::reason;
use crate::{Error, Result, file};

/// Definitions hold no secret.
const MODE: u32 = 0o644;
/// The longest definition in bytes.
const LONGEST: u64 = 1 << 20;
/// The least number of files that are worth a thread.
const SHARE: usize = 128;

/// A jail with its definition, or what is wrong with its file.
type Listed = (JailName, std::result::Result<Definition, DefinitionFileError>);

/// Why one definition file can not be used. It names the file; the others are not affected.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionFileError {
    /// The file can not be read.
    #[error("read {}: {}", path.display(), reason(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is no definition.
    #[error("{}: {error}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        error: DefinitionError,
    },
    /// The name of the file names no jail.
    #[error("{}: {error}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Why.
        error: NameError,
    },
}

/// The definitions of all jails. Whoever changes one holds the lock of its jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definitions {
    dir: PathBuf,
}

impl Definitions {
    /// The definitions in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The file of a jail.
    #[must_use]
    pub fn path(&self, name: &JailName) -> PathBuf {
        self.dir.join(format!("{name}.toml"))
    }

    /// Every jail in the order of the names, each with its definition or what is wrong with its file. Files of other
    /// names are passed over; [`Definitions::strays`] tells them.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory can not be read; one that does not exist is empty.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut names: Vec<JailName> = self
            .files()?
            .into_iter()
            .filter_map(|f| jail_of(&f)?.ok())
            .collect();
        names.sort_unstable();
        Ok(self.load_all(&names))
    }

    /// Opening and parsing a thousand files takes long enough to share it among the processors.
    fn load_all(&self, names: &[JailName]) -> Vec<Listed> {
        let load = |names: &[JailName]| -> Vec<Listed> {
            let found = names
                .iter()
                .filter_map(|name| Some((name.clone(), self.load_file(name).transpose()?)));
            found.collect()
        };
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let share = names.len().div_ceil(workers).max(SHARE);
        thread::scope(|scope| {
            let mut shares = names.chunks(share);
            let own = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|share| scope.spawn(move || load(share))).collect();
            let mut list = load(own);
            for other in others {
                list.extend(
                    other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                );
            }
            list
        })
    }

    /// The `*.toml` files whose names are not those of jails, for a check-up.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory can not be read.
    pub fn strays(&self) -> Result<Vec<DefinitionFileError>> {
        let mut files = self.files()?;
        files.sort_unstable();
        Ok(files
            .iter()
            .filter_map(|f| {
                let error = jail_of(f)?.err()?;
                Some(DefinitionFileError::Name {
                    path: self.dir.join(f),
                    error,
                })
            })
            .collect())
    }

    fn files(&self) -> Result<Vec<OsString>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io("read", &self.dir)(e)),
        };
        entries
            .map(|entry| entry.map(|e| e.file_name()).map_err(Error::io("read", &self.dir)))
            .collect()
    }

    /// Whether there is a file for the jail, be it good or broken.
    #[must_use]
    pub fn exists(&self, name: &JailName) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The definition of a jail; none when there is no file.
    ///
    /// # Errors
    /// [`Error::Definition`] with file, line and column.
    pub fn load(&self, name: &JailName) -> Result<Option<Definition>> {
        Ok(self.load_file(name)?)
    }

    fn load_file(&self, name: &JailName) -> std::result::Result<Option<Definition>, DefinitionFileError> {
        let path = self.path(name);
        let text = match read_short(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.exists(name) => return Ok(None),
            Err(source) => return Err(DefinitionFileError::Read { path, source }),
        };
        Definition::parse(&text)
            .map(Some)
            .map_err(|error| DefinitionFileError::Parse { path, error })
    }

    /// The text of a jail's file, be it good or broken; none when there is no file.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn read_text(&self, name: &JailName) -> Result<Option<String>> {
        file::read(&self.path(name))
    }

    /// Replaces the file of a jail by `definition`, on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Io`] with the file; the old text is untouched then.
    pub fn save(&self, name: &JailName, definition: &Definition) -> Result<()> {
        self.write_text(name, &definition.to_text())
    }

    /// Replaces the file of a jail by `text`, on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Io`] with the file; the old text is untouched then.
    pub fn write_text(&self, name: &JailName, text: &str) -> Result<()> {
        file::replace(&self.path(name), text.as_bytes(), MODE)
    }

    /// Removes the file of a jail and what a cut-off writer may have left, and tells whether there was a file.
    ///
    /// # Errors
    /// [`Error::Io`] with the file.
    pub fn remove(&self, name: &JailName) -> Result<bool> {
        let path = self.path(name);
        let leftover = file::remove(&file::temporary(&path))?;
        let there = file::remove(&path)?;
        if leftover || there {
            file::sync_parent(&path)?;
        }
        Ok(there)
    }

    /// Gives a definition to another name that has none. The caller holds the locks of both.
    ///
    /// # Errors
    /// [`Error::Io`]: there is no such definition, or the new name has one.
    pub fn rename(&self, from: &JailName, to: &JailName) -> Result<()> {
        let new = self.path(to);
        if self.exists(to) {
            return Err(Error::io("make", &new)(io::ErrorKind::AlreadyExists.into()));
        }
        fs::rename(self.path(from), &new).map_err(Error::io("rename", &self.path(from)))?;
        file::sync_parent(&new)
    }
}

/// The text of a small file, in as few system calls as can be: `list` does this for every jail. Nobody is waited for
/// where there is a FIFO.
fn read_short(path: &Path) -> io::Result<String> {
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, how, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = String::with_capacity(4096);
    file.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

/// The jail that a file is about; none when it is no `*.toml` at all.
fn jail_of(file: &OsString) -> Option<std::result::Result<JailName, NameError>> {
    let file = Path::new(file).to_string_lossy().into_owned();
    let name = file.strip_suffix(".toml")?;
    (!name.starts_with('.')).then(|| JailName::new(name))
}

#[cfg(test)]
#[path = "definitions_tests.rs"]
mod tests;
