//! Drafts against this host: what stands in the way of each jail, and what it would become.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use qjail_fs::Kind;
use qjail_model::{AddrSpec, Definition, JailName, ZoneName};
use qjail_plugin_api::Place;
use qjail_store::format_time;

use super::draft::{ADDRESSES, Draft, left_out_note};
use super::{Import, Imports, depend, image, shown, ssh};
use crate::Error;
use crate::engine::Engine;
use crate::ops::rename::move_mounts;
use crate::places::rel;

/// Directories of a jail that are links into the shared base where it has no copy of its own.
const SHARED_DIRS: [&str; 6] = ["bin", "sbin", "lib", "usr/bin", "usr/sbin", "usr/lib"];

pub(super) fn imports(engine: &Engine, drafts: Vec<Draft>) -> Imports {
    let mut addresses = addresses(engine);
    let mut names = BTreeSet::new();
    let mut jails = Vec::new();
    let mut waiting = Vec::new();
    for draft in drafts {
        let twice = !names.insert(draft.name.clone());
        let (mut jail, left_out) = one(engine, draft, &mut addresses);
        waiting.push(left_out);
        if twice {
            let fault = Error::new("it is described twice".to_owned());
            jail.faults
                .push(fault.hint("names are unique over all zones: remove one of the two"));
        }
        jail.faults = jail.faults.into_iter().map(|f| about(&jail.name, f)).collect();
        jails.push(jail);
    }
    let depend = depend::settle(engine, &mut jails);
    for ((jail, left_out), depend) in jails.iter_mut().zip(waiting).zip(depend) {
        let waits = left_out || !depend.is_empty();
        jail.notes.extend(depend.iter().map(left_out_note));
        if waits {
            wait(jail);
        }
    }
    let notes = bases(engine, &jails);
    Imports { jails, notes }
}

/// The classic messages end with the name; all others begin with it.
fn about(name: &str, fault: Error) -> Error {
    if fault.message.starts_with("Bypassed") || fault.message.starts_with("Error: ") {
        return fault;
    }
    fault.about(format!("import {}", shown(name)))
}

/// What a draft would become, and whether something of it is left out.
fn one(engine: &Engine, mut draft: Draft, addresses: &mut BTreeMap<IpAddr, String>) -> (Import, bool) {
    let mut definition = Definition::new();
    definition.zone.clone_from(&draft.zone);
    definition.created = format_time(engine.now);
    definition.depend = draft.depend.clone();
    let mut image = None;
    match JailName::new(draft.name.as_str()) {
        // What is wrong with the file itself says more than that its root is missing.
        Ok(name) if draft.faults.is_empty() => {
            own_root(engine, &name, &mut draft);
            draft.faults.extend(faults_now(engine, &name, &definition));
            image = image::look(engine, &name, &mut draft, &mut definition);
            // Every image jail of qjail 5 was made from the template.
            definition.thick = image.is_none() && is_thick(engine, &name, &draft);
            shared_addresses(&name, &mut draft, addresses);
        }
        Ok(_) => {}
        Err(e) => draft.faults.push(
            Error::new(shown(&e.to_string()))
                .hint("give the jail another name in its files, and its directory too"),
        ),
    }
    unsupported(engine, &mut draft);
    definition.manual = draft.manual;
    definition.params = std::mem::take(&mut draft.params);
    let ssh = ssh::look(engine, &mut draft, &definition);
    definition.norun = draft.norun;
    let import = Import {
        name: draft.name,
        file: draft.file,
        definition,
        image,
        ssh,
        notes: draft.notes,
        faults: draft.faults,
    };
    (import, draft.left_out)
}

/// What can change between the look and the import.
pub(super) fn faults_now(engine: &Engine, name: &JailName, definition: &Definition) -> Vec<Error> {
    if engine.definitions().exists(name) {
        let fault = Error::new(format!("Bypassed existing jail {name}"));
        return vec![fault.hint("qjail has a jail of that name already: qjail list --all-zones")];
    }
    match engine.system.find(name.as_str()) {
        Ok(None) => {}
        Ok(Some(_)) => {
            let fault = Error::new(format!("Bypassed running jail {name}"));
            return vec![
                fault.hint("stop it with the program that started it: that one knows what it mounted"),
            ];
        }
        Err(e) => return vec![e.into()],
    }
    root_fault(engine, name, definition.zone.as_ref())
        .into_iter()
        .collect()
}

/// A jail's root stays where it is: in the directory of jails, under its name.
fn root_fault(engine: &Engine, name: &JailName, zone: Option<&ZoneName>) -> Option<Error> {
    let places = engine.places(zone, None);
    let root = places.jails.join(name.as_str());
    let kind = places
        .open(Place::Jails)
        .ok()
        .and_then(|jails| Some(jails.metadata(&rel(name.as_str()).ok()?).ok()??.kind));
    match kind {
        Some(Kind::Dir) => None,
        Some(other) => Some(
            Error::new(format!("its root {} is a {other}", root.display()))
                .hint("the root of a jail must be a directory there; links are not followed"),
        ),
        None => Some(
            Error::new(format!("its root {} does not exist", root.display()))
                .hint("move the directory there; import copies nothing"),
        ),
    }
}

/// The path in the file must mean the place where qjail looks for the root.
fn own_root(engine: &Engine, name: &JailName, draft: &mut Draft) {
    let path = draft.path.trim_end_matches('/');
    let own = engine.layout.jails_dir(draft.zone.as_ref()).join(name.as_str());
    if is_own_root(engine, name, draft.zone.as_ref(), path) {
        // With `--root` the same place has another path.
        return move_mounts(&mut draft.params, Path::new(path), &own);
    }
    let fault = if path.is_empty() {
        Error::new("its root (`path`) is not given")
    } else {
        Error::new(format!("its root is {}, not {}", shown(path), own.display()))
    };
    let hint = format!("move it to {}, and set `path` in {}", own.display(), draft.file);
    draft.faults.push(fault.hint(hint));
}

/// Whether a path of qjail 5's files is the jail's own root, as it was named there or is here.
pub(super) fn is_own_root(engine: &Engine, name: &JailName, zone: Option<&ZoneName>, path: &str) -> bool {
    let old = zone.map_or("/usr/jails".to_owned(), |z| format!("/usr/jails.{z}"));
    let own = engine.layout.jails_dir(zone).join(name.as_str());
    path == format!("{old}/{name}") || Path::new(path) == own
}

/// Whether the jail has a base of its own: none of the directories of the base is a link into the shared one.
fn is_thick(engine: &Engine, name: &JailName, draft: &Draft) -> bool {
    let places = engine.places(draft.zone.as_ref(), Some(name.to_string()));
    let Ok(root) = places.open(Place::Jail) else {
        return false;
    };
    let mut found = false;
    for dir in SHARED_DIRS {
        let Ok(path) = rel(dir) else { continue };
        match root.metadata(&path).ok().flatten().map(|m| m.kind) {
            Some(Kind::Link) => {
                let target = root.read_link(&path).unwrap_or_default();
                if target.to_string_lossy().starts_with("/sharedfs/") {
                    return false;
                }
            }
            Some(Kind::Dir) => found = true,
            _ => {}
        }
    }
    found
}

/// Who has which address.
fn addresses(engine: &Engine) -> BTreeMap<IpAddr, String> {
    let mut all = BTreeMap::new();
    for (name, definition) in engine.all() {
        for (key, _) in ADDRESSES {
            let list = definition.params.list(key);
            let specs = list.iter().filter_map(|a| a.parse::<AddrSpec>().ok());
            all.extend(specs.map(|s| (s.addr, name.to_string())));
        }
    }
    all
}

/// Two jails with one address can exist, as in qjail 5; they can not run at the same time.
fn shared_addresses(name: &JailName, draft: &mut Draft, all: &mut BTreeMap<IpAddr, String>) {
    for (key, _) in ADDRESSES {
        for spec in draft
            .params
            .list(key)
            .iter()
            .filter_map(|a| a.parse::<AddrSpec>().ok())
        {
            if let Some(other) = all
                .insert(spec.addr, name.to_string())
                .filter(|o| o != name.as_str())
            {
                draft.note(format!(
                    "Warning: Existing jail {other} is already assigned IP address {}",
                    spec.addr
                ));
            }
        }
    }
}

fn unsupported(engine: &Engine, draft: &mut Draft) {
    let refused = engine.system.refused_params(&draft.params);
    for (key, why) in &refused {
        let value = draft.params.unset(key).map(|v| v.to_string()).unwrap_or_default();
        draft.leave_out(format!("{key} = {} ({why})", shown(&value)));
    }
}

/// A jail that would run with less than was asked for does not run until somebody has looked at it.
fn wait(jail: &mut Import) {
    jail.definition.norun = true;
    jail.notes.push(format!(
        "it is set to norun, since something of it was not taken over; when it is as you want it: qjail config -R {}",
        shown(&jail.name)
    ));
}

/// What must be done in each zone before jails without a base of their own can be started.
fn bases(engine: &Engine, jails: &[Import]) -> Vec<String> {
    let thin = jails
        .iter()
        .filter(|j| j.faults.is_empty() && !j.definition.thick);
    let zones: BTreeSet<Option<ZoneName>> = thin.map(|j| j.definition.zone.clone()).collect();
    zones
        .iter()
        .filter_map(|zone| base(engine, zone.as_ref()))
        .collect()
}

fn base(engine: &Engine, zone: Option<&ZoneName>) -> Option<String> {
    let places = engine.places(zone, None);
    let jails = places.open(Place::Jails).ok()?;
    let kind = |name: &str| Some(jails.metadata(&rel(name).ok()?).ok()??.kind);
    if kind(".base") == Some(Kind::Link) {
        return None;
    }
    let option = zone.map(|z| format!("-z {z} ")).unwrap_or_default();
    let dir = places.jails.display();
    if ["sharedfs", "template"]
        .iter()
        .all(|n| kind(n) != Some(Kind::Dir))
    {
        return Some(format!(
            "{dir} has no base yet; before jails there can be started: qjail {option}install"
        ));
    }
    Some(format!(
        "{dir}/sharedfs and {dir}/template are those of qjail 5 and are left alone. Before jails there can be started by \
         this qjail, and when none of them runs under the old one: move both away, then qjail {option}install"
    ))
}
