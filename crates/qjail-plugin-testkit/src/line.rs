//! A command line, taken apart by its specification.

use std::collections::BTreeMap;

use qjail_plugin_api::{ArgKind, ArgSpec, CommandSpec, Options};
use serde_json::Value;

/// The words of the command and its options.
///
/// # Errors
/// What qjail's own parser would object to, in other words.
pub(crate) fn parse(commands: &[CommandSpec], line: &str) -> Result<(Vec<String>, Options), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (spec, depth) =
        find(commands, &words).ok_or_else(|| format!("`{line}` is no command of the plugin"))?;
    let mut parsed = Parsed {
        spec,
        values: BTreeMap::new(),
        places: 0,
    };
    let mut rest = words[depth..].iter();
    while let Some(word) = rest.next() {
        parsed
            .word(word, &mut rest)
            .map_err(|why| format!("`{line}`: {why}"))?;
    }
    parsed.finish().map_err(|why| format!("`{line}`: {why}"))?;
    let command = words[..depth].iter().map(|w| (*w).to_owned()).collect();
    Ok((
        command,
        Options {
            values: parsed.values,
        },
    ))
}

fn find<'a>(commands: &'a [CommandSpec], words: &[&str]) -> Option<(&'a CommandSpec, usize)> {
    let spec = commands
        .iter()
        .find(|c| Some(&c.name.as_str()) == words.first())?;
    if spec.subcommands.is_empty() {
        return Some((spec, 1));
    }
    find(&spec.subcommands, &words[1..]).map(|(spec, depth)| (spec, depth + 1))
}

struct Parsed<'a> {
    spec: &'a CommandSpec,
    values: BTreeMap<String, Value>,
    places: usize,
}

impl<'a> Parsed<'a> {
    fn word<'w>(
        &mut self,
        word: &'w str,
        rest: &mut impl Iterator<Item = &'w &'w str>,
    ) -> Result<(), String> {
        let (spec, given) = match word.strip_prefix("--") {
            Some(long) => {
                let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
                (self.option(name, |a| is_long(a, name))?, value)
            }
            None if word.starts_with('-') && word.len() > 1 => {
                let letter = word.chars().nth(1);
                let value = word.char_indices().nth(2).map(|(i, _)| &word[i..]);
                (
                    self.option(word, |a| a.kind != ArgKind::Positional && a.short == letter)?,
                    value,
                )
            }
            None => return self.positional(word),
        };
        match spec.kind {
            ArgKind::Flag => self.set(spec, Value::Bool(true)),
            ArgKind::Count => {
                let before = self.values.get(&spec.id).and_then(Value::as_u64).unwrap_or(0);
                self.set(spec, Value::from(before + 1));
            }
            ArgKind::Value | ArgKind::Positional => {
                let value = given
                    .or_else(|| rest.next().copied())
                    .ok_or_else(|| format!("{word} wants a value"))?;
                self.text(spec, value)?;
            }
        }
        Ok(())
    }

    fn option(&self, shown: &str, is: impl Fn(&ArgSpec) -> bool) -> Result<&'a ArgSpec, String> {
        self.spec
            .args
            .iter()
            .find(|a| is(a))
            .ok_or_else(|| format!("there is no option {shown}"))
    }

    fn positional(&mut self, word: &str) -> Result<(), String> {
        let places: Vec<&'a ArgSpec> = self
            .spec
            .args
            .iter()
            .filter(|a| a.kind == ArgKind::Positional)
            .collect();
        let spec = places.get(self.places).or(places.last().filter(|l| l.multiple));
        let spec = spec.ok_or_else(|| format!("there is no place for {word}"))?;
        self.places += 1;
        self.text(spec, word)
    }

    fn set(&mut self, spec: &ArgSpec, value: Value) {
        self.values.insert(spec.id.clone(), value);
    }

    fn text(&mut self, spec: &ArgSpec, text: &str) -> Result<(), String> {
        if !spec.choices.is_empty() && !spec.choices.iter().any(|c| c == text) {
            return Err(format!("{text} is not among the choices of {}", spec.id));
        }
        let many = spec.multiple || spec.delimiter.is_some();
        if !many {
            self.set(spec, Value::from(text));
            return Ok(());
        }
        let items = spec
            .delimiter
            .map_or_else(|| vec![text], |d| text.split(d).collect());
        let list = self
            .values
            .entry(spec.id.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.extend(items.into_iter().map(Value::from));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        for arg in &self.spec.args {
            if self.values.contains_key(&arg.id) {
                let given = |ids: &[String]| ids.iter().find(|i| self.values.contains_key(*i)).cloned();
                if let Some(other) = given(&arg.conflicts_with) {
                    return Err(format!("{} and {other} exclude each other", arg.id));
                }
                if let Some(other) = arg.requires.iter().find(|i| !self.values.contains_key(*i)) {
                    return Err(format!("{} needs {other}", arg.id));
                }
            } else if arg.required {
                return Err(format!("{} is missing", arg.id));
            }
        }
        for arg in &self.spec.args {
            if let (Some(default), false) = (&arg.default, self.values.contains_key(&arg.id)) {
                self.text(arg, default)?;
            }
        }
        Ok(())
    }
}

fn is_long(arg: &ArgSpec, name: &str) -> bool {
    let own = arg.long.as_deref().unwrap_or(&arg.id);
    arg.kind != ArgKind::Positional && (own == name || arg.aliases.iter().any(|a| a == name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn commands() -> Vec<CommandSpec> {
        let args = vec![
            ArgSpec::positional("name", "NAME", "a name").required(),
            ArgSpec::positional("rest", "ARG", "more").multiple(),
            ArgSpec::option("port", Some('p'), "PORT", "ports").delimited(','),
            ArgSpec::option("proto", None, "PROTO", "protocol").conflicts(&["quick"]),
            ArgSpec::flag("quick", Some('q'), "be quick"),
            ArgSpec {
                default: Some("low".to_owned()),
                ..ArgSpec::option("level", Some('l'), "LEVEL", "how much")
            },
            ArgSpec {
                kind: ArgKind::Count,
                ..ArgSpec::flag("more", Some('m'), "more")
            },
        ];
        let add = CommandSpec {
            name: "add".to_owned(),
            args,
            ..CommandSpec::default()
        };
        vec![CommandSpec {
            name: "x".to_owned(),
            subcommands: vec![add],
            ..CommandSpec::default()
        }]
    }

    fn values(line: &str) -> Result<Value, String> {
        parse(&commands(), line).map(|(_, options)| json!(options.values))
    }

    #[test]
    fn lines_are_taken_apart() {
        let (command, _) = parse(&commands(), "x add web").unwrap();
        assert_eq!(command, ["x", "add"]);
        assert_eq!(
            values("x add web").unwrap(),
            json!({"name": "web", "level": "low"})
        );
        assert_eq!(
            values("x add web a b -p80,81 --port=82 -q -m -m -l high").unwrap(),
            json!({"name": "web", "rest": ["a", "b"], "port": ["80", "81", "82"], "quick": true, "more": 2, "level": "high"})
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (line, told) in [
            ("y", "`y` is no command of the plugin"),
            ("x", "`x` is no command of the plugin"),
            ("x add", "`x add`: name is missing"),
            ("x add web -z", "`x add web -z`: there is no option -z"),
            ("x add web --port", "`x add web --port`: --port wants a value"),
            (
                "x add web -q --proto tcp",
                "`x add web -q --proto tcp`: proto and quick exclude each other",
            ),
        ] {
            assert_eq!(values(line).unwrap_err(), told);
        }
    }
}
