//! `cargo xtask freebsd`: check, lint and link the workspace for FreeBSD from another system. Clippy checks as it lints.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{PLUGINS, command, run, target, top};

/// The target that is checked, and packed by `cargo xtask dist`.
pub(crate) const TARGET: &str = "x86_64-unknown-freebsd";

pub(crate) fn main() -> Result<()> {
    let kit = kit()?;
    for args in [
        format!(
            "clippy --target {TARGET} --workspace --exclude xtask --exclude qjail-sys --all-targets -- -D warnings"
        ),
        // Its other test is made of Linux's own runtime.
        format!("clippy --target {TARGET} -p qjail-sys --lib --test system -- -D warnings"),
    ] {
        run(&mut zigbuild(&kit, &args))?;
    }
    build(false).map(drop)
}

/// Builds program and plugins, and checks that FreeBSD 13.2 has each symbol that they need. Returns the program and the
/// directory of the plugins.
pub(crate) fn build(release: bool) -> Result<(PathBuf, PathBuf)> {
    let kit = kit()?;
    let profile = if release { " --release" } else { "" };
    run(&mut zigbuild(
        &kit,
        &format!("zigbuild --target {TARGET}{profile} -p qjail"),
    ))?;
    let dir = target()
        .join("freebsd")
        .join(TARGET)
        .join(if release { "release" } else { "debug" });
    let mut files = vec![dir.join("qjail").display().to_string()];
    for plugin in PLUGINS {
        let package = format!("qjail-plugin-{plugin}");
        run(&mut zigbuild(
            &kit,
            &format!("rustc --target {TARGET}{profile} -p {package} --lib --crate-type cdylib"),
        ))?;
        let file = format!("lib{}.so", package.replace('-', "_"));
        files.push(dir.join(file).display().to_string());
    }
    let symbols = tools().join("freebsd-symbols");
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    run(&mut command(
        symbols.to_str().context("path is not UTF-8")?,
        &names,
    ))?;
    Ok((dir.join("qjail"), dir))
}

fn tools() -> PathBuf {
    top().join("../shared/tools")
}

/// The cross compiler, set up where it is not yet.
fn kit() -> Result<PathBuf> {
    let script = tools().join("freebsd-cross.sh");
    if !script.is_file() {
        bail!("{} is not there: it sets up the cross compiler", script.display());
    }
    let kit = target().join("freebsd-cross");
    std::fs::create_dir_all(&kit)?;
    run(Command::new(&script).env("X", &kit).current_dir(top()))?;
    Ok(kit)
}

fn zigbuild(kit: &Path, args: &str) -> Command {
    let env = kit.join("env.sh");
    let line = format!(". {} && exec cargo-zigbuild {args}", env.display());
    let mut command = command("bash", &["-c", &line]);
    command.env("CARGO_TARGET_DIR", target().join("freebsd"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command
}
