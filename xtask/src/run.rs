//! Starting programs, and where things are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// The plugins that ship as shared objects too.
pub(crate) const PLUGINS: [&str; 4] = ["base", "net", "sysvipc", "ssh"];

/// The top of the workspace.
pub(crate) fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo's directory for what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from)
}

/// A program started in the top of the workspace.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(top());
    command
}

/// `cargo ARGS`.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = command(
        &std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
        args,
    );
    // `cargo xtask` sets these for xtask itself; what it builds must not see them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it, its output shown; any status but 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start {}", text(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", text(command));
    }
    Ok(())
}

/// Runs it and returns its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .with_context(|| format!("start {}", text(command)))?;
    if !status.success() {
        bail!(
            "{} ended with {status}: {}",
            text(command),
            String::from_utf8_lossy(&stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// The command as one would type it.
pub(crate) fn text(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Whether a program can be found.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .any(|dir| dir.join(program).is_file())
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    read(&mut command("id", &["-u"])).is_ok_and(|id| id.trim() == "0")
}

/// Builds the program; returns its path. `release` chooses the profile.
pub(crate) fn build_program(release: bool, extra: &[&str]) -> Result<PathBuf> {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    run(&mut cargo(&[&["build", "-p", "qjail"], profile, extra].concat()))?;
    Ok(target()
        .join(if release { "release" } else { "debug" })
        .join("qjail"))
}

/// Builds every plugin as a shared object and puts it into `dir`.
pub(crate) fn build_plugins(release: bool, dir: &Path) -> Result<()> {
    for plugin in PLUGINS {
        build_plugin(&format!("qjail-plugin-{plugin}"), release, dir)?;
    }
    Ok(())
}

/// Builds one plugin as a shared object and puts it into `dir`.
pub(crate) fn build_plugin(package: &str, release: bool, dir: &Path) -> Result<()> {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    run(&mut cargo(
        &[
            &["rustc", "-p", package, "--lib", "--crate-type", "cdylib"],
            profile,
        ]
        .concat(),
    ))?;
    let file = format!("lib{}.so", package.replace('-', "_"));
    let built = target()
        .join(if release { "release" } else { "debug" })
        .join(&file);
    std::fs::create_dir_all(dir)?;
    // A new file each time: the old one may be mapped by a program that runs.
    let placed = dir.join(&file);
    let _ = std::fs::remove_file(&placed);
    std::fs::copy(&built, &placed).with_context(|| format!("copy {}", built.display()))?;
    Ok(())
}
