//! A host in miniature, for the tests: finds plugins, asks them things, prints one line for each answer.
//!
//! `drive DIR... -- WORD...`; the words are `resolve`, `validate`, `plan`, `command`, `step`, `undo`, `load-count`, `check`
//! (the file in `DRIVE_FILE`). `DRIVE_CACHE` is the cache, `DRIVE_PATIENCE` the patience in milliseconds, `DRIVE_BUILTIN` links
//! the evil plugin in, `DRIVE_JAIL` names the jail, `DRIVE_PANIC` lets the host's services panic.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "it speaks to a test")]

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qjail_plugin_api::serde_json::{Value, from_value, json, to_value};
use qjail_plugin_api::{
    ArgSpec, Builtin, CommandRequest, CommandSpec, HookRequest, HostPort, LogLevel, PluginError, StepRequest,
};
use qjail_plugin_evil::Evil;
use qjail_plugin_host::{HostConfig, Refusal, Registry, check_file};

static EVIL: Builtin = Builtin::new(&Evil);

struct Port;

impl HostPort for Port {
    fn log(&self, level: LogLevel, message: &str) {
        println!("log {level:?}: {message}");
    }

    fn call(&self, op: &str, _request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        assert!(
            env::var_os("DRIVE_PANIC").is_none(),
            "the host stumbles over {op}"
        );
        Ok(b"[]".to_vec())
    }
}

fn config(dirs: Vec<PathBuf>) -> HostConfig {
    let patience = env::var("DRIVE_PATIENCE")
        .ok()
        .and_then(|p| p.parse().ok())
        .unwrap_or(10_000);
    let create = CommandSpec {
        name: "create".to_owned(),
        args: vec![ArgSpec::option("flavor", Some('f'), "NAME", "a flavor")],
        ..CommandSpec::default()
    };
    let list = CommandSpec {
        name: "list".to_owned(),
        ..CommandSpec::default()
    };
    HostConfig {
        dirs,
        os: env::consts::OS.to_owned(),
        cache: env::var_os("DRIVE_CACHE").map(PathBuf::from),
        builtins: env::var_os("DRIVE_BUILTIN").map(|_| &EVIL).into_iter().collect(),
        commands: vec![create, list],
        patience: Duration::from_millis(patience),
        ..HostConfig::default()
    }
}

fn answer(registry: &Registry, word: &str) -> Result<Value, PluginError> {
    let context = json!({"os": env::consts::OS, "jails_dir": "/j", "config_dir": "/c", "state_dir": "/s"});
    let jail = env::var("DRIVE_JAIL").unwrap_or_else(|_| "web".to_owned());
    let hook = json!({"event": "create", "point": "pre", "jail": {"name": jail}, "context": context});
    let step = json!({"op": "grin", "context": context});
    let command = json!({"command": ["evil", "do"], "context": context});
    let bad = |e| PluginError::new(format!("drive: {e}"));
    let hook: HookRequest = from_value(hook).map_err(bad)?;
    let step: StepRequest = from_value(step).map_err(bad)?;
    let command: CommandRequest = from_value(command).map_err(bad)?;
    match word {
        "resolve" => to_value(registry.resolve("evil", &Port, &hook)?),
        "validate" => to_value(registry.validate("evil", &Port, &hook)?),
        "plan" => to_value(registry.plan("evil", &Port, &hook)?),
        "command" => to_value(registry.command("evil", &Port, &command)?),
        "step" => to_value(registry.step("evil", &Port, &step)?),
        "undo" => to_value(registry.undo("evil", &Port, &step)?),
        "load-count" => to_value(registry.loads()),
        other => to_value(format!("drive does not know {other}")),
    }
    .map_err(bad)
}

fn show(why: &Refusal) -> String {
    format!(
        "{}{}",
        why.message,
        why.hint.as_ref().map_or(String::new(), |h| format!(" [{h}]"))
    )
}

fn check(config: &HostConfig) {
    let file = env::var_os("DRIVE_FILE").unwrap_or_default();
    let report = check_file(config, Path::new(&file));
    for check in &report.checks {
        match &check.result {
            Ok(found) => println!("check {}: {found}", check.what),
            Err(why) => println!("check {}: NOT {}", check.what, show(why)),
        }
    }
    println!("check ends {}", report.is_ok());
}

fn main() {
    let mut args = env::args_os().skip(1);
    let dirs = args
        .by_ref()
        .take_while(|a| a != "--")
        .map(PathBuf::from)
        .collect();
    let config = config(dirs);
    let registry = Registry::discover(&config);
    for entry in registry.plugins() {
        println!("used {} {:?}", entry.name(), entry.origin());
    }
    for refused in registry.refused() {
        println!("refused {}: {}", refused.name, show(&refused.why));
    }
    for note in registry.notes() {
        println!("note {note}");
    }
    for word in args {
        let word = word.to_string_lossy();
        if word == "check" {
            check(&config);
            continue;
        }
        match answer(&registry, &word) {
            Ok(value) => println!("{word} {value}"),
            Err(e) => println!(
                "{word} ERROR {}: {}{}",
                e.code,
                e.message,
                e.hint.map_or(String::new(), |h| format!(" [{h}]"))
            ),
        }
    }
    println!("intact");
}
