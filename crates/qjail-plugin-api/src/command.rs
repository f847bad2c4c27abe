//! Commands and options as data: the host makes the parser, the help, the manual page and the completions from them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A subcommand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandSpec {
    /// The word on the command line.
    pub name: String,
    /// One line for the list of commands.
    pub about: String,
    /// More, for `qjail help NAME`.
    #[serde(default)]
    pub long_about: String,
    /// Options and positional arguments.
    #[serde(default)]
    pub args: Vec<ArgSpec>,
    /// Commands below it; one of them must then be given.
    #[serde(default)]
    pub subcommands: Vec<CommandSpec>,
    /// Shown below the help, and run as tests by the test kit.
    #[serde(default)]
    pub examples: Vec<Example>,
    /// Whether it changes something or reads what only root may read.
    #[serde(default)]
    pub needs_root: bool,
    /// A lock held from before the plugin is asked until the plan is done: `base`, `net`, ….
    #[serde(default)]
    pub lock: Option<String>,
}

/// An example of a command line, without the word `qjail`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Example {
    /// The command line, `net create lo1 192.168.1.1/28`.
    pub line: String,
    /// What it does.
    pub about: String,
}

/// Options that a plugin adds to a command of the core.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Extension {
    /// The command: `create`, `config`, ….
    pub command: String,
    /// The heading in the help.
    pub heading: String,
    /// The options; positional arguments are refused.
    pub args: Vec<ArgSpec>,
}

/// What an argument is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArgKind {
    /// A switch; its value is `true`.
    Flag,
    /// A switch that may be repeated; its value is a number.
    Count,
    /// An option with a value; its value is a text, or a list where `multiple` is set.
    #[default]
    Value,
    /// A value that is told by its place.
    Positional,
}

/// What the text of a value must be; checked by the host before the plugin sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// A jail name, see [`qjail_model::JailName`].
    Jail,
    /// `[IF|]ADDR[/LEN]`, or `auto` for a free one, or `none`.
    Address,
    /// `ADDR/LEN`.
    Network,
    /// A network interface.
    Interface,
    /// `10m`, `2g`.
    Size,
    /// `15.0-RELEASE`.
    Release,
    /// A file or directory of the host; made absolute by the host.
    Path,
    /// A whole number.
    Number,
    /// Anything. Also what a kind of a later API is taken for.
    #[default]
    #[serde(other)]
    Text,
}

/// One option or positional argument.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArgSpec {
    /// The key under which the plugin gets the value.
    pub id: String,
    /// Switch, option or positional.
    #[serde(default)]
    pub kind: ArgKind,
    /// One letter, unique within the command.
    #[serde(default)]
    pub short: Option<char>,
    /// The long name, without the dashes.
    #[serde(default)]
    pub long: Option<String>,
    /// Further long names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What stands for the value in the help: `IF`, `ADDR`.
    #[serde(default)]
    pub value_name: Option<String>,
    /// One line of help.
    #[serde(default)]
    pub help: String,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// Whether it may be given several times (options) or takes all that follows (positional).
    #[serde(default)]
    pub multiple: bool,
    /// A character that separates several values in one argument; implies `multiple`.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// The value where none is given.
    #[serde(default)]
    pub default: Option<String>,
    /// The only texts allowed; empty for any.
    #[serde(default)]
    pub choices: Vec<String>,
    /// What the text must be.
    #[serde(default)]
    pub value: ValueKind,
    /// Ids of arguments of the same command that exclude this one.
    #[serde(default)]
    pub conflicts_with: Vec<String>,
    /// Ids of arguments of the same command that this one needs.
    #[serde(default)]
    pub requires: Vec<String>,
}

impl ArgSpec {
    /// A switch.
    #[must_use]
    pub fn flag(id: &str, short: Option<char>, help: &str) -> Self {
        Self {
            kind: ArgKind::Flag,
            ..Self::option(id, short, "", help)
        }
    }

    /// An option with a value; its long name is `id`.
    #[must_use]
    pub fn option(id: &str, short: Option<char>, value_name: &str, help: &str) -> Self {
        Self {
            id: id.to_owned(),
            short,
            long: Some(id.to_owned()),
            value_name: (!value_name.is_empty()).then(|| value_name.to_owned()),
            help: help.to_owned(),
            ..Self::default()
        }
    }

    /// A positional argument.
    #[must_use]
    pub fn positional(id: &str, value_name: &str, help: &str) -> Self {
        Self {
            kind: ArgKind::Positional,
            long: None,
            ..Self::option(id, None, value_name, help)
        }
    }

    /// The same, with another kind of value.
    #[must_use]
    pub fn of(mut self, value: ValueKind) -> Self {
        self.value = value;
        self
    }

    /// The same, required.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The same, several times.
    #[must_use]
    pub fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// The same, several values in one argument.
    #[must_use]
    pub fn delimited(mut self, by: char) -> Self {
        self.delimiter = Some(by);
        self.multiple()
    }

    /// The same, excluding other arguments.
    #[must_use]
    pub fn conflicts(mut self, ids: &[&str]) -> Self {
        self.conflicts_with = ids.iter().map(|s| (*s).to_owned()).collect();
        self
    }
}
