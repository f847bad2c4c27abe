//! `cargo xtask dist`: a directory to install from, laid out as below `/usr/local`.

use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{build_plugins, build_program, command, read, run, top};

pub(crate) fn main(dir: &str) -> Result<()> {
    let dir = std::path::absolute(dir)?;
    let _ = std::fs::remove_dir_all(&dir);
    let program = build_program(true, &[])?;
    place(&program, &dir.join("sbin/qjail"))?;
    build_plugins(true, &dir.join("lib/qjail/plugins"))?;
    let man = dir.join("share/man/man8");
    std::fs::create_dir_all(&man)?;
    run(&mut command(
        &program.display().to_string(),
        &["__man", &man.display().to_string()],
    ))?;
    for (shell, file) in [
        ("bash", "share/bash-completion/completions/qjail"),
        ("zsh", "share/zsh/site-functions/_qjail"),
        ("fish", "share/fish/vendor_completions.d/qjail.fish"),
    ] {
        let text = read(&mut command(
            &program.display().to_string(),
            &["completions", shell],
        ))?;
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().unwrap_or(&dir))?;
        std::fs::write(path, text)?;
    }
    let flavors = dir.join("share/qjail");
    std::fs::create_dir_all(&flavors)?;
    run(&mut command(
        "cp",
        &["-R", "flavors", &flavors.display().to_string()],
    ))?;
    for doc in ["README.md", "LICENSE", "CHANGELOG.md"] {
        place(&top().join(doc), &dir.join("share/doc/qjail").join(doc))?;
    }
    println!("dist: {}", dir.display());
    Ok(())
}

fn place(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
