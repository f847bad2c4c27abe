//! `cargo xtask new-plugin NAME`: a plugin of one's own, ready to be built both ways.

use anyhow::{Result, bail};

use crate::run::top;

const MANIFEST: &str = r#"[package]
name = "qjail-plugin-@NAME@"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[lints]
workspace = true

[dependencies]
qjail-plugin-api.workspace = true

[dev-dependencies]
qjail-plugin-testkit.workspace = true
"#;

const SOURCE: &str = r#"//! The plugin `@NAME@`: writes a line of greeting into every new jail.
//!
//! It does not change anything itself: it returns steps.
#![deny(missing_docs)]

use qjail_plugin_api::{
    ArgSpec, At, Event, Extension, HookRequest, HookSpec, Host, Manifest, Plan, Plugin, PluginError, Point, Step,
};

/// The plugin.
pub struct @TYPE@;

impl Plugin for @TYPE@ {
    fn manifest(&self) -> Manifest {
        let mut manifest = Manifest::new("@NAME@", env!("CARGO_PKG_VERSION"), "A greeting in every new jail");
        manifest.extends = vec![Extension {
            command: "create".to_owned(),
            heading: "Greeting".to_owned(),
            args: vec![ArgSpec::option("greeting", None, "TEXT", "The line to write into etc/motd")],
        }];
        manifest.hooks = vec![HookSpec::new(Event::Create, Point::Post)];
        manifest
    }

    fn plan(&self, _host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        let Some(text) = request.options.text("greeting") else { return Ok(Plan::default()) };
        let line = Step::EnsureLine { at: At::jail("etc/motd"), line: text.to_owned(), key: None };
        Ok(Plan { steps: vec![line], ..Plan::default() })
    }
}

qjail_plugin_api::export_plugin!(@IDENT@, @TYPE@);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_sound() {
        let test = qjail_plugin_testkit::PluginTest::new(&@TYPE@);
        assert_eq!(test.manifest().name, "@NAME@");
    }
}
"#;

pub(crate) fn main(name: &str) -> Result<()> {
    let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !good || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        bail!("{name}: a plugin's name is lower-case letters and digits, a letter first");
    }
    let dir = top().join("plugins").join(format!("qjail-plugin-{name}"));
    if dir.exists() {
        bail!("{} exists already", dir.display());
    }
    let kind = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let ident = format!("qjail_plugin_{name}");
    let fill = |text: &str| {
        text.replace("@NAME@", name)
            .replace("@TYPE@", &kind)
            .replace("@IDENT@", &ident)
    };
    std::fs::create_dir_all(dir.join("src"))?;
    std::fs::write(dir.join("Cargo.toml"), fill(MANIFEST))?;
    std::fs::write(dir.join("src/lib.rs"), fill(SOURCE))?;
    println!("{}", dir.display());
    println!("build it:   cargo rustc -p qjail-plugin-{name} --lib --crate-type cdylib");
    println!("check it:   qjail plugins check target/debug/lib{ident}.so");
    println!("read:       docs/plugin-tutorial.md");
    Ok(())
}
