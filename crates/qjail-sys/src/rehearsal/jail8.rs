//! jail(8), as far as its file asks.

use qjail_model::Params;

use super::machine::World;
use crate::bsd::conf;

type Said = Result<String, String>;

/// What jail(8) has done for a jail that is being made.
enum Done {
    /// The command that takes it back.
    Command(String),
    /// A mount at this place.
    Mount(String),
    Jail(String),
}

impl World {
    /// `jail -f FILE -c NAME`: where a step fails, jail(8) goes back through those that were done. Commands have no way back.
    pub(super) fn jail_create(&mut self, file: &str, name: &str) -> Said {
        let params = self.read(file, name)?;
        if self.jails.iter().any(|j| j.name == name) {
            return Err(format!("jail: \"{name}\" already exists"));
        }
        let mut done = Vec::new();
        let made = self.create_by_steps(&params, name, &mut done);
        if made.is_err() {
            for step in done.into_iter().rev() {
                // What can not be taken back is left behind.
                let _ = self.take_back(step);
            }
        }
        made.map(|()| format!("{name}: created"))
    }

    fn create_by_steps(&mut self, params: &Params, name: &str, done: &mut Vec<Done>) -> Result<(), String> {
        for (interface, family, network) in aliases(params) {
            let words = format!("/sbin/ifconfig {interface} {family} {network}");
            self.step(&format!("{words} alias"))?;
            done.push(Done::Command(format!("{words} -alias")));
        }
        let path = params.text("path").unwrap_or_default().to_owned();
        for line in params.list("mount") {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [source, on, kind, how, ..] = words[..] {
                self.step(&format!("/sbin/mount -t {kind} -o {how} {source} {on}"))?;
                self.add_mount(on, kind);
                done.push(Done::Mount(on.to_owned()));
            }
        }
        if params.is_on("mount.devfs") {
            let rules = params.text("devfs_ruleset").unwrap_or("4").to_owned();
            self.step(&format!("/sbin/mount -t devfs -oruleset={rules} . {path}/dev"))?;
            self.add_mount(&format!("{path}/dev"), "devfs");
            done.push(Done::Mount(format!("{path}/dev")));
        }
        self.host_commands(params, "exec.prestart")?;
        let jid = self.add_jail(name, &path);
        self.note(format!("    jail_set(2) name={name}: jid {jid}"));
        done.push(Done::Jail(name.to_owned()));
        for interface in params.list("vnet.interface") {
            self.step(&format!("/sbin/ifconfig {interface} vnet {jid}"))?;
            done.push(Done::Command(format!("/sbin/ifconfig {interface} -vnet {name}")));
        }
        self.host_commands(params, "exec.created")?;
        self.inside(params, "exec.start")?;
        self.host_commands(params, "exec.poststart")
    }

    fn take_back(&mut self, step: Done) -> Result<(), String> {
        match step {
            Done::Command(back) => self.step(&back),
            Done::Mount(on) => self.unmounted(&on),
            Done::Jail(name) => {
                self.note(format!("    jail_remove(2) {name}"));
                self.end_jail(&name);
                Ok(())
            }
        }
    }

    fn unmounted(&mut self, on: &str) -> Result<(), String> {
        self.step(&format!("/sbin/umount {on}"))?;
        self.mounts.retain(|m| m.on.to_str() != Some(on));
        Ok(())
    }

    fn host_commands(&mut self, params: &Params, key: &str) -> Result<(), String> {
        params.list(key).iter().try_for_each(|command| self.step(command))
    }

    /// `jail -f FILE -r NAME`
    pub(super) fn jail_remove(&mut self, file: &str, name: &str) -> Said {
        let params = self.read(file, name)?;
        if !self.jails.iter().any(|j| j.name == name) {
            return Err(format!("jail: \"{name}\" not found"));
        }
        self.host_commands(&params, "exec.prestop")?;
        self.inside(&params, "exec.stop")?;
        self.note(format!("    jail_remove(2) {name}"));
        self.end_jail(name);
        self.host_commands(&params, "exec.poststop")?;
        let path = params.text("path").unwrap_or_default().to_owned();
        let devfs = params.is_on("mount.devfs").then(|| format!("{path}/dev"));
        let targets = params.list("mount").into_iter().rev();
        let on = targets.filter_map(|l| l.split_whitespace().nth(1).map(str::to_owned));
        for on in devfs.into_iter().chain(on) {
            self.unmounted(&on)?;
        }
        for (interface, family, network) in aliases(&params) {
            self.step(&format!("/sbin/ifconfig {interface} {family} {network} -alias"))?;
        }
        Ok(format!("{name}: removed"))
    }

    /// The file; jail(8) says first what is wrong with it.
    fn read(&mut self, file: &str, name: &str) -> Result<Params, String> {
        let text = std::fs::read_to_string(file).map_err(|e| format!("jail: {file}: {e}"))?;
        for line in text.lines() {
            self.note(format!("    | {line}"));
        }
        conf::parse(name, &text).map_err(|e| format!("jail: {e}"))
    }

    /// A command that jail(8) runs on the host.
    fn step(&mut self, command: &str) -> Result<(), String> {
        self.note(format!("    {command}"));
        self.check(command)?;
        let words: Vec<&str> = command.split_whitespace().collect();
        if command.contains(" create") {
            self.make_named(&words)?;
        }
        match words.as_slice() {
            ["/sbin/ifconfig", name, rest @ ..] if !command.contains("create") => {
                let args: Vec<&str> = std::iter::once(*name).chain(rest.iter().copied()).collect();
                let failed = |words| format!("{words}\njail: {command}: failed");
                self.ifconfig(&args).map(drop).map_err(failed)
            }
            ["/usr/bin/rctl", flag, rule, ..] => {
                self.rctl(flag, rule)
                    .or_else(|e| match command.ends_with("|| :") {
                        true => Ok(()),
                        false => Err(format!("{e}\njail: {command}: failed")),
                    })
            }
            _ => Ok(()),
        }
    }

    /// What the shell's words name is made by them, with the members that they give it.
    fn make_named(&mut self, words: &[&str]) -> Result<(), String> {
        for pair in words.windows(2).filter(|w| w[0] == "name") {
            let name = pair[1].trim_end_matches(';');
            if self.interfaces.contains_key(name) {
                continue;
            }
            self.make_card(name);
            for joined in words.windows(3).filter(|w| w[..2] == [name, "addm"]) {
                self.add_member(name, joined[2])?;
            }
        }
        Ok(())
    }

    fn inside(&mut self, params: &Params, key: &str) -> Result<(), String> {
        for command in params.list(key) {
            self.note(format!("    in the jail: {command}"));
            self.check(&command)?;
        }
        Ok(())
    }

    fn check(&self, command: &str) -> Result<(), String> {
        self.failure(command)
            .map_or(Ok(()), |words| Err(format!("{words}\njail: {command}: failed")))
    }
}

/// The addresses that jail(8) adds and removes: those with their interface.
fn aliases(params: &Params) -> Vec<(String, &'static str, String)> {
    let of = |key: &str, family: &'static str| {
        let list = params.list(key).into_iter();
        list.filter_map(move |text| {
            let (interface, network) = text.split_once('|')?;
            Some((interface.to_owned(), family, network.to_owned()))
        })
        .collect::<Vec<_>>()
    };
    [of("ip4.addr", "inet"), of("ip6.addr", "inet6")].concat()
}
