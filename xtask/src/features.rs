//! `cargo xtask features`: the program with each plugin alone built in, and with none, as a packager may want it.

use anyhow::Result;

use crate::run::{PLUGINS, cargo, run};

pub(crate) fn main() -> Result<()> {
    let check = ["check", "-q", "-p", "qjail", "--no-default-features"];
    for plugin in PLUGINS {
        println!("# only {plugin}");
        run(&mut cargo(&[&check[..], &["--features", plugin]].concat()))?;
    }
    println!("# no plugin");
    run(&mut cargo(&check))
}
