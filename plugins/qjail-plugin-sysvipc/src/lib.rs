//! System V shared memory, semaphores and message queues of a jail: `-y`, `-Y` and `--sysvipc` of `config`, and `--sysvipc`
//! of `create`.
//!
//! They are the parameters `sysvshm`, `sysvsem` and `sysvmsg` of jail(8), which both systems carry out: without them the
//! calls answer ENOSYS, with `new` they work on objects that nobody else has, with `inherit` on those of the host.
//!
//! # Limits
//! All three kinds are set alike; `--param sysvsem=…` sets one of them. How many objects a jail may have is not its
//! business, and what a jail with `inherit` leaves behind stays: nobody can tell whose it is.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use qjail_plugin_api::model::{ParamValue, Params};
use qjail_plugin_api::{
    ArgSpec, Event, Extension, HookRequest, HookSpec, Host, JailInfo, Manifest, Objection, Plan, Plugin,
    PluginError, Point, export_plugin,
};

/// The kinds of objects.
const KINDS: [&str; 3] = ["sysvshm", "sysvsem", "sysvmsg"];

/// The older switch for all of them; its place is taken by the three (jail(8)).
const OLD: &str = "allow.sysvipc";

/// The plugin.
pub struct Sysvipc;

export_plugin!(qjail_plugin_sysvipc, Sysvipc);

impl Plugin for Sysvipc {
    fn manifest(&self) -> Manifest {
        let about = "System V shared memory, semaphores and message queues of jails";
        let extension = |command: &str, args| Extension {
            command: command.to_owned(),
            heading: "System V IPC".to_owned(),
            args,
        };
        Manifest {
            extends: vec![
                extension("create", vec![mode()]),
                extension("config", config_options()),
            ],
            hooks: vec![
                HookSpec::new(Event::Create, Point::Pre),
                HookSpec::new(Event::Config, Point::Pre),
            ],
            params: KINDS.into_iter().chain([OLD]).map(str::to_owned).collect(),
            ..Manifest::new("sysvipc", env!("CARGO_PKG_VERSION"), about)
        }
    }

    fn validate(&self, host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        // At create the core asks the system about all parameters together.
        if request.event != Event::Config || request.context.os != "linux" || wish(request).is_some() {
            return Ok(Vec::new());
        }
        let params = &request.jail.params;
        let now = host
            .jails()?
            .into_iter()
            .find(|jail| jail.name == request.jail.name);
        let same = |now: &JailInfo| KINDS.iter().all(|kind| now.params.get(kind) == params.get(kind));
        Ok(mixed(params)
            .filter(|_| !now.is_some_and(|now| same(&now)))
            .into_iter()
            .collect())
    }

    fn plan(&self, _: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        Ok(wish(request).map_or_else(Plan::default, |mode| plan(request, mode)))
    }
}

/// On Linux one namespace holds the three kinds: what is off is off by itself, but the others are new together or shared
/// together.
fn mixed(params: &Params) -> Option<Objection> {
    let with = |value| KINDS.into_iter().find(|kind| params.text(kind) == Some(value));
    let (own, shared) = (with("new")?, with("inherit")?);
    let message =
        format!("{own} can not be `new` while {shared} is `inherit`: on Linux they are one namespace");
    Some(Objection::new(message).hint("--sysvipc sets all three kinds; `disable` goes with either"))
}

/// What the user asked for, if anything.
fn wish(request: &HookRequest) -> Option<&str> {
    let options = &request.options;
    let switch = |id, mode| options.is_on(id).then_some(mode);
    options
        .text("sysvipc")
        .or_else(|| switch("sysvipc-on", "new"))
        .or_else(|| switch("sysvipc-off", "disable"))
}

fn plan(request: &HookRequest, mode: &str) -> Plan {
    let name = &request.jail.name;
    // `disable` is what a jail has without them.
    let value = (mode != "disable").then(|| ParamValue::from(mode));
    let params = &request.jail.params;
    if KINDS.iter().all(|kind| params.get(kind) == value.as_ref()) && params.get(OLD).is_none() {
        return Plan {
            notes: (request.event == Event::Config)
                .then(|| format!("Already set to sysvipc {mode}. {name}"))
                .into_iter()
                .collect(),
            ..Plan::default()
        };
    }
    let kinds = KINDS.into_iter().map(|kind| (kind.to_owned(), value.clone()));
    let warning = format!(
        "{name} will share all System V objects with the host and with every other such jail: root, and a user of the \
         same number, reaches those of the others; `--sysvipc new` keeps them apart"
    );
    let done = if mode == "disable" { "disabled" } else { "enabled" };
    let note = format!("Successfully {done} sysvipc for {name}");
    Plan {
        params: kinds.chain([(OLD.to_owned(), None)]).collect(),
        warnings: (mode == "inherit").then_some(warning).into_iter().collect(),
        notes: (request.event == Event::Config)
            .then_some(note)
            .into_iter()
            .collect(),
        ..Plan::default()
    }
}

fn mode() -> ArgSpec {
    let help = "System V IPC: objects of its own, the host's (shared with all), or none";
    let mode = ArgSpec::option("sysvipc", None, "MODE", help);
    ArgSpec {
        choices: ["new", "inherit", "disable"].map(str::to_owned).to_vec(),
        ..mode
    }
}

fn config_options() -> Vec<ArgSpec> {
    let on = ArgSpec::flag(
        "sysvipc-on",
        Some('y'),
        "System V IPC on, with objects of the jail's own",
    );
    let off = ArgSpec::flag("sysvipc-off", Some('Y'), "System V IPC off");
    vec![
        on.conflicts(&["sysvipc-off", "sysvipc"]),
        off.conflicts(&["sysvipc"]),
        mode(),
    ]
}
