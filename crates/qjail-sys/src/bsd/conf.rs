//! From a [`JailSpec`] to the jail.conf(5) that jail(8) starts it with, and back.

use qjail_model::{AddrSpec, JailName, LimitChange, ParamValue, Params};

use super::command::{Invocation, JAIL};
use super::prepare::Strict;
use super::usage::RCTL;
use super::vnet;
use crate::{Interface, JailSpec, Result, SysError, addresses};

/// What the text below the first line of every file says.
const COMMENT: &str = "Works without qjail too: jail -f THIS-FILE -c NAME, jail -f THIS-FILE -r NAME.";

/// Parameters that are not for the file: its addresses name their interfaces, one file knows no other jail, and
/// jail(8) does not set `cpuset.id`.
const NOT_IN_THE_FILE: [&str; 3] = ["interface", "depend", "cpuset.id"];

/// `jail -f FILE -c NAME`.
pub(crate) fn create(file: &str, name: &str) -> Invocation {
    Invocation::new(JAIL, &["-f", file, "-c", name])
}

/// `jail -f FILE -r NAME`: without its file jail(8) leaves addresses and mounts behind.
pub(crate) fn remove(file: &str, name: &str) -> Invocation {
    Invocation::new(JAIL, &["-f", file, "-r", name])
}

/// All parameters of the file but addresses and what is made for vnet.
///
/// # Errors
/// A path that jail(8) would take apart.
pub(crate) fn basic(spec: &JailSpec) -> Result<Params> {
    let mut params = spec.params.clone();
    let processors = params.text("cpuset.id").map(str::to_owned);
    for key in NOT_IN_THE_FILE {
        params.unset(key);
    }
    params.set("path", text(spec, &spec.path)?);
    for (key, value) in [("exec.clean", true), ("mount.devfs", true), ("persist", true)] {
        params.set_default(key, value);
    }
    if vnet::is_vnet(&params) && params.text("devfs_ruleset") == Some("4") {
        params.unset("devfs_ruleset");
    }
    params.set_default("devfs_ruleset", if vnet::is_vnet(&params) { "5" } else { "4" });
    if let Some(log) = &spec.console_log {
        params.set("exec.consolelog", text(spec, log)?);
    }
    let own = own_mounts(spec)?;
    if !(spec.mounts.is_empty() && own.is_empty()) {
        params.set("mount", [mounts(spec)?, own].concat());
    }
    let limits: Vec<_> = spec.limits.iter().filter_map(|l| rule(&spec.name, l)).collect();
    if !limits.is_empty() {
        let add = limits
            .iter()
            .map(|(filter, value)| format!("{RCTL} -a {filter}={value}"));
        prepend(&mut params, "exec.created", add.collect());
        // What was taken away already is no failure.
        let remove = limits
            .iter()
            .map(|(filter, _)| format!("{RCTL} -r {filter} || :"));
        prepend(&mut params, "exec.poststop", remove.collect());
    }
    if let Some(list) = processors {
        prepend(
            &mut params,
            "exec.created",
            vec![format!("/usr/bin/cpuset -l {list} -j {}", spec.name)],
        );
    }
    Ok(params)
}

/// The rules of rctl(8) about a jail that its file adds, each without its amount. Others are the administrator's.
pub(crate) fn rules(name: &str, params: &Params) -> Vec<String> {
    let (add, own) = (format!("{RCTL} -a "), format!("jail:{name}:"));
    let commands = params.list("exec.created").into_iter();
    let rules = commands.filter_map(|c| Some(c.strip_prefix(&add)?.split_once('=')?.0.to_owned()));
    rules.filter(|rule| rule.starts_with(&own)).collect()
}

/// A limit as a rule of rctl(8): what it is about, and the amount.
fn rule(jail: &str, limit: LimitChange) -> Option<(String, String)> {
    let (resource, amount) = match limit {
        LimitChange::Memory(size) => ("memoryuse", size?.to_string()),
        LimitChange::Pids(count) => ("maxproc", count?.to_string()),
        LimitChange::Cpu(share) => ("pcpu", share?.get().to_string()),
    };
    Some((format!("jail:{jail}:{resource}:deny"), amount))
}

/// The parameters of a jail that shares the network of the host.
///
/// # Errors
/// As [`basic`]; an address without an interface. For a start also an interface that does not exist, or an address
/// that another one has.
pub(crate) fn shared(spec: &JailSpec, interfaces: &[Interface], strict: Strict) -> Result<Params> {
    let mut params = basic(spec)?;
    let mut list = [Vec::new(), Vec::new()];
    for (interface, address) in addresses::of_jail(&spec.name, &spec.params)? {
        if strict == Strict::Yes {
            check_address(&spec.name, &interface, &address, interfaces)?;
        }
        let text = address_text(&interface, &address, interfaces);
        list[usize::from(address.addr.is_ipv6())].push(text);
    }
    for (key, list) in ["ip4.addr", "ip6.addr"].into_iter().zip(list) {
        params.unset(key);
        if !list.is_empty() {
            params.set(key, list);
        }
    }
    Ok(params)
}

fn has(interface: &Interface, address: &AddrSpec) -> bool {
    interface.addresses.iter().any(|n| n.addr == address.addr)
}

/// Refuses an interface that is missing, and an address that another interface has.
fn check_address(jail: &str, interface: &str, address: &AddrSpec, all: &[Interface]) -> Result<()> {
    let Some(wanted) = all.iter().find(|i| i.name == interface) else {
        return Err(addresses::no_interface(jail, interface));
    };
    match all.iter().find(|i| has(i, address)) {
        Some(other) if !has(wanted, address) => {
            let why = format!("{} is an address of {}", address.addr, other.name);
            Err(SysError::new(format!("connect {jail} to {interface}"), why)
                .hint("give one of the two another address"))
        }
        _ => Ok(()),
    }
}

/// One address: `IF|ADDR/LEN`, which jail(8) adds and removes; `ADDR` alone where the host has it there already. Adding it
/// once more would change the host's netmask, and removing it would take the address from the host.
fn address_text(interface: &str, address: &AddrSpec, all: &[Interface]) -> String {
    if all.iter().any(|i| i.name == interface && has(i, address)) {
        return address.addr.to_string();
    }
    let len = address
        .len
        .unwrap_or(if address.addr.is_ipv4() { 32 } else { 128 });
    format!("{interface}|{}/{len}", address.addr)
}

fn mounts(spec: &JailSpec) -> Result<Vec<String>> {
    let line = |m: &crate::MountSpec| {
        let how = if m.read_only { "ro" } else { "rw" };
        let target = spec.path.join(m.target.trim_start_matches('/'));
        Ok(format!(
            "{} {} nullfs {how} 0 0",
            text(spec, &m.source)?,
            text(spec, &target)?
        ))
    };
    spec.mounts.iter().map(line).collect()
}

/// The administrator's own lines of fstab(5), mounted after the shared base. What is not below the jail's directory would
/// not be taken away with the jail.
fn own_mounts(spec: &JailSpec) -> Result<Vec<String>> {
    let lines = spec.params.list("mount");
    for line in &lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, target, _, _, ..] = words[..] else {
            return Err(
                SysError::new(format!("mount `{line}`"), "it is no line of fstab(5)")
                    .hint("SOURCE TARGET TYPE OPTIONS 0 0, as in /data /usr/jails/NAME/data nullfs rw 0 0"),
            );
        };
        // As text: jail(8) looks for links on the way only if the text begins with the jail's path.
        let root = format!("{}/", spec.path.display());
        let below = target.strip_prefix(&root);
        if below.is_none_or(|b| b.split('/').any(|part| ["", ".", ".."].contains(&part))) {
            return Err(SysError::new(
                format!("mount `{line}`"),
                format!("{target} is not below {}", spec.path.display()),
            )
            .hint("the second word is a path on the host, of a directory in the jail"));
        }
    }
    Ok(lines)
}

/// jail(8) splits mounts at white space, and knows no other spelling of it.
fn text(spec: &JailSpec, path: &std::path::Path) -> Result<String> {
    let fail = |why: &str| {
        Err(SysError::new(
            format!("start {}", spec.name),
            format!("{}: {why}", path.display()),
        ))
    };
    match path.to_str() {
        None => fail("the path is not text, which jail(8) needs"),
        Some(text) if !text.starts_with('/') => fail("the path is not absolute"),
        Some(text) if text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            fail("the path contains white space, which jail(8) can not mount")
        }
        Some(text) if text.split('/').any(|part| part == "..") => fail("the path contains `..`"),
        Some(text) => Ok(text.to_owned()),
    }
}

/// Puts `first` before the commands that a parameter has.
pub(crate) fn prepend(params: &mut Params, key: &str, mut first: Vec<String>) {
    first.extend(params.list(key));
    params.set(key, first);
}

/// The text of the file.
///
/// # Errors
/// A name or parameter that jail.conf(5) can not hold.
pub(crate) fn render(name: &str, params: &Params) -> Result<String> {
    let fail = |why: String| SysError::new(format!("write the jail.conf of {name}"), why);
    let checked = JailName::new(name).map_err(|e| fail(e.to_string()))?;
    qjail_jailconf::write(&checked, &positive(params), COMMENT).map_err(|e| fail(e.to_string()))
}

/// `allow.noraw_sockets = true` as `allow.raw_sockets = false`: the writer spells negations itself.
fn positive(params: &Params) -> Params {
    let flip = |(key, value): (&str, &ParamValue)| {
        let cut = key.rfind('.').map_or(0, |dot| dot + 1);
        match (key[cut..].strip_prefix("no"), value.as_bool()) {
            (Some(rest), Some(on)) => (format!("{}{rest}", &key[..cut]), ParamValue::Bool(!on)),
            _ => (key.to_owned(), value.clone()),
        }
    };
    params.iter().map(flip).collect()
}

/// The parameters that a jail was started with, from its file.
///
/// # Errors
/// The file is none of ours.
pub(crate) fn parse(name: &str, text: &str) -> Result<Params> {
    let fail = |why: String| SysError::new(format!("read the jail.conf of {name}"), why);
    let blocks = qjail_jailconf::read("jail.conf", text, qjail_jailconf::no_includes)
        .map_err(|e| fail(e.to_string()))?;
    let found = blocks.into_iter().find(|b| b.name == name).map(|b| b.params);
    found.ok_or_else(|| fail("the jail is not in it".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::super::golden;
    use super::*;

    #[test]
    fn the_jails_of_the_chapter() {
        let hosts = golden::interfaces();
        for (jail, address) in [("jail1", "192.168.1.1"), ("jail2", "192.168.1.2")] {
            let params = shared(
                &golden::spec(jail, &[("ip4.addr", &[address])]),
                &hosts,
                Strict::Yes,
            )
            .unwrap();
            golden::check(&format!("{jail}.conf"), &render(jail, &params).unwrap());
        }
    }

    #[test]
    fn everything_that_a_jail_can_have() {
        let mut spec = golden::spec(
            "full",
            &[
                (
                    "ip4.addr",
                    &["192.168.1.3", "em0|192.0.2.10", "em0|192.0.2.20/28"],
                ),
                ("ip6.addr", &["fd00::2"]),
            ],
        );
        for (key, value) in [
            ("securelevel", "2"),
            ("cpuset.id", "0-1"),
            ("exec.fib", "1"),
            ("sysvshm", "new"),
            ("sysvsem", "new"),
            ("sysvmsg", "new"),
            ("devfs_ruleset", "61"),
            ("enforce_statfs", "1"),
            ("depend", "jail1"),
            ("exec.created", "/usr/bin/true"),
        ] {
            spec.params.set(key, value);
        }
        for key in [
            "allow.raw_sockets",
            "allow.quotas",
            "allow.mount",
            "allow.mount.nullfs",
            "allow.noset_hostname",
        ] {
            spec.params.set(key, true);
        }
        spec.params.set("persist", false);
        let params = shared(&spec, &golden::interfaces(), Strict::Yes).unwrap();
        let text = render("full", &params).unwrap();
        golden::check("full.conf", &text);
        assert_eq!(
            parse("full", &text).unwrap(),
            positive(&params).iter().map(one_is_text).collect()
        );
    }

    /// The reader takes a list of one for a text.
    fn one_is_text((key, value): (&str, &ParamValue)) -> (String, ParamValue) {
        let value = value
            .as_text()
            .map_or_else(|| value.clone(), |t| ParamValue::Text(t.to_owned()));
        (key.to_owned(), value)
    }

    #[test]
    fn limits_are_rules_of_rctl_that_go_with_the_jail() {
        let mut spec = golden::spec("limited", &[("exec.poststop", &["/usr/bin/true"])]);
        for limit in ["memory=512m", "pids=200", "cpu=50%"] {
            spec.limits.apply(limit.parse().unwrap());
        }
        let params = shared(&spec, &golden::interfaces(), Strict::Yes).unwrap();
        golden::check("limited.conf", &render("limited", &params).unwrap());
    }

    #[test]
    fn the_host_keeps_its_address() {
        let text = |address: &str| {
            let spec = golden::spec("a", &[("ip4.addr", &[address])]);
            shared(&spec, &golden::interfaces(), Strict::Yes)
                .map(|p| p.list("ip4.addr").join(" "))
                .map_err(|e| e.to_string())
        };
        assert_eq!(text("192.168.1.1").unwrap(), "192.168.1.1");
        assert_eq!(text("lo1|192.168.1.1/32").unwrap(), "192.168.1.1");
        assert_eq!(text("192.168.1.2").unwrap(), "lo1|192.168.1.2/32");
        assert_eq!(text("lo1|192.168.1.2/28").unwrap(), "lo1|192.168.1.2/28");
        assert_eq!(
            text("192.0.2.10").unwrap_err(),
            "connect a to lo1: 192.0.2.10 is an address of em0"
        );
        assert!(
            text("lo7|10.0.0.1")
                .unwrap_err()
                .contains("connect a to lo7: there is no such interface")
        );
    }

    #[test]
    fn the_file_of_a_jail_that_is_only_made_bears_with_the_host() {
        let spec = golden::spec("a", &[("ip4.addr", &["192.0.2.10", "lo7|10.0.0.1/24"])]);
        let params = shared(&spec, &golden::interfaces(), Strict::No).unwrap();
        assert_eq!(params.list("ip4.addr"), ["lo1|192.0.2.10/32", "lo7|10.0.0.1/24"]);
    }

    #[test]
    fn what_jail_would_take_apart_is_refused() {
        for (path, why) in [
            ("/usr/my jails/a", "white space"),
            ("jails/a", "not absolute"),
            ("/usr/jails/../etc", "`..`"),
        ] {
            let mut spec = golden::spec("a", &[]);
            spec.path = path.into();
            assert!(basic(&spec).unwrap_err().to_string().contains(why), "{path}");
            let mut spec = golden::spec("a", &[]);
            spec.mounts[0].source = path.into();
            assert!(basic(&spec).unwrap_err().to_string().contains(why), "{path}");
        }
        let mut spec = golden::spec("a", &[]);
        spec.path = OsString::from_vec(b"/usr/jails/\xff".to_vec()).into();
        assert!(basic(&spec).unwrap_err().to_string().contains("is not text"));
        let mut spec = golden::spec("a", &[]);
        spec.mounts[0].target = "../../etc".into();
        assert!(basic(&spec).unwrap_err().to_string().contains("`..`"));
        assert!(
            render("no.name", &Params::new())
                .unwrap_err()
                .to_string()
                .contains("no.name")
        );
        assert!(
            parse("b", "a {\n}\n")
                .unwrap_err()
                .to_string()
                .contains("not in it")
        );
        assert!(parse("a", "a {").is_err());
    }

    #[test]
    fn jail_is_always_called_with_the_file() {
        assert_eq!(create("/f", "a").to_string(), "/usr/sbin/jail -f /f -c a");
        assert_eq!(remove("/f", "a").to_string(), "/usr/sbin/jail -f /f -r a");
    }
}
