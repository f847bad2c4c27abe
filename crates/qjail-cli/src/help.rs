//! Help, and the errors of the parser in qjail's own form.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use qjail_core::Error;

use crate::render::line;
use crate::ui::eline;

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
    let text = error.render().to_string();
    let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let rest = text.lines().skip(1).take_while(|l| l.starts_with("  ") && !l.trim_start().starts_with("tip:"));
    let details: Vec<&str> = rest.map(str::trim).filter(|l| !l.is_empty()).collect();
    let message = if details.is_empty() { message.to_owned() } else { format!("{message} {}", details.join(", ")) };
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
    for kind in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue] {
        match error.get(kind) {
            Some(ContextValue::String(s)) => return format!("there is `{s}`"),
            Some(ContextValue::Strings(s)) if !s.is_empty() => return format!("there is `{}`", s.join("`, `")),
            _ => {}
        }
    }
    "qjail help COMMAND explains a command; `qjail help` lists them".to_owned()
}

/// `help`, `help COMMAND…`, `help manual`.
pub(crate) fn show(parser: &Command, words: &[&str]) -> Result<(), Error> {
    let mut root = parser.clone();
    root.build();
    if words == ["manual"] {
        line(root.render_long_help().to_string().trim_end());
        for command in root.get_subcommands_mut() {
            line(&format!("\n{}\n{}", "-".repeat(80), command.render_long_help().to_string().trim_end()));
        }
        return Ok(());
    }
    let mut command = &mut root;
    for word in words {
        command = command
            .find_subcommand_mut(word)
            .ok_or_else(|| Error::usage(format!("there is no command {word}")).hint("qjail help lists the commands"))?;
    }
    line(command.render_long_help().to_string().trim_end());
    Ok(())
}
