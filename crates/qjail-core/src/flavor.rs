//! Flavors: trees of files that are merged into new jails; and the full copy of the base for thick jails.

use qjail_fs::{CopyOptions, Kind, OnConflict, RelPath, Root};
use qjail_model::Flavor;
use qjail_plugin_api::Place;

use crate::action::{ThickSource, jails};
use crate::engine::Engine;
use crate::places::{Places, rel};
use crate::{Error, Result};

/// The file in a flavor's directory that tells of its files; never copied.
const RULES: &str = "flavor.toml";
/// The largest `flavor.toml`.
const RULES_LIMIT: u64 = 1 << 20;
/// Where jails see the shared base.
pub(crate) const SHARED: &str = "sharedfs";

/// The flavors of a zone, with what their rules say of them.
///
/// # Errors
/// When the directory can not be read.
pub(crate) fn list(places: &Places) -> Result<Vec<(String, Result<Flavor>)>> {
    let jails = places.open(Place::Jails)?;
    let path = rel("flavors")?;
    if jails.metadata(&path)?.is_none() {
        return Ok(Vec::new());
    }
    let flavors = jails.open_dir(&path)?;
    let entries = flavors.list(&RelPath::root())?;
    let names = entries
        .into_iter()
        .filter(|e| e.kind == Kind::Dir)
        .filter_map(|e| e.name.into_string().ok());
    Ok(names
        .map(|name| {
            let rules = rules_of(places, &name);
            (name, rules)
        })
        .collect())
}

/// The rules of one flavor; a flavor without the file has none.
///
/// # Errors
/// When it does not exist or its rules have a mistake.
pub(crate) fn rules_of(places: &Places, name: &str) -> Result<Flavor> {
    let root = places.open_dir(&jails(&format!("flavors/{name}")))?;
    let path = rel(RULES)?;
    if root.metadata(&path)?.is_none() {
        return Ok(Flavor::default());
    }
    let text = root.read_to_string(&path, RULES_LIMIT)?;
    Flavor::parse(&text).map_err(|e| Error::new(format!("flavors/{name}/{RULES}: {e}")))
}

/// Merges a flavor into the jail of `places`.
pub(crate) fn merge(engine: &Engine, places: &Places, name: &str) -> Result<()> {
    let rules = rules_of(places, name)?;
    let source = places.open_dir(&jails(&format!("flavors/{name}")))?;
    let target = places.open(Place::Jail)?;
    let mut skip = vec![rel(RULES)?];
    for rule in &rules.file {
        let path = rel(&rule.path)?;
        let elsewhere = rule.os.as_deref().is_some_and(|os| os != engine.system.os());
        if elsewhere || (rule.unless_exists && target.metadata(&path)?.is_some()) {
            skip.push(path);
        }
    }
    let cancelled = || engine.cancelled();
    let options = CopyOptions {
        skip: &skip,
        on_conflict: OnConflict::MergeReplace,
        cancelled: &cancelled,
        ..CopyOptions::default()
    };
    qjail_fs::copy_tree(&source, &target, &options)
        .map_err(|e| Error::from(e).about(format!("flavor {name}")))?;
    rules
        .file
        .iter()
        .filter(|r| r.mode.is_some())
        .try_for_each(|rule| {
            let path = rel(&rule.path)?;
            if skip.contains(&path) || target.metadata(&path)?.is_none() {
                return Ok(());
            }
            Ok(target.set_mode(&path, rule.mode.unwrap_or(0o644))?)
        })
}

/// Replaces every link to `/sharedfs/…` in the jail of `places` by a copy of what a jail would see there.
pub(crate) fn thicken(engine: &Engine, places: &Places, sources: &[ThickSource]) -> Result<()> {
    let target = places.open(Place::Jail)?;
    for path in shared_links(&target)? {
        let (base, from) = source_of(sources, &path).ok_or_else(|| {
            Error::new(format!(
                "nothing provides /{SHARED}/{path}, which /{path} points to"
            ))
        })?;
        copy_shared(engine, &base?, &from?, &target, &path)?;
    }
    Ok(())
}

/// Puts what is at `from` of a base in the place of the jail's link at `path`. A base may have a link there itself, as
/// FreeBSD's `sys`: it comes as it is.
fn copy_shared(engine: &Engine, base: &Root, from: &RelPath, target: &Root, path: &RelPath) -> Result<()> {
    let is_link = !from.is_root() && base.metadata(from)?.is_some_and(|m| m.kind == Kind::Link);
    if is_link {
        return Ok(target.replace_symlink(base.read_link(from)?, path)?);
    }
    let source = if from.is_root() {
        base.try_clone()?
    } else {
        base.open_dir(from)?
    };
    target.remove_file(path)?;
    target.make_dirs(path, 0o755, None)?;
    let cancelled = || engine.cancelled();
    let options = CopyOptions {
        cancelled: &cancelled,
        ..CopyOptions::default()
    };
    Ok(qjail_fs::copy_tree(&source, &target.open_dir(path)?, &options).map(drop)?)
}

/// The links of a template into the shared base: at its top and below `usr`.
fn shared_links(root: &Root) -> Result<Vec<RelPath>> {
    let mut links = Vec::new();
    for dir in [RelPath::root(), rel("usr")?] {
        if !dir.is_root() && root.metadata(&dir)?.is_none_or(|m| m.kind != Kind::Dir) {
            continue;
        }
        for entry in root.list(&dir)? {
            let path = dir.join(&entry.name).map_err(Error::new)?;
            let shared = format!("/{SHARED}/{path}");
            if entry.kind == Kind::Link && root.read_link(&path)?.to_str() == Some(shared.as_str()) {
                links.push(path);
            }
        }
    }
    Ok(links)
}

/// What a jail would see at `/sharedfs/PATH`: a directory of the host, and the way below it. Of the mounts that cover it
/// the deepest is taken.
fn source_of(sources: &[ThickSource], path: &RelPath) -> Option<(Result<Root>, Result<RelPath>)> {
    let wanted = format!("{SHARED}/{path}");
    let covers = |s: &&ThickSource| wanted == s.target || wanted.starts_with(&format!("{}/", s.target));
    let best = sources.iter().filter(covers).max_by_key(|s| s.target.len())?;
    let rest = wanted.strip_prefix(&best.target)?.trim_start_matches('/');
    let below = if rest.is_empty() {
        Ok(RelPath::root())
    } else {
        rel(rest)
    };
    Some((Root::open(best.source.as_ref()).map_err(Error::from), below))
}
