//! Whether a manifest is well formed: what the parser, the help and the terminal rely on.

use std::collections::BTreeSet;

use qjail_plugin_api::{ArgKind, ArgSpec, CommandSpec, Extension, HookSpec, Manifest};

/// The longest name of anything.
const NAME_LIMIT: usize = 40;

/// The longest line of help.
const LINE_LIMIT: usize = 300;

/// How deep commands may be nested.
const DEPTH_LIMIT: usize = 4;

type Check = Result<(), String>;

/// Checks everything; the first thing that is wrong is told.
pub(crate) fn check(manifest: &Manifest) -> Check {
    word("the name", &manifest.name)?;
    line("the description", &manifest.about)?;
    unique("the command", manifest.commands.iter().map(|c| c.name.as_str()))?;
    manifest
        .commands
        .iter()
        .try_for_each(|c| command(c, &c.name, 1))?;
    unique(
        "the extension of",
        manifest.extends.iter().map(|e| e.command.as_str()),
    )?;
    manifest.extends.iter().try_for_each(extension)?;
    hooks(&manifest.hooks)?;
    unique("the parameter", manifest.params.iter().map(String::as_str))?;
    manifest.params.iter().try_for_each(|p| parameter(p))?;
    if manifest.after.contains(&manifest.name) || manifest.before.contains(&manifest.name) {
        return Err("it wants to run before or after itself".to_owned());
    }
    Ok(())
}

/// A lower-case word: letters, digits, `-`; a letter first.
fn word(what: &str, text: &str) -> Check {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    if first && text.chars().all(good) && text.len() <= NAME_LIMIT && !text.ends_with('-') {
        return Ok(());
    }
    Err(format!(
        "{what} `{}` is not a word of lower-case letters, digits and `-`",
        text.escape_debug()
    ))
}

fn line(what: &str, text: &str) -> Check {
    if text.trim().is_empty() {
        return Err(format!("{what} is empty"));
    }
    if text.chars().any(char::is_control) || text.chars().count() > LINE_LIMIT {
        return Err(format!(
            "{what} is not one line of at most {LINE_LIMIT} characters"
        ));
    }
    Ok(())
}

fn text(what: &str, text: &str) -> Check {
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(format!("{what} has control characters in it"));
    }
    Ok(())
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Check {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{what} `{}` is there twice", name.escape_debug()));
        }
    }
    Ok(())
}

fn command(spec: &CommandSpec, path: &str, depth: usize) -> Check {
    let of = |what: &str| format!("{what} of `{}`", path.escape_debug());
    word("the command", &spec.name)?;
    line(&of("the description"), &spec.about)?;
    text(&of("the long description"), &spec.long_about)?;
    arguments(&spec.args, path)?;
    if depth == DEPTH_LIMIT && !spec.subcommands.is_empty() {
        return Err(format!("`{path}` has commands nested too deep"));
    }
    if !spec.subcommands.is_empty() && spec.args.iter().any(|a| a.kind == ArgKind::Positional) {
        return Err(format!("`{path}` has both subcommands and positional arguments"));
    }
    for example in &spec.examples {
        line(&of("an example"), &example.line)?;
        line(&of("the description of an example"), &example.about)?;
        if example.line != path && !example.line.starts_with(&format!("{path} ")) {
            return Err(format!(
                "an example of `{path}` does not begin with it: {}",
                example.line
            ));
        }
    }
    unique(
        &of("the subcommand"),
        spec.subcommands.iter().map(|c| c.name.as_str()),
    )?;
    spec.subcommands
        .iter()
        .try_for_each(|sub| command(sub, &format!("{path} {}", sub.name), depth + 1))
}

fn extension(extension: &Extension) -> Check {
    word("the extended command", &extension.command)?;
    line("the heading of an extension", &extension.heading)?;
    for arg in &extension.args {
        if arg.kind == ArgKind::Positional {
            return Err(format!(
                "it adds the positional argument `{}` to `{}`",
                arg.id.escape_debug(),
                extension.command
            ));
        }
        if arg.required {
            return Err(format!(
                "it makes --{} required for `{}`",
                arg.id.escape_debug(),
                extension.command
            ));
        }
    }
    arguments(&extension.args, &extension.command)
}

fn arguments(args: &[ArgSpec], path: &str) -> Check {
    let of = |what: &str| format!("{what} of `{}`", path.escape_debug());
    unique(&of("the argument"), args.iter().map(|a| a.id.as_str()))?;
    let letters: Vec<String> = args.iter().filter_map(|a| a.short).map(String::from).collect();
    unique(&of("the option"), letters.iter().map(String::as_str))?;
    unique(&of("the option"), args.iter().flat_map(long_names))?;
    for arg in args {
        argument(arg)
            .map_err(|why| format!("the argument `{}` of `{path}`: {why}", arg.id.escape_debug()))?;
        let others = arg.conflicts_with.iter().chain(&arg.requires);
        if let Some(unknown) = others.into_iter().find(|o| !args.iter().any(|a| a.id == **o)) {
            return Err(format!(
                "{} `{}` names `{}`, which is none",
                of("the argument"),
                arg.id,
                unknown.escape_debug()
            ));
        }
    }
    positionals(args).map_err(|why| format!("`{path}`: {why}"))
}

fn long_names(arg: &ArgSpec) -> impl Iterator<Item = &str> {
    let own = (arg.kind != ArgKind::Positional).then(|| arg.long.as_deref().unwrap_or(&arg.id));
    own.into_iter().chain(arg.aliases.iter().map(String::as_str))
}

fn argument(arg: &ArgSpec) -> Check {
    identifier(&arg.id)?;
    if let Some(letter) = arg.short.filter(|l| !l.is_ascii_alphanumeric()) {
        return Err(format!("-{} is no letter or digit", letter.escape_debug()));
    }
    for long in long_names(arg) {
        option_name(long)?;
    }
    line("the help", &arg.help)?;
    if let Some(name) = &arg.value_name {
        line("the name of the value", name)?;
    }
    let is_switch = matches!(arg.kind, ArgKind::Flag | ArgKind::Count);
    let valued = arg.default.is_some() || !arg.choices.is_empty() || arg.delimiter.is_some() || arg.multiple;
    if is_switch && (valued || arg.required) {
        return Err("a switch has no value, and is not required".to_owned());
    }
    if arg.kind == ArgKind::Positional
        && (arg.short.is_some() || arg.long.is_some() || !arg.aliases.is_empty())
    {
        return Err("a positional argument has no letter and no name".to_owned());
    }
    if arg.required && arg.default.is_some() {
        return Err("it is required and has a default".to_owned());
    }
    match &arg.default {
        Some(d) if !arg.choices.is_empty() && !arg.choices.contains(d) => Err(format!(
            "the default `{}` is not among the choices",
            d.escape_debug()
        )),
        _ => Ok(()),
    }
}

fn identifier(id: &str) -> Check {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !id.is_empty() && id.len() <= NAME_LIMIT && id.chars().all(good) {
        return Ok(());
    }
    Err("the id is not made of lower-case letters, digits, `-` and `_`".to_owned())
}

/// What may follow `--`. Digits may come first: `--4`.
fn option_name(long: &str) -> Check {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    if long.is_empty() || long.len() > NAME_LIMIT || long.starts_with('-') || !long.chars().all(good) {
        return Err(format!("--{} is no name for an option", long.escape_debug()));
    }
    if long == "help" || long == "version" {
        return Err(format!("--{long} belongs to every command"));
    }
    Ok(())
}

fn positionals(args: &[ArgSpec]) -> Check {
    let list: Vec<&ArgSpec> = args.iter().filter(|a| a.kind == ArgKind::Positional).collect();
    for pair in list.windows(2) {
        let [one, next] = pair else { continue };
        if one.multiple {
            return Err(format!(
                "`{}` takes all that follows, but `{}` follows",
                one.id, next.id
            ));
        }
        if next.required && !one.required {
            return Err(format!(
                "`{}` is required, but `{}` before it is not",
                next.id, one.id
            ));
        }
    }
    Ok(())
}

fn hooks(hooks: &[HookSpec]) -> Check {
    let mut seen = BTreeSet::new();
    match hooks.iter().find(|h| !seen.insert((h.event, h.point))) {
        Some(twice) => {
            Err(format!("the hook {:?} {:?} is there twice", twice.point, twice.event).to_lowercase())
        }
        None => Ok(()),
    }
}

/// The form of a parameter's name, as in jail(8): `ip4.addr`, `exec.prestart`, `$variable` is none.
fn parameter(name: &str) -> Check {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > NAME_LIMIT * 2 || !name.chars().all(good) {
        return Err(format!("`{}` is no jail parameter", name.escape_debug()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use qjail_plugin_api::{Event, Example, Point};

    fn manifest() -> Manifest {
        let args = vec![
            ArgSpec::positional("jail", "NAME", "the jail").required(),
            ArgSpec::positional("rest", "ARG", "more").multiple(),
            ArgSpec::option("4", Some('4'), "ADDR", "an address").conflicts(&["quick"]),
            ArgSpec::flag("quick", Some('q'), "be quick"),
        ];
        let examples = vec![Example {
            line: "x add web 1".to_owned(),
            about: "adds".to_owned(),
        }];
        let add = CommandSpec {
            name: "add".to_owned(),
            about: "Adds".to_owned(),
            args,
            examples,
            ..CommandSpec::default()
        };
        let x = CommandSpec {
            name: "x".to_owned(),
            about: "X".to_owned(),
            subcommands: vec![add],
            ..CommandSpec::default()
        };
        let create = Extension {
            command: "create".to_owned(),
            heading: "X".to_owned(),
            args: vec![ArgSpec::option("xx", Some('x'), "X", "an x")],
        };
        Manifest {
            commands: vec![x],
            extends: vec![create],
            hooks: vec![
                HookSpec::new(Event::Start, Point::Pre),
                HookSpec::new(Event::Start, Point::Post),
            ],
            params: vec!["ip4.addr".to_owned(), "interface".to_owned()],
            ..Manifest::new("x", "1.0.0", "does x")
        }
    }

    #[test]
    fn a_good_one_passes() {
        assert_eq!(check(&manifest()), Ok(()));
    }

    #[test]
    fn each_thing_that_is_wrong_is_told() {
        type Change = fn(&mut Manifest);
        let cases: &[(Change, &str)] = &[
            (|m| m.name = "Net".to_owned(), "the name `Net` is not a word"),
            (
                |m| m.name = "net\u{1b}[31m".to_owned(),
                "the name `net\\u{1b}[31m` is not a word",
            ),
            (|m| m.name = String::new(), "the name `` is not a word"),
            (
                |m| m.about = "two\nlines".to_owned(),
                "the description is not one line",
            ),
            (
                |m| m.commands[0].name = "a b".to_owned(),
                "the command `a b` is not a word",
            ),
            (|m| m.commands[0].about.clear(), "the description of `x` is empty"),
            (
                |m| m.commands[0].long_about = "\u{7}".to_owned(),
                "the long description of `x` has control characters",
            ),
            (
                |m| m.commands.push(m.commands[0].clone()),
                "the command `x` is there twice",
            ),
            (
                |m| {
                    let sub = m.commands[0].subcommands[0].clone();
                    m.commands[0].subcommands.push(sub);
                },
                "the subcommand of `x` `add` is there twice",
            ),
            (
                |m| m.commands[0].args = vec![ArgSpec::positional("p", "P", "a p")],
                "`x` has both subcommands and",
            ),
            (
                |m| m.commands[0].subcommands[0].examples[0].line = "y add".to_owned(),
                "an example of `x add` does not begin",
            ),
            (
                |m| m.commands[0].subcommands[0].args.swap(0, 1),
                "`x add`: `rest` takes all that follows, but `jail` follows",
            ),
            (
                |m| {
                    let args = &mut m.commands[0].subcommands[0].args;
                    (args[0].required, args[1].required) = (false, true);
                },
                "`x add`: `rest` is required, but `jail` before it is not",
            ),
            (
                |m| m.commands[0].subcommands[0].args[0].short = Some('j'),
                "a positional argument has no letter",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].short = Some('é'),
                "-é is no letter or digit",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].short = Some('q'),
                "the option of `x add` `q` is there twice",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].id = "quick".to_owned(),
                "the argument of `x add` `quick` is there",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].long = Some("quick".to_owned()),
                "the option of `x add` `quick` is",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].long = Some("-4".to_owned()),
                "---4 is no name for an option",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].long = Some("help".to_owned()),
                "--help belongs to every command",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].conflicts_with[0] = "slow".to_owned(),
                "names `slow`, which is none",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].default = Some("a".to_owned()),
                "",
            ),
            (
                |m| m.commands[0].subcommands[0].args[3].default = Some("a".to_owned()),
                "a switch has no value",
            ),
            (
                |m| m.commands[0].subcommands[0].args[0].default = Some("a".to_owned()),
                "it is required and has a default",
            ),
            (
                |m| {
                    let arg = &mut m.commands[0].subcommands[0].args[2];
                    (arg.default, arg.choices) = (Some("a".to_owned()), vec!["b".to_owned()]);
                },
                "the default `a` is not among the choices",
            ),
            (
                |m| m.commands[0].subcommands[0].args[2].help.clear(),
                "the help is empty",
            ),
            (
                |m| m.extends[0].args.push(ArgSpec::positional("p", "P", "a p")),
                "it adds the positional argument `p`",
            ),
            (
                |m| m.extends[0].args[0].required = true,
                "it makes --xx required for `create`",
            ),
            (
                |m| m.extends.push(m.extends[0].clone()),
                "the extension of `create` is there twice",
            ),
            (
                |m| m.hooks.push(m.hooks[0].clone()),
                "the hook pre start is there twice",
            ),
            (
                |m| m.params.push("interface".to_owned()),
                "the parameter `interface` is there twice",
            ),
            (|m| m.params.push("a b".to_owned()), "`a b` is no jail parameter"),
            (
                |m| m.before.push("x".to_owned()),
                "it wants to run before or after itself",
            ),
        ];
        for (change, expected) in cases {
            let mut changed = manifest();
            change(&mut changed);
            match check(&changed) {
                Err(told) => assert!(
                    !expected.is_empty() && told.contains(expected),
                    "{told}, not: {expected}"
                ),
                Ok(()) => assert!(expected.is_empty(), "passed, not: {expected}"),
            }
        }
    }

    #[test]
    fn commands_have_a_floor() {
        let leaf = CommandSpec {
            name: "x".to_owned(),
            about: "X".to_owned(),
            ..CommandSpec::default()
        };
        let nest = |inner: CommandSpec| CommandSpec {
            subcommands: vec![inner],
            ..leaf.clone()
        };
        let four = nest(nest(nest(leaf.clone())));
        assert_eq!(
            check(&Manifest {
                commands: vec![four.clone()],
                ..manifest()
            }),
            Ok(())
        );
        let five = Manifest {
            commands: vec![nest(four)],
            ..manifest()
        };
        assert!(check(&five).unwrap_err().contains("nested too deep"));
    }
}
