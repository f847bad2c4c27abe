//! A plugin for the tests: it plans every kind of step, fails where it is told, and takes pictures on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use qjail_model::ParamValue;
use qjail_plugin_api::{
    At, Event, HookRequest, HookSpec, Host, IfExists, Manifest, Mount, Objection, Plan, Plugin, PluginError,
    Point, Step, StepRequest,
};
use serde_json::json;

/// A plugin that uses every kind of step, and can fail or take a picture of the disk in the middle.
pub(crate) struct Busy {
    /// Fail at this step of its own; 0 for never.
    pub(crate) fail_at: AtomicUsize,
    pub(crate) calls: AtomicUsize,
    /// Take this directory away before a failure.
    pub(crate) takes: Mutex<Option<PathBuf>>,
    /// Copy the whole site here at each step of its own.
    pub(crate) snapshots: Mutex<Option<(PathBuf, PathBuf)>>,
}

impl Busy {
    pub(crate) fn leaked() -> &'static Self {
        Box::leak(Box::new(Self {
            fail_at: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            takes: Mutex::default(),
            snapshots: Mutex::default(),
        }))
    }
}

fn called(number: usize) -> Step {
    Step::Plugin {
        plugin: String::new(),
        op: "mark".into(),
        about: format!("mark {number}"),
        data: json!({ "n": number }),
    }
}

impl Plugin for Busy {
    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::new("busy", "1.0.0", "uses every step");
        manifest.hooks = [Event::Create, Event::Start, Event::Stop, Event::Delete]
            .map(|event| HookSpec::new(event, Point::Pre))
            .to_vec();
        manifest.hooks.push(HookSpec::new(Event::Start, Point::Post));
        manifest.params = vec!["interface".into(), "ip4.addr".into()];
        manifest
    }

    fn validate(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        if request.jail.name != "bad" {
            return Ok(Vec::new());
        }
        Ok(vec![Objection::new("one"), Objection::new("two").hint("do not")])
    }

    fn plan(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        let shared = Mount {
            source: format!("{}/sharedfs", request.context.jails_dir),
            target: "sharedfs".into(),
            read_only: true,
        };
        Ok(match request.event {
            Event::Create => Plan {
                params: BTreeMap::from([
                    ("interface".to_owned(), Some("lo9".into())),
                    (
                        "ip4.addr".to_owned(),
                        Some(ParamValue::List(vec!["10.0.0.1".into()])),
                    ),
                ]),
                steps: vec![
                    called(1),
                    Step::MakeDir {
                        at: At::jail("var/new/deep"),
                        mode: 0o750,
                    },
                    Step::EnsureLine {
                        at: At::jail("etc/motd"),
                        line: "hello".into(),
                        key: None,
                    },
                    Step::MakeDir {
                        at: At::state("busy/deep"),
                        mode: 0o700,
                    },
                    Step::RememberFiles {
                        files: vec![At::state("scribbled"), At::state("fresh")],
                    },
                    called(2),
                    Step::WriteFile {
                        at: At::state("busy/deep/file"),
                        content: "new".into(),
                        mode: None,
                        if_exists: IfExists::Replace,
                    },
                    Step::WriteFile {
                        at: At::state("old"),
                        content: "new".into(),
                        mode: Some(0o600),
                        if_exists: IfExists::Replace,
                    },
                    Step::EnsureLine {
                        at: At::config("lines"),
                        line: "b=2".into(),
                        key: Some("b=".into()),
                    },
                    called(3),
                    Step::SetLink {
                        at: At::state("link"),
                        target: "elsewhere".into(),
                    },
                    Step::RemoveFile {
                        at: At::config("gone"),
                    },
                    Step::Rename {
                        from: At::state("from"),
                        to: At::state("to"),
                    },
                    Step::CopyTree {
                        from: At::jails("flavors"),
                        to: At::state("copy"),
                    },
                    Step::Setting {
                        path: vec!["a".into()],
                        value: Some(json!(1)),
                    },
                    Step::EnsureInterface {
                        name: "lo9".into(),
                        addresses: vec!["10.0.0.1/24".parse().unwrap()],
                    },
                    called(4),
                ],
                commit: vec![called(5)],
                notes: vec!["the password is s3cret".into()],
                ..Plan::default()
            },
            Event::Start if request.point == Point::Post => Plan {
                keep: Some(BTreeMap::from([("started".to_owned(), json!(true))])),
                steps: vec![Step::RunInJail {
                    argv: vec!["/sbin/once".into(), "now".into()],
                    user: None,
                    about: "once".into(),
                    undo: Vec::new(),
                }],
                ..Plan::default()
            },
            Event::Start => Plan {
                mounts: vec![shared],
                steps: vec![
                    Step::RememberFiles {
                        files: vec![At::jail("etc/flavored")],
                    },
                    Step::EnsureLine {
                        at: At::jail("etc/motd"),
                        line: "up".into(),
                        key: None,
                    },
                    called(1),
                ],
                ..Plan::default()
            },
            _ => Plan {
                steps: vec![called(1)],
                commit: vec![called(2)],
                ..Plan::default()
            },
        })
    }

    fn step(&self, _host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some((from, to)) = &*self.snapshots.lock().unwrap() {
            copy(from, &to.join(format!("{call}")));
        }
        if request.data["n"] == 2 {
            let state = Path::new(&request.context.state_dir);
            std::fs::write(state.join("scribbled"), "by the plugin").unwrap();
            std::fs::write(state.join("fresh"), "by the plugin").unwrap();
        }
        if call == self.fail_at.load(Ordering::Relaxed) {
            if let Some(dir) = self.takes.lock().unwrap().take() {
                std::fs::remove_dir_all(dir).unwrap();
            }
            if request.data["n"] == 2 {
                // As of a writer of `scribbled` that was killed.
                let state = Path::new(&request.context.state_dir);
                std::fs::write(state.join(".qjail-tmp-9e971fab-0"), "by the pl").unwrap();
            }
            return Err(PluginError::new(format!(
                "step {} fails as told",
                request.data["n"]
            )));
        }
        Ok(())
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .arg("-a")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}
