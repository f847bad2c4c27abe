//! Each command: its options to an operation, the result to lines.

mod config;
mod import;
mod list;
mod log;
mod params;
pub(crate) mod top;

use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};

use clap::{ArgMatches, Command};
use qjail_core::{
    CreateRequest, Engine, Error, FromArchive, Job, Outcome, Plan, PluginOptions, Report, StopRequest,
};
use qjail_model::{JailName, LimitChange, Limits, Selector, Size};
use qjail_plugin_api::{CommandSpec, Options};
use qjail_sys::ExecSpec;

use crate::globals::Globals;
use crate::render::{Style, line};
use crate::{help, setup, tree};

/// Commands that make a zone, or have nothing to do with one.
const ZONELESS: [&str; 7] = [
    "install",
    "import",
    "log",
    "logmsg",
    "plugins",
    "completions",
    "help",
];

/// A parsed command line on its way.
struct Call<'a> {
    engine: &'a Engine,
    globals: &'a Globals,
    style: Style,
    /// The options of the command itself.
    options: Options,
    /// The options that plugins added to it.
    plugins: PluginOptions,
}

/// Runs the command that was given; returns the exit status.
pub(crate) fn dispatch(
    mut engine: Engine,
    parser: &Command,
    core: &[CommandSpec],
    matches: &ArgMatches,
    early: &Globals,
) -> Result<u8, Error> {
    let globals = early.read(matches)?;
    let Some((name, sub)) = matches.subcommand() else {
        return Ok(2);
    };
    setup::apply(&mut engine, &globals, name)?;
    // A command in a jail gets the signals itself; a question is answered by them.
    if !matches!(name, "exec" | "console" | "delete" | "import") {
        setup::watch_signals(&engine)?;
    }
    let style = Style {
        json: globals.json,
        quiet: globals.quiet,
    };
    if !ZONELESS.contains(&name) {
        engine.check_zone()?;
    }
    let Some(spec) = core.iter().find(|c| c.name == name) else {
        return plugin_command(&engine, style, name, sub);
    };
    let options = tree::options(sub, "", &spec.args);
    let plugins = setup::plugin_options(&engine.registry, name, sub);
    let call = Call {
        engine: &engine,
        globals: &globals,
        style,
        options,
        plugins,
    };
    match name {
        "create" => call.create(),
        "list" => call.list(),
        "top" => call.top(),
        "start" => Ok(call.many(Job::Start)),
        "stop" => Ok(call.many(Job::Stop(call.stop_request()))),
        "restart" => Ok(call.many(Job::Restart(call.stop_request()))),
        "boot" => Ok(call.reported(|report| call.engine.boot(report))),
        "shutdown" => Ok(call.reported(|report| call.engine.shutdown(report))),
        "console" => call.console(),
        "exec" => call.exec(),
        "delete" => call.delete(),
        "config" => call.config(),
        "import" => call.import(),
        "log" => call.log(),
        "logmsg" => call.logmsg(),
        "plugins" => call.plugins(sub, spec),
        "completions" => Ok(call.completions(parser)),
        _ => help::show(parser, &call.options.list("command"), style.json).map(|()| 0),
    }
}

impl Call<'_> {
    fn create(&self) -> Result<u8, Error> {
        let request = self.create_request()?;
        self.engine.recover();
        let mut failed = false;
        for name in qjail_core::create_names(&request)? {
            match self.engine.create(&name, &request) {
                Ok(plan) => {
                    self.done(&plan, &format!("Successfully created  {name}"), &name);
                    failed |= self.options.is_on("start") && !self.start_made(&name);
                }
                Err(e) if request.duplicate.is_some() => {
                    failed = true;
                    self.style.error(&e);
                    // One that exists is passed over, as in qjail 5.x; anything else would happen to the rest too.
                    if !e.message.contains("already exists") {
                        break;
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(u8::from(failed))
    }

    fn create_request(&self) -> Result<CreateRequest, Error> {
        let o = &self.options;
        let params = params::set(o)?;
        Ok(CreateRequest {
            name: o.text("jail").unwrap_or_default().to_owned(),
            flavors: o.list("flavor").into_iter().map(str::to_owned).collect(),
            duplicate: number(o, "duplicate"),
            thick: o.is_on("thick"),
            image: size(o, "image")?,
            archive: from_archive(o)?,
            params,
            limits: limits(&o.list("limit"))?,
            options: self.plugins.clone(),
        })
    }

    fn start_made(&self, name: &JailName) -> bool {
        if self.engine.dry_run {
            return true;
        }
        let result = self.engine.start(name);
        let ok = result.is_ok();
        self.report("Jail successfully started  ", name, result);
        ok
    }

    /// The plan with `--dry-run`; else the classic message and what plugins have to add.
    fn done(&self, plan: &Plan, message: &str, name: &JailName) {
        if self.engine.dry_run {
            return self.style.plan(plan);
        }
        self.style.message(message, Some(name.as_str()));
        for note in &plan.notes {
            self.style.message(note, Some(name.as_str()));
        }
    }

    fn report(&self, message: &str, name: &JailName, result: Result<Outcome, Error>) {
        match result {
            Ok(Outcome::Done(plan)) => self.done(&plan, &format!("{message}{name}"), name),
            Ok(Outcome::Bypassed(text)) => self.style.message(&text, Some(name.as_str())),
            Err(e) => self.style.error(&e),
        }
    }

    fn selectors(&self) -> Result<Vec<Selector>, Error> {
        self.options
            .list("jails")
            .into_iter()
            .map(|s| s.parse().map_err(Error::usage))
            .collect()
    }

    fn stop_request(&self) -> StopRequest {
        StopRequest {
            force: self.options.is_on("force"),
            timeout: number(&self.options, "timeout").map(u64::from),
        }
    }

    fn many(&self, job: Job) -> u8 {
        let selectors = match self.selectors() {
            Ok(selectors) => selectors,
            Err(e) => {
                self.style.error(&e);
                return 2;
            }
        };
        self.engine.recover();
        self.reported(|report| self.engine.many(job, &selectors, report))
    }

    /// Shows what becomes of each jail as it happens; 1 when something has failed.
    fn reported(&self, work: impl FnOnce(Report<'_>) -> Vec<Error>) -> u8 {
        let failed = std::sync::atomic::AtomicBool::new(false);
        let report = |name: &JailName, result: Result<Outcome, Error>| {
            if result.is_err() {
                failed.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            let message = match &result {
                Ok(Outcome::Done(plan)) if plan.title.starts_with("stop") => "Jail successfully stopped  ",
                _ => "Jail successfully started  ",
            };
            self.report(message, name, result);
        };
        let errors = work(&report);
        errors.iter().for_each(|e| self.style.error(e));
        u8::from(failed.into_inner() || !errors.is_empty())
    }

    fn console(&self) -> Result<u8, Error> {
        let o = &self.options;
        let argv = match (o.text("command"), o.text("login")) {
            (Some(command), _) => vec!["/bin/sh".to_owned(), "-c".to_owned(), command.to_owned()],
            (None, Some(program)) => vec![program.to_owned()],
            (None, None) => Vec::new(),
        };
        let spec = ExecSpec {
            login: true,
            tty: std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
            user: o.text("user").map(str::to_owned),
            env: terminal_env(),
            argv,
            dir: None,
        };
        self.enter(&spec)
    }

    fn exec(&self) -> Result<u8, Error> {
        let o = &self.options;
        let spec = ExecSpec {
            argv: o.list("argv").into_iter().map(str::to_owned).collect(),
            user: o.text("user").map(str::to_owned),
            dir: o.text("dir").map(str::to_owned),
            tty: o.is_on("tty"),
            env: if o.is_on("tty") {
                terminal_env()
            } else {
                Vec::new()
            },
            login: false,
        };
        self.enter(&spec)
    }

    fn enter(&self, spec: &ExecSpec) -> Result<u8, Error> {
        let name = JailName::new(self.options.text("jail").unwrap_or_default()).map_err(Error::usage)?;
        if self.engine.dry_run {
            line(&format!(
                "Would run in {name}: {}",
                if spec.argv.is_empty() {
                    "a login shell".into()
                } else {
                    spec.argv.join(" ")
                }
            ));
            return Ok(0);
        }
        self.engine
            .enter(&name, spec)
            .map(|code| u8::try_from(code).unwrap_or(125))
    }

    fn delete(&self) -> Result<u8, Error> {
        let selectors = self.selectors()?;
        let all = self.options.is_on("all");
        if selectors.is_empty() && !all {
            return Err(Error::usage("delete: name the jails, or give --all"));
        }
        self.engine.recover();
        let (names, errors) = self.engine.select(&selectors);
        errors.iter().for_each(|e| self.style.error(e));
        let listed: Vec<&str> = names.iter().map(JailName::as_str).collect();
        let question = format!("Delete {} jails ({})", names.len(), listed.join(", "));
        if all && !self.agreed("delete --all", &question, names.is_empty())? {
            return Ok(1);
        }
        setup::watch_signals(self.engine)?;
        let mut failed = !errors.is_empty();
        for name in &names {
            match self.engine.delete(name, &names) {
                Ok(plan) => self.done(&plan, &format!("Successfully deleted  {name}"), name),
                Err(e) => {
                    failed = true;
                    self.style.error(&e);
                }
            }
        }
        Ok(u8::from(failed))
    }

    /// Asks before much is changed; where nobody can answer, `--yes` must have been given. `nothing` to do needs no answer.
    fn agreed(&self, command: &str, question: &str, nothing: bool) -> Result<bool, Error> {
        if self.globals.yes || self.engine.dry_run || nothing {
            return Ok(true);
        }
        if !std::io::stdin().is_terminal() {
            return Err(Error::usage(format!("{command}: nobody is there to be asked")).hint("add --yes"));
        }
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question}? [y/N] ");
        let _ = err.flush();
        let mut answer = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(Error::new)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    fn completions(&self, parser: &Command) -> u8 {
        let shell = self
            .options
            .text("shell")
            .unwrap_or_default()
            .parse::<clap_complete::Shell>();
        let Ok(shell) = shell else { return 2 };
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut parser.clone(), "qjail", &mut text);
        line(String::from_utf8_lossy(&text).trim_end());
        0
    }

    fn plugins(&self, matches: &ArgMatches, spec: &CommandSpec) -> Result<u8, Error> {
        match matches.subcommand() {
            Some((_, check)) => {
                let options = tree::options(check, "", &spec.subcommands[0].args);
                setup::check_plugin(self.engine, self.style, options.text("file").unwrap_or_default())
            }
            None => {
                self.style.output(&setup::plugin_table(&self.engine.registry));
                Ok(0)
            }
        }
    }
}

fn plugin_command(engine: &Engine, style: Style, name: &str, matches: &ArgMatches) -> Result<u8, Error> {
    let (plugin, top) = setup::owner_of(&engine.registry, name)
        .ok_or_else(|| Error::usage(format!("there is no command {name}")))?;
    let mut words = vec![name.to_owned()];
    let (mut spec, mut level) = (&top, matches);
    while let Some((word, sub)) = level.subcommand() {
        let Some(next) = spec.subcommands.iter().find(|s| s.name == word) else {
            break;
        };
        words.push(word.to_owned());
        (spec, level) = (next, sub);
    }
    let options = tree::options(level, "", &spec.args);
    if spec.lock.is_some() {
        engine.recover();
    }
    let answer = engine.plugin_command(&plugin, spec, &words, &options)?;
    let changes = answer.plan.actions().next().is_some();
    if engine.dry_run && changes {
        style.plan(&answer.plan);
        return Ok(0);
    }
    if let Some(output) = &answer.output {
        style.output(output);
    }
    for note in &answer.plan.notes {
        style.message(note, None);
    }
    Ok(0)
}

fn from_archive(options: &Options) -> Result<Option<FromArchive>, Error> {
    let zone = options.text("archive-zone").map(str::to_owned);
    match (options.text("archive"), zone) {
        (Some(""), _) => Err(Error::usage("--archive: the name is empty")),
        (Some(archive), zone) => Ok(Some(FromArchive {
            archive: archive.to_owned(),
            zone,
        })),
        (None, Some(_)) => Err(Error::usage("--archive-zone: there is no --archive to look for")),
        (None, None) => Ok(None),
    }
}

fn size(options: &Options, name: &str) -> Result<Option<Size>, Error> {
    let size = options.text(name).map(str::parse::<Size>).transpose();
    match size.map_err(|e| Error::usage(format!("--{name}: {e}")))? {
        Some(size) if size.bytes() == 0 => Err(Error::usage(format!("--{name}: nothing fits into 0 bytes"))),
        size => Ok(size),
    }
}

fn limits(texts: &[&str]) -> Result<Limits, Error> {
    let mut limits = Limits::default();
    let mut named: Vec<&str> = Vec::new();
    for text in texts {
        let limit: LimitChange = text.parse().map_err(Error::usage)?;
        if named.contains(&limit.name()) {
            return Err(Error::usage(format!(
                "--limit {text}: {} is given twice",
                limit.name()
            )));
        }
        named.push(limit.name());
        limits.apply(limit);
    }
    Ok(limits)
}

fn number(options: &Options, id: &str) -> Option<u32> {
    options.text(id).and_then(|t| t.parse().ok())
}

/// The caller's terminal type: the only part of the caller's environment that a jail gets.
fn terminal_env() -> Vec<(String, String)> {
    let plain = |t: &OsString| {
        t.to_str()
            .is_some_and(|t| t.chars().all(|c| c.is_ascii_graphic()))
    };
    let term = std::env::var_os("TERM")
        .filter(plain)
        .and_then(|t| t.into_string().ok());
    term.map(|t| ("TERM".to_owned(), t)).into_iter().collect()
}
