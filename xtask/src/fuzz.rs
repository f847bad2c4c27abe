//! `cargo xtask fuzz [TARGET] [SECONDS]`: random input for whatever reads what others wrote.

use anyhow::{Context, Result, bail};

use crate::run::{cargo, has, run, top};

/// How long each target runs, in seconds, unless it is said.
const SECONDS: &str = "60";

pub(crate) fn main(rest: &[&str]) -> Result<()> {
    if !has("cargo-fuzz") {
        bail!("install cargo-fuzz first: cargo install cargo-fuzz");
    }
    let (targets, seconds) = match rest {
        [] => (targets()?, SECONDS),
        [target] => (vec![(*target).to_owned()], SECONDS),
        [target, seconds, ..] => (vec![(*target).to_owned()], *seconds),
    };
    let time = format!("-max_total_time={seconds}");
    for target in targets {
        println!("# fuzz {target}");
        // The sanitizers' options are those of a nightly compiler; the stable one has them too.
        run(cargo(&["fuzz", "run", &target, "--", &time]).env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}

/// Each file below fuzz/fuzz_targets is a target.
fn targets() -> Result<Vec<String>> {
    let dir = top().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort_unstable();
    Ok(names)
}
