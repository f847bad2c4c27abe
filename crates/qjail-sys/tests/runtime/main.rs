//! Real jails of the running system's own /usr. The program starts itself again as helper and as caller, so the test
//! harness is its own; what cannot run here says why.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::undocumented_unsafe_blocks
)]

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

#[path = "../../src/linux/runtime/mod.rs"]
#[allow(unused, unreachable_pub, unsafe_code)]
mod runtime;
#[path = "../../src/terminal.rs"]
#[allow(unused, unreachable_pub)]
mod terminal;

mod callers;
mod cases;
mod files;
mod fixture;
mod isolation;
mod kills;
mod terminals;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("__jail") => return code(runtime::helper_main()),
        Some("__exec") => return code(callers::exec(&args[2..])),
        Some("__start") => return code(callers::start(&args[2..])),
        _ => {}
    }
    let missing = runtime::Runtime::new(PathBuf::from("/nonexistent")).missing();
    if !missing.is_empty() {
        println!("skipped: {}", missing.join("; "));
        return ExitCode::SUCCESS;
    }
    let all = [cases::ALL, isolation::ALL, files::ALL, terminals::ALL, kills::ALL].concat();
    let trials = all.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn code(status: i32) -> ExitCode {
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(1))
}

type Test = (&'static str, fn());
