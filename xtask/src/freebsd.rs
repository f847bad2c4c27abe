//! `cargo xtask freebsd`: check, lint and link the workspace for FreeBSD from another system. Clippy checks as it lints.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{PLUGINS, command, run, target, top};

const TARGET: &str = "x86_64-unknown-freebsd";

pub(crate) fn main() -> Result<()> {
    let tools = top().join("../shared/tools");
    let script = tools.join("freebsd-cross.sh");
    if !script.is_file() {
        bail!("{} is not there: it sets up the cross compiler", script.display());
    }
    let kit = target().join("freebsd-cross");
    std::fs::create_dir_all(&kit)?;
    run(Command::new(&script).env("X", &kit).current_dir(top()))?;
    for args in [
        format!(
            "clippy --target {TARGET} --workspace --exclude xtask --exclude qjail-sys --all-targets -- -D warnings"
        ),
        // Its other test is made of Linux's own runtime.
        format!("clippy --target {TARGET} -p qjail-sys --lib --test system -- -D warnings"),
        format!("zigbuild --target {TARGET} -p qjail"),
    ] {
        run(&mut zigbuild(&kit, &args))?;
    }
    let mut files = vec![built("qjail")];
    for plugin in PLUGINS {
        let package = format!("qjail-plugin-{plugin}");
        run(&mut zigbuild(
            &kit,
            &format!("rustc --target {TARGET} -p {package} --lib --crate-type cdylib"),
        ))?;
        files.push(built(&format!("lib{}.so", package.replace('-', "_"))));
    }
    let symbols = tools.join("freebsd-symbols");
    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    run(&mut command(
        symbols.to_str().context("path is not UTF-8")?,
        &names,
    ))
}

fn built(file: &str) -> String {
    target()
        .join("freebsd")
        .join(TARGET)
        .join("debug")
        .join(file)
        .display()
        .to_string()
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
