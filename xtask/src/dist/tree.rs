//! The tree below `/usr/local`, and the check that a package list names the same files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Built;
use crate::run::{PLUGINS, command, read, run, top};

/// The system that a tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    Linux,
    FreeBsd,
}

impl System {
    /// The end of the archive's name.
    pub(super) fn suffix(self) -> String {
        match self {
            Self::Linux => format!("linux-{}", std::env::consts::ARCH),
            Self::FreeBsd => "freebsd-amd64".to_owned(),
        }
    }
}

/// Completions: the shell, and where it looks for them.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/qjail"),
    ("zsh", "share/zsh/site-functions/_qjail"),
    ("fish", "share/fish/vendor_completions.d/qjail.fish"),
];

/// What is to be read, at the same places as in the checkout: the links among these hold.
const DOCS: [&str; 9] = [
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "docs/archive-format.md",
    "docs/freebsd.md",
    "docs/import.md",
    "docs/plugin-abi.md",
    "docs/plugin-api.schema.json",
    "docs/plugin-tutorial.md",
];

/// Lays out everything below `dir`, which is made anew. `day` stands in the manual pages.
pub(super) fn lay_out(system: System, built: &Built, dir: &Path, day: &str) -> Result<()> {
    let _ = std::fs::remove_dir_all(dir);
    place(&built.program, &dir.join("sbin/qjail"), 0o755)?;
    for plugin in PLUGINS {
        let file = format!("libqjail_plugin_{plugin}.so");
        place(
            &built.plugins.join(&file),
            &dir.join("lib/qjail/plugins").join(&file),
            0o644,
        )?;
    }
    let native = built.native.display().to_string();
    let man = dir.join("share/man/man8");
    std::fs::create_dir_all(&man)?;
    run(&mut command(&native, &["__man", &man.display().to_string(), day]))?;
    for (shell, file) in COMPLETIONS {
        let text = read(&mut command(&native, &["completions", shell]))?;
        write(&dir.join(file), &text, 0o644)?;
    }
    flavors(&dir.join("share/qjail/flavors"))?;
    for doc in DOCS {
        place(&top().join(doc), &dir.join("share/doc/qjail").join(doc), 0o644)?;
    }
    match system {
        System::FreeBsd => {
            from_template("qjail.in", &dir.join("etc/rc.d/qjail"), 0o755)?;
            from_template(
                "newsyslog.conf.in",
                &dir.join("etc/newsyslog.conf.d/qjail.conf"),
                0o644,
            )
        }
        System::Linux => place(
            &top().join("packaging/linux/qjail.service"),
            &dir.join("lib/systemd/system/qjail.service"),
            0o644,
        )
        .and_then(|()| edit_unit(&dir.join("lib/systemd/system/qjail.service"))),
    }
}

/// The unit names the program where a package has it; here it is below `/usr/local`.
fn edit_unit(unit: &Path) -> Result<()> {
    let text = std::fs::read_to_string(unit)?;
    Ok(std::fs::write(
        unit,
        text.replace("/usr/sbin/qjail", "/usr/local/sbin/qjail"),
    )?)
}

/// A file of the port's, with the prefix filled in.
fn from_template(name: &str, to: &Path, mode: u32) -> Result<()> {
    let from = top().join("packaging/freebsd/files").join(name);
    let text = std::fs::read_to_string(&from).with_context(|| from.display().to_string())?;
    write(to, &text.replace("%%PREFIX%%", "/usr/local"), mode)
}

fn flavors(to: &Path) -> Result<()> {
    for file in files(&top().join("flavors"))? {
        let from = top().join("flavors").join(&file);
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&from)?.permissions());
        // What git keeps of a mode is whether the file can be executed.
        place(
            &from,
            &to.join(&file),
            if mode & 0o100 == 0 { 0o644 } else { 0o755 },
        )?;
    }
    Ok(())
}

/// Copies a file, with this mode whatever the umask is.
pub(super) fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    set_mode(to, mode)
}

/// Writes a file with this mode.
pub(super) fn write(to: &Path, text: &str, mode: u32) -> Result<()> {
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::write(to, text).with_context(|| to.display().to_string())?;
    set_mode(to, mode)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    Ok(std::fs::set_permissions(path, mode)?)
}

/// Every file below `dir`, relative to it, sorted.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(dir)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Compares a FreeBSD tree with the port's list of files, or writes that.
pub(super) fn check(system: System, dir: &Path, update: bool) -> Result<()> {
    if system != System::FreeBsd {
        return Ok(());
    }
    let list = top().join("packaging/freebsd/pkg-plist");
    let wanted: String = files(dir)?.iter().filter_map(|f| listed(f)).collect();
    if update {
        return Ok(std::fs::write(&list, wanted)?);
    }
    if std::fs::read_to_string(&list)? != wanted {
        bail!("packaging/freebsd/pkg-plist names other files than are installed: add --update-plist");
    }
    Ok(())
}

/// The line of pkg-plist(5) for a file of the tree.
fn listed(file: &Path) -> Option<String> {
    let name = file.display().to_string();
    // The ports tree lists these by itself: USE_RC_SUBR, PORTDOCS and the licence framework.
    if name == "etc/rc.d/qjail" || name.starts_with("share/doc/") {
        return None;
    }
    Some(if name.starts_with("etc/") {
        format!("@sample {name}.sample\n")
    } else if name.starts_with("lib/") {
        format!("%%DYNAMIC%%{name}\n")
    } else if name.ends_with(".8") {
        // It compresses manual pages.
        format!("{name}.gz\n")
    } else {
        format!("{name}\n")
    })
}
