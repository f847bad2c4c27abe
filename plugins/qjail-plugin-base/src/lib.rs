//! Bases: the operating system's executables that the jails of a zone share. `install`, `update`, `bases`, and the
//! read-only mounts of each start.
//!
//! A base is a directory `.bases/ID` in the zone's directory of jails and is never changed once it is there: `sharedfs` is
//! what jails see read-only below `/sharedfs`, `template` is what a new jail is a copy of, with links into `/sharedfs`. The
//! link `.base` names the current one; `sharedfs` and `template` beside it lead through it, so that one rename switches
//! both. What is known of each base is in `bases/ZONE/ID.toml` of the state directory.
//!
//! # Limits
//! It does not verify signatures (FreeBSD's MANIFEST has none) and does not update a base: a newer one is installed beside
//! it. Jails that exist keep the template they were made from. Old bases are not removed. Packages of FreeBSD's pkgbase
//! are not read, only archives. A base from a running Linux holds no package database, and one from a running FreeBSD is a
//! copy.
#![forbid(unsafe_code)]

mod bases;
mod expected;
mod flavors;
mod hooks;
mod install;
mod plan;
mod record;
mod source;
mod steps;
#[cfg(test)]
mod tests;
mod update;

use qjail_plugin_api::{
    ArgSpec, CommandReply, CommandRequest, CommandSpec, Event, Example, HookRequest, HookSpec, Host,
    Manifest, Objection, Plan, Plugin, PluginError, Point, StepRequest, ValueKind, export_plugin,
};

/// The plugin.
pub struct Base;

export_plugin!(qjail_plugin_base, Base);

impl Plugin for Base {
    fn manifest(&self) -> Manifest {
        Manifest {
            commands: vec![install_spec(), update::spec(), bases_spec()],
            // `install -l` and `update -l`.
            needs: vec!["log/1".to_owned()],
            // Mounts come before addresses: what the start needs first is asked first.
            hooks: vec![
                HookSpec {
                    order: -10,
                    ..HookSpec::new(Event::Create, Point::Pre)
                },
                HookSpec {
                    order: -10,
                    ..HookSpec::new(Event::Start, Point::Pre)
                },
            ],
            ..Manifest::new(
                "base",
                env!("CARGO_PKG_VERSION"),
                "The shared base system of jails",
            )
        }
    }

    fn validate(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        match request.event {
            Event::Create | Event::Start => hooks::validate(request),
            _ => Ok(Vec::new()),
        }
    }

    fn plan(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        match request.event {
            Event::Start => hooks::plan_start(request),
            _ => Ok(Plan::default()),
        }
    }

    fn command(&self, host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
        match request.command.first().map(String::as_str) {
            Some("install") => install::command(host, request),
            Some("update") => update::command(request),
            Some("bases") => bases::command(host, request),
            _ => Err(PluginError::with_code(
                "unknown-op",
                "base has the commands install, update and bases",
            )),
        }
    }

    fn step(&self, host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        steps::run(host, request)
    }

    fn undo(&self, _host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        steps::undo(request)
    }
}

fn install_spec() -> CommandSpec {
    let args = vec![
        ArgSpec::positional(
            "source",
            "FILE|DIR|URL",
            "A base archive, a directory that holds base.txz, or where either is on a server [default: FreeBSD: the \
             host's release from the official servers]",
        ),
        ArgSpec::option(
            "from",
            Some('f'),
            "PATH",
            "The directory that holds base.txz, or the archive",
        )
        .of(ValueKind::Path)
        .conflicts(&["source"]),
        ArgSpec {
            aliases: vec!["mirror".to_owned()],
            ..ArgSpec::option(
                "host",
                Some('h'),
                "HOST|URL",
                "Another mirror of FreeBSD's releases",
            )
            .multiple()
        }
        .conflicts(&["source", "from"]),
        ArgSpec::option(
            "release",
            None,
            "RELEASE",
            "FreeBSD's release, such as 15.0-RELEASE",
        )
        .of(ValueKind::Release),
        ArgSpec::option(
            "arch",
            None,
            "ARCH",
            "FreeBSD's architecture, such as amd64 or aarch64",
        ),
        ArgSpec::flag(
            "from-host",
            None,
            "Share the running system's own executables; nothing is downloaded",
        )
        .conflicts(&["source", "from", "host", "release", "arch", "sha256", "manifest"]),
        ArgSpec::option("sha256", None, "HEX", "The SHA-256 that the archive must have"),
        ArgSpec::option(
            "manifest",
            None,
            "FILE",
            "A MANIFEST that names the archive's SHA-256",
        )
        .of(ValueKind::Path),
        ArgSpec::flag(
            "log",
            Some('l'),
            "Switch the log of commands on: /var/log/qjail.log",
        ),
    ];
    CommandSpec {
        name: "install".to_owned(),
        about: "Install a base for the jails of the zone".to_owned(),
        long_about: "Installs a new base and makes it the current one. Existing jails keep working whatever happens: the \
                     archive is verified and unpacked beside the current base, and one rename switches. A download that \
                     breaks off goes on where it stopped when the same command is given again. ssh host keys, machine-id \
                     and random seeds in an archive are left out: each jail makes its own."
            .to_owned(),
        args,
        examples: vec![
            example("install", "the host's own release from FreeBSD's servers"),
            example("install base.txz", "from an archive; also .tar, .tar.gz, .tar.zst"),
            example("install https://download.freebsd.org/releases/amd64/15.0-RELEASE", "from a release's directory"),
            example("install -f /mnt/usr/freebsd-dist", "from a mounted disc"),
            example("install --from-host", "the running system's own executables"),
        ],
        needs_root: true,
        lock: Some("base".to_owned()),
        ..CommandSpec::default()
    }
}

fn bases_spec() -> CommandSpec {
    CommandSpec {
        name: "bases".to_owned(),
        about: "List the bases of the zone".to_owned(),
        examples: vec![example(
            "bases",
            "each base, where it came from, and how many jails use it",
        )],
        needs_root: true,
        ..CommandSpec::default()
    }
}

fn example(line: &str, about: &str) -> Example {
    Example {
        line: line.to_owned(),
        about: about.to_owned(),
    }
}
