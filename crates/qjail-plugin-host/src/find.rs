//! Finds plugins: those linked in, and files in the plugin directories.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use qjail_plugin_api::{Builtin, Manifest};

use crate::cache::Cache;
use crate::load::{self, FileName};
use crate::registry::{Body, FileBody};
use crate::trust::{TrustedDir, TrustedFile};
use crate::{HostConfig, Refusal};

/// A plugin with what it said about itself, or why it is not used.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) path: Option<PathBuf>,
    pub(crate) outcome: Result<(Manifest, Body), Refusal>,
}

/// Built-in plugins. Those that are switched off are refused by the name in their manifest.
pub(crate) fn builtins(config: &HostConfig) -> Vec<Found> {
    let mut found: Vec<Found> = config.builtins.iter().map(|b| builtin(config, b)).collect();
    let names: Vec<String> = found
        .iter()
        .filter(|f| f.outcome.is_ok())
        .map(|f| f.name.clone())
        .collect();
    for twin in found
        .iter_mut()
        .filter(|f| names.iter().filter(|n| **n == f.name).count() > 1)
    {
        twin.outcome = Err(Refusal::new(format!(
            "two plugins named {} are built in",
            twin.name
        )));
    }
    found
}

fn builtin(config: &HostConfig, builtin: &Builtin) -> Found {
    let plugin = builtin.plugin();
    let said = load::describe_builtin(plugin);
    let name = said
        .as_ref()
        .map_or_else(|_| "(built in)".to_owned(), |m| m.name.clone());
    let outcome = said.and_then(|m| switched_on(config, &name).map(|()| (m, Body::BuiltIn(plugin))));
    Found {
        name,
        path: None,
        outcome,
    }
}

fn switched_on(config: &HostConfig, name: &str) -> Result<(), Refusal> {
    if config.disable.iter().any(|d| d == name) {
        return Err(Refusal::new(format!("plugin {name} is disabled in qjail.toml"))
            .hint("take it from `disable` below [plugins]"));
    }
    if config
        .allow
        .as_ref()
        .is_some_and(|allowed| !allowed.iter().any(|a| a == name))
    {
        return Err(
            Refusal::new(format!("plugin {name} is not among those that qjail.toml allows"))
                .hint("add it to `allow` below [plugins]"),
        );
    }
    Ok(())
}

struct File {
    name: FileName,
    dir: usize,
    path: PathBuf,
}

/// Plugins in files. A file whose plugin is built in is passed over with a note.
pub(crate) fn files(
    config: &HostConfig,
    built_in: &[Found],
    cache: &mut Cache,
    loads: &Arc<AtomicUsize>,
) -> (Vec<Found>, Vec<String>) {
    let dirs: Vec<Result<TrustedDir, Refusal>> = config.dirs.iter().map(|d| TrustedDir::open(d)).collect();
    let mut by_name: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for (dir, path) in config.dirs.iter().enumerate() {
        for file in plugin_files(dir, path) {
            by_name.entry(file.name.plugin.clone()).or_default().push(file);
        }
    }
    let mut found: Vec<Found> = config
        .dirs
        .iter()
        .zip(&dirs)
        .filter_map(|(p, d)| relative(p, d))
        .collect();
    let mut notes = Vec::new();
    for (name, files) in by_name {
        if built_in.iter().any(|b| b.name == name) {
            notes.extend(
                files
                    .iter()
                    .map(|f| format!("plugin {name} is built in; {} is not used", f.path.display())),
            );
            continue;
        }
        let twice = same_name(&name, &files);
        for file in files {
            let outcome = match &twice {
                Some(refusal) => Err(refusal.clone()),
                None => from_file(config, &dirs[file.dir], &file, cache, loads),
            };
            found.push(Found {
                name: name.clone(),
                path: Some(file.path),
                outcome,
            });
        }
    }
    (found, notes)
}

fn plugin_files(dir: usize, path: &Path) -> Vec<File> {
    // A relative path is not even listed: it depends on where qjail was started.
    let Some(list) = path.is_absolute().then(|| fs::read_dir(path).ok()).flatten() else {
        return Vec::new();
    };
    let mut names: Vec<OsString> = list.filter_map(Result::ok).map(|e| e.file_name()).collect();
    names.sort();
    names
        .into_iter()
        .filter_map(|n| {
            Some(File {
                name: load::file_name(&n)?,
                dir,
                path: path.join(&n),
            })
        })
        .collect()
}

/// A directory that is not looked into at all.
fn relative(path: &Path, dir: &Result<TrustedDir, Refusal>) -> Option<Found> {
    let refusal = dir.as_ref().err().filter(|_| !path.is_absolute())?;
    Some(Found {
        name: "(any)".to_owned(),
        path: Some(path.to_path_buf()),
        outcome: Err(refusal.clone()),
    })
}

fn same_name(name: &str, files: &[File]) -> Option<Refusal> {
    let [first, second, ..] = files else { return None };
    let (first, second) = (first.path.display(), second.path.display());
    Some(
        Refusal::new(format!("plugin {name} is there twice: {first} and {second}"))
            .hint("remove one of the two files"),
    )
}

fn from_file(
    config: &HostConfig,
    dir: &Result<TrustedDir, Refusal>,
    file: &File,
    cache: &mut Cache,
    loads: &Arc<AtomicUsize>,
) -> Result<(Manifest, Body), Refusal> {
    let plugin = &file.name.plugin;
    let dir = dir.as_ref().map_err(Clone::clone)?;
    switched_on(config, plugin)?;
    let trusted = dir.file(file.path.file_name().unwrap_or_default())?;
    let id = trusted.id;
    let pin = config.sha256.get(plugin);
    let body = FileBody::new(&file.path, file.name.clone(), id, pin.cloned(), Arc::clone(loads));
    let known = cache.get(&file.path, id);
    if let Some(pinned) = pin {
        check_pin(
            &file.path,
            &trusted,
            known.as_ref().and_then(|k| k.sum.as_deref()),
            pinned,
        )?;
    }
    let said = match known {
        Some(known) => known.said,
        None => {
            loads.fetch_add(1, Ordering::Relaxed);
            let introduced = load::introduce(trusted.file, &file.path, &file.name, config.patience);
            let said = introduced.map(|(loaded, manifest)| {
                body.loaded(loaded.library);
                manifest
            });
            // A refusal may have a cause outside of the file, which goes away.
            if said.is_ok() {
                cache.put(&file.path, id, pin.cloned(), said.clone());
            }
            said
        }
    };
    let manifest = said?;
    if manifest.name != *plugin {
        let message = format!(
            "{} introduces itself as plugin {}",
            file.path.display(),
            manifest.name.escape_debug()
        );
        return Err(
            Refusal::new(message).hint("a plugin's file is named after it; give it back its own name")
        );
    }
    Ok((manifest, Body::File(body)))
}

fn check_pin(path: &Path, trusted: &TrustedFile, known: Option<&str>, pinned: &str) -> Result<(), Refusal> {
    let is = match known {
        Some(sum) => sum.to_owned(),
        None => load::sum(&trusted.file)
            .map_err(|e| Refusal::new(format!("can not read {}: {e}", path.display())))?,
    };
    load::check_sum(path, &is, pinned)
}
