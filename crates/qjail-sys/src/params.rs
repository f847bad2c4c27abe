//! Which parameters of jail(8) Linux carries out, and why it refuses the others: one table.

use std::collections::BTreeSet;

use qjail_model::{ParamValue, Params};

/// Why there is no rc.conf(5) to read or change.
pub(crate) const NO_RC_CONF: &str = "there is no rc.conf on Linux";

/// Whether the jail has a network stack of its own (`vnet`).
pub(crate) fn is_vnet(params: &Params) -> bool {
    params.is_on("vnet") || params.text("vnet") == Some("new")
}

/// What Linux does with a parameter.
enum Rule {
    /// It is carried out, or is the harmless default of both systems, whatever its value.
    Any,
    /// It is carried out with these values; the reason to refuse others.
    Only(&'static [&'static str], &'static str),
    /// A switch that is carried out, on or off.
    Switch,
    /// A switch that must be off; the reason to refuse it on.
    Off(&'static str),
    /// `disable`, `new` or `inherit`.
    Ipc,
    /// A list of processors.
    Processors,
    /// A whole number of seconds.
    Seconds,
    /// At most 64 characters, see sethostname(2).
    HostName,
}

/// The kinds of System V objects.
const IPC: [&str; 3] = ["sysvshm", "sysvsem", "sysvmsg"];

const NO_FILE_SYSTEMS: &str = "a jail can not mount file systems on Linux";
const NO_COUNTERPART: &str = "Linux has no counterpart";
const ADDRESSES_RULE: &str = "on Linux a jail has exactly the addresses of ip4.addr and ip6.addr";

/// Names without the negation (`allow.noraw_sockets`), in the order of jail(8).
const TABLE: &[(&str, Rule)] = &[
    ("path", Rule::Any),
    (
        "host",
        Rule::Only(&["new"], "a jail has a host name of its own on Linux"),
    ),
    ("host.hostname", Rule::HostName),
    ("interface", Rule::Any),
    ("ip4.addr", Rule::Any),
    ("ip6.addr", Rule::Any),
    ("ip4", Rule::Only(&["new"], ADDRESSES_RULE)),
    ("ip6", Rule::Only(&["new"], ADDRESSES_RULE)),
    ("ip4.saddrsel", Rule::Switch),
    ("ip6.saddrsel", Rule::Switch),
    (
        "vnet",
        Rule::Only(
            &["new", "true", "1", "inherit", "disable", "false", "0"],
            "it is `new` or `inherit`",
        ),
    ),
    (
        "vnet.interface",
        Rule::Only(
            &[],
            "on Linux the interface of a jail with a network stack is made at its start; `interface` names the bridge or \
             the network card that it is connected to",
        ),
    ),
    ("exec.start", Rule::Any),
    ("exec.stop", Rule::Any),
    ("exec.timeout", Rule::Seconds),
    (
        "exec.clean",
        Rule::Only(
            &["true", "1"],
            "a jail never gets the environment of the host on Linux",
        ),
    ),
    (
        "exec.consolelog",
        Rule::Only(
            &[],
            "the console log is qjail's own, /var/log/qjail.NAME.console.log",
        ),
    ),
    (
        "exec.fib",
        Rule::Only(&["0"], "Linux has no routing table of that number for a jail"),
    ),
    (
        "exec.prestart",
        Rule::Only(&[], "commands on the host are not run on Linux"),
    ),
    (
        "exec.prepare",
        Rule::Only(&[], "commands on the host are not run on Linux"),
    ),
    (
        "exec.created",
        Rule::Only(&[], "commands on the host are not run on Linux"),
    ),
    (
        "exec.poststart",
        Rule::Only(&[], "commands on the host are not run on Linux"),
    ),
    (
        "exec.prestop",
        Rule::Only(&[], "commands on the host are not run on Linux"),
    ),
    (
        "exec.poststop",
        Rule::Only(&[], "commands on the host are not run on Linux"),
    ),
    (
        "exec.release",
        Rule::Only(&[], "commands on the host are not run on Linux"),
    ),
    (
        "exec.jail_user",
        Rule::Only(&["root"], "exec.start runs as root on Linux"),
    ),
    (
        "exec.system_user",
        Rule::Only(&["root"], "commands on the host are not run on Linux"),
    ),
    (
        "exec.system_jail_user",
        Rule::Off("users are those of the jail on Linux"),
    ),
    ("stop.timeout", Rule::Seconds),
    ("persist", Rule::Switch),
    ("depend", Rule::Any),
    (
        "devfs_ruleset",
        Rule::Only(
            &["4", "5"],
            "Linux has no rules for devices; a jail always has the harmless ones only",
        ),
    ),
    ("mount.devfs", Rule::Switch),
    ("mount.fdescfs", Rule::Switch),
    ("mount.procfs", Rule::Switch),
    (
        "mount",
        Rule::Only(&[], "what is mounted below a jail is not a parameter on Linux"),
    ),
    (
        "mount.fstab",
        Rule::Only(&[], "what is mounted below a jail is not a parameter on Linux"),
    ),
    ("enforce_statfs", Rule::Any),
    ("securelevel", Rule::Only(&["-1"], "Linux has no secure levels")),
    (
        "children.max",
        Rule::Only(&["0"], "there are no jails inside jails on Linux"),
    ),
    ("cpuset.id", Rule::Processors),
    (
        "osrelease",
        Rule::Only(&[], "Linux does not let a jail have another version"),
    ),
    (
        "osreldate",
        Rule::Only(&[], "Linux does not let a jail have another version"),
    ),
    ("host.domainname", Rule::Only(&[], "not available on Linux")),
    ("host.hostid", Rule::Only(&[], NO_COUNTERPART)),
    ("host.hostuuid", Rule::Only(&[], NO_COUNTERPART)),
    ("sysvshm", Rule::Ipc),
    ("sysvsem", Rule::Ipc),
    ("sysvmsg", Rule::Ipc),
    (
        "linux",
        Rule::Only(&["disable"], "a jail's programs are Linux programs already"),
    ),
    ("allow.raw_sockets", Rule::Switch),
    // Both systems let the root of a jail name it and open ports below 1024, and this runtime always does.
    ("allow.set_hostname", Rule::Switch),
    ("allow.reserved_ports", Rule::Switch),
    ("allow.suser", Rule::Switch),
    ("allow.unprivileged_proc_debug", Rule::Switch),
    ("allow.sysvipc", Rule::Off("use sysvshm, sysvsem and sysvmsg")),
    (
        "allow.chflags",
        Rule::Off("Linux has no file flags that a jail may change"),
    ),
    (
        "allow.mlock",
        Rule::Off("a jail can not lock memory beyond its limit on Linux"),
    ),
    (
        "allow.nfsd",
        Rule::Off("a jail can not be an NFS server on Linux"),
    ),
    (
        "allow.quotas",
        Rule::Off("quotas of the host are not for jails on Linux"),
    ),
    (
        "allow.read_msgbuf",
        Rule::Off("a jail never sees the kernel's messages on Linux"),
    ),
    (
        "allow.routing",
        Rule::Off("a jail's routes are set by qjail on Linux"),
    ),
    ("allow.setaudit", Rule::Off(NO_COUNTERPART)),
    (
        "allow.settime",
        Rule::Off("the clock belongs to the host on Linux"),
    ),
    (
        "allow.socket_af",
        Rule::Off("only the usual address families are for jails on Linux"),
    ),
    (
        "allow.extattr",
        Rule::Off("system attributes of files belong to the host on Linux"),
    ),
    (
        "allow.adjtime",
        Rule::Off("the clock belongs to the host on Linux"),
    ),
    (
        "allow.vmm",
        Rule::Off("a jail can not run virtual machines on Linux"),
    ),
];

/// Parameters that Linux can not carry out, with the reason for each.
pub(crate) fn refused_by_linux(params: &Params) -> Vec<(String, String)> {
    let alone = params
        .iter()
        .filter_map(|(key, value)| refusal(key, value).map(|why| (key.to_owned(), why)));
    alone.chain(mixed_ipc(params)).collect()
}

/// The three kinds of System V objects live in one namespace; what is off is off by itself.
fn mixed_ipc(params: &Params) -> Option<(String, String)> {
    let with = |value| IPC.into_iter().find(|key| params.text(key) == Some(value));
    let (own, shared) = (with("new")?, with("inherit")?);
    let why = format!("can not be `new` while {shared} is `inherit`: on Linux they are one namespace");
    Some((own.to_owned(), why))
}

fn refusal(key: &str, value: &ParamValue) -> Option<String> {
    let (name, value) = positive(key, value);
    if let Some((_, rule)) = TABLE.iter().find(|(n, _)| *n == name) {
        return rule.refusal(&value);
    }
    if name.starts_with("allow.mount") {
        return Rule::Off(NO_FILE_SYSTEMS).refusal(&value);
    }
    if name == "zfs" || name.starts_with("zfs.") {
        return Some(NO_FILE_SYSTEMS.to_owned());
    }
    Some("this parameter is not known on Linux".to_owned())
}

/// `allow.nomount = true` is `allow.mount = false`; jail(8) writes the negation before the last word.
fn positive(key: &str, value: &ParamValue) -> (String, ParamValue) {
    let listed = |name: &str| TABLE.iter().any(|(n, _)| *n == name);
    let (head, last) = key.rsplit_once('.').map_or((None, key), |(h, l)| (Some(h), l));
    let name = last
        .strip_prefix("no")
        .map(|l| head.map_or(l.to_owned(), |h| format!("{h}.{l}")));
    match (name, value.as_bool()) {
        (Some(name), Some(on)) if !listed(key) && (listed(&name) || name.starts_with("allow.mount")) => {
            (name, ParamValue::Bool(!on))
        }
        _ => (key.to_owned(), value.clone()),
    }
}

impl Rule {
    fn refusal(&self, value: &ParamValue) -> Option<String> {
        let text = value.to_string();
        match self {
            Self::Any => None,
            Self::Only(good, why) => (!good.contains(&text.as_str())).then(|| (*why).to_owned()),
            Self::Switch => value
                .as_bool()
                .is_none()
                .then(|| format!("`{text}` is neither true nor false")),
            Self::Off(why) => (value.as_bool() != Some(false)).then(|| (*why).to_owned()),
            Self::Ipc => {
                let good = ["disable", "new", "inherit"].contains(&text.as_str());
                (!good).then(|| format!("`{text}` is none of disable, new, inherit"))
            }
            Self::Processors => processors(&text)
                .is_none()
                .then(|| format!("`{text}` is not a list of processors, such as 0,2-3")),
            Self::HostName => (text.len() > 64).then(|| "Linux takes 64 characters at most".to_owned()),
            Self::Seconds => text
                .parse::<u32>()
                .is_err()
                .then(|| format!("`{text}` is not a number of seconds")),
        }
    }
}

/// `0,2-3`: the processors of a list, as cpuset(1) and cpuset(7) read it.
pub(crate) fn processors(list: &str) -> Option<BTreeSet<u32>> {
    /// More than any kernel counts.
    const MOST: u32 = 65_535;
    let number = |digits: &str| -> Option<u32> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain
            .then(|| digits.parse().ok())
            .flatten()
            .filter(|n| *n <= MOST)
    };
    let mut all = BTreeSet::new();
    let mut left = 16 * MOST;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        // Whoever names ranges again and again is not to keep us busy.
        left = left.checked_sub(last.checked_sub(first)?)?;
        all.extend(first..=last);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: &str, value: impl Into<ParamValue>) -> Option<String> {
        let params: Params = [(key.to_owned(), value.into())].into_iter().collect();
        refused_by_linux(&params)
            .into_iter()
            .map(|(k, why)| format!("{k}: {why}"))
            .next()
    }

    #[test]
    fn what_a_plain_jail_has_is_accepted() {
        for (key, value) in [
            ("host.hostname", "jail1"),
            ("path", "/usr/jails/jail1"),
            ("interface", "lo1"),
            ("ip4.addr", "192.168.1.2"),
            ("ip6.addr", "lo1|fd00::2/64"),
            ("exec.start", "/bin/sh /etc/rc"),
            ("exec.timeout", "30"),
            ("stop.timeout", "0"),
            ("devfs_ruleset", "4"),
            ("securelevel", "-1"),
            ("exec.fib", "0"),
            ("enforce_statfs", "2"),
            ("sysvshm", "new"),
            ("sysvsem", "inherit"),
            ("children.max", "0"),
            ("vnet", "inherit"),
            ("vnet", "new"),
            ("cpuset.id", "0,2-3"),
        ] {
            assert_eq!(refused(key, value), None, "{key}");
        }
        for on in [
            "allow.raw_sockets",
            "allow.set_hostname",
            "allow.reserved_ports",
            "persist",
            "mount.devfs",
            "exec.clean",
        ] {
            assert_eq!(refused(on, true), None, "{on}");
        }
    }

    #[test]
    fn off_is_accepted_in_either_spelling() {
        for off in ["allow.mount", "allow.mount.zfs", "allow.quotas", "allow.chflags"] {
            assert_eq!(refused(off, false), None, "{off}");
            assert!(refused(off, true).unwrap().starts_with(off), "{off}");
        }
        for negated in [
            "allow.nomount",
            "allow.mount.nozfs",
            "allow.noquotas",
            "allow.noraw_sockets",
            "nopersist",
        ] {
            assert_eq!(refused(negated, true), None, "{negated}");
        }
        assert!(refused("allow.noquotas", false).is_some());
    }

    #[test]
    fn the_rest_is_refused_by_name_with_a_reason() {
        for (key, value, why) in [
            ("devfs_ruleset", "70", "devices"),
            ("securelevel", "2", "secure levels"),
            ("exec.fib", "1", "routing table"),
            ("exec.prestart", "reboot", "on the host"),
            ("osrelease", "14.0-RELEASE", "version"),
            ("vnet", "yes", "`new` or `inherit`"),
            ("vnet.interface", "eth1", "`interface` names"),
            ("ip4", "inherit", "exactly the addresses"),
            ("children.max", "5", "jails inside jails"),
            ("cpuset.id", "3-1", "list of processors"),
            ("cpuset.id", "", "list of processors"),
            ("cpuset.id", "0,,1", "list of processors"),
            ("cpuset.id", &"0-65535,".repeat(20)[..159], "list of processors"),
            ("cpuset.id", "99999999", "list of processors"),
            ("sysvshm", "yes", "disable, new, inherit"),
            ("stop.timeout", "soon", "number of seconds"),
            ("zfs.mount_snapshot", "1", "file systems"),
            ("frobnicate", "1", "not known"),
            ("allow.raw_sockets", "maybe", "true nor false"),
            ("host.hostname", &*"h".repeat(65), "64 characters"),
        ] {
            let text = refused(key, value).unwrap_or_default();
            assert!(text.starts_with(key) && text.contains(why), "{key}: {text}");
        }
    }

    #[test]
    fn the_kinds_of_system_v_objects_are_new_together_or_shared_together() {
        let of = |values: [&str; 3]| {
            let params: Params = IPC
                .map(str::to_owned)
                .into_iter()
                .zip(values.map(ParamValue::from))
                .collect();
            refused_by_linux(&params)
        };
        for good in [
            ["new"; 3],
            ["inherit"; 3],
            ["new", "disable", "new"],
            ["disable", "inherit", "disable"],
        ] {
            assert_eq!(of(good), [], "{good:?}");
        }
        let refused = of(["inherit", "disable", "new"]);
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].0, "sysvmsg");
        assert!(refused[0].1.contains("sysvshm is `inherit`"), "{refused:?}");
    }

    #[test]
    fn names_stand_once() {
        for (at, (name, _)) in TABLE.iter().enumerate() {
            assert!(Params::check(name, &true.into()).is_ok(), "{name}");
            assert!(!TABLE[..at].iter().any(|(n, _)| n == name), "{name} twice");
        }
    }
}
