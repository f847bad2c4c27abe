//! `cargo xtask man`: the manual pages, made by the program itself from its own commands.

use anyhow::{Result, bail};

use crate::run::{build_program, command, run, target};

pub(crate) fn main(dir: &str) -> Result<()> {
    let program = build_program(false, &[])?;
    let dir = std::path::absolute(dir)?;
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    run(&mut command(
        &program.display().to_string(),
        &["__man", &dir.display().to_string()],
    ))?;
    println!("manual pages: {}", dir.display());
    Ok(())
}

/// Has mandoc(1) read every page; a warning is a fault.
pub(crate) fn check() -> Result<()> {
    let dir = target().join("man");
    let dir_name = dir.display().to_string();
    main(&dir_name)?;
    let mut lint = command("sh", &["-c", "mandoc -Tlint -Wwarning *.8 >&2"]);
    let status = lint.current_dir(&dir).status()?;
    if !status.success() {
        bail!("mandoc has objections to the manual pages");
    }
    Ok(())
}
