//! What a plugin answers to bytes, and what a plugin made by the macro is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::process::Command;

use qjail_plugin_api::serde_json::{Value, from_slice, json, to_vec};
use qjail_plugin_api::{
    Builtin, HookRequest, Host, HostPort, LogLevel, Manifest, Objection, Plan, Plugin, PluginError,
    StepRequest, describe, dispatch, export_plugin, inventory, level_of,
};

struct Tester;

impl Plugin for Tester {
    fn manifest(&self) -> Manifest {
        Manifest::new("tester", "0.3.0", "for tests")
    }

    fn validate(&self, host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        host.log(LogLevel::Warn, "looking");
        let running = host.running()?;
        Ok(running
            .contains(&request.jail.name)
            .then(|| Objection::new("it runs"))
            .into_iter()
            .collect())
    }

    fn plan(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        panic!("{} is too much", request.jail.name)
    }

    fn step(&self, host: &Host<'_>, _request: &StepRequest) -> Result<(), PluginError> {
        if host.cancelled() {
            Err(PluginError::with_code("cancelled", "enough"))
        } else {
            Ok(())
        }
    }
}

export_plugin!(qjail_plugin_tester, Tester);

struct Port;

impl HostPort for Port {
    fn log(&self, level: LogLevel, message: &str) {
        assert_eq!((level, message), (LogLevel::Warn, "looking"));
    }

    fn call(&self, op: &str, _request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        match op {
            "running/1" => Ok(b"[\"web\"]".to_vec()),
            "cancelled/1" => Ok(b"true".to_vec()),
            _ => Err(Vec::new()),
        }
    }
}

fn request(jail: &str) -> Value {
    let context = json!({"os": "linux", "jails_dir": "/j", "config_dir": "/c", "state_dir": "/s"});
    json!({"event": "create", "point": "pre", "jail": {"name": jail}, "context": context, "of a later API": 1})
}

fn ask(op: &str, request: &[u8]) -> Result<Value, PluginError> {
    match dispatch(&Tester, &Port, op, request) {
        Ok(answer) => Ok(from_slice(&answer).unwrap()),
        Err(error) => Err(from_slice(&error).unwrap()),
    }
}

#[test]
fn operations_answer_documents() {
    let ask = |op, jail| ask(op, &to_vec(&request(jail)).unwrap());
    assert_eq!(
        ask("validate/1", "web"),
        Ok(json!([{"message": "it runs", "hint": null}]))
    );
    assert_eq!(ask("validate/1", "db"), Ok(json!([])));
    assert_eq!(ask("resolve/1", "db"), Ok(json!({"values": {}})));
    let manifest: Manifest = from_slice(&describe(&Tester).unwrap()).unwrap();
    assert_eq!(manifest, Tester.manifest());
}

#[test]
fn what_goes_wrong_is_an_error_with_a_code() {
    let web = to_vec(&request("web")).unwrap();
    let panic = ask("plan/1", &web).unwrap_err();
    assert_eq!(
        (panic.code.as_str(), panic.message.as_str()),
        ("panic", "web is too much")
    );
    assert!(panic.causes[0].contains("dispatch.rs:"), "{panic:?}");

    let unknown = ask("plan/\u{7}9", &web).unwrap_err();
    assert_eq!(
        (unknown.code.as_str(), unknown.message.as_str()),
        ("unknown-op", "the plugin has no operation plan/\\u{7}9")
    );

    for bad in [&b""[..], b"{", b"[]", b"\xff\xff", b"{\"event\":\"create\"}"] {
        let error = ask("plan/1", bad).unwrap_err();
        assert_eq!(error.code, "bad-document", "{bad:?}");
        assert!(
            error.message.starts_with("the request can not be read: "),
            "{error}"
        );
    }
    let context = json!({"os": "linux", "jails_dir": "/j", "config_dir": "/c", "state_dir": "/s"});
    let step = to_vec(&json!({"op": "o", "context": context})).unwrap();
    assert_eq!(ask("step/1", &step).unwrap_err().code, "cancelled");
    assert_eq!(ask("undo/1", &step), Ok(Value::Null));
}

#[test]
fn a_service_that_fails_without_a_word_is_an_error() {
    let host = Host::new(&Port);
    assert_eq!(host.interfaces().unwrap_err().code, "bad-document");
}

#[test]
fn the_macro_makes_a_builtin() {
    let names: Vec<String> = inventory::iter::<Builtin>()
        .map(|b| b.plugin().manifest().name)
        .collect();
    assert_eq!(names, ["tester"]);
}

#[test]
fn levels_survive_the_boundary() {
    let levels: Vec<LogLevel> = (0..5).map(level_of).collect();
    assert_eq!(
        levels,
        [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
            LogLevel::Debug
        ]
    );
}

/// Runs this test again as a child process, whose output can be read.
#[test]
fn a_contained_panic_prints_nothing_and_another_one_does() {
    if let Ok(kind) = std::env::var("QJAIL_TEST_PANIC") {
        let web = to_vec(&request("web")).unwrap();
        assert_eq!(ask("plan/1", &web).unwrap_err().code, "panic");
        assert_ne!(kind, "own", "an own panic");
        return;
    }
    let child = |kind: &str| {
        let name = "a_contained_panic_prints_nothing_and_another_one_does";
        let mut command = Command::new(std::env::current_exe().unwrap());
        let out = command
            .args(["--exact", name, "--nocapture"])
            .env("QJAIL_TEST_PANIC", kind)
            .output()
            .unwrap();
        (out.status.success(), String::from_utf8(out.stderr).unwrap())
    };
    let (ok, stderr) = child("contained");
    assert!(ok && stderr.is_empty(), "{stderr}");
    let (ok, stderr) = child("own");
    assert!(
        !ok && stderr.contains("an own panic") && !stderr.contains("too much"),
        "{stderr}"
    );
}
