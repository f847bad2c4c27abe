//! ssh into jails: `create --ssh` and `config --ssh`, `--no-ssh`.
//!
//! Switches sshd on in the jail's `rc.conf`, sees to `UseDNS no`, and makes a user (named as the jail) who can become
//! root: with the jail's name as a password that must be changed at the first login, with a random one, or with keys and
//! no password. All of it is written below the jail's root, where no link is followed, and is in force at the next start.
//!
//! # Limits
//! It makes no host keys: the jail does, at its first start. It opens no port and waits for none; sshd listens on the
//! addresses that the jail has. `--no-ssh` removes the accounts that it made (they bear the comment `Jail`); home
//! directories, host keys and everything that somebody changed stay.
#![forbid(unsafe_code)]

mod account;
mod hooks;
mod keys;
mod order;
mod password;
mod setup;
mod steps;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod wish;

use qjail_plugin_api::{
    ArgSpec, Event, Extension, HookRequest, HookSpec, Host, Manifest, Objection, Plan, Plugin, PluginError,
    Point, StepRequest, ValueKind, export_plugin,
};

/// The plugin.
pub struct Ssh;

export_plugin!(qjail_plugin_ssh, Ssh);

impl Plugin for Ssh {
    fn manifest(&self) -> Manifest {
        let extension = |command: &str, args| Extension {
            command: command.to_owned(),
            heading: "ssh".to_owned(),
            args,
        };
        let off = ArgSpec::flag(
            "no-ssh",
            Some('H'),
            "Switch ssh off, and remove the user made for it (its home directory and the host keys stay)",
        )
        .conflicts(&["ssh", "ssh-key", "ssh-user", "ssh-password"]);
        Manifest {
            needs: ["extends/1", "hooks/1", "run-in-jail/1", "remember-files/1"]
                .map(str::to_owned)
                .to_vec(),
            extends: vec![
                extension("create", options('c')),
                extension("config", [options('h'), vec![off]].concat()),
            ],
            hooks: vec![
                HookSpec::new(Event::Create, Point::Post),
                HookSpec::new(Event::Config, Point::Post),
                HookSpec::new(Event::Start, Point::Post),
            ],
            ..Manifest::new("ssh", env!("CARGO_PKG_VERSION"), "ssh into jails")
        }
    }

    fn validate(&self, _: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        match request.event {
            Event::Create | Event::Config => hooks::validate(request),
            _ => Ok(Vec::new()),
        }
    }

    fn plan(&self, _: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        hooks::plan(request)
    }

    fn step(&self, host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        steps::run(host, request)
    }

    fn undo(&self, _: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        steps::undo(request)
    }
}

fn options(letter: char) -> Vec<ArgSpec> {
    vec![
        ArgSpec::flag(
            "ssh",
            Some(letter),
            "ssh at the next start: a user named as the jail who can become root; its password, the same name, must be changed at the first login",
        ),
        ArgSpec::option(
            "ssh-key",
            None,
            "FILE",
            "Let in with the public keys in FILE, and with no password (implies --ssh)",
        )
        .of(ValueKind::Path)
        .multiple(),
        ArgSpec::option("ssh-user", None, "NAME", "The user's name (implies --ssh)"),
        ArgSpec {
            choices: vec!["random".to_owned()],
            ..ArgSpec::option(
                "ssh-password",
                None,
                "random",
                "A random password, shown once (implies --ssh)",
            )
        }
        .conflicts(&["ssh-key"]),
    ]
}
