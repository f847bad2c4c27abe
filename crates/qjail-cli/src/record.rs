//! What of a command line goes to the log, and when: after it has ended, with how it ended.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgMatches;
use qjail_core::{Engine, Error};
use qjail_plugin_api::CommandSpec;
use qjail_store::{Settings, append_log};

use crate::globals::Globals;
use crate::setup;

/// The commands of the core that change something or enter a jail. `logmsg` writes its line itself.
const LOGGED: [&str; 11] = [
    "create", "start", "stop", "restart", "boot", "shutdown", "console", "exec", "delete", "config", "import",
];

/// So many characters of a command line are logged.
const MOST: usize = 4000;

/// A command line that is worth a line.
pub(crate) struct Record {
    settings: PathBuf,
    log: PathBuf,
    text: String,
    /// Whether the log was on before the command, which may switch it.
    was_on: bool,
}

impl Record {
    /// None for a command that changes nothing.
    pub(crate) fn of(
        engine: &Engine,
        globals: &Globals,
        matches: &ArgMatches,
        args: &[OsString],
    ) -> Option<Self> {
        let (name, sub) = matches.subcommand()?;
        let dry_run = globals.read(matches).is_ok_and(|g| g.dry_run);
        if dry_run || !is_logged(engine, name, sub) {
            return None;
        }
        let settings = engine.layout.settings_file();
        Some(Self {
            log: engine.layout.log_file(),
            text: text(args),
            was_on: is_on(&settings),
            settings,
        })
    }

    /// Writes the line, where the log is on or was before the command.
    ///
    /// # Errors
    /// The log can not be written: the command is done nevertheless.
    pub(crate) fn write(&self, result: &Result<u8, Error>) -> Result<(), Error> {
        if !self.was_on && !is_on(&self.settings) {
            return Ok(());
        }
        let end = match result {
            Ok(0) => "ok".to_owned(),
            Ok(status) => format!("failed with status {status}"),
            Err(e) => format!("failed: {e}"),
        };
        let line = format!("{}: {end}", self.text);
        Ok(append_log(&self.log, qjail_store::now(), &user(), &line)?)
    }
}

/// Who gives the command: the one who became root for it, where sudo(8) or doas(1) says so.
pub(crate) fn user() -> String {
    ["SUDO_USER", "DOAS_USER", "USER", "LOGNAME"]
        .iter()
        .filter_map(std::env::var_os)
        .map(|user| user.to_string_lossy().into_owned())
        .find(|user| !user.is_empty())
        .unwrap_or_else(|| "root".to_owned())
}

fn is_on(settings: &std::path::Path) -> bool {
    Settings::load(settings).is_ok_and(|s| s.log())
}

fn is_logged(engine: &Engine, name: &str, matches: &ArgMatches) -> bool {
    if name == "log" {
        return ["on", "off"].iter().any(|id| matches.get_flag(id));
    }
    if name == "config" && matches.get_flag("display") {
        return false;
    }
    LOGGED.contains(&name)
        || setup::owner_of(&engine.registry, name).is_some_and(|(_, spec)| changes(&spec, matches))
}

/// A plugin's command that names a lock changes something; the others may not.
fn changes(spec: &CommandSpec, matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some((word, sub)) => spec
            .subcommands
            .iter()
            .find(|s| s.name == word)
            .is_some_and(|s| changes(s, sub)),
        None => spec.lock.is_some(),
    }
}

/// The line as it was given; a word that is empty or holds blanks stands in quotes.
fn text(args: &[OsString]) -> String {
    let words: Vec<String> = args
        .iter()
        .map(|word| word.to_string_lossy())
        .map(|word| {
            if word.is_empty() || word.contains(char::is_whitespace) {
                format!("{word:?}")
            } else {
                word.into_owned()
            }
        })
        .collect();
    words.join(" ").chars().take(MOST).collect()
}
