//! From command specifications to the parser, and from what was parsed back to options.

use clap::builder::{PossibleValuesParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use qjail_model::{AddrSpec, JailName, Network, Release, Size};
use qjail_plugin_api::{ArgKind, ArgSpec, CommandSpec, Options, ValueKind};
use serde_json::Value;

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// One command with what plugins add to it.
pub(crate) struct Extended<'a> {
    pub(crate) spec: &'a CommandSpec,
    /// Plugin, heading, options.
    pub(crate) extensions: Vec<(&'a str, &'a str, &'a [ArgSpec])>,
}

/// The whole parser.
pub(crate) fn build(commands: &[Extended<'_>], globals: &[ArgSpec]) -> Command {
    let root = Command::new("qjail")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Deploy, run and update jails that share one read-only base")
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .arg(
            Arg::new("help")
                .long("help")
                .action(ArgAction::Help)
                .help("Print help")
                .help_heading(GLOBAL),
        )
        .arg(
            Arg::new("version")
                .long("version")
                .action(ArgAction::Version)
                .help("Print version")
                .help_heading(GLOBAL),
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(110)
        .args(globals.iter().map(|g| arg("", g).help_heading(GLOBAL)));
    commands.iter().fold(root, |root, c| {
        root.subcommand(command(c.spec, &c.extensions, globals))
    })
}

fn command(spec: &CommandSpec, extensions: &[(&str, &str, &[ArgSpec])], globals: &[ArgSpec]) -> Command {
    let mut command = Command::new(spec.name.clone())
        .about(spec.about.clone())
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .arg(
            Arg::new("help")
                .long("help")
                .action(ArgAction::Help)
                .help("Print help")
                .help_heading(GLOBAL),
        )
        .args(spec.args.iter().map(|a| arg("", a)));
    if !spec.long_about.is_empty() {
        command = command.long_about(spec.long_about.clone());
    }
    for (plugin, heading, args) in extensions {
        command = command.args(
            args.iter()
                .map(|a| arg(plugin, a).help_heading((*heading).to_owned())),
        );
    }
    let letters: Vec<char> = command.get_arguments().filter_map(Arg::get_short).collect();
    for global in globals {
        let taken = global.short.is_some_and(|s| letters.contains(&s));
        let global = ArgSpec {
            short: global.short.filter(|_| !taken),
            ..global.clone()
        };
        command = command.arg(arg("", &global).help_heading(GLOBAL).display_order(900));
    }
    if !spec.examples.is_empty() {
        command = command.after_help(examples(spec));
    }
    for sub in &spec.subcommands {
        command = command.subcommand(self::command(sub, &[], globals));
    }
    // `plugins` alone lists; a plugin's group of commands wants one of them.
    if !spec.subcommands.is_empty() && spec.name != "plugins" {
        command = command.subcommand_required(true).arg_required_else_help(true);
    }
    command
}

fn examples(spec: &CommandSpec) -> String {
    let lines = spec
        .examples
        .iter()
        .map(|e| format!("  qjail {}\n      {}", e.line, e.about));
    format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// The id of an argument in the parser: plugins have a name space each.
fn id(plugin: &str, spec: &ArgSpec) -> String {
    if plugin.is_empty() {
        spec.id.clone()
    } else {
        format!("{plugin}:{}", spec.id)
    }
}

fn arg(plugin: &str, spec: &ArgSpec) -> Arg {
    let mut arg = Arg::new(id(plugin, spec))
        .help(spec.help.clone())
        .required(spec.required);
    if spec.kind != ArgKind::Positional {
        arg = arg
            .short(spec.short)
            .long(spec.long.clone().unwrap_or_else(|| spec.id.clone()));
        arg = arg.visible_aliases(spec.aliases.iter().cloned());
    }
    let others = |ids: &[String]| ids.iter().map(|i| prefixed(plugin, i)).collect::<Vec<_>>();
    arg = arg.conflicts_with_all(others(&spec.conflicts_with));
    for other in others(&spec.requires) {
        arg = arg.requires(other);
    }
    match spec.kind {
        ArgKind::Flag => return arg.action(ArgAction::SetTrue),
        ArgKind::Count => return arg.action(ArgAction::Count),
        ArgKind::Value | ArgKind::Positional => {}
    }
    if let Some(name) = &spec.value_name {
        arg = arg.value_name(name.clone());
    }
    if let Some(default) = &spec.default {
        arg = arg.default_value(default.clone());
    }
    if let Some(delimiter) = spec.delimiter {
        arg = arg.value_delimiter(delimiter);
    }
    if spec.choices.iter().any(|c| c.starts_with('-')) {
        arg = arg.allow_negative_numbers(true);
    }
    let many = spec.multiple || spec.delimiter.is_some();
    arg = arg.action(if many { ArgAction::Append } else { ArgAction::Set });
    if spec.kind == ArgKind::Positional && spec.multiple {
        arg = arg.num_args(1..);
        if spec.id == "argv" {
            arg = arg.trailing_var_arg(true).allow_hyphen_values(true);
        }
    }
    arg.value_parser(parser(spec))
}

fn prefixed(plugin: &str, id: &str) -> String {
    if plugin.is_empty() {
        id.to_owned()
    } else {
        format!("{plugin}:{id}")
    }
}

fn parser(spec: &ArgSpec) -> ValueParser {
    if !spec.choices.is_empty() {
        return PossibleValuesParser::new(spec.choices.iter().cloned()).into();
    }
    let kind = spec.value;
    ValueParser::new(move |text: &str| check(kind, text))
}

/// Checks a value, and makes a path absolute.
fn check(kind: ValueKind, text: &str) -> Result<String, String> {
    fn is<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<String, String> {
        text.parse::<T>()
            .map(|_| text.to_owned())
            .map_err(|e| e.to_string())
    }
    match kind {
        ValueKind::Text => Ok(text.to_owned()),
        ValueKind::Jail => is::<JailName>(text),
        ValueKind::Address if matches!(text, "auto" | "none") => Ok(text.to_owned()),
        ValueKind::Address => is::<AddrSpec>(text),
        ValueKind::Network => is::<Network>(text),
        ValueKind::Interface => interface(text),
        ValueKind::Size => is::<Size>(text),
        ValueKind::Release => is::<Release>(text),
        ValueKind::Number => is::<u32>(text).map_err(|_| "not a whole number".to_owned()),
        ValueKind::Path => {
            let path = std::path::absolute(text).map_err(|e| e.to_string())?;
            path.into_os_string()
                .into_string()
                .map_err(|_| "the path is not UTF-8".to_owned())
        }
    }
}

fn interface(text: &str) -> Result<String, String> {
    // The rules are those of the interface in `IF|ADDR`.
    match format!("{text}|127.0.0.1").parse::<AddrSpec>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("an interface name has 1 to 15 letters, digits, `.`, `_` or `-`".to_owned()),
    }
}

/// What was given (or has a default) of `specs`; `plugin` is empty for the command's own.
pub(crate) fn options(matches: &ArgMatches, plugin: &str, specs: &[ArgSpec]) -> Options {
    let mut options = Options::default();
    for spec in specs {
        let id = id(plugin, spec);
        let given = matches!(
            matches.value_source(&id),
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        ) || (spec.default.is_some() && matches.value_source(&id).is_some());
        if given && let Some(value) = value(matches, &id, spec) {
            options.values.insert(spec.id.clone(), value);
        }
    }
    options
}

fn value(matches: &ArgMatches, id: &str, spec: &ArgSpec) -> Option<Value> {
    match spec.kind {
        ArgKind::Flag => Some(Value::Bool(matches.get_flag(id))),
        ArgKind::Count => Some(Value::from(matches.get_count(id))),
        ArgKind::Value | ArgKind::Positional if spec.multiple || spec.delimiter.is_some() => {
            Some(matches.get_many::<String>(id)?.cloned().collect())
        }
        ArgKind::Value | ArgKind::Positional => matches.get_one::<String>(id).cloned().map(Value::String),
    }
}
