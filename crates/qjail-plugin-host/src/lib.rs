//! Finds, checks, loads, orders and calls plugins, built-in ones and shared objects alike.
//!
//! [`Registry::discover`] never fails: what can not be used is kept with one sentence why, and never stands in the way of the
//! others. Manifests are cached by the identity of the file, so that a command which needs no plugin's code loads none.
//!
//! A plugin runs with all rights of the program. So a file is loaded only when its directory, every directory above, and the
//! file itself belong to root (or to the user who runs qjail, who gains nothing by it) and can be written by nobody else;
//! it is opened once, checked, and loaded by that descriptor. Then come, in this order: magic, ABI, layout, manifest, API
//! version, capabilities, platform, name, conflicts.
//!
//! # Limits
//! It does not sandbox: a plugin that means harm does harm, and one that crashes (not: panics) takes the program along. A plugin
//! that hangs can not be ended, only given up: its thread stays behind, cut off from the host, until the program ends, and one
//! that hangs while it is being loaded keeps others from being loaded. Shared objects are never unloaded. It does not run
//! plans; it checks their form.
#![allow(unsafe_code)]

mod cache;
mod call;
mod check;
mod claims;
mod config;
mod contact;
mod elf;
mod find;
mod load;
mod manifest;
mod negotiate;
mod order;
mod plan;
mod refusal;
mod registry;
mod trust;

pub use check::{Check, Report, check_file};
pub use config::{HostConfig, MANIFEST_LIMIT, REPLY_LIMIT};
pub use refusal::{Refusal, Refused};
pub use registry::{Entry, Origin, Registry};
