//! The flavors that ship, part of the program: `install` writes what is missing.

use qjail_plugin_api::{At, IfExists, Step};

/// One file of a flavor.
#[derive(Debug)]
pub(crate) struct Shipped {
    /// Its path below the directory of flavors.
    pub(crate) path: &'static str,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// Its content.
    pub(crate) content: &'static str,
}

macro_rules! shipped {
    ($($mode:literal $path:literal),+ $(,)?) => {
        &[$(Shipped {
            path: $path,
            mode: $mode,
            content: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../flavors/", $path)),
        }),+]
    };
}

/// Every file below `flavors/` of the source tree.
pub(crate) const SHIPPED: &[Shipped] = shipped![
    0o644 "default/etc/periodic.conf",
    0o755 "default/etc/rc",
    0o644 "default/etc/rc.conf",
    0o755 "default/etc/rc.shutdown",
    0o644 "default/flavor.toml",
];

/// Writes the flavors below `dir` of the zone's directory of jails. What the administrator has there stays as it is.
pub(crate) fn steps(dir: &str) -> Vec<Step> {
    let mut dirs = vec![dir.to_owned()];
    for file in SHIPPED {
        for (at, _) in file.path.match_indices('/') {
            dirs.push(format!("{dir}/{}", &file.path[..at]));
        }
    }
    dirs.sort();
    dirs.dedup();
    let make = dirs.into_iter().map(|d| Step::MakeDir {
        at: At::jails(&d),
        mode: 0o755,
    });
    let write = SHIPPED.iter().map(|f| Step::WriteFile {
        at: At::jails(&format!("{dir}/{}", f.path)),
        content: f.content.to_owned(),
        mode: Some(f.mode),
        if_exists: IfExists::Keep,
    });
    make.chain(write).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    fn top() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flavors")
    }

    fn walk(dir: &Path, found: &mut Vec<(String, u32)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                walk(&path, found);
            } else {
                assert!(meta.is_file(), "{}: only files can be shipped", path.display());
                let below = path.strip_prefix(top()).unwrap().to_str().unwrap().to_owned();
                // What git keeps of a mode is whether the file can be executed.
                let mode = if meta.permissions().mode() & 0o100 == 0 {
                    0o644
                } else {
                    0o755
                };
                found.push((below, mode));
            }
        }
    }

    #[test]
    fn the_table_is_complete() {
        let mut found = Vec::new();
        walk(&top(), &mut found);
        found.sort();
        let table: Vec<(String, u32)> = SHIPPED.iter().map(|f| (f.path.to_owned(), f.mode)).collect();
        assert_eq!(table, found);
    }

    #[test]
    fn the_rules_fit_the_files() {
        for rules in SHIPPED.iter().filter(|f| f.path.ends_with("/flavor.toml")) {
            let flavor = qjail_model::Flavor::parse(rules.content).unwrap();
            let dir = rules.path.trim_end_matches("flavor.toml");
            for rule in &flavor.file {
                let file = SHIPPED
                    .iter()
                    .find(|f| f.path == format!("{dir}{}", rule.path))
                    .expect(&rule.path);
                assert_eq!(rule.mode, Some(file.mode), "{}", rule.path);
            }
            assert!(!flavor.about.is_empty());
        }
    }

    #[test]
    fn every_directory_is_made_before_its_files() {
        let mut made = Vec::new();
        for step in steps("flavors") {
            match step {
                Step::MakeDir { at, .. } => made.push(at.path),
                Step::WriteFile { at, if_exists, .. } => {
                    let parent = at.path.rsplit_once('/').unwrap().0.to_owned();
                    assert!(made.contains(&parent), "{}", at.path);
                    assert_eq!(if_exists, IfExists::Keep);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
