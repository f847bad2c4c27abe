//! Every chore of the project: `cargo xtask CHORE`.
//!
//! It starts other programs (cargo, apt-get, qjail) and reads the source tree; it is no part of what is installed.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to whoever runs it"
)]

mod bench;
mod dist;
mod features;
mod freebsd;
mod fuzz;
mod man;
mod new_plugin;
mod quickstart;
mod run;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask CHORE

  quickstart     build qjail and show a jail's whole life, below target/quickstart
  test           all tests; installs what they need (as root on Debian) after saying so
  tidy           check what the documents promise: arrows between crates, crate docs, fences
  freebsd        check, lint and link everything for FreeBSD
  fuzz [T] [S]   random input for one target or all, S seconds each (needs cargo-fuzz)
  bench          the measured comparisons, side by side
  man [DIR]      write the manual pages; --check has mandoc(1) look at them
  dist [DIR]     a .deb and a tar archive, or a directory to install from: program, plugins, flavors, manual pages,
                 completions; --target x86_64-unknown-freebsd for FreeBSD, --quick without optimisation
  features       check that the program builds with each plugin alone, and with none
  new-plugin N   start a plugin of one's own in plugins/qjail-plugin-N
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["quickstart"] => quickstart::main(),
        ["test", rest @ ..] => test::main(rest),
        ["tidy"] => tidy::main(),
        ["freebsd"] => freebsd::main(),
        ["fuzz", rest @ ..] => fuzz::main(rest),
        ["bench", rest @ ..] => bench::main(rest),
        ["man"] => man::main("target/man"),
        ["man", "--check"] => man::check(),
        ["man", dir] => man::main(dir),
        ["dist", rest @ ..] => dist::main(rest),
        ["features"] => features::main(),
        ["new-plugin", name] => new_plugin::main(name),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
