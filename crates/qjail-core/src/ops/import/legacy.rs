//! The control files of qjail 5: a directory for each zone with a file for each jail, and one with all of them.

use std::collections::BTreeMap;
use std::path::Path;

use qjail_fs::{Kind, RelPath, Root};
use qjail_jailconf::legacy::{self, Legacy};
use qjail_model::ZoneName;

use super::draft::Draft;
use super::{fstab, read_error, shown};
use crate::engine::Engine;
use crate::places::rel;
use crate::{Error, Result};

/// The longest control file, in bytes; those of qjail 5 have about 500.
const LIMIT: u64 = 64 << 10;
/// The directory with the files of the default zone; zone Z's is `qjail.local.Z`.
const LOCAL: &str = "qjail.local";
/// The directory with the files of all zones.
const GLOBAL: &str = "qjail.global";

/// The keys that the last version wrote. Those that only say where its own files are need no word.
const OWN: [&str; 6] = ["name", "path", "fstab", "deffile", "imagetype", "imagedevice"];
/// The type of an image that is a file system and nothing else; releases before 5 had encrypted ones.
const PLAIN_IMAGE: &str = "simple";

/// Every jail of every zone (of the command's zone, where one is given).
///
/// # Errors
/// The directory can not be read, or holds no control files.
pub(super) fn read(engine: &Engine, dir: &Path) -> Result<Vec<Draft>> {
    let root = Root::open(dir).map_err(read_error)?;
    let global = Files::read(&root, GLOBAL)?;
    let zones = zones(&root)?;
    if zones.is_empty() && global.is_none() {
        return Err(Error::new(format!(
            "{} holds no control files of qjail 5: neither {LOCAL} nor {GLOBAL}",
            dir.display()
        ))
        .hint("name the directory that does: qjail import --from qjail DIR"));
    }
    let global = global.unwrap_or_default();
    let mut drafts = Vec::new();
    let mut local_names = Vec::new();
    for (zone, place) in zones {
        let files = Files::read(&root, &place)?.unwrap_or_default();
        local_names.extend(files.0.keys().cloned());
        if engine.zone.is_some() && engine.zone != zone {
            continue;
        }
        for (name, found) in &files.0 {
            let mut draft = one(name, found, global.0.get(name));
            draft.zone.clone_from(&zone);
            beside(&root, &mut draft);
            drafts.push(draft);
        }
    }
    let only_global = global.0.iter().filter(|(n, _)| !local_names.contains(n));
    drafts.extend(only_global.map(|(name, found)| {
        let fault = Error::new(format!("it is in {GLOBAL} only, so that its zone is not known"))
            .hint(format!("copy the file to {LOCAL}, or to {LOCAL}.ZONE"));
        Draft::refused(name.clone(), found[0].path.clone(), fault)
    }));
    Ok(drafts)
}

/// The zones that have a directory, with its name.
fn zones(root: &Root) -> Result<Vec<(Option<ZoneName>, String)>> {
    let entries = root.list(&RelPath::root()).map_err(read_error)?;
    let names = entries.into_iter().filter_map(|e| e.name.into_string().ok());
    Ok(names
        .filter_map(|name| match name.strip_prefix(LOCAL)? {
            "" => Some((None, name)),
            zone => {
                let zone = ZoneName::new(zone.strip_prefix('.')?).ok()?;
                Some((Some(zone), name))
            }
        })
        .collect())
}

/// One file of a jail: `NAME`, `NAME.man`, or `NAME.norun`.
#[derive(Debug, Clone)]
struct Found {
    path: String,
    suffix: &'static str,
    read: Result<Legacy>,
}

/// The files of one directory by the name of the jail.
#[derive(Debug, Default)]
struct Files(BTreeMap<String, Vec<Found>>);

impl Files {
    fn read(root: &Root, place: &str) -> Result<Option<Self>> {
        let at = rel(place)?;
        if root.metadata(&at).map_err(read_error)?.is_none() {
            return Ok(None);
        }
        let dir = root.open_dir(&at).map_err(read_error)?;
        let mut files = Self::default();
        for entry in dir.list(&RelPath::root()).map_err(read_error)? {
            let file = entry.name.to_string_lossy().into_owned();
            if file.starts_with('.') {
                continue;
            }
            let (name, suffix) = split(&file);
            let found = Found {
                path: shown(&dir.label().join(&file).to_string_lossy()),
                suffix,
                read: parse(&dir, &entry.name),
            };
            files.0.entry(name.to_owned()).or_default().push(found);
        }
        Ok(Some(files))
    }
}

fn split(file: &str) -> (&str, &'static str) {
    for suffix in [".man", ".norun"] {
        if let Some(name) = file.strip_suffix(suffix).filter(|n| !n.is_empty()) {
            return (name, suffix);
        }
    }
    (file, "")
}

fn parse(dir: &Root, name: &std::ffi::OsStr) -> Result<Legacy> {
    let path = RelPath::new(name).map_err(Error::new)?;
    let text = dir.read_to_string(&path, LIMIT).map_err(read_error)?;
    legacy::parse(&text).map_err(|e| {
        let file = shown(&dir.label().join(name).to_string_lossy());
        Error::new(shown(&format!("{file}: {e}"))).hint(
            "each line must be NAME=\"value\"; the old program ran these files as shell, this one only reads them",
        )
    })
}

/// The draft of one jail from its file, if that is the only one and the copy in `qjail.global` says the same.
fn one(name: &str, found: &[Found], global: Option<&Vec<Found>>) -> Draft {
    let first = &found[0];
    let refused = |fault: Error| Draft::refused(name.to_owned(), first.path.clone(), fault);
    if let Some(second) = found.get(1) {
        let fault = Error::new(format!(
            "there are two files for it: {} and {}",
            first.path, second.path
        ));
        return refused(fault.hint("remove the one that is not true any more"));
    }
    let legacy = match &first.read {
        Ok(legacy) => legacy,
        Err(e) => return refused(e.clone()),
    };
    if legacy.name() != name {
        let fault = Error::new(format!("{} is about a jail {}", first.path, shown(legacy.name())));
        return refused(fault.hint("the file must have the name of the jail"));
    }
    let mut draft = convert(legacy, first);
    match global.map(Vec::as_slice) {
        None | Some([]) => draft.note(format!(
            "it is not in {GLOBAL}, so that the old program did not start it at boot"
        )),
        Some([copy]) => draft.faults.extend(differs(first, legacy, copy)),
        Some(_) => draft.faults.push(
            Error::new(format!("there are several files for it in {GLOBAL}"))
                .hint("remove those that are not true any more"),
        ),
    }
    draft
}

/// Why two files for one jail can not both be true.
fn differs(first: &Found, legacy: &Legacy, copy: &Found) -> Option<Error> {
    let fault = |what: String| {
        Error::new(format!("{} and {} differ{what}", first.path, copy.path))
            .hint("make both say what is true, and import again")
    };
    if first.suffix != copy.suffix {
        return Some(fault(": one of them says manual or norun".to_owned()));
    }
    let other = match &copy.read {
        Ok(other) => other,
        Err(e) => return Some(e.clone()),
    };
    // Where each lies is all that may differ.
    let all = |l: &Legacy| -> BTreeMap<String, String> {
        let settings = l.iter().filter(|(k, _)| *k != "deffile");
        settings.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    let (a, b) = (all(legacy), all(other));
    let key = a.keys().chain(b.keys()).find(|k| a.get(*k) != b.get(*k))?;
    Some(fault(format!(" in {key}")))
}

/// The settings of qjail 5 in the parameters of jail(8).
fn convert(legacy: &Legacy, found: &Found) -> Draft {
    let mut draft = Draft {
        name: legacy.name().to_owned(),
        file: found.path.clone(),
        path: legacy.get("path").unwrap_or_default().to_owned(),
        manual: found.suffix == ".man",
        norun: found.suffix == ".norun",
        ..Draft::default()
    };
    for (key, value) in legacy.iter().filter(|(k, _)| !OWN.contains(k)) {
        setting(&mut draft, key, value);
    }
    if let Some(kinds) = legacy.get("vnet") {
        vnet(&mut draft, kinds, legacy.get("vinterface"));
    }
    let kind = legacy.get("imagetype").filter(|kind| *kind != PLAIN_IMAGE);
    if let (Some(_), Some(kind)) = (&draft.image, kind) {
        let fault = Error::new(format!(
            "its image is of the type {}, not {PLAIN_IMAGE}",
            shown(kind)
        ));
        draft
            .faults
            .push(fault.hint("copy its files into an image without encryption: qjail create -i SIZE NAME"));
    }
    draft.check_addresses();
    draft
}

fn setting(draft: &mut Draft, key: &str, value: &str) {
    let list = || -> Vec<String> { value.split(',').map(|v| v.trim().to_owned()).collect() };
    match key {
        "ip4" => draft.set("ip4.addr", list()),
        "ip6" => draft.set("ip6.addr", list()),
        "interface" => draft.set("interface", value),
        "securelevel" => number(draft, "securelevel", key, value),
        "fib" => number(draft, "exec.fib", key, value),
        "ruleset" => ruleset(draft, value),
        "cpuset" => draft.set("cpuset.id", value),
        "rsockets" => draft.set("allow.raw_sockets", true),
        "quotas" => draft.set("allow.quotas", true),
        "sysvipc" => draft.shared_sysvipc(),
        "nullfs" | "tmpfs" | "zfs" => {
            draft.set("allow.mount", true);
            draft.set(&format!("allow.mount.{key}"), true);
            draft.set("enforce_statfs", "1");
        }
        "poststartssh" => draft.ssh = true,
        "image" => draft.image = Some(value.to_owned()),
        // Said with the other of the pair.
        "vnet" | "vinterface" | "imageblockcount" => {}
        other => draft.note(format!(
            "not taken over: {other} = {} (not a setting of qjail 5)",
            shown(value)
        )),
    }
}

fn number(draft: &mut Draft, param: &str, key: &str, value: &str) {
    if value.parse::<i32>().is_ok() {
        return draft.set(param, value);
    }
    let fault = Error::new(format!("{key}: `{}` is not a number", shown(value)));
    let hint = format!("correct it in {}", draft.file);
    draft.faults.push(fault.hint(hint));
}

/// The rule sets 60 and 70 were the old program's own, for firewalls in vnet jails; FreeBSD's 5 has both devices now.
fn ruleset(draft: &mut Draft, value: &str) {
    match value {
        "4" => {}
        "60" | "70" => draft.note(format!(
            "devfs rule set {value} was made for firewalls in vnet jails; FreeBSD's own rule set 5 is used instead"
        )),
        _ => number(draft, "devfs_ruleset", "ruleset", value),
    }
}

/// `be|pf|3`: the kind of network, the firewall inside, the number of the interface.
fn vnet(draft: &mut Draft, kinds: &str, interface: Option<&str>) {
    draft.set("vnet", "new");
    if let Some(interface) = interface {
        draft.set("interface", interface);
    }
    draft.note("the interface of its own network stack gets a new number at each start");
    if let Some(firewall) = kinds
        .split('|')
        .nth(1)
        .filter(|f| ["pf", "ipfw", "ipf"].contains(f))
    {
        draft.note(format!(
            "{firewall} in the jail is not started for it any more: enable it in the jail's own /etc/rc.conf"
        ));
    }
}

/// What other directories of qjail 5 say of the jail.
fn beside(root: &Root, draft: &mut Draft) {
    let zone = draft.zone.as_ref().map(|z| format!(".{z}")).unwrap_or_default();
    let text = |place: String, limit: u64| {
        let path = rel(&place).ok()?;
        match root.metadata(&path).ok()? {
            Some(meta) if meta.kind == Kind::File => {
                Some(root.read_to_string(&path, limit).map_err(read_error))
            }
            _ => None,
        }
    };
    match text(format!("qjail.fstab{zone}/{}", draft.name), fstab::LIMIT) {
        Some(Ok(text)) => fstab::take(draft, &text),
        Some(Err(e)) => draft.leave_out(format!("its mounts: {e}")),
        None => {}
    }
    if let Some(Ok(list)) = text(format!("qjail.packages/{}", draft.name), LIMIT) {
        let count = list.lines().filter(|l| !l.trim().is_empty()).count();
        let packages = if count == 1 { "package" } else { "packages" };
        draft.note(format!(
            "the list of {count} {packages} to install is not used: what is installed stays, pkg -j {} install adds more",
            draft.name
        ));
    }
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
