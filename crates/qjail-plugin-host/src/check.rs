//! `qjail plugins check FILE`: everything that would be asked of a file, one after the other.

use std::path::{Path, PathBuf};

use qjail_plugin_abi::MagicInfo;
use qjail_plugin_api::{API_VERSION, Manifest};

use crate::claims::{self, Contender};
use crate::load::{self, FileName};
use crate::{HostConfig, Refusal, manifest, negotiate, registry, trust};

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked: `place`, `sum`, `abi`, ….
    pub what: &'static str,
    /// A few words on what was found, or why the file would be refused.
    pub result: Result<String, Refusal>,
}

/// What was found out about a file. Checks that need an earlier one which failed are missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// What it was built as and with.
    pub built: Option<MagicInfo>,
    /// What it says about itself.
    pub manifest: Option<Manifest>,
}

impl Report {
    /// Whether this qjail would use it, were it in a plugin directory without rivals.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|c| c.result.is_ok())
    }

    fn add(&mut self, what: &'static str, result: Result<impl Into<String>, Refusal>) -> bool {
        let result = result.map(Into::into);
        let ok = result.is_ok();
        self.checks.push(Check { what, result });
        ok
    }
}

/// Checks a file, and loads it when it may be trusted. Switches (`disable`, `allow`) and rivals are not looked at.
#[must_use]
pub fn check_file(config: &HostConfig, path: &Path) -> Report {
    let mut report = Report {
        path: path.to_path_buf(),
        checks: Vec::new(),
        built: None,
        manifest: None,
    };
    if let Some((name, manifest)) = up_to_manifest(config, path, &mut report) {
        check_manifest(config, &name, &manifest, &mut report);
        report.manifest = Some(manifest);
    }
    report
}

fn up_to_manifest(config: &HostConfig, path: &Path, report: &mut Report) -> Option<(FileName, Manifest)> {
    let name = path.file_name().and_then(load::file_name);
    let named = name.clone().map(|n| n.crate_name).ok_or_else(|| {
        Refusal::new(format!("{} is not named like a plugin", path.display()))
            .hint("a plugin's file is named libqjail_plugin_NAME.so")
    });
    report.add("name", named);
    let name = name?;

    let trusted = trust::open(path);
    report.add(
        "place",
        trusted
            .as_ref()
            .map(|_| "only root can write it")
            .map_err(Clone::clone),
    );
    let trusted = trusted.ok()?;

    if let Some(pinned) = config.sha256.get(&name.plugin) {
        let sum = load::sum(&trusted.file)
            .map_err(|e| Refusal::new(format!("can not read {}: {e}", path.display())));
        let same = sum
            .and_then(|is| load::check_sum(path, &is, pinned))
            .map(|()| "as pinned in qjail.toml");
        if !report.add("sum", same) {
            return None;
        }
    }
    let introduced = load::introduce(trusted.file, path, &name, config.patience);
    let summary = |m: &MagicInfo| format!("ABI {}.{}, API {}, {}", m.abi_major, m.abi_minor, m.api, m.rustc);
    let what = introduced
        .as_ref()
        .map(|(loaded, _)| summary(&loaded.magic))
        .map_err(Clone::clone);
    report.add("load", what);
    let (loaded, manifest) = introduced.ok()?;
    report.built = Some(loaded.magic);
    Some((name, manifest))
}

fn check_manifest(config: &HostConfig, name: &FileName, manifest: &Manifest, report: &mut Report) {
    let form = manifest::check(manifest).map_err(|why| registry::malformed(manifest, &why));
    report.add(
        "manifest",
        form.map(|()| format!("{} {}", manifest.name, manifest.version)),
    );
    let same_name = if manifest.name == name.plugin {
        Ok(manifest.name.clone())
    } else {
        Err(Refusal::new(format!(
            "the file is named after {}, the plugin is {}",
            name.plugin, manifest.name
        )))
    };
    report.add("own name", same_name);
    report.add(
        "api",
        negotiate::api(manifest).map(|()| format!("{} fits {API_VERSION}", manifest.api)),
    );
    report.add(
        "platform",
        negotiate::platform(manifest, &config.os).map(|()| config.os.clone()),
    );
    let alone = [Contender {
        manifest,
        built_in: false,
    }];
    let verdict = claims::judge(&alone, config).into_iter().flatten().next();
    report.add("claims", verdict.map_or(Ok("no conflict with qjail itself"), Err));
}
