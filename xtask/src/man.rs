//! `cargo xtask man`: the manual pages, made by the program itself from its own commands.

use anyhow::Result;

use crate::run::{build_program, command, run};

pub(crate) fn main(dir: &str) -> Result<()> {
    let program = build_program(false, &[])?;
    let dir = std::path::absolute(dir)?;
    std::fs::create_dir_all(&dir)?;
    run(&mut command(
        &program.display().to_string(),
        &["__man", &dir.display().to_string()],
    ))?;
    println!("manual pages: {}", dir.display());
    Ok(())
}
