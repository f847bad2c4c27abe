//! Copies from the running host's `/etc` into a template: only what anybody on the host may read, and no keys.

use qjail_fs::{CopyOptions, Kind, Meta, RelPath, Root, WriteOptions, copy_tree};
use qjail_plugin_api::PluginError;

use super::failed;
use super::layout::walk;
use crate::bases::rel;

/// The largest single file.
const LIMIT: u64 = 64 << 20;

/// How much was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

impl Copied {
    pub(super) fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.bytes += other.bytes;
    }
}

/// Copies one name of the host, a directory with what is in it, to the same place. What does not exist, and what is not for
/// everybody, is left out.
pub(super) fn copy_public(host: &Root, to: &Root, path: &str) -> Result<Copied, PluginError> {
    let at = rel(path)?;
    let Some(meta) = host.metadata(&at).map_err(PluginError::new)? else {
        return Ok(Copied::default());
    };
    if is_private(path, &meta) {
        return Ok(Copied::default());
    }
    let fail = |e: qjail_fs::Error| failed(&format!("copy /{path}"), &e);
    match meta.kind {
        Kind::Link => {
            to.replace_symlink(host.read_link(&at).map_err(fail)?, &at)
                .map_err(fail)?;
            Ok(Copied { entries: 1, bytes: 0 })
        }
        Kind::File => {
            let content = host.read(&at, LIMIT).map_err(fail)?;
            write(to, path, &content, meta.mode)?;
            Ok(Copied {
                entries: 1,
                bytes: meta.size,
            })
        }
        Kind::Dir => {
            let from = host.open_dir(&at).map_err(fail)?;
            let skip = private_below(&from)?;
            to.make_dirs(&at, 0o755, None).map_err(fail)?;
            let options = CopyOptions {
                skip: &skip,
                ..CopyOptions::default()
            };
            let stats = copy_tree(&from, &to.open_dir(&at).map_err(fail)?, &options).map_err(fail)?;
            let entries = stats.files + stats.dirs + stats.links + stats.hard_links;
            Ok(Copied {
                entries,
                bytes: stats.bytes,
            })
        }
        _ => Ok(Copied::default()),
    }
}

/// Writes a file of the template.
pub(super) fn write(to: &Root, path: &str, content: &[u8], mode: u32) -> Result<(), PluginError> {
    // The template goes with its staging directory: nothing of it needs to be on the disk before the whole is.
    let options = WriteOptions {
        mode: Some(mode & 0o777),
        sync: false,
        ..WriteOptions::default()
    };
    to.write(&rel(path)?, content, &options)
        .map_err(|e| failed(&format!("write {path} of the template"), &e))?;
    Ok(())
}

fn private_below(dir: &Root) -> Result<Vec<RelPath>, PluginError> {
    let mut private: Vec<RelPath> = Vec::new();
    walk(dir, &RelPath::root(), &mut |path, _| {
        let meta = dir.metadata(path).map_err(PluginError::new)?;
        if meta.is_some_and(|m| is_private(&path.as_os_str().to_string_lossy(), &m)) {
            private.push(path.clone());
        }
        Ok(())
    })?;
    Ok(private)
}

/// What pkg(8) leaves beside a file of a package that was changed: the administrator's, or the new one.
const OF_MERGES: [&str; 2] = [".pkgsave", ".pkgnew"];

/// Whether something is not for everybody: by its permissions, by its kind, or because its name says so. What is left of
/// merges is for the host's administrator only.
fn is_private(path: &str, meta: &Meta) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    if OF_MERGES.iter().any(|ending| name.ends_with(ending)) {
        return true;
    }
    let told =
        name.starts_with("ssh_host_") || name.ends_with(".key") || name.ends_with('-') || name == "private";
    told || match meta.kind {
        Kind::Link => false,
        Kind::Dir => meta.mode & 0o005 != 0o005,
        Kind::File => meta.mode & 0o004 == 0,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_is_not_for_everybody_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::create_dir_all(from.join("etc/pam.d/private")).unwrap();
        std::fs::create_dir_all(from.join("etc/pam.d/closed")).unwrap();
        std::fs::create_dir(&to).unwrap();
        for (path, mode) in [
            ("open", 0o644),
            ("secret", 0o600),
            ("server.key", 0o644),
            ("ssh_host_rsa_key.pub", 0o644),
            ("private/x", 0o644),
            ("closed/x", 0o644),
            ("old-", 0o644),
            ("system.pkgsave", 0o644),
            ("system.pkgnew", 0o644),
        ] {
            let path = from.join("etc/pam.d").join(path);
            std::fs::write(&path, "x").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(from.join("etc/pam.d/closed"), PermissionsExt::from_mode(0o750)).unwrap();
        symlink("/etc/shadow", from.join("etc/pam.d/link")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            from.join("etc/pam.d/fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o644),
            0,
        )
        .unwrap();
        let (host, template) = (Root::open(&from).unwrap(), Root::open(&to).unwrap());
        template.make_dir(&rel("etc").unwrap(), 0o755, None).unwrap();
        let copied = copy_public(&host, &template, "etc/pam.d").unwrap();
        let mut names: Vec<_> = std::fs::read_dir(to.join("etc/pam.d"))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["link", "open"]);
        assert_eq!(copied.bytes, 1);
        assert_eq!(
            std::fs::read_link(to.join("etc/pam.d/link")).unwrap().to_str(),
            Some("/etc/shadow")
        );
        assert_eq!(
            copy_public(&host, &template, "etc/nosuch").unwrap(),
            Copied::default()
        );
        assert_eq!(
            copy_public(&host, &template, "etc/pam.d/secret").unwrap(),
            Copied::default()
        );
    }
}
