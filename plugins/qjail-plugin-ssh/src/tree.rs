//! The files of a jail with changes that are not made yet: first all is worked out, then all is written.

use std::collections::BTreeMap;
use std::path::Path;

use qjail_fs::{Kind, RelPath, Root, WriteOptions};
use qjail_plugin_api::PluginError;

/// No file that this plugin reads is larger.
const LIMIT: u64 = 4 << 20;

/// A file that was looked at.
#[derive(Debug, Clone)]
struct Entry {
    old: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
    mode: Option<u32>,
    owner: Option<(u32, u32)>,
}

/// A directory to be made.
#[derive(Debug, Clone)]
struct Dir {
    path: String,
    mode: u32,
    owner: (u32, u32),
}

/// A jail's root directory and what is to become of it.
pub(crate) struct Tree {
    root: Root,
    files: BTreeMap<String, Entry>,
    dirs: Vec<Dir>,
}

impl Tree {
    /// Nothing changed so far.
    pub(crate) fn open(root: &str) -> Result<Self, PluginError> {
        Ok(Self {
            root: Root::open(Path::new(root)).map_err(PluginError::new)?,
            files: BTreeMap::new(),
            dirs: Vec::new(),
        })
    }

    /// What stands at a name; no link is followed.
    pub(crate) fn kind(&self, path: &str) -> Result<Option<Kind>, PluginError> {
        Ok(self.meta(path)?.map(|m| m.kind))
    }

    /// The owner of what stands at a name.
    pub(crate) fn owner(&self, path: &str) -> Result<Option<u32>, PluginError> {
        Ok(self.meta(path)?.map(|m| m.uid))
    }

    /// What a link holds.
    pub(crate) fn link(&self, path: &str) -> Result<String, PluginError> {
        let target = self.root.read_link(&rel(path)?).map_err(refused)?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// Names in a directory with their kinds; none where there is no directory.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<(String, Kind)>, PluginError> {
        if self.kind(path)?.is_none() {
            return Ok(Vec::new());
        }
        let entries = self.root.list(&rel(path)?).map_err(refused)?;
        Ok(entries
            .into_iter()
            .filter_map(|e| Some((e.name.into_string().ok()?, e.kind)))
            .collect())
    }

    /// The permission bits of what stands at a name.
    pub(crate) fn mode(&self, path: &str) -> Result<Option<u32>, PluginError> {
        Ok(self.meta(path)?.map(|m| m.mode & 0o7777))
    }

    /// A file as it is going to be; none where there is none.
    pub(crate) fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, PluginError> {
        Ok(self.entry(path)?.new.clone())
    }

    /// A file that must be there.
    pub(crate) fn need(&mut self, path: &str) -> Result<Vec<u8>, PluginError> {
        self.read(path)?
            .ok_or_else(|| PluginError::new(format!("the jail has no {path}")))
    }

    /// The content that a file is going to have; mode and owner stay, and are 0644 and root's for a new file.
    pub(crate) fn write(&mut self, path: &str, content: Vec<u8>) -> Result<(), PluginError> {
        self.entry(path)?.new = Some(content);
        Ok(())
    }

    /// The same with mode and owner, which it gets when its content changes.
    pub(crate) fn write_as(
        &mut self,
        path: &str,
        content: Vec<u8>,
        mode: u32,
        owner: (u32, u32),
    ) -> Result<(), PluginError> {
        let entry = self.entry(path)?;
        entry.new = Some(content);
        (entry.mode, entry.owner) = (Some(mode), Some(owner));
        Ok(())
    }

    /// A file that is going to be gone.
    pub(crate) fn remove(&mut self, path: &str) -> Result<(), PluginError> {
        self.entry(path)?.new = None;
        Ok(())
    }

    /// A directory that is going to be there; one that is stays as it is.
    pub(crate) fn make_dir(&mut self, path: &str, mode: u32, owner: (u32, u32)) -> Result<(), PluginError> {
        match self.kind(path)? {
            Some(Kind::Dir) => Ok(()),
            Some(other) => Err(PluginError::new(format!("{path} in the jail is a {other}")).hint(HINT)),
            None => {
                self.dirs.push(Dir {
                    path: path.to_owned(),
                    mode,
                    owner,
                });
                Ok(())
            }
        }
    }

    /// The files that change.
    pub(crate) fn changed(&self) -> Vec<String> {
        let changed = self.files.iter().filter(|(_, e)| e.old != e.new);
        changed.map(|(path, _)| path.clone()).collect()
    }

    /// The directories that are made.
    pub(crate) fn made(&self) -> Vec<String> {
        self.dirs.iter().map(|d| d.path.clone()).collect()
    }

    /// Makes the changes.
    pub(crate) fn save(&self) -> Result<(), PluginError> {
        for dir in &self.dirs {
            self.root
                .make_dir(&rel(&dir.path)?, dir.mode, Some(dir.owner))
                .map_err(refused)?;
        }
        for (path, entry) in self.files.iter().filter(|(_, e)| e.old != e.new) {
            match &entry.new {
                Some(content) => {
                    let options = WriteOptions {
                        mode: entry.mode,
                        owner: entry.owner,
                        ..WriteOptions::default()
                    };
                    self.root.write(&rel(path)?, content, &options).map_err(refused)?;
                }
                None => {
                    self.root.remove_file(&rel(path)?).map_err(refused)?;
                }
            }
        }
        Ok(())
    }

    fn meta(&self, path: &str) -> Result<Option<qjail_fs::Meta>, PluginError> {
        self.root.metadata(&rel(path)?).map_err(refused)
    }

    fn entry(&mut self, path: &str) -> Result<&mut Entry, PluginError> {
        if !self.files.contains_key(path) {
            let old = match self.meta(path)? {
                None => None,
                Some(_) => Some(self.root.read(&rel(path)?, LIMIT).map_err(refused)?),
            };
            let entry = Entry {
                new: old.clone(),
                old,
                mode: None,
                owner: None,
            };
            self.files.insert(path.to_owned(), entry);
        }
        self.files
            .get_mut(path)
            .ok_or_else(|| PluginError::new("a file was lost"))
    }
}

const HINT: &str = "the jail's own root may have put it there; look at it before you remove it";

fn refused(error: qjail_fs::Error) -> PluginError {
    PluginError::new(error).hint(HINT)
}

/// A checked path below a root.
pub(crate) fn rel(path: &str) -> Result<RelPath, PluginError> {
    RelPath::new(path).map_err(|e| PluginError::new(format!("{path}: {e}")))
}
