//! What plugins are asked when a jail is changed or renamed, and that a failure leaves all as it was.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use qjail_core::{Change, ConfigRequest, Engine, PluginOptions, Ui, What};
use qjail_model::{Definition, JailName};
use qjail_plugin_api::{
    At, Builtin, Event, HookRequest, HookSpec, Host, IfExists, LogLevel, Manifest, Objection, Options, Plan,
    Plugin, PluginError, Point, Progress, Step, StepRequest,
};
use qjail_plugin_host::{HostConfig, Registry};
use qjail_store::{Definitions, Layout, Os};
use qjail_sys::fake::Fake;
use serde_json::json;

/// Notes what it is asked; sets a parameter, keeps something, writes into the jail.
#[derive(Default)]
struct Asked {
    requests: Mutex<Vec<HookRequest>>,
}

impl Plugin for Asked {
    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::new("asked", "1.0.0", "notes what it is asked");
        manifest.hooks = [Event::Config, Event::Rename]
            .map(|event| HookSpec::new(event, Point::Pre))
            .to_vec();
        manifest.params = vec!["interface".into(), "allow.mlock".into()];
        manifest
    }

    fn validate(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        self.requests.lock().unwrap().push(request.clone());
        let refused = request.new_name.as_deref() == Some("refused");
        Ok(refused
            .then(|| Objection::new("not that name"))
            .into_iter()
            .collect())
    }

    fn plan(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        let mut plan = Plan::default();
        if let Some(interface) = request.options.text("interface") {
            plan.params.insert("interface".to_owned(), Some(interface.into()));
            plan.keep = Some(BTreeMap::from([("given".to_owned(), json!(interface))]));
            plan.notes = vec!["Successful nic change".to_owned()];
        }
        if let Some(new) = &request.new_name {
            plan.steps = vec![Step::WriteFile {
                at: At::jail("etc/name"),
                content: format!("{new}\n"),
                mode: None,
                if_exists: IfExists::Replace,
            }];
            plan.commit = vec![Step::Plugin {
                plugin: String::new(),
                op: "done".into(),
                about: "done".into(),
                data: json!(new),
            }];
        }
        Ok(plan)
    }

    fn step(&self, _host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        if request.data == json!("fails") {
            return Err(PluginError::new("fails as told"));
        }
        Ok(())
    }
}

struct Quiet;

impl Ui for Quiet {
    fn log(&self, _level: LogLevel, _message: &str) {}
    fn progress(&self, _progress: &Progress) {}
    fn progress_done(&self) {}
}

/// A site with the jails `old`, and `needs` that depends on it.
fn engine(root: &Path, asked: &'static Asked) -> Engine {
    let builtin: &'static Builtin = Box::leak(Box::new(Builtin::new(asked)));
    let config = HostConfig {
        os: "linux".into(),
        builtins: vec![builtin],
        ..HostConfig::default()
    };
    let layout = Layout::new(Os::Linux, Some(root));
    layout.create().unwrap();
    let etc = layout.jails_dir(None).join("old/etc");
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("hostname"), "old\n").unwrap();
    std::fs::write(etc.join("name"), "old\n").unwrap();
    std::fs::write(layout.console_log(&name("old")), "hello\n").unwrap();
    let mut needs = Definition::new();
    needs.depend = vec!["old".to_owned()];
    let definitions = Definitions::new(layout.definitions_dir());
    definitions.save(&name("old"), &Definition::new()).unwrap();
    definitions.save(&name("needs"), &needs).unwrap();
    Engine {
        layout,
        system: Arc::new(Fake::new("linux")),
        registry: Registry::discover(&config),
        ui: Box::new(Quiet),
        cancel: Arc::new(AtomicBool::new(false)),
        zone: None,
        dry_run: false,
        jobs: 1,
        now: 1_800_000_000,
        command: "test".into(),
        planned: Mutex::default(),
    }
}

fn name(s: &str) -> JailName {
    JailName::new(s).unwrap()
}

/// Every file but locks, with what it holds.
fn picture(root: &Path) -> String {
    let script = "find . -path '*/locks/*' -prune -o -type d -print -o -type f -exec md5sum {} + | sort";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(root)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn request(new: Option<&str>) -> ConfigRequest {
    let options = Options {
        values: BTreeMap::from([("interface".to_owned(), json!("lo9"))]),
    };
    ConfigRequest {
        changes: vec![Change {
            option: "-m".to_owned(),
            what: What::Manual(true),
        }],
        rename: new.map(name),
        options: PluginOptions::from([("asked".to_owned(), options)]),
        ..ConfigRequest::default()
    }
}

#[test]
fn plugins_take_part_in_a_change_and_a_rename() {
    let dir = tempfile::tempdir().unwrap();
    let asked: &'static Asked = Box::leak(Box::default());
    let engine = engine(dir.path(), asked);
    let done = engine.config(&name("old"), &request(Some("new"))).unwrap();
    assert_eq!(
        done.messages,
        [
            "Successful set manual status on old",
            "Successfully renamed old to new",
            "Successful nic change",
            "Successful nic change",
        ]
    );
    let requests = asked.requests.lock().unwrap();
    let told: Vec<_> = requests
        .iter()
        .map(|r| {
            (
                r.event,
                r.jail.name.as_str(),
                r.new_name.as_deref(),
                r.jail.params.text("interface"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Event::Config, "old", Some("new"), None),
            (Event::Rename, "old", Some("new"), Some("lo9"))
        ]
    );
    assert_eq!(requests[1].jail.kept.get("given"), Some(&json!("lo9")));
    let definitions = Definitions::new(engine.layout.definitions_dir());
    let definition = definitions.load(&name("new")).unwrap().unwrap();
    assert!(definition.manual && definition.params.text("interface") == Some("lo9"));
    assert!(definitions.load(&name("old")).unwrap().is_none());
    assert_eq!(definitions.load(&name("needs")).unwrap().unwrap().depend, ["new"]);
    let etc = engine.layout.jails_dir(None).join("new/etc");
    assert_eq!(std::fs::read_to_string(etc.join("name")).unwrap(), "new\n");
    assert_eq!(std::fs::read_to_string(etc.join("hostname")).unwrap(), "new\n");
    assert_eq!(
        std::fs::read_to_string(engine.layout.console_log(&name("new"))).unwrap(),
        "hello\n"
    );
}

#[test]
fn a_refusal_or_a_failure_leaves_all_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let asked: &'static Asked = Box::leak(Box::default());
    let engine = engine(dir.path(), asked);
    let before = picture(dir.path());
    for (new, says) in [
        ("refused", "not that name"),
        ("fails", "fails as told"),
        ("needs", "already exists"),
    ] {
        let error = engine.config(&name("old"), &request(Some(new))).unwrap_err();
        assert!(error.message.contains(says), "{error}");
        assert_eq!(picture(dir.path()), before, "{new}");
    }
}
