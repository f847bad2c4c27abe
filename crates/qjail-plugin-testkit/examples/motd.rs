//! The plugin of docs/plugin-tutorial.md.
#![forbid(unsafe_code)]

// tutorial begins
use qjail_plugin_api::serde_json::Value;
use qjail_plugin_api::{
    ArgSpec, At, CommandReply, CommandRequest, CommandSpec, Event, Example, Extension, HookRequest, HookSpec, Host, IfExists,
    Manifest, Objection, Output, Plan, Plugin, PluginError, Point, Step, export_plugin,
};

struct Motd;

impl Plugin for Motd {
    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::new("motd", env!("CARGO_PKG_VERSION"), "a message of the day for each jail");
        manifest.extends = vec![Extension {
            command: "create".to_owned(),
            heading: "Message of the day".to_owned(),
            args: vec![ArgSpec::option("motd", None, "TEXT", "What the jail says at login")],
        }];
        manifest.hooks = vec![HookSpec::new(Event::Create, Point::Post)];
        manifest.commands = vec![CommandSpec {
            name: "motd".to_owned(),
            about: "Show the messages of all jails".to_owned(),
            examples: vec![Example { line: "motd".to_owned(), about: "a table of jails and messages".to_owned() }],
            ..CommandSpec::default()
        }];
        manifest
    }

    fn validate(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        let text = request.options.text("motd").unwrap_or_default();
        let objection = Objection::new("the message of the day has several lines").hint("give one line");
        Ok(text.contains('\n').then_some(objection).into_iter().collect())
    }

    fn plan(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        let Some(text) = request.options.text("motd") else { return Ok(Plan::default()) };
        let write = Step::WriteFile {
            at: At::jail("etc/motd"),
            content: format!("{text}\n"),
            mode: Some(0o644),
            if_exists: IfExists::Replace,
        };
        let keep = [("motd".to_owned(), Value::from(text))].into();
        Ok(Plan { steps: vec![write], keep: Some(keep), ..Plan::default() })
    }

    fn command(&self, host: &Host<'_>, _request: &CommandRequest) -> Result<CommandReply, PluginError> {
        let kept = |v: Option<&Value>| v.and_then(Value::as_str).unwrap_or("-").to_owned();
        let rows = host.jails()?.into_iter().map(|j| vec![j.name, kept(j.kept.get("motd"))]).collect();
        let columns = vec!["NAME".to_owned(), "MESSAGE".to_owned()];
        let output = Output { columns, rows, data: Value::Null };
        Ok(CommandReply { output: Some(output), ..CommandReply::default() })
    }
}

export_plugin!(qjail_plugin_motd, Motd);
// tutorial ends

fn main() {}

#[cfg(test)]
mod tests {
    use super::Motd;
    // tutorial test begins
    use qjail_plugin_api::serde_json::json;
    use qjail_plugin_api::{Event, JailInfo};
    use qjail_plugin_testkit::{PluginTest, assert_json};

    #[test]
    fn the_message_is_written_and_kept() {
        let test = PluginTest::new(&Motd);
        let request = test.request(Event::Create, "web", &[("motd", json!("hello"))]);
        assert_eq!(test.validate(&request).unwrap(), []);
        assert_json(
            &test.plan(&request).unwrap(),
            r#"{
                "steps": [{
                    "step": "write-file", "at": {"place": "jail", "path": "etc/motd"},
                    "content": "hello\n", "mode": 420, "if_exists": "replace"
                }],
                "keep": {"motd": "hello"}
            }"#,
        );
        let two_lines = test.request(Event::Create, "web", &[("motd", json!("a\nb"))]);
        assert_eq!(test.validate(&two_lines).unwrap()[0].message, "the message of the day has several lines");
    }

    #[test]
    fn its_examples_work() {
        let jail = JailInfo { name: "web".to_owned(), kept: [("motd".to_owned(), json!("hello"))].into(), ..JailInfo::default() };
        let runs = PluginTest::new(&Motd).with_jails(vec![jail]).check_examples();
        assert_eq!(runs[0].1.as_ref().unwrap().output.as_ref().unwrap().rows, [["web", "hello"]]);
    }
    // tutorial test ends
}
