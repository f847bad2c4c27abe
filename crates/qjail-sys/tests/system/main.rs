//! The contract of `System` on the fake and on the running system, and what only a real jail can show. The program is
//! its own helper, as qjail is, so the test harness is its own. Needs root; what is missing is told.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test without the usual harness, which clippy does not see as one"
)]

mod contract;
#[cfg(target_os = "linux")]
mod linux;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use qjail_sys::fake::Fake;
use qjail_sys::{JailSpec, Need, native};

fn main() -> ExitCode {
    let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    if let Some(status) = qjail_sys::helper_main(&args) {
        return code(status);
    }
    #[cfg(target_os = "linux")]
    if args.first().is_some_and(|a| a == linux::CALLER) {
        return code(linux::caller(&args[1..]));
    }
    let system = native(Path::new("/nonexistent"));
    let missing: Vec<String> = [Need::Jails, Need::Network]
        .iter()
        .flat_map(|n| system.missing(*n))
        .map(|m| m.what)
        .collect();
    let mut trials = on_the_fake();
    #[cfg(target_os = "linux")]
    trials.extend(linux::trials(&missing.join("; ")));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
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
    };
    ["linux", "freebsd"]
        .into_iter()
        .flat_map(|os| {
            [
                trial(&format!("fake_{os}_interfaces"), "", move || {
                    contract::interfaces(&Fake::new(os));
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
