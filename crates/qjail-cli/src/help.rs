//! Help, and the errors of the parser in qjail's own form.

use std::path::Path;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use qjail_core::Error;
use qjail_model::known::{self, Kind, Known};
use qjail_plugin_host::{Check, Report};
use serde_json::json;

use crate::render::{Style, line};
use crate::ui::eline;

/// `qjail __man DIR [DAY]`: how packagers get the manual pages. Not a command for users.
pub(crate) const MAN: &str = "__man";

/// Writes `qjail.8`, and `qjail-COMMAND.8` for each command, into `dir`. `day` is the day of the release, `2026-11-26`.
pub(crate) fn man_pages(parser: &Command, dir: &Path, day: Option<&str>) -> Result<(), Error> {
    let mut root = parser.clone();
    root.build();
    man_page(&root, "qjail", dir, day.unwrap_or(NO_DAY))
}

/// The day in manual pages that are made without one.
const NO_DAY: &str = "1970-01-01";

fn man_page(command: &Command, name: &str, dir: &Path, day: &str) -> Result<(), Error> {
    let path = dir.join(format!("{name}.8"));
    let failed = |e: std::io::Error| Error::new(format!("write {}: {e}", path.display()));
    let mut text = Vec::new();
    let titled = command.clone().name(name.to_owned());
    clap_mangen::Man::new(titled)
        .section("8")
        .date(day)
        .manual("System Manager's Manual")
        .render(&mut text)
        .map_err(failed)?;
    std::fs::write(&path, tidy_page(&String::from_utf8_lossy(&text))).map_err(failed)?;
    command
        .get_subcommands()
        .try_for_each(|sub| man_page(sub, &format!("{name}-{}", sub.get_name()), dir, day))
}

/// Takes out what mandoc(1) warns about: blanks at the ends of lines, empty lines, and breaks where there is one anyway.
fn tidy_page(page: &str) -> String {
    let lines: Vec<&str> = page
        .lines()
        .map(str::trim_end)
        .filter(|l| !l.is_empty())
        .collect();
    let breaks = |line: Option<&&str>| {
        line.is_none_or(|l| {
            [".br", ".sp", ".SH", ".TP", ".RS", ".RE", ".IP", ".PP"]
                .iter()
                .any(|m| l.starts_with(m))
        })
    };
    let mut out = String::with_capacity(page.len());
    let mut before: Option<&&str> = None;
    for (at, line) in lines.iter().enumerate() {
        let idle = *line == ".br" && (breaks(before) || breaks(lines.get(at + 1)));
        if !idle {
            out.push_str(line);
            out.push('\n');
            before = Some(line);
        }
    }
    out
}

/// What `plugins check` found.
pub(crate) fn report(report: &Report, style: Style) {
    if style.json {
        let check = |c: &Check| match &c.result {
            Ok(found) => json!({ "check": c.what, "ok": true, "found": found }),
            Err(why) => json!({ "check": c.what, "ok": false, "why": why.message, "hint": why.hint }),
        };
        let checks: Vec<_> = report.checks.iter().map(check).collect();
        return line(&json!({ "file": report.path, "ok": report.is_ok(), "checks": checks }).to_string());
    }
    if let Some(manifest) = &report.manifest {
        line(&format!(
            "{} {}: {}",
            manifest.name, manifest.version, manifest.about
        ));
    }
    for check in &report.checks {
        match &check.result {
            Ok(found) => line(&format!("ok       {}: {found}", check.what)),
            Err(why) => {
                line(&format!("refused  {}: {why}", check.what));
                if let Some(hint) = &why.hint {
                    line(&format!("hint: {hint}"));
                }
            }
        }
    }
}

/// The text of an error, in which what the user gave does not begin lines or control the terminal.
fn on_lines(error: &clap::Error) -> String {
    let given = error.context().flat_map(|(_, value)| match value {
        ContextValue::String(one) => vec![one.clone()],
        ContextValue::Strings(all) => all.clone(),
        _ => Vec::new(),
    });
    given
        .filter(|text| text.contains(char::is_control))
        .fold(error.render().to_string(), |text, given| {
            text.replace(&format!("'{given}'"), &format!("'{}'", given.escape_debug()))
        })
}

/// Shows an error of the parser, or the help or version that was asked for; returns the exit status.
pub(crate) fn clap_error(error: &clap::Error, json: bool) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            line(error.render().to_string().trim_end());
            return 0;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eline(error.render().to_string().trim_end());
            return 2;
        }
        _ => {}
    }
    let text = on_lines(error);
    let message = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    let rest = text
        .lines()
        .skip(1)
        .take_while(|l| l.starts_with("  ") && !l.trim_start().starts_with("tip:"));
    let details: Vec<&str> = rest.map(str::trim).filter(|l| !l.is_empty()).collect();
    let message = if details.is_empty() {
        message.to_owned()
    } else {
        format!("{message} {}", details.join(", "))
    };
    let hint = hint(error);
    if json {
        eline(&serde_json::json!({ "error": message, "hint": hint }).to_string());
    } else {
        eline(&format!("qjail: {message}"));
        eline(&format!("hint: {hint}"));
    }
    2
}

fn hint(error: &clap::Error) -> String {
    for kind in [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ] {
        match error.get(kind) {
            Some(ContextValue::String(s)) => return format!("there is `{s}`"),
            Some(ContextValue::Strings(s)) if !s.is_empty() => {
                return format!("there is `{}`", s.join("`, `"));
            }
            _ => {}
        }
    }
    "qjail help COMMAND explains a command; `qjail help` lists them".to_owned()
}

/// `help`, `help COMMAND…`, `help manual`, `help params [NAME…]`.
pub(crate) fn show(parser: &Command, words: &[&str], json: bool) -> Result<(), Error> {
    if let ["params", names @ ..] = words {
        return params(names, json);
    }
    let mut root = parser.clone();
    root.build();
    if words == ["manual"] {
        line(root.render_long_help().to_string().trim_end());
        for command in root.get_subcommands_mut() {
            line(&format!(
                "\n{}\n{}",
                "-".repeat(80),
                command.render_long_help().to_string().trim_end()
            ));
        }
        return Ok(());
    }
    let mut command = &mut root;
    for word in words {
        command = command.find_subcommand_mut(word).ok_or_else(|| {
            Error::usage(format!("there is no command {word}")).hint("qjail help lists the commands")
        })?;
    }
    line(command.render_long_help().to_string().trim_end());
    Ok(())
}

/// The parameters of jail(8): all of them in a table, or some explained.
fn params(names: &[&str], json: bool) -> Result<(), Error> {
    let mut chosen: Vec<&Known> = Vec::new();
    for name in names {
        let (found, _) = known::find(name).ok_or_else(|| {
            let error = Error::usage(format!("jail(8) has no parameter {name}"));
            match known::near(name) {
                Some(near) => error.hint(format!("there is {near}")),
                None => error.hint("qjail help params lists them"),
            }
        })?;
        chosen.push(found);
    }
    if names.is_empty() {
        chosen.extend(known::all());
    }
    if json {
        let value = |k: &&Known| json!({ "name": k.name, "type": k.kind.to_string(), "since": k.since, "about": k.about });
        line(
            &chosen
                .iter()
                .map(value)
                .collect::<serde_json::Value>()
                .to_string(),
        );
        return Ok(());
    }
    if names.is_empty() {
        let heads = ["NAME", "TYPE", "SINCE"].map(str::to_owned);
        let row = |k: &&Known| vec![k.name.to_owned(), k.kind.to_string(), k.since.to_owned()];
        crate::render::table(&heads, &chosen.iter().map(row).collect::<Vec<_>>());
        line("\nqjail help params NAME explains one; `--param NAME=VALUE` of create and config sets it.");
        return Ok(());
    }
    for known in chosen {
        line(&format!(
            "{}  ({}; FreeBSD {} and later)\n    {}",
            known.name, known.kind, known.since, known.about
        ));
        if let Kind::Fixed(why) = known.kind {
            line(&format!("    It can not be set: {why}."));
        }
    }
    Ok(())
}
