//! Jails of a jail.conf(5): what qjail does by itself is left out, what it has no place for is named.

use std::path::Path;

use qjail_jailconf::{JailBlock, Source};
use qjail_model::known::{self, Kind, KnownError};
use qjail_model::{ParamValue, Params};

use super::draft::{ADDRESSES, Draft};
use super::{fstab, include, read_file, shown};
use crate::engine::Engine;
use crate::{Error, Result};

/// What every jail of qjail has: it needs no word, and no place in a definition.
const DEFAULTS: [(&str, &str); 8] = [
    ("exec.start", "/bin/sh /etc/rc"),
    ("exec.stop", "/bin/sh /etc/rc.shutdown"),
    ("exec.stop", "/bin/sh /etc/rc.shutdown jail"),
    ("exec.clean", "true"),
    ("mount.devfs", "true"),
    ("devfs_ruleset", "4"),
    ("devfs_ruleset", "60"),
    ("devfs_ruleset", "70"),
];
/// The old program's own commands on the host.
const OLD_VNET: &str = "/usr/local/bin/qjail.vnet.be ";
const OLD_SSH: &str = " -p 12-12-12 ";

/// Every jail of a file and of what it includes.
///
/// # Errors
/// The file can not be read, with line and column.
pub(super) fn read(engine: &Engine, file: &Path) -> Result<Vec<Draft>> {
    let text = read_file(file, include::LIMIT)?;
    let beside = file.parent().unwrap_or(file).to_owned();
    let includes = |pattern: &str| -> std::result::Result<Vec<Source>, String> {
        let path = Path::new(pattern);
        if path.starts_with(&beside) {
            include::files(path)
        } else {
            include::files(&engine.host_path(pattern))
        }
    };
    let blocks = qjail_jailconf::read(&file.display().to_string(), &text, includes).map_err(|e| {
        Error::new(shown(&e.to_string()))
            .hint("jail.conf(5) tells how the file must look; nothing of it was taken over")
    })?;
    if blocks.is_empty() {
        let error = Error::new(format!("{} describes no jail", file.display()));
        return Err(error.hint("name the file that does: qjail import --from jail.conf FILE"));
    }
    Ok(blocks.iter().map(|b| draft(engine, file, b)).collect())
}

fn draft(engine: &Engine, file: &Path, block: &JailBlock) -> Draft {
    let mut draft = Draft {
        name: block.name.clone(),
        file: shown(&file.display().to_string()),
        zone: engine.zone.clone(),
        path: block.params.text("path").unwrap_or_default().to_owned(),
        ..Draft::default()
    };
    for (key, value) in block
        .params
        .iter()
        .filter(|(k, v)| !is_default(&block.name, k, v))
    {
        param(engine, &mut draft, key, value);
    }
    if is_old_vnet(&block.params) {
        // Its interface was made by the old program's script, which is not taken over.
        draft.params.unset("vnet.interface");
        draft.note("the interface of its own network stack gets a new number at each start");
    }
    draft.check_addresses();
    draft
}

fn is_default(name: &str, key: &str, value: &ParamValue) -> bool {
    let text = value.to_string();
    match key {
        "path" => true,
        "host.hostname" => text == name,
        "exec.consolelog" => text == format!("/var/log/qjail.{name}.console.log"),
        _ => DEFAULTS.contains(&(key, text.as_str())),
    }
}

fn is_old_vnet(params: &Params) -> bool {
    params
        .list("exec.prestart")
        .iter()
        .any(|c| c.starts_with(OLD_VNET))
}

fn param(engine: &Engine, draft: &mut Draft, key: &str, value: &ParamValue) {
    match key {
        "name" | "jid" => draft.note(format!("not taken over: {key} = {}", shown(&value.to_string()))),
        "depend" => draft.depend = value.to_list(),
        "allow.sysvipc" if value.as_bool() == Some(true) => draft.shared_sysvipc(),
        "mount.fstab" => mounts(engine, draft, &value.to_string()),
        "mount" => fstab::take(draft, &value.to_list().join("\n")),
        "exec.consolelog" => draft.note(format!(
            "its console goes to /var/log/qjail.NAME.console.log, not to {}",
            shown(&value.to_string())
        )),
        "exec.prestart" | "exec.poststop" | "exec.poststart" | "exec.start" => commands(draft, key, value),
        _ => known_param(draft, key, value),
    }
}

/// A parameter that jail(8) has, with a value of its type, as `--param` takes it.
fn known_param(draft: &mut Draft, key: &str, value: &ParamValue) {
    // What is wrong with an address is told of all sources alike.
    if ADDRESSES.iter().any(|(k, _)| *k == key) {
        let list = value.to_list();
        let list: Vec<String> = list
            .iter()
            .flat_map(|a| a.split(','))
            .map(|a| a.trim().to_owned())
            .collect();
        return draft.set(key, list);
    }
    match parse(key, value) {
        Ok((key, value)) => drop(draft.params.set(key, value)),
        Err(e) => draft.leave_out(shown(&format!("{key} = {value} ({})", why(&e)))),
    }
}

fn parse(key: &str, value: &ParamValue) -> std::result::Result<(String, ParamValue), KnownError> {
    let texts = match value {
        ParamValue::Bool(true) => return known::parse(key, None, false),
        ParamValue::List(list) if is_list(key) => list.clone(),
        other => vec![other.to_string()],
    };
    let parsed = texts.iter().map(|text| known::parse(key, Some(text), false));
    let mut parsed = parsed.collect::<std::result::Result<Vec<_>, _>>()?;
    match parsed.len() {
        1 => Ok(parsed.remove(0)),
        _ => Ok((key.to_owned(), texts.into())),
    }
}

fn is_list(key: &str) -> bool {
    known::find(key).is_some_and(|(k, _)| k.kind == Kind::List)
}

fn why(error: &KnownError) -> String {
    match error {
        KnownError::Unknown { near: Some(near), .. } => format!("{error}, but {near}"),
        other => other.to_string(),
    }
}

fn mounts(engine: &Engine, draft: &mut Draft, path: &str) {
    match read_file(&engine.host_path(path), fstab::LIMIT) {
        Ok(text) => fstab::take(draft, &text),
        Err(e) => draft.leave_out(format!("its mounts: {e}")),
    }
}

/// Commands but those of the old program: it made the network and the user for ssh so.
fn commands(draft: &mut Draft, key: &str, value: &ParamValue) {
    let (old, own): (Vec<String>, Vec<String>) = value.to_list().into_iter().partition(|c| {
        c.starts_with(OLD_VNET) || (c.starts_with("jexec ") && c.contains(OLD_SSH)) || of_old_vnet(c)
    });
    if old.iter().any(|c| c.contains(OLD_SSH)) {
        draft.ssh = true;
    }
    let start = ["/bin/sh /etc/rc".to_owned()];
    if own.is_empty() || (key == "exec.start" && own == start) {
        return;
    }
    if key != "exec.start" {
        draft.note(format!(
            "runs on the host as root: {key} = {}",
            shown(&own.join(", "))
        ));
    }
    draft.set(
        key,
        if own.len() == 1 {
            ParamValue::Text(own[0].clone())
        } else {
            ParamValue::List(own)
        },
    );
}

/// What the old program had a vnet jail do before its /etc/rc.
fn of_old_vnet(command: &str) -> bool {
    [
        "ifconfig lo0 127.0.0.1 up",
        "ifconfig epair",
        "/bin/echo epair",
        "route add default 10.",
    ]
    .iter()
    .any(|c| command.starts_with(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_old_program_wrote_is_understood() {
        assert!(
            is_default("a", "host.hostname", &"a".into()) && !is_default("a", "host.hostname", &"b".into())
        );
        assert!(is_default("a", "exec.clean", &true.into()) && !is_default("a", "exec.clean", &false.into()));
        let mut draft = Draft::default();
        let ssh = "jexec a pw adduser a -p 12-12-12 -c Jail -m -g wheel -s csh -w yes";
        commands(&mut draft, "exec.poststart", &ssh.into());
        commands(
            &mut draft,
            "exec.prestart",
            &"/usr/local/bin/qjail.vnet.be start a em0 pf 1".into(),
        );
        let start = [
            "ifconfig lo0 127.0.0.1 up",
            "ifconfig epair1b 10.1.0.2",
            "/bin/sh /etc/rc",
        ];
        commands(
            &mut draft,
            "exec.start",
            &start.map(str::to_owned).to_vec().into(),
        );
        assert!(draft.params.is_empty() && draft.notes.is_empty(), "{draft:?}");
        assert!(draft.ssh);
        commands(&mut draft, "exec.prestart", &"logger hello".into());
        assert_eq!(draft.params.text("exec.prestart"), Some("logger hello"));
    }

    #[test]
    fn parameters_are_those_of_jail8() {
        let list = |words: &[&str]| ParamValue::List(words.iter().map(|w| (*w).to_owned()).collect());
        for (key, value, taken) in [
            (
                "allow.raw_sockets",
                ParamValue::Bool(true),
                "allow.raw_sockets=true",
            ),
            ("allow.noraw_sockets", true.into(), "allow.raw_sockets=false"),
            ("vnet", true.into(), "vnet=new"),
            ("children.max", "5".into(), "children.max=5"),
            ("exec.created", list(&["a b", "c"]), "exec.created=a b, c"),
        ] {
            let mut draft = Draft::default();
            known_param(&mut draft, key, &value);
            let params: Vec<String> = draft.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!((params, draft.left_out), (vec![taken.to_owned()], false), "{key}");
        }
        for (key, value, note) in [
            (
                "allow.raw_socket",
                ParamValue::Bool(true),
                "allow.raw_socket = true (jail(8) has no parameter allow.raw_socket, but allow.raw_sockets)",
            ),
            (
                "frobnicate",
                "1".into(),
                "frobnicate = 1 (jail(8) has no parameter frobnicate)",
            ),
            (
                "children.max",
                "many".into(),
                "children.max = many (children.max: `many` is not a whole number",
            ),
            (
                "children.max",
                list(&["1", "2"]),
                "children.max = 1, 2 (children.max: `1, 2` is not a whole number",
            ),
            (
                "parent",
                "2".into(),
                "parent = 2 (parent can not be set: the kernel tells it)",
            ),
        ] {
            let mut draft = Draft::default();
            known_param(&mut draft, key, &value);
            assert!(draft.params.is_empty() && draft.left_out, "{key}");
            assert!(
                draft.notes[0].starts_with(&format!("not taken over: {note}")),
                "{:?}",
                draft.notes
            );
        }
    }
}
