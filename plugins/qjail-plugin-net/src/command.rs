//! `net create`, `net list`, `net delete`.

use std::collections::BTreeSet;
use std::path::Path;

use qjail_plugin_api::model::Network;
use qjail_plugin_api::{CommandReply, CommandRequest, Host, Output, Plan, PluginError, RcChange, Step};
use serde_json::{Value, json};

use crate::settings::{self, Declared};
use crate::world::{World, overlap};

/// Where rc.conf(5) is read from, the later file wins.
const RC_FILES: [&str; 2] = ["/etc/rc.conf", "/etc/rc.conf.local"];

/// `net create IF ADDR/LEN…`
pub(crate) fn create(host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
    let name = request.options.text("interface").unwrap_or_default().to_owned();
    let addresses = networks(&request.options.list("networks"))?;
    let world = World::look(host, &request.context)?;
    check_name(&world, &name)?;
    for (i, network) in addresses.iter().enumerate() {
        check_network(&world, network, &addresses[..i])?;
    }
    let rc = if world.freebsd {
        aliases(&name, &addresses, &rc_text())
    } else {
        Vec::new()
    };
    let declared = Declared {
        addresses: addresses.clone(),
        rc: rc.iter().map(|(v, _)| v.clone()).collect(),
    };
    let mut steps = Vec::new();
    if world.freebsd {
        steps.push(rc_conf("cloned_interfaces", RcChange::Add(name.clone())));
        steps.extend(rc.iter().map(|(v, text)| rc_conf(v, RcChange::Set(text.clone()))));
    }
    steps.push(Step::EnsureInterface {
        name: name.clone(),
        addresses: addresses.clone(),
    });
    let note = format!("Network {name} is up with {}", texts(&addresses).join(", "));
    let commit = vec![Step::Setting {
        path: settings::path(&name),
        value: Some(settings::value(&declared)?),
    }];
    Ok(CommandReply {
        plan: Plan {
            steps,
            commit,
            notes: vec![note],
            ..Plan::default()
        },
        output: None,
    })
}

/// `net list`
pub(crate) fn list(host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
    let world = World::look(host, &request.context)?;
    let mut rows = Vec::new();
    let mut data = Vec::new();
    for (name, declared) in &world.declared {
        let state = match world.interface(name) {
            None => "missing",
            Some(i) if !i.up => "down",
            Some(_) => "up",
        };
        let (addresses, jails) = (texts(&declared.addresses), world.users(name));
        rows.push(vec![
            name.clone(),
            addresses.join(","),
            state.to_owned(),
            jails.len().to_string(),
        ]);
        data.push(json!({ "interface": name, "addresses": addresses, "state": state, "jails": jails }));
    }
    let columns = ["IF", "ADDRESS", "STATE", "JAILS"].map(str::to_owned).to_vec();
    let output = Output {
        columns,
        rows,
        data: Value::Array(data),
    };
    Ok(CommandReply {
        plan: Plan::default(),
        output: Some(output),
    })
}

/// `net delete IF`
pub(crate) fn delete(host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
    let name = request.options.text("interface").unwrap_or_default().to_owned();
    let world = World::look(host, &request.context)?;
    let Some(declared) = world.declared.get(&name) else {
        let hint = "qjail net list shows the networks; interfaces that qjail did not make are not removed";
        return Err(PluginError::new(format!("{name} is no network of qjail")).hint(hint));
    };
    let users = world.users(&name);
    if !users.is_empty() {
        let message = format!("network {name} is used by {}", some(&users));
        return Err(PluginError::new(message).hint("delete these jails first"));
    }
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    if world.freebsd {
        steps.push(rc_conf("cloned_interfaces", RcChange::Remove(name.clone())));
        let (wrote, changed) = ours(&name, declared, &rc_text());
        steps.extend(wrote.into_iter().map(|v| rc_conf(v, RcChange::Unset)));
        let stays = |v: &String| format!("{v} in rc.conf is not as qjail wrote it, and stays");
        warnings.extend(changed.into_iter().map(stays));
    }
    steps.push(Step::RemoveInterface {
        name: name.clone(),
        addresses: declared.addresses.clone(),
    });
    let commit = vec![Step::Setting {
        path: settings::path(&name),
        value: None,
    }];
    let notes = vec![format!("Network {name} is removed")];
    Ok(CommandReply {
        plan: Plan {
            steps,
            commit,
            notes,
            warnings,
            ..Plan::default()
        },
        output: None,
    })
}

fn check_name(world: &World, name: &str) -> Result<(), PluginError> {
    if let Some(declared) = world.declared.get(name) {
        let message = format!(
            "there is a network {name} already: {}",
            texts(&declared.addresses).join(", ")
        );
        return Err(PluginError::new(message).hint(format!(
            "choose another name, or remove it: qjail net delete {name}"
        )));
    }
    if let Some(there) = world.interface(name) {
        let hint = if there.for_jails {
            format!("choose another name; jails can use it as it is: qjail create -n {name} …")
        } else {
            "choose another name".to_owned()
        };
        return Err(PluginError::new(format!(
            "there is an interface {name} already, which qjail did not make"
        ))
        .hint(hint));
    }
    // ifconfig(8): what is cloned is named after its driver and a number.
    if world.freebsd && !is_cloned_name(name) {
        let message = format!("{name} is no name of a cloned interface");
        return Err(PluginError::new(message).hint("write the driver and a number, such as lo1"));
    }
    Ok(())
}

fn is_cloned_name(name: &str) -> bool {
    let driver = name.trim_end_matches(|c: char| c.is_ascii_digit());
    driver.len() < name.len() && !driver.is_empty() && driver.chars().all(|c| c.is_ascii_lowercase())
}

fn check_network(world: &World, network: &Network, others: &[Network]) -> Result<(), PluginError> {
    if network.hosts().next().is_none() {
        let error = PluginError::new(format!("{network} has no room for jails"));
        return Err(error.hint("write the length of the whole network, such as 192.168.1.1/28"));
    }
    let hint = "choose a network that nobody uses, such as 10.77.0.1/24";
    let clash = |whose: String, other: &Network| {
        Err(PluginError::new(format!("{network} overlaps with {other} {whose}")).hint(hint))
    };
    if let Some(other) = others.iter().find(|o| overlap(o, network)) {
        return clash("in the same command".to_owned(), other);
    }
    for (name, declared) in &world.declared {
        if let Some(other) = declared.addresses.iter().find(|o| overlap(o, network)) {
            return clash(format!("of the network {name}"), other);
        }
    }
    for interface in &world.interfaces {
        if let Some(other) = interface.addresses.iter().find(|o| overlap(o, network)) {
            return clash(format!("on {}", interface.name), other);
        }
    }
    Ok(())
}

fn networks(texts: &[&str]) -> Result<Vec<Network>, PluginError> {
    let parse = |t: &&str| t.parse().map_err(|e| PluginError::with_code("usage", e));
    texts.iter().map(parse).collect()
}

fn texts(networks: &[Network]) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

/// A few names, and how many more there are.
fn some(names: &[&str]) -> String {
    match names {
        [one] => format!("jail {one}"),
        [first @ .., last] if names.len() <= 5 => format!("jails {} and {last}", first.join(", ")),
        _ => format!("jails {} and {} more", names[..5].join(", "), names.len() - 5),
    }
}

fn rc_conf(variable: &str, change: RcChange) -> Step {
    Step::RcConf {
        variable: variable.to_owned(),
        change,
    }
}

fn rc_text() -> String {
    RC_FILES
        .iter()
        .filter_map(|f| std::fs::read_to_string(Path::new(f)).ok())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Variables of rc.conf(5) for the addresses: `ifconfig_IF_aliasN`, with the lowest numbers that `rc` does not have.
fn aliases(interface: &str, addresses: &[Network], rc: &str) -> Vec<(String, String)> {
    // rc.conf(5): characters that are none of a variable's name are written `_`.
    let name: String = interface
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let prefix = format!("ifconfig_{name}_alias");
    let number = |(variable, _): (&str, &str)| variable.strip_prefix(&prefix)?.parse::<u32>().ok();
    let taken: BTreeSet<u32> = rc.lines().filter_map(assignment).filter_map(number).collect();
    // rc(8) reads them from 0 on and stops at the first number that is missing.
    let free = (0..).filter(|n| !taken.contains(n));
    let text = |n: &Network| format!("{} {n}", if n.addr.is_ipv4() { "inet" } else { "inet6" });
    free.zip(addresses)
        .map(|(i, n)| (format!("{prefix}{i}"), text(n)))
        .collect()
}

/// A line of rc.conf(5) that sets a variable: its name, and the value without its quotes.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (variable, rest) = line.trim_start().split_once('=')?;
    let value = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next()?,
        _ => rest.split(['#', ' ', '\t']).next()?,
    };
    Some((variable, value))
}

/// The variables of `declared` that still say what `net create` wrote, and those that somebody has changed since.
fn ours<'a>(name: &str, declared: &'a Declared, rc: &str) -> (Vec<&'a String>, Vec<&'a String>) {
    let wrote: Vec<String> = aliases(name, &declared.addresses, "")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    declared.rc.iter().partition(|variable| {
        let last = rc.lines().filter_map(assignment).rfind(|(v, _)| v == variable);
        last.is_none_or(|(_, value)| wrote.iter().any(|w| w == value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_go_on_where_rc_conf_ends() {
        let addresses = networks(&["192.168.1.1/28", "fd00::1/64"]).unwrap();
        let all = aliases(
            "lo1",
            &addresses,
            "hostname=\"h\"\nifconfig_lo10_alias7=\"inet 10.0.0.1/8\"\n",
        );
        assert_eq!(
            all[0],
            ("ifconfig_lo1_alias0".to_owned(), "inet 192.168.1.1/28".to_owned())
        );
        assert_eq!(
            all[1],
            ("ifconfig_lo1_alias1".to_owned(), "inet6 fd00::1/64".to_owned())
        );
        let all = aliases(
            "lo1",
            &addresses,
            "ifconfig_lo1_alias0=\"inet 10.0.0.1/8\"\n# ifconfig_lo1_alias9=\"\"\n",
        );
        assert_eq!(all[0].0, "ifconfig_lo1_alias1");
        let gap = aliases("lo1", &addresses, "ifconfig_lo1_alias1='inet 10.0.0.1/8'\n");
        assert_eq!(
            (gap[0].0.as_str(), gap[1].0.as_str()),
            ("ifconfig_lo1_alias0", "ifconfig_lo1_alias2"),
            "rc(8) stops at a gap"
        );
    }

    #[test]
    fn only_what_net_create_wrote_is_taken_back() {
        let declared = Declared {
            addresses: networks(&["192.168.1.1/28"]).unwrap(),
            rc: vec!["ifconfig_lo1_alias0".to_owned()],
        };
        let counts = |rc: &str| {
            let (wrote, changed) = ours("lo1", &declared, rc);
            (wrote.len(), changed.len())
        };
        assert_eq!(
            counts("ifconfig_lo1_alias0=\"inet 192.168.1.1/28\" # qjail\n"),
            (1, 0)
        );
        assert_eq!(counts("ifconfig_lo1_alias0='inet 192.168.1.1/28'\n"), (1, 0));
        assert_eq!(counts("ifconfig_lo1_alias0=\"inet 10.0.0.1/8\"\n"), (0, 1));
        assert_eq!(
            counts("ifconfig_lo1_alias0=x\nifconfig_lo1_alias0=\"inet 192.168.1.1/28\"\n"),
            (1, 0)
        );
        assert_eq!(counts(""), (1, 0), "gone already");
    }

    #[test]
    fn names_of_cloned_interfaces() {
        assert!(["lo1", "bridge12"].into_iter().all(is_cloned_name));
        assert!(!["lo", "1", "lo1a", "Lo1", "a.1"].into_iter().any(is_cloned_name));
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(some(&["a"]), "jail a");
        assert_eq!(some(&["a", "b"]), "jails a and b");
        assert_eq!(
            some(&["a", "b", "c", "d", "e", "f", "g"]),
            "jails a, b, c, d, e and 2 more"
        );
    }
}
