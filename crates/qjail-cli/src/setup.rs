//! Puts together what a command works with: directories, settings, plugins, the system.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::ArgMatches;
use qjail_core::{Engine, Error, PluginOptions};
use qjail_plugin_api::{Builtin, CommandSpec, LogLevel, Output, inventory};
use qjail_plugin_host::{HostConfig, Origin, Registry};
use qjail_store::{Layout, Os, Settings};
use qjail_sys::System;
use serde_json::json;

use crate::globals::Globals;
use crate::render::Style;
use crate::tree::{self, Extended};
use crate::ui::{Terminal, Tone};
use crate::{help, spec};

/// How many jails are started or stopped at once where the user does not say.
const DEFAULT_JOBS: usize = 4;

/// How long a plugin may think: `install` asks servers for a few bytes while it plans.
const PATIENCE: Duration = Duration::from_secs(30);

/// The engine, as far as it can be made before the command line is parsed: plugins have a say in what it may contain.
pub(crate) fn engine(
    early: &Globals,
    os: &str,
    system: &dyn Fn(&Path) -> Arc<dyn System>,
) -> Result<Engine, Error> {
    let layout = layout(os, early)?;
    let settings = Settings::load(&layout.settings_file())?;
    let registry = Registry::discover(&host_config(os, &layout, &settings));
    let system = system(&layout.state_dir());
    Ok(Engine {
        ui: Box::new(Terminal::new(Tone::default())),
        cancel: Arc::new(AtomicBool::new(false)),
        zone: None,
        dry_run: false,
        jobs: DEFAULT_JOBS,
        now: qjail_store::now(),
        command: early.command.clone(),
        planned: Mutex::default(),
        layout,
        system,
        registry,
    })
}

fn layout(os: &str, early: &Globals) -> Result<Layout, Error> {
    let os = if os == "freebsd" { Os::FreeBsd } else { Os::Linux };
    let root: Option<PathBuf> = match &early.root {
        Some(root) => Some(
            std::path::absolute(root).map_err(|e| Error::usage(format!("--root {}: {e}", root.display())))?,
        ),
        None => None,
    };
    Ok(Layout::new(os, root.as_deref()))
}

fn host_config(os: &str, layout: &Layout, settings: &Settings) -> HostConfig {
    HostConfig {
        dirs: [layout.plugin_dirs(), settings.plugin_dirs().to_vec()].concat(),
        disable: settings.plugins_disabled().to_vec(),
        allow: settings.plugins_allowed().map(<[String]>::to_vec),
        sha256: settings.plugin_sums().clone(),
        os: os.to_owned(),
        cache: Some(layout.state_dir().join("plugins.cache.json")),
        builtins: inventory::iter::<Builtin>.into_iter().collect(),
        commands: spec::core_commands(),
        globals: spec::global_options(),
        patience: PATIENCE,
        ..HostConfig::default()
    }
}

/// What the parsed line says about how to work.
pub(crate) fn apply(engine: &mut Engine, globals: &Globals, command: &str) -> Result<(), Error> {
    let color = Tone::wants_color(globals.color.as_deref());
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    engine.ui = Box::new(Terminal::new(Tone {
        verbose: globals.verbose,
        quiet: globals.quiet,
        json: globals.json,
        progress: terminal && !globals.quiet && !globals.no_progress && !globals.json,
        color,
    }));
    for warning in Settings::load(&engine.layout.settings_file())?.warnings() {
        engine.ui.log(LogLevel::Warn, &warning);
    }
    engine.zone.clone_from(&globals.zone);
    engine.dry_run = globals.dry_run;
    command.clone_into(&mut engine.command);
    let processors = std::thread::available_parallelism().map_or(DEFAULT_JOBS, usize::from);
    engine.jobs = globals.jobs.unwrap_or(processors.max(DEFAULT_JOBS));
    Ok(())
}

/// From now on the signals that ask to end are a wish, which plans follow by undoing what they did.
pub(crate) fn watch_signals(engine: &Engine) -> Result<(), Error> {
    for signal in [
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&engine.cancel)).map_err(Error::new)?;
    }
    Ok(())
}

/// All commands, of the core and of plugins, with what plugins add to them.
pub(crate) fn extended<'a>(core: &'a [CommandSpec], registry: &'a Registry) -> Vec<Extended<'a>> {
    let own = core.iter().map(|spec| {
        let mut extensions = Vec::new();
        for entry in registry.plugins() {
            let manifest = entry.manifest();
            for extension in manifest.extends.iter().filter(|e| e.command == spec.name) {
                extensions.push((
                    manifest.name.as_str(),
                    extension.heading.as_str(),
                    extension.args.as_slice(),
                ));
            }
        }
        Extended { spec, extensions }
    });
    let plugins = registry.plugins().iter().flat_map(|e| &e.manifest().commands);
    own.chain(plugins.map(|spec| Extended {
        spec,
        extensions: Vec::new(),
    }))
    .collect()
}

/// The options of each plugin that were given to a command of the core.
pub(crate) fn plugin_options(registry: &Registry, command: &str, matches: &ArgMatches) -> PluginOptions {
    let mut all = PluginOptions::new();
    for entry in registry.plugins() {
        let manifest = entry.manifest();
        let args = manifest
            .extends
            .iter()
            .filter(|e| e.command == command)
            .flat_map(|e| e.args.iter().cloned());
        let args: Vec<_> = args.collect();
        if !args.is_empty() {
            all.insert(
                manifest.name.clone(),
                tree::options(matches, &manifest.name, &args),
            );
        }
    }
    all
}

/// The plugin that has the command `name`, and the command.
pub(crate) fn owner_of(registry: &Registry, name: &str) -> Option<(String, CommandSpec)> {
    registry.plugins().iter().find_map(|entry| {
        let manifest = entry.manifest();
        let spec = manifest.commands.iter().find(|c| c.name == name)?;
        Some((manifest.name.clone(), spec.clone()))
    })
}

/// What `qjail plugins` shows.
pub(crate) fn plugin_table(registry: &Registry) -> Output {
    let mut rows = Vec::new();
    let mut data = Vec::new();
    for entry in registry.plugins() {
        let m = entry.manifest();
        let origin = match entry.origin() {
            Origin::BuiltIn => "built in".to_owned(),
            Origin::File(path) => path.display().to_string(),
        };
        data.push(
            json!({ "name": m.name, "version": m.version, "origin": origin, "about": m.about, "used": true }),
        );
        rows.push(vec![
            m.name.clone(),
            m.version.to_string(),
            origin,
            m.about.clone(),
        ]);
    }
    for refused in registry.refused() {
        let path = refused
            .path
            .as_ref()
            .map_or_else(|| "built in".to_owned(), |p| p.display().to_string());
        let hint = refused
            .why
            .hint
            .as_deref()
            .map(|h| format!("; {h}"))
            .unwrap_or_default();
        data.push(json!({
            "name": refused.name, "origin": path, "used": false, "why": refused.why.message, "hint": refused.why.hint,
        }));
        rows.push(vec![
            refused.name.clone(),
            "-".to_owned(),
            path,
            format!("refused: {}{hint}", refused.why),
        ]);
    }
    let columns = ["NAME", "VERSION", "FROM", "ABOUT"].map(str::to_owned).to_vec();
    Output {
        columns,
        rows,
        data: data.into(),
    }
}

/// `qjail plugins check FILE`: each check and its result; the exit status.
pub(crate) fn check_plugin(engine: &Engine, style: Style, file: &str) -> Result<u8, Error> {
    let settings = Settings::load(&engine.layout.settings_file())?;
    let config = host_config(engine.system.os(), &engine.layout, &settings);
    let report = qjail_plugin_host::check_file(&config, file.as_ref());
    help::report(&report, style);
    Ok(u8::from(!report.is_ok()))
}
