//! The programs that qjail starts, as far as it needs them. An error is what they would say.

use qjail_model::Network;

use super::machine::{Card, World};
use crate::bsd::command::{IFCONFIG, Invocation, JAIL, JEXEC, ROUTE, SYSRC};
use crate::bsd::image::{FSCK, MDCONFIG, MOUNT, NEWFS};
use crate::bsd::usage::RCTL;

type Said = Result<String, String>;

impl World {
    /// Runs a program.
    pub(super) fn tool(&mut self, command: &Invocation) -> Said {
        let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
        match (command.program, args.as_slice()) {
            (IFCONFIG, args) => self.ifconfig(args),
            (JAIL, ["-f", file, "-c", name]) => self.jail_create(file, name),
            (JAIL, ["-f", file, "-r", name]) => self.jail_remove(file, name),
            (JEXEC, _) => Ok(String::new()),
            (RCTL, [flag @ ("-a" | "-r"), rule]) => self.rctl(flag, rule).map(|()| String::new()),
            (RCTL, ["-u", _]) => Ok("cputime=12\nmemoryuse=52428800\nmaxproc=7\npcpu=3\n".to_owned()),
            (MDCONFIG, args) => self.mdconfig(args),
            (NEWFS | FSCK, _) => Ok(String::new()),
            (MOUNT, ["-t", kind, _, at]) => {
                self.add_mount(at, kind);
                Ok(String::new())
            }
            (ROUTE, ["-n", "get", "default"]) => {
                let answer = include_str!("../../fixtures/freebsd-13.2/route-default.txt");
                Ok(answer.replace("vtnet0", "em0").replace("10.0.2.2", "192.0.2.1"))
            }
            (ROUTE, _) => match &self.route6 {
                Some((gateway, interface)) => {
                    Ok(format!("    gateway: {gateway}\n  interface: {interface}\n"))
                }
                None => Err("route: route has not been found".to_owned()),
            },
            (SYSRC, args) => self.sysrc(args),
            ("/bin/freebsd-version", _) => Ok(format!(
                "{}\n",
                self.sysctls.get("kern.osrelease").cloned().unwrap_or_default()
            )),
            (program, _) => Err(format!("{program}: not part of the rehearsal")),
        }
    }

    /// Rules of rctl(8), which stay when their jail goes. Those that a filter names are removed together.
    pub(super) fn rctl(&mut self, flag: &str, rule: &str) -> Result<(), String> {
        if flag == "-a" {
            self.rules.insert(rule.to_owned());
            return Ok(());
        }
        let before = self.rules.len();
        let named = |r: &String| {
            r == rule || r.starts_with(&format!("{rule}:")) || r.starts_with(&format!("{rule}="))
        };
        self.rules.retain(|r| !named(r));
        if self.rules.len() == before {
            return Err(format!("rctl: failed to remove rule '{rule}': No such process"));
        }
        Ok(())
    }

    pub(super) fn ifconfig(&mut self, args: &[&str]) -> Said {
        match args {
            ["-a"] => Ok(self.shown()),
            [name, "create"] => {
                self.make_card(name);
                Ok(String::new())
            }
            [name, "-vnet", jail] => self.reclaim(name, jail),
            [name, rest @ ..] => {
                self.seen(name)?;
                match rest {
                    ["destroy"] => self.destroy(name),
                    ["vnet", jail] => self.give(name, jail),
                    ["addm", member, ..] => self.add_member(name, member),
                    words => self
                        .interfaces
                        .get_mut(*name)
                        .map_or(Ok(()), |card| change(card, words)),
                }?;
                Ok(String::new())
            }
            [] => Err("usage: ifconfig".to_owned()),
        }
    }

    /// The interface, if it is the host's now.
    fn seen(&self, name: &str) -> Result<&Card, String> {
        let found = self.interfaces.get(name).filter(|card| card.jail.is_none());
        found.ok_or_else(|| format!("ifconfig: interface {name} does not exist"))
    }

    /// Both ends of a pair go together, wherever they are; what goes is a member of nothing any more.
    fn destroy(&mut self, name: &str) -> Result<(), String> {
        for gone in [name.to_owned(), name.replacen("qa_", "qb_", 1)] {
            self.interfaces.remove(&gone);
            for card in self.interfaces.values_mut() {
                card.members.retain(|m| *m != gone);
            }
        }
        Ok(())
    }

    /// `ifconfig NAME vnet JAIL`, by name or number: what it was on the host is forgotten.
    fn give(&mut self, name: &str, jail: &str) -> Result<(), String> {
        let found = self
            .jails
            .iter()
            .find(|j| j.name == jail || j.jid.to_string() == jail);
        let to = found
            .ok_or_else(|| format!("ifconfig: jail \"{jail}\" not found"))?
            .name
            .clone();
        if let Some(card) = self.interfaces.get_mut(name) {
            card.jail = Some(to);
            card.addresses.clear();
        }
        Ok(())
    }

    /// `ifconfig NAME -vnet JAIL`
    fn reclaim(&mut self, name: &str, jail: &str) -> Said {
        let of_jail = |card: &&mut Card| card.jail.as_deref() == Some(jail);
        let card = self.interfaces.get_mut(name).filter(of_jail);
        let words = || format!("ifconfig: SIOCSIFRVNET ({name}): Device not configured");
        card.ok_or_else(words)?.jail = None;
        Ok(String::new())
    }

    pub(super) fn add_member(&mut self, bridge: &str, member: &str) -> Result<(), String> {
        let refused = |why| Err(format!("ifconfig: BRDGADD {member}: {why}"));
        if self.seen(member).is_err() {
            return refused("No such file or directory");
        }
        let on = self
            .interfaces
            .iter()
            .find(|(_, c)| c.members.iter().any(|m| m == member));
        match on {
            Some((other, _)) if other == bridge => return refused("File exists"),
            Some(_) => return refused("Device busy"),
            None => {}
        }
        if let Some(card) = self.interfaces.get_mut(bridge) {
            card.members.push(member.to_owned());
        }
        Ok(())
    }

    fn mdconfig(&mut self, args: &[&str]) -> Said {
        match args {
            ["-l", "-v"] => {
                let line = |(unit, file): (&usize, &String)| format!("md{unit}\tvnode\t  64M\t{file}\t-\n");
                Ok(self.disks.iter().map(line).collect())
            }
            ["-a", "-t", "vnode", "-f", file] => {
                let unit = (0..).find(|u| !self.disks.contains_key(u)).unwrap_or_default();
                self.disks.insert(unit, (*file).to_owned());
                Ok(format!("md{unit}\n"))
            }
            ["-d", "-u", disk] => {
                let unit = disk.strip_prefix("md").and_then(|u| u.parse().ok());
                let found = unit.and_then(|u: usize| self.disks.remove(&u));
                found
                    .map(|_| String::new())
                    .ok_or_else(|| "mdconfig: ioctl(/dev/mdctl): No such file or directory".to_owned())
            }
            _ => Err("usage: mdconfig".to_owned()),
        }
    }

    pub(super) fn make_card(&mut self, name: &str) {
        let groups = match name {
            n if n.starts_with("lo") => vec!["lo"],
            n if n.contains("bridge") => vec!["bridge"],
            _ => vec!["epair"],
        };
        let card = Card {
            groups,
            ..Card::default()
        };
        self.interfaces.insert(name.to_owned(), card);
    }

    fn shown(&self) -> String {
        let mut text = String::new();
        for (name, card) in self.interfaces.iter().filter(|(_, c)| c.jail.is_none()) {
            text += &format!("{name}: flags=8049<UP> metric 0 mtu 1500\n");
            if let Some(ether) = &card.ether {
                text += &format!("\tether {ether}\n");
            }
            for a in &card.addresses {
                let bits = u32::MAX.checked_shl(32 - u32::from(a.len)).unwrap_or(0);
                text += &format!("\tinet {} netmask {bits:#010x}\n", a.addr);
            }
            for member in &card.members {
                text += &format!("\tmember: {member} flags=143<LEARNING>\n");
            }
            text += &format!("\tgroups: {}\n", card.groups.join(" "));
        }
        text
    }

    fn sysrc(&mut self, args: &[&str]) -> Said {
        match args {
            ["-i", "-n", name] => Ok(format!("{}\n", self.rc.get(*name).cloned().unwrap_or_default())),
            ["-x", name] => {
                self.rc.remove(*name);
                Ok(String::new())
            }
            [change] => {
                let (name, value) = change.split_once('=').ok_or("sysrc: no value")?;
                let now = |n: &str| self.rc.get(n).cloned().unwrap_or_default();
                let (name, value) = match (name.strip_suffix('+'), name.strip_suffix('-')) {
                    (Some(n), _) => (n, format!("{} {value}", now(n)).trim().to_owned()),
                    (_, Some(n)) => {
                        let left: Vec<String> = now(n)
                            .split_whitespace()
                            .filter(|w| *w != value)
                            .map(str::to_owned)
                            .collect();
                        (n, left.join(" "))
                    }
                    _ => (name, value.to_owned()),
                };
                self.rc.insert(name.to_owned(), value);
                Ok(String::new())
            }
            _ => Err("usage: sysrc".to_owned()),
        }
    }
}

fn change(card: &mut Card, words: &[&str]) -> Result<(), String> {
    match words {
        ["up"] => card.up = true,
        ["inet" | "inet6", address, what] => {
            let network: Network = address.parse().map_err(|e| format!("ifconfig: {e}"))?;
            let had = card.addresses.iter().any(|a| a.addr == network.addr);
            card.addresses.retain(|a| a.addr != network.addr);
            match *what {
                // As on 13.2: an address that is there gets the new netmask.
                "alias" => card.addresses.push(network),
                _ if !had => {
                    return Err("ifconfig: ioctl (SIOCDIFADDR): Can't assign requested address".to_owned());
                }
                _ => {}
            }
        }
        ["ether", address] => card.ether = Some((*address).to_owned()),
        _ => {}
    }
    Ok(())
}
