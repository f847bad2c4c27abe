//! The command line: specifications to a parser, a parsed line to operations of `qjail-core`, results to text or JSON.
//!
//! It decides nothing about jails and touches no file but those it is told to read; it starts no process.
#![forbid(unsafe_code)]

mod commands;
mod globals;
mod help;
mod record;
mod render;
mod setup;
mod spec;
mod tree;
mod ui;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use qjail_core::{Error, Kind};
use qjail_sys::System;

use crate::globals::Globals;
use crate::render::Style;

/// Runs the program with `args` (the program's own name left out) and returns its exit status.
///
/// 0 done, 1 something failed, 2 the command line is wrong; `exec` and `console` return the command's own status, or
/// 125 when qjail itself failed.
#[must_use]
pub fn run(args: Vec<OsString>) -> ExitCode {
    run_on(&args, qjail_sys::native_os(), &|state_dir| {
        Arc::from(qjail_sys::native(state_dir))
    })
}

/// As [`run`], on a system of the caller's choice: for tests. `os` is what [`System::os`] of the system says, which is made
/// with the directory of its run-time files.
pub fn run_on(args: &[OsString], os: &str, system: &dyn Fn(&Path) -> Arc<dyn System>) -> ExitCode {
    let early = Globals::scan(args);
    let style = Style {
        json: early.json,
        quiet: early.quiet,
    };
    match try_run(args, &early, os, system) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            style.error(&error);
            let inside = matches!(early.command.as_str(), "exec" | "console");
            ExitCode::from(match error.kind {
                Kind::Usage => 2,
                Kind::Failed | Kind::Cancelled if inside => 125,
                Kind::Failed | Kind::Cancelled => 1,
            })
        }
    }
}

fn try_run(
    args: &[OsString],
    early: &Globals,
    os: &str,
    system: &dyn Fn(&Path) -> Arc<dyn System>,
) -> Result<u8, Error> {
    let engine = setup::engine(early, os, system)?;
    let core = spec::core_commands();
    let globals = spec::global_options();
    let extended = setup::extended(&core, &engine.registry);
    let parser = tree::build(&extended, &globals);
    if let [word, dir, day @ ..] = args
        && word == help::MAN
    {
        let day = day.first().and_then(|d| d.to_str());
        return help::man_pages(&parser, dir.as_ref(), day).map(|()| 0);
    }
    let whole = std::iter::once(OsString::from("qjail")).chain(args.iter().cloned());
    let matches = match parser.clone().try_get_matches_from(whole) {
        Ok(matches) => matches,
        Err(e) => return Ok(help::clap_error(&e, early.json)),
    };
    let record = record::Record::of(&engine, early, &matches, args);
    let result = commands::dispatch(engine, &parser, &core, &matches, early);
    if let Some(Err(e)) = record.map(|r| r.write(&result)) {
        let style = Style {
            json: early.json,
            quiet: early.quiet,
        };
        style.error(&e.hint("the command is not in the log; nothing else is wrong"));
    }
    result
}
