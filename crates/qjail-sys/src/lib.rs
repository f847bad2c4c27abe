//! The only code of qjail that acts on a kernel or starts a process: the trait [`System`] and its implementations.
//!
//! `linux` runs jails with namespaces, `freebsd` with jail(8), and [`fake`] in memory, with the same contract and with
//! faults that a test asks for. [`native`] gives the one of the running system.
//!
//! It knows nothing of definitions, plans and plugins, and it keeps no state but what the kernel needs: a directory
//! for the run-time files of running jails. Files below a jail are reached through `qjail-fs`.
#![allow(unsafe_code)]

mod addresses;
#[cfg(any(test, feature = "rehearsal", target_os = "freebsd"))]
#[cfg_attr(
    all(feature = "rehearsal", not(test), not(target_os = "freebsd")),
    expect(
        dead_code,
        reason = "calls of the machine itself, which a rehearsal does not make"
    )
)]
mod bsd;
mod error;
pub mod fake;
#[cfg(target_os = "freebsd")]
mod freebsd;
mod image;
#[cfg(target_os = "linux")]
mod linux;
mod params;
#[cfg(any(test, feature = "rehearsal"))]
pub mod rehearsal;
mod system;
mod terminal;
mod users;

pub use error::{Result, SysError};
pub use image::room;
pub use system::{
    ExecSpec, HostInfo, Interface, InterfaceChange, JailSpec, Missing, MountSpec, Need, RcChange, Running,
    StopOptions, System, Usage,
};

use std::path::Path;

/// The running system. `state_dir` is where it keeps the run-time files of running jails.
#[must_use]
pub fn native(state_dir: &Path) -> Box<dyn System> {
    #[cfg(target_os = "linux")]
    return Box::new(linux::Linux::new(state_dir));
    #[cfg(target_os = "freebsd")]
    return Box::new(freebsd::FreeBsd::on(freebsd::Machine, state_dir));
}

/// The name of the system this program was built for: `linux` or `freebsd`.
#[must_use]
pub fn native_os() -> &'static str {
    if cfg!(target_os = "freebsd") {
        "freebsd"
    } else {
        "linux"
    }
}

/// Runs the hidden helper that `native` systems start themselves as (`qjail __jail …`), if `args` (without the
/// program's name) ask for it. To be called first thing in `main`, before any thread exists.
///
/// Returns the exit status of the helper; `None` where `args` are an ordinary command line.
#[must_use]
pub fn helper_main(args: &[std::ffi::OsString]) -> Option<i32> {
    if args.first().is_none_or(|a| a != "__jail") {
        return None;
    }
    #[cfg(target_os = "linux")]
    return Some(linux::helper_main());
    #[cfg(target_os = "freebsd")]
    return Some(2);
}
