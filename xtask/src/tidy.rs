//! `cargo xtask tidy`: what the documents promise about the code, checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::{cargo, read, top};

/// Which of our crates each crate may use: the arrows of ARCHITECTURE.md. Plugins: see [`PLUGINS_MAY`].
const ARROWS: [(&str, &[&str]); 16] = [
    (
        "qjail",
        &[
            "qjail-cli",
            "qjail-plugin-api",
            "qjail-plugin-base",
            "qjail-plugin-net",
            "qjail-plugin-ssh",
            "qjail-plugin-sysvipc",
            "qjail-sys",
        ],
    ),
    (
        "qjail-cli",
        &[
            "qjail-core",
            "qjail-model",
            "qjail-plugin-api",
            "qjail-plugin-host",
            "qjail-store",
            "qjail-sys",
        ],
    ),
    (
        "qjail-core",
        &[
            "qjail-archive",
            "qjail-fs",
            "qjail-jailconf",
            "qjail-model",
            "qjail-plugin-api",
            "qjail-plugin-host",
            "qjail-store",
            "qjail-sys",
        ],
    ),
    (
        "qjail-plugin-host",
        &["qjail-model", "qjail-os", "qjail-plugin-abi", "qjail-plugin-api"],
    ),
    (
        "qjail-plugin-testkit",
        &["qjail-model", "qjail-plugin-api", "qjail-plugin-host"],
    ),
    ("qjail-plugin-api", &["qjail-model", "qjail-plugin-abi"]),
    ("qjail-plugin-abi", &[]),
    (
        "qjail-sys",
        &[
            "qjail-fs",
            "qjail-jailconf",
            "qjail-model",
            "qjail-os",
            "qjail-passwd",
        ],
    ),
    ("qjail-store", &["qjail-model"]),
    ("qjail-archive", &["qjail-fs", "qjail-os"]),
    ("qjail-fetch", &[]),
    ("qjail-jailconf", &["qjail-model"]),
    ("qjail-passwd", &[]),
    ("qjail-fs", &["qjail-os"]),
    ("qjail-model", &[]),
    ("qjail-os", &[]),
];
/// What a plugin may use: the API, and leaf crates.
const PLUGINS_MAY: [&str; 8] = [
    "qjail-plugin-api",
    "qjail-model",
    "qjail-fs",
    "qjail-archive",
    "qjail-fetch",
    "qjail-passwd",
    "qjail-jailconf",
    "qjail-os",
];
/// Crates where systems may be told apart and processes started.
const FENCED: [&str; 2] = ["crates/qjail-sys/", "crates/qjail-os/"];
/// Crates where `unsafe` may stand.
const UNSAFE: [&str; 5] = [
    "crates/qjail-sys/",
    "crates/qjail-os/",
    "crates/qjail-plugin-abi/",
    "crates/qjail-plugin-api/",
    "crates/qjail-plugin-host/",
];

pub(crate) fn main() -> Result<()> {
    let packages = packages()?;
    let sources = sources()?;
    let mut faults = Vec::new();
    faults.extend(arrows(&packages));
    faults.extend(manifests(&packages));
    faults.extend(crate_docs(&packages));
    faults.extend(crate_list(&packages)?);
    for (path, text) in &sources {
        faults.extend(source(path, text));
    }
    for fault in &faults {
        println!("{fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults", faults.len());
    }
    println!("tidy: {} crates, {} source files", packages.len(), sources.len());
    Ok(())
}

struct Package {
    name: String,
    dir: PathBuf,
    /// Crates of ours that it uses, tests left out.
    uses: BTreeSet<String>,
}

fn packages() -> Result<Vec<Package>> {
    let text = read(&mut cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let list = metadata["packages"]
        .as_array()
        .context("cargo metadata: no packages")?;
    let names: BTreeSet<&str> = list.iter().filter_map(|p| p["name"].as_str()).collect();
    list.iter()
        .map(|p| {
            let manifest = PathBuf::from(p["manifest_path"].as_str().context("no manifest_path")?);
            let dependencies = p["dependencies"].as_array().context("no dependencies")?;
            let uses = dependencies
                .iter()
                .filter(|d| d["kind"].is_null())
                .filter_map(|d| d["name"].as_str())
                .filter(|d| names.contains(d))
                .map(str::to_owned)
                .collect();
            Ok(Package {
                name: p["name"].as_str().unwrap_or_default().to_owned(),
                dir: manifest.parent().unwrap_or(&manifest).to_owned(),
                uses,
            })
        })
        .collect()
}

fn arrows(packages: &[Package]) -> Vec<String> {
    let rules: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut faults = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let may: &[&str] = match rules.get(name) {
            Some(may) => may,
            None if package.dir.starts_with(top().join("plugins")) => &PLUGINS_MAY,
            None if name == "xtask" || name == "qjail-tests" => continue,
            None => {
                faults.push(format!("{name}: not in the arrows of xtask/src/tidy.rs"));
                continue;
            }
        };
        faults.extend(
            package
                .uses
                .iter()
                .filter(|d| !may.contains(&d.as_str()))
                .map(|d| format!("{name}: must not use {d} (ARCHITECTURE.md, arrows between crates)")),
        );
    }
    faults
}

fn manifests(packages: &[Package]) -> Vec<String> {
    let lacks = |package: &Package| {
        let text = std::fs::read_to_string(package.dir.join("Cargo.toml")).unwrap_or_default();
        !text.contains("[lints]\nworkspace = true")
    };
    packages
        .iter()
        .filter(|p| lacks(p))
        .map(|p| format!("{}: Cargo.toml lacks the workspace's lints", p.name))
        .collect()
}

fn crate_docs(packages: &[Package]) -> Vec<String> {
    let head = |package: &Package| {
        let root = ["src/lib.rs", "src/main.rs"]
            .map(|f| package.dir.join(f))
            .into_iter()
            .find(|f| f.exists());
        std::fs::read_to_string(root.unwrap_or_default()).unwrap_or_default()
    };
    let mut faults = Vec::new();
    for package in packages {
        let text = head(package);
        let docs: Vec<&str> = text.lines().take_while(|l| l.starts_with("//!")).collect();
        let limits = docs.iter().any(|l| {
            let l = l.to_lowercase();
            ["limits", " not ", "no ", "never", "nothing", "only "]
                .iter()
                .any(|w| l.contains(w))
        });
        if docs.len() < 3 || !limits {
            faults.push(format!(
                "{}: the crate's first lines must say what it does and what it does not",
                package.name
            ));
        }
    }
    faults
}

fn crate_list(packages: &[Package]) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(top().join("crates/README.md")).context("crates/README.md")?;
    let missing = packages
        .iter()
        .filter(|p| p.dir.starts_with(top().join("crates")));
    Ok(missing
        .filter(|p| !text.contains(&format!("`{}`", p.name)))
        .map(|p| format!("crates/README.md: no sentence about {}", p.name))
        .collect())
}

fn sources() -> Result<Vec<(String, String)>> {
    let list = read(&mut crate::run::command(
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"],
    ))?;
    list.lines()
        .filter(|path| top().join(path).exists())
        .map(|path| {
            let text = std::fs::read_to_string(top().join(path)).with_context(|| path.to_owned())?;
            Ok((path.to_owned(), text))
        })
        .collect()
}

/// Faults of one source file. What stands below `#[cfg(test)]` and in test files is free.
fn source(path: &str, text: &str) -> Vec<String> {
    let is_test = path.starts_with("tests/")
        || path.starts_with("xtask/")
        || path.starts_with("fuzz/")
        || path.contains("/tests/")
        || path.contains("/examples/")
        || path.ends_with("build.rs")
        || Path::new(path)
            .file_stem()
            .is_some_and(|s| s == "tests" || s == "golden" || s.to_string_lossy().ends_with("_tests"));
    if is_test {
        return Vec::new();
    }
    let fenced = FENCED.iter().any(|f| path.starts_with(f));
    let unsafe_ok = UNSAFE.iter().any(|f| path.starts_with(f));
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        let fault = if code.contains(".unwrap()") {
            "unwrap outside tests"
        } else if !fenced && (code.contains("target_os") || code.contains("cfg(unix)")) {
            "cfg(target_os) outside qjail-sys and qjail-os"
        } else if !fenced && (code.contains("process::Command") || code.contains("Command::new(\"/")) {
            "a process outside qjail-sys"
        } else if !unsafe_ok && (code.contains("unsafe {") || code.contains("unsafe fn")) {
            "unsafe outside the ABI, loader and sys crates"
        } else if code.contains("todo!(") || code.contains("unimplemented!(") || code.contains("dbg!(") {
            "a left-over"
        } else {
            continue;
        };
        faults.push(format!("{path}:{}: {fault}", number + 1));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_found_and_tests_are_free() {
        assert_eq!(source("crates/a/src/lib.rs", "x.unwrap();").len(), 1);
        assert_eq!(
            source("crates/a/src/lib.rs", "#[cfg(target_os = \"linux\")]").len(),
            1
        );
        assert_eq!(
            source("crates/qjail-sys/src/lib.rs", "#[cfg(target_os = \"linux\")]").len(),
            0
        );
        assert_eq!(
            source("crates/a/src/lib.rs", "use std::process::Command;").len(),
            1
        );
        assert_eq!(
            source("crates/a/src/lib.rs", "#[cfg(test)]\nmod tests { x.unwrap(); }").len(),
            0
        );
        assert_eq!(
            source("crates/a/src/lib.rs", "// x.unwrap() would be wrong").len(),
            0
        );
        assert_eq!(source("tests/src/lib.rs", "x.unwrap();").len(), 0);
    }

    #[test]
    fn the_tree_is_tidy() {
        main().unwrap();
    }
}
