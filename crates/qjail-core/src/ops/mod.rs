//! The operations, one file each.

pub(crate) mod accounts;
pub(crate) mod again;
pub(crate) mod archived;
pub(crate) mod boot;
pub(crate) mod change;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod contradict;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod enter;
pub(crate) mod image;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod many;
pub(crate) mod publish;
pub(crate) mod rename;
pub(crate) mod run;
pub(crate) mod usage;
