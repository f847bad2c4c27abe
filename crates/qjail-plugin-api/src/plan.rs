//! Plans: what a command is going to do, as data.

use std::collections::BTreeMap;
use std::fmt;

use qjail_model::{Network, ParamValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The directory that a path is relative to. Every path is resolved below it without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The root directory of the jail that the plan is about.
    Jail,
    /// The zone's directory of jails (`/usr/jails`).
    Jails,
    /// The directory of definitions and settings (`/usr/local/etc/qjail`).
    Config,
    /// The directory of locks, journal and records (`/var/db/qjail`).
    State,
}

/// A file: a place and a relative path below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct At {
    /// The directory.
    pub place: Place,
    /// The path below it, without a leading `/`, `.` or `..`; empty for the directory itself.
    pub path: String,
}

impl At {
    /// A path below the jail's root directory.
    #[must_use]
    pub fn jail(path: &str) -> Self {
        Self {
            place: Place::Jail,
            path: path.to_owned(),
        }
    }

    /// A path below the zone's directory of jails.
    #[must_use]
    pub fn jails(path: &str) -> Self {
        Self {
            place: Place::Jails,
            path: path.to_owned(),
        }
    }

    /// A path below the configuration directory.
    #[must_use]
    pub fn config(path: &str) -> Self {
        Self {
            place: Place::Config,
            path: path.to_owned(),
        }
    }

    /// A path below the state directory.
    #[must_use]
    pub fn state(path: &str) -> Self {
        Self {
            place: Place::State,
            path: path.to_owned(),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Place::Jail => "jail",
            Place::Jails => "jails",
            Place::Config => "config",
            Place::State => "state",
        };
        write!(f, "{place}:/{}", self.path)
    }
}

/// What to do with a file that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IfExists {
    /// Put the new content in its place; undo brings the old one back.
    #[default]
    Replace,
    /// Leave it as it is.
    Keep,
    /// Fail.
    Fail,
}

/// A change to one variable of rc.conf(5), made with sysrc(8). FreeBSD only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RcChange {
    /// Set the variable.
    Set(String),
    /// Add a word to its list.
    Add(String),
    /// Take a word from its list.
    Remove(String),
    /// Take the variable away.
    Unset,
}

/// One step of a plan. Running and undoing are idempotent: a step may be run or undone again after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Make a directory and those above it.
    MakeDir {
        /// Where.
        at: At,
        /// Permission bits of the last one.
        mode: u32,
    },
    /// Write a whole file, atomically.
    WriteFile {
        /// Where.
        at: At,
        /// The content.
        content: String,
        /// Permission bits; none keeps those of the file that is there, or `0644`.
        #[serde(default)]
        mode: Option<u32>,
        /// What to do with a file that is there.
        #[serde(default)]
        if_exists: IfExists,
    },
    /// Make sure that a text file has a line.
    EnsureLine {
        /// Where.
        at: At,
        /// The line, without its end.
        line: String,
        /// A line that begins so is replaced.
        #[serde(default)]
        key: Option<String>,
    },
    /// Remove a file or a link.
    RemoveFile {
        /// Where.
        at: At,
    },
    /// Make a symbolic link, or point the one that is there elsewhere, atomically.
    SetLink {
        /// Where the link is.
        at: At,
        /// What it holds.
        target: String,
    },
    /// Copy a directory's content into a directory that the step makes; undo removes it.
    CopyTree {
        /// The directory to copy.
        from: At,
        /// The directory to make.
        to: At,
    },
    /// Remove a directory and all below it, no mount crossed, no link followed. Can not be undone: only in `cleanup`.
    RemoveTree {
        /// The directory.
        at: At,
    },
    /// Give a file or directory another name in the same place. The new name must be free.
    Rename {
        /// The old name.
        from: At,
        /// The new name.
        to: At,
    },
    /// Set or take away a value of `qjail.toml` in the plugin's own table `[plugin.NAME]`.
    Setting {
        /// The keys from the plugin's table down.
        path: Vec<String>,
        /// The value; none takes it away.
        #[serde(default)]
        value: Option<Value>,
    },
    /// Make sure that a network interface exists, is up and has these addresses: on Linux a bridge, on FreeBSD a
    /// cloned interface. Undo removes what it added.
    EnsureInterface {
        /// The name.
        name: String,
        /// Its addresses.
        #[schemars(with = "Vec<String>")]
        addresses: Vec<Network>,
    },
    /// Remove a network interface that [`Step::EnsureInterface`] made; nothing where it does not exist.
    RemoveInterface {
        /// The name.
        name: String,
        /// The addresses to give back on undo.
        #[schemars(with = "Vec<String>")]
        addresses: Vec<Network>,
    },
    /// Change rc.conf(5). FreeBSD only.
    RcConf {
        /// The variable.
        variable: String,
        /// The change.
        change: RcChange,
    },
    /// Run a command inside the running jail, without a shell and without input; what it says goes to the console log.
    /// It fails when its status is not 0 or it takes longer than a minute. For hooks after a start. Needs the capability
    /// `run-in-jail/1`.
    RunInJail {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The user: a name, a number or `USER:GROUP` of the jail; none is root.
        #[serde(default)]
        user: Option<String>,
        /// One line for `--dry-run`.
        about: String,
        /// The command that undoes it; empty where nothing is to be undone. Not run when the jail does not run any more.
        #[serde(default)]
        undo: Vec<String>,
    },
    /// Keep the content, owner and mode of regular files until the plan is done: undo brings them back, and removes those
    /// that did not exist. Stands before a [`Step::Plugin`] that changes them. Needs the capability `remember-files/1`.
    RememberFiles {
        /// The files. One that is a link, a FIFO or a directory ends the plan before anything is changed.
        files: Vec<At>,
    },
    /// Switch the log of commands on or off: the setting `log`, which belongs to qjail. Needs the capability `log/1`.
    SwitchLog {
        /// Whether commands are logged from now on.
        on: bool,
    },
    /// Call the plugin back: what no other step describes.
    Plugin {
        /// The plugin; filled in by the host.
        #[serde(default)]
        plugin: String,
        /// Its word for the step.
        op: String,
        /// One line for `--dry-run`.
        about: String,
        /// Whatever the plugin needs to run and to undo it.
        #[serde(default)]
        data: Value,
    },
}

/// A file system that a running jail has below its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mount {
    /// The directory of the host.
    pub source: String,
    /// The path below the jail's root.
    pub target: String,
    /// Whether the jail may not write to it.
    pub read_only: bool,
}

/// What a hook or a command wants done. All parts may be empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Jail parameters to set (`null` takes one away); kept in the definition on create and config, and only for this
    /// run on start. A key must be listed in [`crate::Manifest::params`].
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Value>")]
    pub params: BTreeMap<String, Option<ParamValue>>,
    /// What the plugin keeps in the definition from now on; none leaves it as it is.
    #[serde(default)]
    pub keep: Option<BTreeMap<String, Value>>,
    /// Mounts of the jail to be started, on start only.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Steps that are undone when a later one fails.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The few steps that publish the result; undone too when one of them fails.
    #[serde(default)]
    pub commit: Vec<Step>,
    /// Steps after the point of no return; run again after a crash until they are done.
    #[serde(default)]
    pub cleanup: Vec<Step>,
    /// Lines for the user when all is done.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Warnings for the user, shown before anything is changed.
    #[serde(default)]
    pub warnings: Vec<String>,
}
