//! Remembers what plugins said about themselves, by the identity of their files.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use qjail_plugin_api::{API_VERSION, Manifest};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::load::read_all;
use crate::trust::{FileId, is_trusted_user};

/// A cache beyond this size is none of ours.
const SIZE_LIMIT: u64 = 32 << 20;

/// What is known of one file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Known {
    id: FileId,
    /// The SHA-256 sum, where it was ever needed.
    pub(crate) sum: Option<String>,
    /// What it said when it was asked.
    pub(crate) said: Result<Manifest, Refusal>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// Everything but the file that the answers depend on.
    made_by: String,
    files: BTreeMap<PathBuf, Known>,
}

/// The cache of one program run. A cache that can not be read or written is no error: plugins are asked instead.
#[derive(Debug)]
pub(crate) struct Cache {
    path: Option<PathBuf>,
    files: BTreeMap<PathBuf, Known>,
    changed: bool,
}

impl Cache {
    pub(crate) fn open(path: Option<&Path>) -> Self {
        let content = path.and_then(|p| read(p).ok()).unwrap_or_default();
        let files = if content.made_by == made_by() {
            content.files
        } else {
            BTreeMap::new()
        };
        Self {
            path: path.map(Path::to_path_buf),
            files,
            changed: false,
        }
    }

    pub(crate) fn get(&self, path: &Path, id: FileId) -> Option<Known> {
        self.files.get(path).filter(|k| k.id == id).cloned()
    }

    pub(crate) fn put(
        &mut self,
        path: &Path,
        id: FileId,
        sum: Option<String>,
        said: Result<Manifest, Refusal>,
    ) {
        self.files.insert(path.to_path_buf(), Known { id, sum, said });
        self.changed = true;
    }

    /// Writes what is new. Fails silently: who may not write it (any user but root) asks the plugins again.
    pub(crate) fn save(mut self) {
        if let (Some(path), true) = (self.path.take(), self.changed) {
            self.files.retain(|file, _| file.exists());
            let content = Content {
                made_by: made_by(),
                files: self.files,
            };
            let _not_cached = write(&path, &content);
        }
    }
}

fn made_by() -> String {
    format!(
        "qjail {} plugin API {API_VERSION} for {}",
        env!("CARGO_PKG_VERSION"),
        qjail_plugin_abi::TARGET
    )
}

fn read(path: &Path) -> io::Result<Content> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)?;
    let meta = file.metadata()?;
    let trusted = meta.is_file() && is_trusted_user(meta.uid()) && meta.mode() & 0o022 == 0;
    if !trusted || meta.len() > SIZE_LIMIT {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    Ok(serde_json::from_slice(&read_all(&mut file, SIZE_LIMIT)?)?)
}

fn write(path: &Path, content: &Content) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let fresh = path.with_file_name(name);
    let result = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|file| write_to(file, content))
        .and_then(|()| fs::rename(&fresh, path));
    if result.is_err() {
        let _was_not_there = fs::remove_file(&fresh);
    }
    result
}

fn write_to(mut file: File, content: &Content) -> io::Result<()> {
    file.write_all(&serde_json::to_vec(content)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn file(dir: &Path, name: &str) -> (PathBuf, FileId) {
        let path = dir.join(name);
        fs::write(&path, name).unwrap();
        let id = FileId::of(&fs::metadata(&path).unwrap());
        (path, id)
    }

    fn remember(cache: &Path, plugin: &Path, id: FileId) {
        let mut c = Cache::open(Some(cache));
        c.put(plugin, id, None, Ok(Manifest::new("x", "1.0.0", "is x")));
        c.save();
    }

    #[test]
    fn what_was_said_is_known_until_the_file_changes() {
        let dir = tempfile::tempdir().unwrap();
        let (plugin, id) = file(dir.path(), "plugin");
        let cache = dir.path().join("cache");
        remember(&cache, &plugin, id);
        assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o7777, 0o600);
        let said = Cache::open(Some(&cache)).get(&plugin, id).unwrap().said.unwrap();
        assert_eq!(said.name, "x");

        fs::write(&plugin, "another").unwrap();
        let changed = FileId::of(&fs::metadata(&plugin).unwrap());
        assert!(Cache::open(Some(&cache)).get(&plugin, changed).is_none());
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            2,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_cache_that_others_could_have_written_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (plugin, id) = file(dir.path(), "plugin");
        let cache = dir.path().join("cache");
        remember(&cache, &plugin, id);
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(Cache::open(Some(&cache)).get(&plugin, id).is_none());

        fs::set_permissions(&cache, fs::Permissions::from_mode(0o600)).unwrap();
        let link = dir.path().join("link");
        symlink(&cache, &link).unwrap();
        assert!(Cache::open(Some(&link)).get(&plugin, id).is_none());
        assert!(Cache::open(Some(&cache)).get(&plugin, id).is_some());
    }

    #[test]
    fn rubbish_is_no_cache_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (plugin, id) = file(dir.path(), "plugin");
        let cache = dir.path().join("cache");
        for rubbish in ["", "{\"files\":3}", "\u{0}\u{1}"] {
            fs::write(&cache, rubbish).unwrap();
            assert!(Cache::open(Some(&cache)).get(&plugin, id).is_none());
            remember(&cache, &plugin, id);
            assert!(Cache::open(Some(&cache)).get(&plugin, id).is_some());
        }
        let gone = dir.path().join("no/such/dir/cache");
        remember(&gone, &plugin, id);
        assert!(!gone.exists());
    }
}
