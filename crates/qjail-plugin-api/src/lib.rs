//! What the author of a qjail plugin reads, and the only crate a plugin needs.
//!
//! A plugin describes itself with a [`Manifest`] (commands, options, hooks) and answers requests with data: values for
//! options that were not given ([`Plugin::resolve`]), objections ([`Plugin::validate`]) and a [`Plan`] of typed steps
//! ([`Plugin::plan`], [`Plugin::command`]). The host shows, runs, journals and undoes the steps. What no step describes
//! is a [`Step::Plugin`], which calls back into [`Plugin::step`] and [`Plugin::undo`].
//!
//! The same crate is built into qjail (cargo feature and `inventory`) or loaded as a shared object; [`export_plugin!`]
//! makes both.
//!
//! It does not run steps, parse command lines or touch the system; and a plugin must not print, exit, change the
//! environment or leave threads behind: everything goes through [`Host`].
#![forbid(unsafe_code)]

mod command;
mod error;
mod export;
mod hook;
mod host;
mod manifest;
mod panics;
mod plan;
mod plugin;
mod request;

pub use command::{ArgKind, ArgSpec, CommandSpec, Example, Extension, ValueKind};
pub use error::{Objection, PluginError};
pub use export::{Builtin, RawPort, describe, dispatch, level_of};
pub use hook::{Event, HookSpec, Point};
pub use host::{Host, HostInfo, HostPort, Interface, LogLevel, Progress};
pub use manifest::{API_VERSION, CAPABILITIES, Manifest};
pub use panics::contain;
pub use plan::{At, IfExists, Mount, Place, Plan, RcChange, Step};
pub use plugin::Plugin;
pub use request::{
    CommandReply, CommandRequest, Context, HookRequest, JailInfo, Options, Output, Resolved, StepRequest,
};

pub use inventory;
pub use qjail_model as model;
pub use qjail_plugin_abi as abi;
pub use schemars;
pub use semver;
pub use serde_json;
