//! The plugin of docs/plugin-tutorial.md.
#![forbid(unsafe_code)]

// tutorial begins
use qjail_plugin_api::serde_json::Value;
use qjail_plugin_api::*;

struct Motd;

impl Plugin for Motd {
    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::new(
            "motd",
            env!("CARGO_PKG_VERSION"),
            "a message of the day for each jail",
        );
        let text = ArgSpec::option("motd", None, "TEXT", "What the jail says at login");
        manifest.extends = vec![Extension {
            command: "create".into(),
            heading: "Login".into(),
            args: vec![text],
        }];
        manifest.hooks = vec![HookSpec::new(Event::Create, Point::Post)];
        manifest
    }

    fn validate(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        let text = request.options.text("motd").unwrap_or_default();
        let objection = Objection::new("the message of the day has several lines").hint("give one line");
        Ok(text.contains('\n').then_some(objection).into_iter().collect())
    }

    fn plan(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        let Some(text) = request.options.text("motd") else {
            return Ok(Plan::default());
        };
        let write = Step::WriteFile {
            at: At::jail("etc/motd"),
            content: format!("{text}\n"),
            mode: Some(0o644),
            if_exists: IfExists::Replace,
        };
        let keep = [("motd".to_owned(), Value::from(text))].into();
        Ok(Plan {
            steps: vec![write],
            keep: Some(keep),
            ..Plan::default()
        })
    }
}

export_plugin!(qjail_plugin_motd, Motd);
// tutorial ends

fn main() {}

#[cfg(test)]
mod tests {
    use super::Motd;
    // tutorial test begins
    use qjail_plugin_api::Event;
    use qjail_plugin_api::serde_json::json;
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
        assert_eq!(
            test.validate(&two_lines).unwrap()[0].message,
            "the message of the day has several lines"
        );
    }
    // tutorial test ends
}
