//! The plugin under test.

use std::fs;
use std::path::{Path, PathBuf};

use qjail_plugin_api::{
    Builtin, CommandReply, CommandRequest, CommandSpec, Context, Event, HookRequest, HostInfo, Interface,
    JailInfo, LogLevel, Manifest, Objection, Options, Plan, Plugin, PluginError, Point, Progress, Resolved,
    Step, StepRequest,
};
use qjail_plugin_host::{HostConfig, Registry};
use serde_json::Value;
use tempfile::TempDir;

use crate::line;
use crate::recorder::Recorder;

/// Codes of errors that are never the fault of what was asked.
const DEFECTS: [&str; 6] = [
    "panic",
    "timeout",
    "bad-reply",
    "bad-document",
    "unknown-op",
    "refused",
];

/// A plugin with a host around it.
pub struct PluginTest {
    registry: Registry,
    name: String,
    manifest: Manifest,
    host: Recorder,
    settings: Value,
    dir: TempDir,
}

impl PluginTest {
    /// A plugin on a Linux host that has no interfaces and no jails. Checks the manifest as qjail does.
    ///
    /// # Panics
    /// When qjail would refuse the plugin.
    #[must_use]
    #[track_caller]
    pub fn new(plugin: &'static dyn Plugin) -> Self {
        Self::on("linux", plugin)
    }

    /// The same on another system: `freebsd`.
    ///
    /// # Panics
    /// As [`PluginTest::new`].
    #[must_use]
    #[track_caller]
    pub fn on(os: &str, plugin: &'static dyn Plugin) -> Self {
        let manifest = plugin.manifest();
        let registry = registry(os, plugin, &manifest);
        if let Some(refused) = registry.refused().first() {
            panic!("qjail refuses the plugin: {}", refused.why);
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        for place in ["jails", "config", "state"] {
            fs::create_dir(dir.path().join(place)).expect("a directory in the temporary directory");
        }
        let info = HostInfo {
            os: os.to_owned(),
            ..HostInfo::default()
        };
        let host = Recorder {
            info,
            ..Recorder::default()
        };
        Self {
            registry,
            name: manifest.name.clone(),
            manifest,
            host,
            settings: Value::Object(serde_json::Map::new()),
            dir,
        }
    }

    /// The same with these network interfaces on the host.
    #[must_use]
    pub fn with_interfaces(mut self, interfaces: Vec<Interface>) -> Self {
        self.host.interfaces = interfaces;
        self
    }

    /// The same with these jails.
    #[must_use]
    pub fn with_jails(mut self, jails: Vec<JailInfo>) -> Self {
        self.host.jails = jails;
        self
    }

    /// The same with jails of these names running.
    #[must_use]
    pub fn with_running(mut self, names: &[&str]) -> Self {
        self.host.running = names.iter().map(|n| (*n).to_owned()).collect();
        self
    }

    /// The same with another release, machine and kernel.
    #[must_use]
    pub fn with_info(mut self, info: HostInfo) -> Self {
        self.host.info = info;
        self
    }

    /// The same with this table `[plugin.NAME]` in qjail.toml.
    #[must_use]
    pub fn with_settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// Lets [`qjail_plugin_api::Host::cancelled`] be true from now on.
    pub fn cancel(&self) {
        self.host.cancelled.set(true);
    }

    /// The directory that the plugin is told about: `jails`, `config` and `state` are in it, and it is removed at the end.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What the plugin said about itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it wrote to the log so far.
    #[must_use]
    pub fn log(&self) -> Vec<(LogLevel, String)> {
        self.host.log.borrow().clone()
    }

    /// How it told it was getting on so far.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        self.host.progress.borrow().clone()
    }

    /// Where the plugin is being called.
    #[must_use]
    pub fn context(&self) -> Context {
        let place = |name: &str| self.dir.path().join(name).to_string_lossy().into_owned();
        Context {
            os: self.host.info.os.clone(),
            jails_dir: place("jails"),
            config_dir: place("config"),
            state_dir: place("state"),
            settings: self.settings.clone(),
            now: 1_767_225_600,
            ..Context::default()
        }
    }

    /// A question about a jail, to be changed by the test as needed.
    #[must_use]
    pub fn request(&self, event: Event, jail: &str, options: &[(&str, Value)]) -> HookRequest {
        let values = options
            .iter()
            .map(|(id, value)| ((*id).to_owned(), value.clone()))
            .collect();
        HookRequest {
            event,
            point: Point::Pre,
            jail: JailInfo {
                name: jail.to_owned(),
                ..JailInfo::default()
            },
            options: Options { values },
            duplicate: false,
            several: false,
            new_name: None,
            context: self.context(),
        }
    }

    /// Asks for values of options that were not given.
    ///
    /// # Errors
    /// Those of the plugin, and of qjail about it.
    pub fn resolve(&self, request: &HookRequest) -> Result<Resolved, PluginError> {
        self.registry.resolve(&self.name, &self.host, request)
    }

    /// Asks for objections.
    ///
    /// # Errors
    /// As [`PluginTest::resolve`].
    pub fn validate(&self, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        self.registry.validate(&self.name, &self.host, request)
    }

    /// Asks for a plan.
    ///
    /// # Errors
    /// As [`PluginTest::resolve`].
    pub fn plan(&self, request: &HookRequest) -> Result<Plan, PluginError> {
        self.registry.plan(&self.name, &self.host, request)
    }

    /// Gives a command line, without the word `qjail`.
    ///
    /// # Errors
    /// As [`PluginTest::resolve`]; code `usage` when the line does not fit the specification.
    pub fn command(&self, line: &str) -> Result<CommandReply, PluginError> {
        let (command, options) =
            line::parse(&self.manifest.commands, line).map_err(|why| PluginError::with_code("usage", why))?;
        let request = CommandRequest {
            command,
            options,
            context: self.context(),
        };
        self.registry.command(&self.name, &self.host, &request)
    }

    /// Runs every example of every command, and returns each line with its answer.
    ///
    /// # Panics
    /// When an example does not fit its own specification, or the plugin has a defect: it panics, answers rubbish, does not know
    /// its own command. Any other error may well be right, as for a thing that is not there.
    #[track_caller]
    pub fn check_examples(&self) -> Vec<(String, Result<CommandReply, PluginError>)> {
        let runs: Vec<_> = lines(&self.manifest.commands)
            .into_iter()
            .map(|l| (l.clone(), self.command(&l)))
            .collect();
        for (line, answer) in &runs {
            if let Some(e) = answer
                .as_ref()
                .err()
                .filter(|e| e.code == "usage" || DEFECTS.contains(&e.code.as_str()))
            {
                panic!("the example `{line}` fails: {}: {e}", e.code);
            }
        }
        runs
    }

    /// Runs a step of the plugin's own, for a jail whose root is `jails/NAME` below [`PluginTest::dir`].
    ///
    /// # Errors
    /// As [`PluginTest::resolve`].
    ///
    /// # Panics
    /// When it is another kind of step.
    #[track_caller]
    pub fn step(&self, jail: Option<&str>, step: &Step) -> Result<(), PluginError> {
        self.registry
            .step(&self.name, &self.host, &self.step_request(jail, step))
    }

    /// Undoes such a step.
    ///
    /// # Errors
    /// As [`PluginTest::resolve`].
    ///
    /// # Panics
    /// As [`PluginTest::step`].
    #[track_caller]
    pub fn undo(&self, jail: Option<&str>, step: &Step) -> Result<(), PluginError> {
        self.registry
            .undo(&self.name, &self.host, &self.step_request(jail, step))
    }

    #[track_caller]
    fn step_request(&self, jail: Option<&str>, step: &Step) -> StepRequest {
        let Step::Plugin { op, data, .. } = step else {
            panic!("qjail runs this step itself: {step:?}")
        };
        let root = |name: &str| -> PathBuf { self.dir.path().join("jails").join(name) };
        let jail_root = jail.map(|j| root(j).to_string_lossy().into_owned());
        StepRequest {
            op: op.clone(),
            data: data.clone(),
            jail_root,
            context: self.context(),
        }
    }
}

/// A host with this plugin alone, which meets all its needs.
fn registry(os: &str, plugin: &'static dyn Plugin, manifest: &Manifest) -> Registry {
    let mut config = HostConfig {
        os: os.to_owned(),
        ..HostConfig::default()
    };
    config.capabilities.extend(manifest.needs.iter().cloned());
    // A test's few bytes; built-in plugins live as long as the program.
    config.builtins.push(Box::leak(Box::new(Builtin::new(plugin))));
    Registry::discover(&config)
}

fn lines(commands: &[CommandSpec]) -> Vec<String> {
    let own = |c: &CommandSpec| c.examples.iter().map(|e| e.line.clone()).collect::<Vec<_>>();
    commands
        .iter()
        .flat_map(|c| [own(c), lines(&c.subcommands)].concat())
        .collect()
}
