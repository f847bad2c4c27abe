//! What the core itself can do beside the steps of plugins, and how each is shown.

use std::fmt;
use std::path::PathBuf;

use qjail_model::{Definition, Size};
use qjail_plugin_api::{At, IfExists, RcChange, Step};
use qjail_sys::JailSpec;
use serde::{Deserialize, Serialize};

use crate::ops::image::Image;

/// One entry of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// A step as plugins return them; the name says whose.
    Step {
        /// The plugin that asked for it; `core` for the core's own.
        owner: String,
        /// The step.
        what: Step,
    },
    /// Copy a flavor's files into the jail.
    MergeFlavor {
        /// The flavor, a directory below `flavors`.
        flavor: String,
    },
    /// Replace the links into the shared base by copies of what they point to.
    Thicken {
        /// What the shared base consists of: directories of the host and where a jail would see them.
        sources: Vec<ThickSource>,
    },
    /// Unpack a jail's root from an archive.
    Unpack {
        /// The archive.
        file: PathBuf,
        /// Where the root is in it.
        under: String,
    },
    /// Write a jail's definition.
    WriteDefinition {
        /// The jail.
        name: String,
        /// The whole text of the file.
        text: String,
    },
    /// Remove a jail's definition.
    RemoveDefinition {
        /// The jail.
        name: String,
    },
    /// Make the file of an image jail, and a file system in it.
    MakeImage {
        /// The file.
        file: PathBuf,
        /// How large.
        bytes: u64,
    },
    /// Mount the file system of an image jail.
    AttachImage {
        /// What, and where.
        image: Image,
    },
    /// Unmount the file system of an image jail.
    DetachImage {
        /// What, and where.
        image: Image,
    },
    /// Give the file of an image jail the name that goes with the jail's new one.
    MoveImage {
        /// The file.
        from: PathBuf,
        /// Its new name.
        to: PathBuf,
    },
    /// Give the image of a jail of another program a second name, where images are kept here. Undone, only that name goes.
    LinkImage {
        /// The file as it is.
        from: At,
        /// Its second name.
        to: At,
    },
    /// Remove the file of an image jail.
    RemoveImage {
        /// The file.
        file: PathBuf,
    },
    /// Start a jail.
    StartJail {
        /// How.
        spec: Box<JailSpec>,
    },
    /// Start a jail that a command has stopped, where that command did not get to do it.
    StartAgain {
        /// The names that it may have: the first of them that exists.
        names: Vec<String>,
    },
    /// Remove what the host holds for a jail that does not run: what is left of its last run, and its console log.
    Forget {
        /// How it was started.
        spec: Box<JailSpec>,
    },
    /// Give a jail's console log the name that goes with the jail's new one.
    MoveLog {
        /// The log.
        from: PathBuf,
        /// Its new name; an older log of that name goes.
        to: PathBuf,
    },
    /// Stop a jail.
    StopJail {
        /// How it was started.
        spec: Box<JailSpec>,
        /// Kill it without `exec.stop`.
        force: bool,
        /// Seconds to wait instead of the jail's own `stop.timeout`.
        timeout: Option<u64>,
    },
}

/// A directory of the host that jails see somewhere below their root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThickSource {
    /// The directory of the host.
    pub source: String,
    /// The path below a jail's root, `sharedfs/usr/bin`.
    pub target: String,
}

impl Action {
    /// A step of the core's own.
    #[must_use]
    pub fn own(what: Step) -> Self {
        Self::Step {
            owner: "core".to_owned(),
            what,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { what, .. } => f.write_str(&describe(what)),
            Self::MergeFlavor { flavor } => write!(f, "copy the files of flavor {flavor} into the jail"),
            Self::Unpack { file, under } => {
                write!(f, "unpack {} (of it: {under}) into the jail", file.display())
            }
            Self::Thicken { .. } => write!(f, "copy the whole base into the jail"),
            Self::WriteDefinition { name, text } => {
                write!(f, "write the definition of {name}")?;
                let definition = Definition::parse(text).unwrap_or_default();
                let limits = Some(definition.limits).filter(|l| !l.is_empty());
                let params = definition.params;
                let flags = [("manual", definition.manual), ("norun", definition.norun)];
                let flags = flags.into_iter().filter(|(_, on)| *on);
                let depend = Some(definition.depend).filter(|d| !d.is_empty());
                let params: Vec<String> = flags
                    .map(|(flag, _)| flag.to_owned())
                    .chain(depend.map(|d| format!("depend = {}", join(&d))))
                    .chain(params.iter().map(|(key, value)| format!("{key} = {value}")))
                    .chain(limits.map(|l| format!("limits {l}")))
                    .collect();
                if params.is_empty() {
                    Ok(())
                } else {
                    write!(f, ": {}", params.join("; "))
                }
            }
            Self::RemoveDefinition { name } => write!(f, "remove the definition of {name}"),
            Self::MakeImage { file, bytes } => {
                let size = Size::from_bytes(*bytes);
                write!(f, "make the image {} of {size}", file.display())
            }
            Self::AttachImage { image } => {
                write!(f, "mount {} at {}", image.file.display(), image.at.display())
            }
            Self::DetachImage { image } => write!(f, "unmount {}", image.at.display()),
            Self::MoveImage { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::LinkImage { from, to } => write!(f, "give {from} a second name: {to}"),
            Self::RemoveImage { file } => write!(f, "remove {}", file.display()),
            Self::StartJail { spec } => {
                write!(f, "start jail {}", spec.name)?;
                if let Some(command) = spec.params.list("exec.start").first() {
                    write!(f, " ({command})")?;
                }
                spec.mounts.iter().try_for_each(|m| {
                    let how = if m.read_only { "read-only" } else { "writable" };
                    write!(f, "; {} on /{} {how}", m.source.display(), m.target)
                })
            }
            Self::StartAgain { names } => write!(f, "start jail {} again", names.join(" or ")),
            Self::Forget { spec } => write!(f, "remove the console log of {}", spec.name),
            Self::MoveLog { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::StopJail {
                spec, force: true, ..
            } => write!(f, "kill jail {}", spec.name),
            Self::StopJail { spec, .. } => write!(f, "stop jail {}", spec.name),
        }
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::MakeDir { at, mode } => format!("make directory {at} (mode {mode:04o})"),
        Step::WriteFile {
            at,
            if_exists: IfExists::Keep,
            ..
        } => format!("write {at} unless it exists"),
        Step::WriteFile { at, .. } => format!("write {at}"),
        Step::EnsureLine { at, line, .. } => format!("line in {at}: {line}"),
        Step::RemoveFile { at } => format!("remove {at}"),
        Step::SetLink { at, target } => format!("link {at} -> {target}"),
        Step::CopyTree { from, to } => format!("copy {from} to {to}"),
        Step::RemoveTree { at } => format!("remove {at} and all below it"),
        Step::Rename { from, to } => format!("rename {from} to {to}"),
        Step::Setting {
            path,
            value: Some(value),
        } => format!("setting {} = {value}", path.join(".")),
        Step::Setting { path, value: None } => format!("remove setting {}", path.join(".")),
        Step::EnsureInterface { name, addresses } => {
            format!("interface {name} up with {}", join(addresses))
        }
        Step::RemoveInterface { name, .. } => format!("remove interface {name}"),
        Step::RcConf { variable, change } => describe_rc(variable, change),
        Step::RunInJail { argv, about, .. } => format!("{about}: in the jail: {}", argv.join(" ")),
        Step::RememberFiles { files } => format!("remember {}, to be able to undo", join(files)),
        Step::SwitchLog { on } => format!("switch the log of commands {}", if *on { "on" } else { "off" }),
        Step::Plugin { plugin, about, .. } => format!("{plugin}: {about}"),
    }
}

fn describe_rc(variable: &str, change: &RcChange) -> String {
    match change {
        RcChange::Set(value) => format!("sysrc {variable}=\"{value}\""),
        RcChange::Add(word) => format!("sysrc {variable}+={word}"),
        RcChange::Remove(word) => format!("sysrc {variable}-={word}"),
        RcChange::Unset => format!("sysrc -x {variable}"),
    }
}

fn join(items: &[impl fmt::Display]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Where a jail's root is while it is being made: a name that no jail can have.
pub(crate) fn staging(name: &str) -> String {
    format!(".new.{name}")
}

/// Whether a directory of jails holds a jail that is being made.
pub(crate) fn is_staging(directory: &str) -> bool {
    directory.starts_with(".new.")
}

/// Where a jail's root goes while it is being removed.
pub(crate) fn doomed(name: &str) -> String {
    format!(".old.{name}")
}

/// A path below the zone's directory of jails.
pub(crate) fn jails(path: &str) -> At {
    At::jails(path)
}
