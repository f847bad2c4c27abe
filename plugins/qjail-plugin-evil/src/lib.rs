//! A plugin that misbehaves in the way that `QJAIL_EVIL` names; without it, a good one. For tests only.
//!
//! It exports its symbols by hand rather than with `export_plugin!`, so that it can send bytes which no typed plugin would.
//!
//! It does not crash the process: what a wild pointer does, no host can contain. It is never a feature of qjail.
#![forbid(unsafe_code)]

use std::time::Duration;

use qjail_plugin_api::abi::{RawExport, RawHost, export_raw};
use qjail_plugin_api::{
    API_VERSION, ArgSpec, At, CommandReply, CommandRequest, CommandSpec, Event, Example, Extension,
    HookRequest, HookSpec, Host, IfExists, LogLevel, Manifest, Objection, Output, Plan, Plugin, PluginError,
    Point, RawPort, Resolved, Step, StepRequest, describe, dispatch, semver, serde_json,
};
use serde_json::json;

/// The plugin.
pub struct Evil;

/// How it misbehaves.
fn mode() -> String {
    std::env::var("QJAIL_EVIL").unwrap_or_default()
}

/// A panic whose payload panics again when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("the payload was dropped");
    }
}

#[expect(clippy::print_stdout, reason = "this plugin breaks the rules")]
fn shout() {
    println!("evil was here");
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

impl Plugin for Evil {
    fn manifest(&self) -> Manifest {
        let mut manifest = good_manifest();
        match mode().as_str() {
            "panic-describe" => panic!("evil does not introduce itself\nnot even on a second line"),
            "hang-describe" => hang(),
            "future-api" => manifest.api = semver::VersionReq::parse("^9").unwrap_or_default(),
            "other-name" => manifest.name = "good".to_owned(),
            "claims-list" => manifest.commands[0].name = "list".to_owned(),
            "claims-letter" => manifest.extends[0].args[0].short = Some('f'),
            "bad-letter" => manifest.extends[0].args[0].short = Some('ä'),
            "needs-more" => manifest.needs.push("teleport/1".to_owned()),
            "other-platform" => manifest.platforms.push("plan9".to_owned()),
            "after-itself" => manifest.after.push("evil".to_owned()),
            _ => {}
        }
        manifest
    }

    fn resolve(&self, _host: &Host<'_>, _request: &HookRequest) -> Result<Resolved, PluginError> {
        let values = [("evil".to_owned(), json!("no"))].into();
        Ok(Resolved { values })
    }

    fn validate(&self, host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        host.log(LogLevel::Info, "evil looks at the jail");
        if mode() == "ask" {
            host.running()?;
        }
        let objects = request.jail.name == "refuse-me";
        Ok(objects
            .then(|| Objection::new("evil does not like the name").hint("take another"))
            .into_iter()
            .collect())
    }

    fn plan(&self, _host: &Host<'_>, _request: &HookRequest) -> Result<Plan, PluginError> {
        let mut plan = good_plan();
        match mode().as_str() {
            "panic-plan" => panic!("evil has no plan"),
            "panic-bomb" => std::panic::panic_any(Bomb),
            "hang-plan" => hang(),
            "prints" => shout(),
            "fails" => return Err(PluginError::new("evil will not").hint("ask nicely")),
            "foreign-param" => {
                plan.params.insert("path".to_owned(), None);
            }
            "escape" => plan.steps.push(write_file("../../etc/passwd")),
            "absolute" => plan.steps.push(write_file("/etc/passwd")),
            "early-remove" => plan.steps.push(Step::RemoveTree { at: At::jails("web") }),
            "impersonate" => plan.steps.push(plugin_step("net")),
            _ => {}
        }
        Ok(plan)
    }

    fn command(&self, _host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
        let rows = vec![request.command.clone()];
        Ok(CommandReply {
            output: Some(Output {
                rows,
                ..Output::default()
            }),
            ..CommandReply::default()
        })
    }

    fn step(&self, _host: &Host<'_>, _request: &StepRequest) -> Result<(), PluginError> {
        assert_ne!(mode(), "panic-step", "evil trips");
        Ok(())
    }

    fn undo(&self, _host: &Host<'_>, _request: &StepRequest) -> Result<(), PluginError> {
        assert_ne!(mode(), "panic-undo", "evil can not go back");
        Ok(())
    }
}

fn good_manifest() -> Manifest {
    let mut manifest = Manifest::new(
        "evil",
        env!("CARGO_PKG_VERSION"),
        "misbehaves on demand, for tests",
    );
    let example = Example {
        line: "evil do".to_owned(),
        about: "does it".to_owned(),
    };
    manifest.commands = vec![CommandSpec {
        name: "evil".to_owned(),
        about: "Does evil".to_owned(),
        subcommands: vec![CommandSpec {
            name: "do".to_owned(),
            about: "Does it".to_owned(),
            examples: vec![example],
            ..CommandSpec::default()
        }],
        ..CommandSpec::default()
    }];
    manifest.extends = vec![Extension {
        command: "create".to_owned(),
        heading: "Evil".to_owned(),
        args: vec![ArgSpec::option("evil", Some('E'), "HOW", "How evil the jail is")],
    }];
    manifest.hooks = vec![
        HookSpec::new(Event::Create, Point::Pre),
        HookSpec::new(Event::Delete, Point::Post),
    ];
    manifest.params = vec!["allow.mlock".to_owned()];
    manifest
}

fn good_plan() -> Plan {
    Plan {
        steps: vec![write_file("etc/evil.conf"), plugin_step("")],
        ..Plan::default()
    }
}

fn write_file(path: &str) -> Step {
    Step::WriteFile {
        at: At::jail(path),
        content: "evil\n".to_owned(),
        mode: Some(0o644),
        if_exists: IfExists::Keep,
    }
}

fn plugin_step(plugin: &str) -> Step {
    Step::Plugin {
        plugin: plugin.to_owned(),
        op: "grin".to_owned(),
        about: "grin".to_owned(),
        data: json!({}),
    }
}

struct Exported;

impl RawExport for Exported {
    fn describe() -> Result<Vec<u8>, Vec<u8>> {
        match mode().as_str() {
            "garbage-manifest" => Ok(b"{\"name\": 7".to_vec()),
            "huge-manifest" => Ok(vec![b' '; (1 << 20) + 1]),
            "empty-error" => Err(Vec::new()),
            _ => describe(&Evil),
        }
    }

    fn call(host: &RawHost<'_>, op: &[u8], request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let planning = op == b"plan/1";
        match mode().as_str() {
            "huge-reply" if planning => Ok(vec![b' '; (16 << 20) + 1]),
            "huge-error" if planning => Err(vec![b' '; (16 << 20) + 1]),
            "garbage-reply" if planning => Ok(b"\xff\xfe not JSON".to_vec()),
            "garbage-error" if planning => Err(b"\xff\xfe not JSON".to_vec()),
            "unknown-step" if planning => Ok(br#"{"steps":[{"step":"teleport","to":"moon"}]}"#.to_vec()),
            "half-step" if planning => Ok(br#"{"steps":[{"step":"make-dir"}]}"#.to_vec()),
            "bare-panic" if planning => std::panic::panic_any(Bomb),
            _ => dispatch(&Evil, &RawPort::new(host), op, request),
        }
    }
}

export_raw!(qjail_plugin_evil, API_VERSION, Exported);
