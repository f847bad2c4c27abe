//! The contract of `System` on the fake and on the running system, and what only a real jail can show. The program is
//! its own helper, as qjail is, so the test harness is its own. Needs root; what is missing is told.
#![expect(
    clippy::unwrap_used,
    reason = "a test without the usual harness, which clippy does not see as one"
)]
#![cfg_attr(
    target_os = "linux",
    expect(clippy::print_stderr, reason = "a test without the usual harness")
)]

mod contract;
#[cfg(target_os = "linux")]
mod linux;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use qjail_sys::JailSpec;
use qjail_sys::fake::Fake;

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some(status) = qjail_sys::helper_main(&args) {
        return code(status);
    }
    #[cfg(target_os = "linux")]
    if args.first().is_some_and(|a| a == linux::CALLER) {
        return code(linux::caller(&args[1..]));
    }
    let trials = on_the_fake().into_iter().chain(on_this_system()).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

#[cfg(target_os = "linux")]
fn on_this_system() -> Vec<Trial> {
    let system = qjail_sys::native(std::path::Path::new("/nonexistent"));
    let missing: Vec<String> = [
        qjail_sys::Need::Jails,
        qjail_sys::Need::Network,
        qjail_sys::Need::Images,
    ]
    .iter()
    .flat_map(|n| system.missing(*n))
    .map(|m| m.what)
    .collect();
    linux::trials(&missing.join("; "))
}

/// Real jails are only tested where this suite has run.
#[cfg(not(target_os = "linux"))]
fn on_this_system() -> Vec<Trial> {
    Vec::new()
}

fn code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(1))
}

/// A test; one that can not run here is told as ignored, with the reason in its name.
fn trial(name: &str, missing: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let skipped = !missing.is_empty();
    let name = if skipped {
        format!("{name} (missing: {missing})")
    } else {
        name.to_owned()
    };
    let run = move || {
        test();
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(skipped)
}

fn on_the_fake() -> Vec<Trial> {
    let spec = || JailSpec {
        name: "jail1".to_owned(),
        path: "/none".into(),
        params: qjail_model::Params::new(),
        mounts: vec![],
        console_log: None,
        limits: qjail_model::Limits::default(),
    };
    ["linux", "freebsd"]
        .into_iter()
        .flat_map(|os| {
            [
                trial(&format!("fake_{os}_interfaces"), "", move || {
                    contract::interfaces(&Fake::new(os));
                }),
                trial(&format!("fake_{os}_images"), "", move || {
                    contract::images(&Fake::new(os));
                }),
                trial(&format!("fake_{os}_jails"), "", move || {
                    contract::jails(&Fake::new(os), &spec());
                }),
                trial(&format!("fake_{os}_params"), "", move || {
                    contract::harmless_params(&Fake::new(os));
                }),
            ]
        })
        .collect()
}
