//! Files that a jail.conf(5) includes: only those that nobody but root can change.

use std::path::{Path, PathBuf};

use qjail_fs::{Kind, Meta, RelPath, Root};
use qjail_jailconf::Source;

use crate::places::rel;

/// The longest file, in bytes.
pub(super) const LIMIT: u64 = 1 << 20;

/// The files that a pattern means, in the order of their names. Only the last part of it may have `*` and `?`.
pub(super) fn files(pattern: &Path) -> Result<Vec<Source>, String> {
    let (Some(dir), Some(last)) = (pattern.parent(), pattern.file_name().and_then(|n| n.to_str())) else {
        return Err("it names no file".to_owned());
    };
    if dir.to_string_lossy().contains(['*', '?', '[']) || last.contains('[') {
        return Err("only the last part of the name may have `*` and `?`".to_owned());
    }
    let wild = last.contains(['*', '?']);
    if wild && !dir.is_dir() {
        return Ok(Vec::new());
    }
    let root = Root::open(dir).map_err(|e| e.to_string())?;
    trusted(&root, &RelPath::root(), dir)?;
    if !wild {
        return source(&root, dir, last).map(|s| vec![s]);
    }
    let entries = root.list(&RelPath::root()).map_err(|e| e.to_string())?;
    let names = entries.into_iter().filter_map(|e| e.name.into_string().ok());
    names
        .filter(|n| !n.starts_with('.') && fits(last.as_bytes(), n.as_bytes()))
        .map(|n| source(&root, dir, &n))
        .collect()
}

fn source(root: &Root, dir: &Path, name: &str) -> Result<Source, String> {
    let path = rel(name).map_err(|e| e.to_string())?;
    let full = dir.join(name);
    trusted(root, &path, &full)?;
    let text = root.read_to_string(&path, LIMIT).map_err(|e| e.to_string())?;
    Ok(Source {
        name: full.display().to_string(),
        text,
    })
}

/// What a jail.conf(5) says is run as root: a file that others can write is none to be believed.
fn trusted(root: &Root, path: &RelPath, full: &Path) -> Result<(), String> {
    let found = root.metadata(path).map_err(|e| e.to_string())?;
    let Some(meta) = found else {
        return Err(format!("{} does not exist", full.display()));
    };
    let others = |meta: &Meta| meta.uid != 0 || meta.mode & 0o022 != 0;
    if meta.kind != Kind::Link && others(&meta) {
        let full: PathBuf = full.to_owned();
        return Err(format!("{} can be changed by others than root", full.display()));
    }
    Ok(())
}

/// Whether a name fits a pattern of `*` and `?`, in time that grows with the product of their lengths.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, n) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit() {
        for (pattern, name, fit) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", true),
            ("*.conf", "a.conf~", false),
            ("a?c*", "abcd", true),
            ("a?c*", "ac", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("", "a", false),
            ("**", "", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), fit, "{pattern} {name}");
        }
        assert!(!fits(
            "*a".repeat(50).as_bytes(),
            "a".repeat(2000).as_bytes()[..1999]
                .iter()
                .chain(b"b")
                .copied()
                .collect::<Vec<_>>()
                .as_slice()
        ));
    }

    #[test]
    fn files_that_others_can_change_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("b.conf"), "b").unwrap();
        std::fs::write(at("a.conf"), "a").unwrap();
        std::fs::write(at("c.txt"), "c").unwrap();
        let names =
            |pattern: &str| files(&at(pattern)).map(|l| l.into_iter().map(|s| s.text).collect::<String>());
        assert_eq!(names("*.conf").unwrap(), "ab");
        assert_eq!(names("c.txt").unwrap(), "c");
        assert_eq!(names("none/*.conf").unwrap(), "");
        assert!(names("none.conf").unwrap_err().contains("does not exist"));
        assert!(names("*/a.conf").unwrap_err().contains("last part"));
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(at("a.conf"), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(names("*.conf").unwrap_err().contains("can be changed by others"));
        std::fs::remove_file(at("a.conf")).unwrap();
        std::os::unix::fs::symlink("c.txt", at("a.conf")).unwrap();
        assert!(names("*.conf").unwrap_err().contains("link"));
    }
}
