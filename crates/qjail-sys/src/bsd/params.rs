//! Parameters that this FreeBSD does not know, with the name that may be meant.

use qjail_model::{ParamValue, Params};

/// What jail(8) itself understands: jail(8), sections "Pseudo-Parameters" and "Jail Parameters" where the kernel does not
/// list them below `security.jail.param`.
const JAIL8: &[&str] = &[
    "command",
    "depend",
    "exec.clean",
    "exec.consolelog",
    "exec.created",
    "exec.fib",
    "exec.jail_user",
    "exec.poststart",
    "exec.poststop",
    "exec.prepare",
    "exec.prestart",
    "exec.prestop",
    "exec.release",
    "exec.start",
    "exec.stop",
    "exec.system_jail_user",
    "exec.system_user",
    "exec.timeout",
    "interface",
    "ip4.addr",
    "ip6.addr",
    "ip_hostname",
    "mount",
    "mount.devfs",
    "mount.fdescfs",
    "mount.fstab",
    "mount.procfs",
    "stop.timeout",
    "vnet.interface",
];

/// Parameters of kernels from 13.2 on, for suggestions; those of modules are known before the module is loaded.
const KERNEL: &[&str] = &[
    "allow.chflags",
    "allow.mlock",
    "allow.mount",
    "allow.mount.devfs",
    "allow.mount.fdescfs",
    "allow.mount.fusefs",
    "allow.mount.linprocfs",
    "allow.mount.linsysfs",
    "allow.mount.nullfs",
    "allow.mount.procfs",
    "allow.mount.tmpfs",
    "allow.mount.zfs",
    "allow.quotas",
    "allow.raw_sockets",
    "allow.read_msgbuf",
    "allow.reserved_ports",
    "allow.set_hostname",
    "allow.socket_af",
    "allow.suser",
    "allow.sysvipc",
    "allow.unprivileged_proc_debug",
    "allow.vmm",
    "children.max",
    "cpuset.id",
    "devfs_ruleset",
    "enforce_statfs",
    "host",
    "host.domainname",
    "host.hostid",
    "host.hostname",
    "host.hostuuid",
    "ip4",
    "ip4.saddrsel",
    "ip6",
    "ip6.saddrsel",
    "linux",
    "linux.osname",
    "linux.osrelease",
    "linux.oss_version",
    "osreldate",
    "osrelease",
    "path",
    "persist",
    "securelevel",
    "sysvmsg",
    "sysvsem",
    "sysvshm",
    "vnet",
    "zfs.mount_snapshot",
];

/// Of modules: not in the list of the kernel until the module is loaded, and jail(8) or the jail's start loads it.
const OF_MODULES: &[&str] = &["allow.mount.", "linux", "allow.vmm", "zfs."];

/// Parameters that can not be changed, or that qjail sets.
const NOT_TO_BE_SET: &[(&str, &str)] = &[
    ("name", "the jail's name is its own"),
    ("jid", "the kernel gives the number"),
    ("parent", "it can not be set"),
    ("dying", "it can not be set"),
    ("children.cur", "it can not be set"),
    ("mount.fstab", "the mounts of a jail are kept by qjail"),
    ("command", "use exec.start"),
    ("ip_hostname", "use ip4.addr and ip6.addr"),
];

/// Every parameter that this system can not carry out, with the reason. `kernel` tells whether the kernel lists a name
/// below `security.jail.param`.
pub(crate) fn refused(params: &Params, kernel: &dyn Fn(&str) -> bool) -> Vec<(String, String)> {
    params
        .iter()
        .filter_map(|(key, value)| reason(key, value, kernel).map(|why| (key.to_owned(), why)))
        .collect()
}

fn reason(key: &str, value: &ParamValue, kernel: &dyn Fn(&str) -> bool) -> Option<String> {
    if let Some((_, why)) = NOT_TO_BE_SET.iter().find(|(name, _)| *name == key) {
        return Some((*why).to_owned());
    }
    if key == "cpuset.id" && !is_cpu_list(value.as_text().unwrap_or_default()) {
        return Some(format!("`{value}` is not a list of processors, such as 0,2-3"));
    }
    let positive = positive(key);
    let known = |name: &str| JAIL8.contains(&name) || kernel(name) || of_module(name);
    if known(key) || positive.as_deref().is_some_and(known) {
        return None;
    }
    let hint = nearest(key)
        .map(|n| format!("; did you mean {n}?"))
        .unwrap_or_default();
    Some(format!("FreeBSD's jail(8) here does not know it{hint}"))
}

fn of_module(name: &str) -> bool {
    KERNEL.contains(&name) && OF_MODULES.iter().any(|m| name.starts_with(m))
}

/// `allow.nomount` without its negation.
fn positive(key: &str) -> Option<String> {
    let cut = key.rfind('.').map_or(0, |dot| dot + 1);
    key[cut..]
        .strip_prefix("no")
        .map(|rest| format!("{}{rest}", &key[..cut]))
}

/// cpuset(1) `-l`: numbers and ranges.
fn is_cpu_list(text: &str) -> bool {
    let number = |n: &str| !n.is_empty() && n.len() <= 4 && n.bytes().all(|b| b.is_ascii_digit());
    text.split(',').all(|part| {
        part.split_once('-')
            .map_or(number(part), |(a, b)| number(a) && number(b))
    })
}

/// The known name that differs least, if it differs little.
fn nearest(key: &str) -> Option<&'static str> {
    let all = JAIL8
        .iter()
        .chain(KERNEL)
        .filter(|n| NOT_TO_BE_SET.iter().all(|(no, _)| no != *n));
    let best = all.map(|name| (distance(key, name), *name)).min()?;
    (best.0 <= 1 + key.len() / 5).then_some(best.1)
}

/// How many characters to change, add or drop between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::{conf, golden};
    use super::*;

    /// `security.jail.param` of 13.2; a name that ends in a dot is a group that is a parameter itself.
    fn kernel_13_2(name: &str) -> bool {
        include_str!("../../fixtures/freebsd-13.2/sysctl-jail-param.txt")
            .lines()
            .any(|line| {
                let listed = line
                    .strip_prefix("security.jail.param.")
                    .unwrap()
                    .split(':')
                    .next()
                    .unwrap();
                listed.trim_end_matches('.') == name
            })
    }

    fn why(key: &str, value: impl Into<ParamValue>) -> Option<String> {
        let params: Params = [(key.to_owned(), value.into())].into_iter().collect();
        refused(&params, &kernel_13_2).pop().map(|(_, why)| why)
    }

    #[test]
    fn what_qjail_writes_is_known() {
        let spec = golden::spec(
            "a",
            &[
                ("ip4.addr", &["192.168.1.2"]),
                ("depend", &["b"]),
                ("vnet", &["new"]),
            ],
        );
        assert_eq!(refused(&spec.params, &kernel_13_2), []);
        let params = conf::basic(&spec).unwrap();
        assert_eq!(refused(&params, &kernel_13_2), []);
        for on in [
            "allow.raw_sockets",
            "allow.noset_hostname",
            "nopersist",
            "allow.mount.zfs",
            "linux",
            "vnet",
            "host",
        ] {
            assert_eq!(why(on, true), None, "{on}");
        }
        for (key, value) in [
            ("sysvshm", "new"),
            ("ip6", "inherit"),
            ("cpuset.id", "0,2-3"),
            ("securelevel", "2"),
        ] {
            assert_eq!(why(key, value), None, "{key}");
        }
    }

    #[test]
    fn what_a_later_release_has_is_refused_here() {
        assert!(why("allow.extattr", true).unwrap().contains("does not know it"));
        let later: &dyn Fn(&str) -> bool = &|name| name == "allow.extattr";
        let params: Params = [("allow.noextattr".to_owned(), true.into())]
            .into_iter()
            .collect();
        assert_eq!(refused(&params, later), []);
    }

    #[test]
    fn typing_errors_get_the_nearest_name() {
        for (wrong, right) in [
            ("allow.raw_socket", "allow.raw_sockets"),
            ("exec.stat", "exec.start"),
            ("sysvsm", "sysvsem"),
            ("stop.timout", "stop.timeout"),
            ("host.hostnam", "host.hostname"),
        ] {
            assert!(
                why(wrong, "1")
                    .unwrap()
                    .ends_with(&format!("did you mean {right}?")),
                "{wrong}"
            );
        }
        assert!(!why("frobnicate.everything", "1").unwrap().contains("mean"));
    }

    #[test]
    fn not_for_the_user() {
        assert!(why("name", "x").unwrap().contains("own"));
        assert!(
            why("mount.fstab", "/etc/fstab")
                .unwrap()
                .contains("kept by qjail")
        );
        for bad in ["", "a", "0-", "-1", "0;reboot", "0 1", "00000"] {
            assert!(
                why("cpuset.id", bad).unwrap().contains("list of processors"),
                "{bad}"
            );
        }
        assert!(why("cpuset.id", true).is_some());
    }

    #[test]
    fn distances() {
        for (a, b, n) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), n, "{a} {b}");
        }
    }
}
