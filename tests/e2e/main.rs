//! The real program and plugins, real jails on the real kernel. Started by `cargo xtask test`, once with the plugins built
//! in and once with shared objects. Nothing is mocked; nothing is skipped.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod bad_input;
mod boot;
mod config;
mod config_net;
mod console;
mod crash;
mod create_archive;
mod enter;
mod hostile;
mod image;
mod import;
mod import_image;
mod import_life;
mod import_ssh;
mod install;
mod isolation;
mod life;
mod limits;
mod locks;
mod log;
mod network;
mod plans;
mod plugins;
mod power;
mod rename;
mod ssh;
mod sysvipc;
mod vnet;
mod zones;
