//! The program `qjail`: names the plugins that are built in, and hands over to `qjail-cli`.
//!
//! Nothing else is decided here. When it was started as the hidden helper of a system (`qjail __jail`), that runs instead.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::process::ExitCode;

// A plugin that is named is linked in, and registers itself.
#[cfg(feature = "base")]
use qjail_plugin_base as _;
#[cfg(feature = "net")]
use qjail_plugin_net as _;
#[cfg(feature = "ssh")]
use qjail_plugin_ssh as _;
#[cfg(feature = "sysvipc")]
use qjail_plugin_sysvipc as _;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match qjail_sys::helper_main(&args) {
        Some(status) => ExitCode::from(u8::try_from(status).unwrap_or(125)),
        None => qjail_cli::run(args),
    }
}
