//! The kit itself, and the tutorial, whose code must be that of the example.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use qjail_plugin_api::serde_json::{Value, json};
use qjail_plugin_api::{
    CommandReply, CommandRequest, CommandSpec, Event, Example, Host, HostInfo, Interface, LogLevel, Manifest,
    Plugin, PluginError, Progress, Step, StepRequest,
};
use qjail_plugin_testkit::{PluginTest, assert_json};

struct Writer;

impl Plugin for Writer {
    fn manifest(&self) -> Manifest {
        let example = Example {
            line: "writer".to_owned(),
            about: "fails".to_owned(),
        };
        let command = CommandSpec {
            name: "writer".to_owned(),
            about: "W".to_owned(),
            examples: vec![example],
            ..CommandSpec::default()
        };
        Manifest {
            commands: vec![command],
            needs: vec!["later/1".to_owned()],
            ..Manifest::new("writer", "1.0.0", "writes")
        }
    }

    fn command(&self, host: &Host<'_>, _request: &CommandRequest) -> Result<CommandReply, PluginError> {
        let (info, interfaces) = (host.info()?, host.interfaces()?);
        Err(PluginError::new(format!(
            "{} has {} interfaces",
            info.release,
            interfaces.len()
        )))
    }

    fn step(&self, host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        host.progress(&Progress {
            about: "write".to_owned(),
            done: 1,
            ..Progress::default()
        });
        host.log(LogLevel::Info, "writing");
        if host.cancelled() {
            return Err(PluginError::with_code("cancelled", "enough"));
        }
        let root = request.jail_root.clone().unwrap_or_default();
        std::fs::create_dir_all(&root).map_err(PluginError::new)?;
        std::fs::write(format!("{root}/file"), request.data.to_string()).map_err(PluginError::new)
    }

    fn undo(&self, _host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        std::fs::remove_dir_all(request.jail_root.clone().unwrap_or_default()).map_err(PluginError::new)
    }
}

fn step() -> Step {
    Step::Plugin {
        plugin: String::new(),
        op: "write".to_owned(),
        about: "write".to_owned(),
        data: json!(7),
    }
}

#[test]
fn steps_run_and_are_undone_in_a_directory_of_the_test() {
    let test = PluginTest::on("freebsd", &Writer);
    test.step(Some("web"), &step()).unwrap();
    assert_eq!(
        std::fs::read_to_string(test.dir().join("jails/web/file")).unwrap(),
        "7"
    );
    assert_eq!(test.log(), [(LogLevel::Info, "writing".to_owned())]);
    assert_eq!(test.progress()[0].about, "write");
    test.undo(Some("web"), &step()).unwrap();
    assert!(!test.dir().join("jails/web").exists());
    test.cancel();
    assert_eq!(test.step(Some("web"), &step()).unwrap_err().code, "cancelled");
}

#[test]
fn the_host_is_what_the_test_says() {
    let info = HostInfo {
        release: "15.0".to_owned(),
        ..HostInfo::default()
    };
    let test = PluginTest::new(&Writer)
        .with_info(info)
        .with_interfaces(vec![Interface::default()]);
    let runs = test.check_examples();
    assert_eq!(runs[0].1.as_ref().unwrap_err().message, "15.0 has 1 interfaces");
    assert_eq!(test.command("other").unwrap_err().code, "usage");
    assert_eq!(test.request(Event::Start, "web", &[]).context.os, "");
}

#[test]
fn documents_are_compared_without_what_is_empty() {
    assert_json(
        &json!({"a": 1, "b": [], "c": null, "d": {"e": []}}),
        r#"{"a": 1}"#,
    );
    let difference =
        std::panic::catch_unwind(|| assert_json(&json!({"a": 1, "b": 2}), r#"{"a": 1, "b": 3}"#));
    let message = *difference.unwrap_err().downcast::<String>().unwrap();
    assert!(
        message.starts_with("line 3: \"b\": 2\n expected: \"b\": 3\n"),
        "{message}"
    );
}

#[test]
fn a_plugin_that_qjail_refuses_fails_the_test() {
    struct Bad;
    impl Plugin for Bad {
        fn manifest(&self) -> Manifest {
            Manifest::new("Bad", "1.0.0", "has a bad name")
        }
    }
    let refused = std::panic::catch_unwind(|| drop(PluginTest::new(&Bad))).unwrap_err();
    let message = *refused.downcast::<String>().unwrap();
    assert!(message.contains("the name `Bad` is not a word"), "{message}");
}

/// The part of the example between two marks, without its indentation.
fn part(source: &str, begin: &str, end: &str) -> String {
    let inner = source.split_once(begin).unwrap().1.split_once(end).unwrap().0;
    let inner = inner.trim_end_matches(' ').trim_matches('\n');
    let indent = inner.len() - inner.trim_start_matches(' ').len();
    let lines = inner.lines().map(|l| l.get(indent..).unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_tutorial_shows_the_example() {
    let source = include_str!("../examples/motd.rs");
    let tutorial = include_str!("../../../docs/plugin-tutorial.md");
    for (begin, end) in [
        ("// tutorial begins\n", "// tutorial ends"),
        ("// tutorial test begins\n", "// tutorial test ends"),
    ] {
        let code = part(source, begin, end);
        assert!(
            tutorial.contains(&format!("```rust\n{code}\n```\n")),
            "docs/plugin-tutorial.md lacks:\n{code}"
        );
    }
    let lines = part(source, "// tutorial begins\n", "// tutorial ends")
        .lines()
        .count();
    assert!(lines <= 60, "a plugin in 60 lines has {lines}");
}

/// Every example of a document in the contract can be read by the types, and says what they would say.
#[test]
fn the_contract_shows_real_documents() {
    let contract = include_str!("../../../docs/plugin-abi.md");
    let mut shown = 0;
    for block in contract.split("<!-- example: ").skip(1) {
        let (kind, rest) = block.split_once(" -->\n```json\n").unwrap();
        let text = rest.split_once("\n```").unwrap().0;
        let value: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{kind}: {e}\n{text}"));
        check_document(kind, &value);
        shown += 1;
    }
    assert!(shown >= 10, "only {shown} examples were found");
}

/// Whether every member of `part` is in `whole`: an example may leave out what has a default, and nothing else.
fn has_all(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(k, p)| whole.get(k).is_some_and(|w| has_all(w, p))),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(w, p)| has_all(w, p))
        }
        _ => whole == part,
    }
}

fn check_document(kind: &str, value: &Value) {
    use qjail_plugin_api::*;
    fn same<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) {
        let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e}\n{value:#}"));
        let written = serde_json::to_value(&read).unwrap();
        assert!(
            has_all(&written, value),
            "the types do not know all of\n{value:#}\nbut only\n{written:#}"
        );
    }
    match kind {
        "Manifest" => same::<Manifest>(value),
        "HookRequest" => same::<HookRequest>(value),
        "Resolved" => same::<Resolved>(value),
        "Objections" => same::<Vec<Objection>>(value),
        "Plan" => same::<Plan>(value),
        "CommandRequest" => same::<CommandRequest>(value),
        "CommandReply" => same::<CommandReply>(value),
        "StepRequest" => same::<StepRequest>(value),
        "PluginError" => same::<PluginError>(value),
        "JailInfos" => same::<Vec<JailInfo>>(value),
        "Interfaces" => same::<Vec<Interface>>(value),
        "HostInfo" => same::<HostInfo>(value),
        "Progress" => same::<Progress>(value),
        other => panic!("no such document: {other}"),
    }
}
