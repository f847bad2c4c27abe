//! The host in memory, and its kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use qjail_model::Network;

use super::Rehearsal;
use crate::bsd::command::{Invocation, Output};
use crate::bsd::host::{Attach, Host};
use crate::bsd::jailparam::Jail;
use crate::bsd::mounts::Mounted;
use crate::{Interface, Result};

/// `security.jail.param` of 13.2.
const PARAMS: &str = include_str!("../../fixtures/freebsd-13.2/sysctl-jail-param.txt");

/// What is on the host now.
#[derive(Debug)]
pub(super) struct World {
    pub(super) sysctls: BTreeMap<String, String>,
    pub(super) modules: BTreeSet<String>,
    pub(super) module_files: BTreeSet<String>,
    pub(super) interfaces: BTreeMap<String, Card>,
    pub(super) mounts: Vec<Mounted>,
    pub(super) jails: Vec<Jail>,
    pub(super) rc: BTreeMap<String, String>,
    pub(super) failing: Vec<(String, String)>,
    pub(super) transcript: Vec<String>,
    pub(super) last_jid: i32,
    pub(super) last_mount: i32,
    /// Seconds since 1970 when it was started, `kern.boottime`.
    pub(super) boot_time: Option<i64>,
    /// Who enters a jail stays on the host of the test.
    pub(super) doors_lead_nowhere: bool,
    /// The router of the IPv6 default route, and its interface.
    pub(super) route6: Option<(String, String)>,
    /// Memory disks: unit and file.
    pub(super) disks: BTreeMap<usize, String>,
    /// Rules of rctl(8).
    pub(super) rules: BTreeSet<String>,
}

/// An interface.
#[derive(Debug, Default)]
pub(super) struct Card {
    pub(super) addresses: Vec<Network>,
    pub(super) up: bool,
    pub(super) groups: Vec<&'static str>,
    pub(super) members: Vec<String>,
    /// Its Ethernet address; none for loopback.
    pub(super) ether: Option<String>,
    /// The jail whose network stack it is in; the host does not see it then.
    pub(super) jail: Option<String>,
}

impl Default for World {
    fn default() -> Self {
        let texts = |list: &[(&str, &str)]| {
            list.iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect();
        let card = |address: [u8; 4], len, group| Card {
            addresses: vec![Network {
                addr: address.into(),
                len,
            }],
            up: true,
            groups: vec![group],
            ..Card::default()
        };
        Self {
            sysctls: texts(&[
                ("hw.machine", "amd64"),
                ("hw.machine_arch", "amd64"),
                ("kern.osrelease", "13.2-RELEASE"),
                ("kern.osreldate", "1302001"),
                ("kern.hostuuid", "5f9c2a30-0000-0000-0000-58a2b5c1f0e1"),
                ("kern.module_path", "/boot/kernel;/boot/modules"),
                ("kern.securelevel", "-1"),
                ("security.jail.jailed", "0"),
            ]),
            modules: BTreeSet::new(),
            module_files: names(&["nullfs", "if_epair", "if_bridge", "pf"]),
            interfaces: [
                ("em0", card([192, 0, 2, 10], 24, "em")),
                ("lo0", card([127, 0, 0, 1], 8, "lo")),
            ]
            .map(|(n, c)| (n.to_owned(), c))
            .into(),
            mounts: Vec::new(),
            jails: Vec::new(),
            rc: texts(&[("hostname", "host"), ("cloned_interfaces", "gif0")]),
            failing: Vec::new(),
            transcript: Vec::new(),
            last_jid: 0,
            last_mount: 0,
            boot_time: None,
            doors_lead_nowhere: false,
            route6: None,
            disks: BTreeMap::new(),
            rules: BTreeSet::new(),
        }
    }
}

impl World {
    pub(super) fn note(&mut self, line: impl Into<String>) {
        self.transcript.push(line.into());
    }

    /// The words with which a command fails, if it is to fail.
    pub(super) fn failure(&self, command: &str) -> Option<String> {
        let found = self.failing.iter().find(|(c, _)| command.starts_with(c));
        found.map(|(_, words)| words.clone())
    }

    pub(super) fn add_jail(&mut self, name: &str, path: &str) -> i32 {
        self.last_jid += 1;
        self.jails.push(Jail {
            jid: self.last_jid,
            name: name.to_owned(),
            path: path.to_owned(),
            dying: false,
        });
        self.last_jid
    }

    /// The kernel gives the interfaces of a jail that is gone back to the host.
    pub(super) fn end_jail(&mut self, name: &str) {
        self.jails.retain(|j| j.name != name);
        for card in self.interfaces.values_mut() {
            card.jail.take_if(|jail| jail == name);
        }
    }

    pub(super) fn add_mount(&mut self, on: &str, kind: &str) {
        self.last_mount += 1;
        self.mounts.push(Mounted {
            on: on.into(),
            kind: kind.to_owned(),
            fsid: [self.last_mount, 0],
        });
    }

    pub(super) fn state(&self) -> String {
        let mut text = String::new();
        for (name, card) in &self.interfaces {
            let addresses: Vec<String> = card.addresses.iter().map(ToString::to_string).collect();
            text += &format!("interface {name} {}", addresses.join(" "));
            for member in &card.members {
                text += &format!(" member {member}");
            }
            if let Some(jail) = &card.jail {
                text += &format!(" in jail {jail}");
            }
            text += "\n";
        }
        for mounted in &self.mounts {
            text += &format!("{} on {}\n", mounted.kind, mounted.on.display());
        }
        for rule in &self.rules {
            text += &format!("rctl {rule}\n");
        }
        for (unit, file) in &self.disks {
            text += &format!("md{unit} on {file}\n");
        }
        for jail in &self.jails {
            text += &format!("jail {} in {}\n", jail.name, jail.path);
        }
        for (name, value) in &self.rc {
            text += &format!("rc.conf {name}=\"{value}\"\n");
        }
        text
    }
}

impl Host for Rehearsal {
    fn is_root(&self) -> bool {
        true
    }

    fn sysctl_text(&self, name: &str) -> Option<String> {
        self.lock().sysctls.get(name).cloned()
    }

    fn sysctl_int(&self, name: &str) -> Option<i32> {
        self.sysctl_text(name)?.parse().ok()
    }

    fn boot_time(&self) -> Option<i64> {
        self.lock().boot_time
    }

    fn knows_param(&self, name: &str) -> bool {
        let listed = |line: &str| {
            let key = line.strip_prefix("security.jail.param.")?.split(':').next()?;
            Some(key.trim_end_matches('.') == name)
        };
        PARAMS.lines().filter_map(listed).any(|same| same)
    }

    fn has_module(&self, name: &str) -> bool {
        self.lock().modules.contains(name)
    }

    fn load_module(&self, name: &str) -> io::Result<()> {
        let mut world = self.lock();
        let call = format!("kldload(2) {name}");
        world.note(call.clone());
        if let Some(words) = world.failure(&call) {
            return Err(io::Error::other(words));
        }
        if !world.module_files.contains(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.modules.insert(name.to_owned());
        Ok(())
    }

    fn has_file(&self, path: &Path) -> bool {
        let module = path.file_stem().unwrap_or_default().to_string_lossy();
        path.starts_with("/boot/kernel") && self.lock().module_files.contains(module.as_ref())
    }

    fn jails(&self) -> Result<Vec<Jail>> {
        let mut world = self.lock();
        world.note("jail_get(2) all");
        Ok(world.jails.clone())
    }

    fn jail(&self, name: &str) -> Result<Option<Jail>> {
        let mut world = self.lock();
        let found = world.jails.iter().find(|j| j.name == name).cloned();
        let answer = found
            .as_ref()
            .map_or("none".to_owned(), |j| format!("jid {}", j.jid));
        world.note(format!("jail_get(2) {name}: {answer}"));
        Ok(found)
    }

    fn entrance(&self, name: &str, descriptor: bool) -> Result<Option<(Jail, Attach)>> {
        let found = self.jail(name)?;
        let Some(jail) = found else { return Ok(None) };
        let by = if descriptor {
            "jail_attach_jd(2), in a child".to_owned()
        } else {
            format!("jail_attach(2) {}, in a child", jail.jid)
        };
        let mut world = self.lock();
        world.note(by);
        // Nothing of a jail in memory may run on the host of the test, unless the test says so.
        let attach: Attach = if world.doors_lead_nowhere {
            Box::new(|| Ok(()))
        } else {
            Box::new(|| Err(io::ErrorKind::Unsupported.into()))
        };
        Ok(Some((jail, attach)))
    }

    fn mounts(&self) -> Result<Vec<Mounted>> {
        let mut world = self.lock();
        world.note("getfsstat(2)");
        Ok(world.mounts.clone())
    }

    fn unmount(&self, mounted: &Mounted) -> io::Result<()> {
        let mut world = self.lock();
        let call = format!("unmount(2) {} ({})", mounted.on.display(), mounted.kind);
        world.note(call.clone());
        if world.failure(&call).is_some() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        world.mounts.retain(|m| m.fsid != mounted.fsid);
        Ok(())
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        let mut world = self.lock();
        world.note("getifaddrs(3)");
        let seen = world.interfaces.iter().filter(|(_, card)| card.jail.is_none());
        let all = seen.map(|(name, card)| Interface {
            name: name.clone(),
            addresses: card.addresses.clone(),
            up: card.up,
            for_jails: true,
            ..Interface::default()
        });
        Ok(all.collect())
    }

    fn run(&self, command: &Invocation) -> Result<Output> {
        let mut world = self.lock();
        world.note(format!("$ {command}"));
        let done = match world.failure(&command.to_string()) {
            Some(words) => Err(words),
            None => world.tool(command),
        };
        let status = |code: i32| ExitStatus::from_raw(code << 8);
        Ok(match done {
            Ok(stdout) => Output {
                status: status(0),
                stdout,
                stderr: String::new(),
            },
            Err(stderr) => Output {
                status: status(1),
                stdout: String::new(),
                stderr,
            },
        })
    }

    fn run_into(
        &self,
        command: &Invocation,
        log: &mut File,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<ExitStatus> {
        if cancelled() {
            self.lock().note(format!("$ {command}   (killed at once)"));
            return Ok(ExitStatus::from_raw(libc::SIGKILL));
        }
        let done = self.run(command)?;
        let said = format!("{}{}\n", done.stdout, done.stderr);
        log.write_all(said.as_bytes()).map_err(|e| command.error(e))?;
        Ok(done.status)
    }
}
