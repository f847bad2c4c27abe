//! The changes that the core itself makes to a definition: what each does, and what is said of it.

use qjail_model::{Definition, JailName, LimitChange, ParamValue, Params, known};

use crate::ops::create::depend_names;

/// The switch that allows mounting at all, beside the one for each file system.
const ALLOW_MOUNT: &str = "allow.mount";
/// How much a jail sees of mounts; 2 is the kernel's default, with which no mount below its root can be reached.
const STATFS: &str = "enforce_statfs";

/// One change, and the option that asked for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// As it was given, for messages: `-k`, `--param allow.mlock`.
    pub option: String,
    /// What changes.
    pub what: What,
}

/// What a [`Change`] changes.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Whether it is left out at boot.
    Manual(bool),
    /// Whether it is never started.
    Norun(bool),
    /// A parameter gets a value, or goes back to its default.
    Param {
        /// The parameter.
        key: String,
        /// The value; none is the default.
        value: Option<ParamValue>,
    },
    /// The jails that must run before it.
    Depend(Vec<String>),
    /// A limit is set or taken away.
    Limit(LimitChange),
    /// Whether the jail's root may mount file systems of a kind.
    Mount {
        /// `nullfs`, `tmpfs`, `zfs`.
        fs: String,
        /// Whether it may.
        on: bool,
    },
}

impl What {
    /// A parameter, as `--param` and `--unset` change it. The order of starts is qjail's own: jail(8) never sees `depend`.
    #[must_use]
    pub fn param(key: &str, value: Option<ParamValue>) -> Self {
        if key == "depend" {
            return Self::Depend(value.map(|v| depend_names(&v)).unwrap_or_default());
        }
        Self::Param {
            key: key.to_owned(),
            value,
        }
    }
}

impl Change {
    /// The parameters that it may change, the one that it is about first.
    pub(crate) fn keys(&self) -> Vec<String> {
        match &self.what {
            What::Manual(_) | What::Norun(_) | What::Limit(_) => Vec::new(),
            What::Depend(_) => vec!["depend".to_owned()],
            What::Param { key, .. } => vec![key.clone()],
            What::Mount { fs, .. } => vec![
                format!("{ALLOW_MOUNT}.{fs}"),
                ALLOW_MOUNT.to_owned(),
                STATFS.to_owned(),
            ],
        }
    }

    /// Whether both can not be wanted in one command: they are about the same parameter.
    pub(crate) fn contradicts(&self, other: &Self) -> Option<String> {
        if let (What::Mount { fs: a, .. }, What::Mount { fs: b, .. }) = (&self.what, &other.what) {
            return (a == b).then(|| format!("{ALLOW_MOUNT}.{a}"));
        }
        if let (What::Limit(a), What::Limit(b)) = (&self.what, &other.what) {
            return (a.name() == b.name()).then(|| format!("the limit {}", a.name()));
        }
        let others = other.keys();
        self.keys().into_iter().find(|k| others.contains(k))
    }

    /// Makes the change; returns whether anything is different now.
    pub(crate) fn apply(&self, definition: &mut Definition) -> bool {
        let before = definition.clone();
        let params = &mut definition.params;
        match &self.what {
            What::Manual(on) => definition.manual = *on,
            What::Norun(on) => definition.norun = *on,
            What::Depend(names) => definition.depend.clone_from(names),
            What::Limit(change) => definition.limits.apply(*change),
            What::Param { key, value } => match value {
                Some(value) => drop(params.set(key.clone(), value.clone())),
                None => drop(params.unset(key)),
            },
            What::Mount { fs, on: true } => allow_mount(params, fs),
            What::Mount { fs, on: false } => forbid_mount(params, fs),
        }
        *definition != before
    }

    /// The classic message: what was done, or that there was nothing to do.
    pub(crate) fn message(&self, name: &JailName, changed: bool) -> String {
        if !changed {
            return format!("Already set to {}. {name}", self.state());
        }
        match &self.what {
            What::Manual(on) => format!("Successful set manual status {} {name}", on_off(*on)),
            What::Norun(true) => format!("Successful set norun status {name}"),
            What::Norun(false) => format!("Successful removed norun status {name}"),
            What::Limit(limit) => match limit.value() {
                Some(value) => format!("Successfully set limit {} to {value} for {name}", limit.name()),
                None => format!("Successfully removed limit {} for {name}", limit.name()),
            },
            What::Mount { fs, on } => format!("Successfully {} {fs} for {name}", enabled(*on)),
            What::Param { key, value } => match value {
                Some(ParamValue::Bool(on)) => format!("Successfully {} {key} for {name}", enabled(*on)),
                Some(value) => format!("Successfully set {key} to {value} for {name}"),
                None if self.is_off_switch(key) => format!("Successfully disabled {key} for {name}"),
                None => format!("Successfully set {key} to its default for {name}"),
            },
            What::Depend(names) if names.is_empty() => format!("Successfully removed depend for {name}"),
            What::Depend(names) => format!("Successfully set depend to {} for {name}", names.join(", ")),
        }
    }

    /// Whether the letter of a switch takes it away. The default that `--unset` leads to may be on.
    fn is_off_switch(&self, key: &str) -> bool {
        is_switch(key) && !self.option.starts_with("--unset")
    }

    fn state(&self) -> String {
        match &self.what {
            What::Manual(on) => format!("manual status {}", on_off(*on)),
            What::Norun(on) => format!("norun status {}", on_off(*on)),
            What::Limit(limit) => {
                let value = limit.value().unwrap_or_else(|| "none".to_owned());
                format!("limit {} {value}", limit.name())
            }
            What::Mount { fs, on } => format!("{fs} {}", on_off(*on)),
            What::Param { key, value } => match value {
                Some(ParamValue::Bool(on)) => format!("{key} {}", on_off(*on)),
                Some(value) => format!("{key} {value}"),
                None if self.is_off_switch(key) => format!("{key} off"),
                None => format!("{key} default"),
            },
            What::Depend(names) if names.is_empty() => "depend none".to_owned(),
            What::Depend(names) => format!("depend {}", names.join(", ")),
        }
    }

    /// What whoever asks for it should know.
    pub(crate) fn warning(&self, name: &JailName) -> Option<String> {
        match &self.what {
            What::Mount { fs, on: true } if fs == "nullfs" => Some(format!(
                "with {ALLOW_MOUNT}.nullfs whoever is root in {name} may get out of it on a kernel without the fix of \
                 FreeBSD-SA-26:02: allow it only where you trust that root"
            )),
            _ => None,
        }
    }
}

fn is_switch(key: &str) -> bool {
    known::find(key).is_some_and(|(k, _)| k.kind == known::Kind::Switch)
}

fn allow_mount(params: &mut Params, fs: &str) {
    params.set(format!("{ALLOW_MOUNT}.{fs}"), true);
    params.set(ALLOW_MOUNT, true);
    if !matches!(params.text(STATFS), Some("0" | "1")) {
        params.set(STATFS, "1");
    }
}

/// The last file system takes with it what only served mounting.
fn forbid_mount(params: &mut Params, fs: &str) {
    if params.unset(&format!("{ALLOW_MOUNT}.{fs}")).is_none() {
        return;
    }
    let of_a_kind = |key: &str| key.strip_prefix(ALLOW_MOUNT).is_some_and(|k| k.starts_with('.'));
    if params.iter().any(|(key, _)| of_a_kind(key) && params.is_on(key)) {
        return;
    }
    params.unset(ALLOW_MOUNT);
    if params.text(STATFS) == Some("1") {
        params.unset(STATFS);
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

fn enabled(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(what: What) -> Change {
        Change {
            option: "-x".to_owned(),
            what,
        }
    }

    fn mount(fs: &str, on: bool) -> Change {
        change(What::Mount {
            fs: fs.to_owned(),
            on,
        })
    }

    fn shown(definition: &Definition) -> String {
        let list = definition.params.iter().map(|(k, v)| format!("{k}={v}"));
        list.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn mounts_come_with_what_they_need_and_take_it_back() {
        let mut d = Definition::new();
        assert!(mount("tmpfs", true).apply(&mut d));
        assert!(!mount("tmpfs", true).apply(&mut d));
        assert!(mount("nullfs", true).apply(&mut d));
        assert_eq!(
            shown(&d),
            "allow.mount=true allow.mount.nullfs=true allow.mount.tmpfs=true enforce_statfs=1"
        );
        assert!(mount("tmpfs", false).apply(&mut d));
        assert_eq!(
            shown(&d),
            "allow.mount=true allow.mount.nullfs=true enforce_statfs=1"
        );
        assert!(mount("nullfs", false).apply(&mut d));
        assert_eq!(d, Definition::new());
        assert!(!mount("zfs", false).apply(&mut d));
    }

    #[test]
    fn what_somebody_chose_stays() {
        let mut d = Definition::new();
        d.params.set("enforce_statfs", "0");
        d.params.set("allow.mount.procfs", true);
        d.params.set("allow.mount", true);
        let before = d.clone();
        assert!(mount("zfs", true).apply(&mut d));
        assert!(mount("zfs", false).apply(&mut d));
        assert_eq!(d, before);
    }

    #[test]
    fn messages_are_the_classic_ones() {
        let name = JailName::new("jail1").unwrap();
        let raw = |value: Option<ParamValue>| {
            change(What::Param {
                key: "allow.raw_sockets".to_owned(),
                value,
            })
        };
        for (change, done, already) in [
            (
                change(What::Manual(true)),
                "Successful set manual status on jail1",
                "Already set to manual status on. jail1",
            ),
            (
                change(What::Norun(false)),
                "Successful removed norun status jail1",
                "Already set to norun status off. jail1",
            ),
            (
                raw(Some(true.into())),
                "Successfully enabled allow.raw_sockets for jail1",
                "Already set to allow.raw_sockets on. jail1",
            ),
            (
                raw(None),
                "Successfully disabled allow.raw_sockets for jail1",
                "Already set to allow.raw_sockets off. jail1",
            ),
            (
                mount("zfs", true),
                "Successfully enabled zfs for jail1",
                "Already set to zfs on. jail1",
            ),
        ] {
            assert_eq!(change.message(&name, true), done);
            assert_eq!(change.message(&name, false), already);
        }
    }

    #[test]
    fn two_changes_of_one_parameter_contradict_each_other() {
        let statfs = change(What::Param {
            key: "enforce_statfs".to_owned(),
            value: None,
        });
        assert_eq!(
            mount("zfs", true).contradicts(&statfs).as_deref(),
            Some("enforce_statfs")
        );
        assert_eq!(mount("zfs", true).contradicts(&mount("tmpfs", false)), None);
        assert!(change(What::Manual(true)).contradicts(&statfs).is_none());
        assert!(statfs.contradicts(&statfs).is_some());
    }
}
