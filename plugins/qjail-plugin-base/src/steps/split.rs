//! The step `split`: what was unpacked becomes a shared part and a template with links into it.

use qjail_fs::{IfExists, Kind, RelPath, Root, WriteOptions};
use qjail_model::Release;
use qjail_plugin_api::{Context, Host, PluginError};

use super::layout::{System, ensure_dir, kind, other_system, skeleton, walk};
use super::{failed, links, open, resume, write_record};
use crate::bases::rel;
use crate::install::newer_than_kernel;
use crate::plan::{Split, staged_record};
use crate::record::{Record, dir};

/// The largest file that is read here.
const LIMIT: u64 = 1 << 20;

/// FreeBSD: what a jail has no use for.
const FREEBSD_LEFT_OUT: [&str; 3] = ["boot", "rescue", "usr/games"];

/// Since 14 `/home` is a directory (bsdinstall and hier(7)); before, a link to `usr/home`.
const HOME_IS_A_DIRECTORY: u16 = 14;

/// What would be the same in all jails and must not be: made again in each of them.
const ONE_OF_A_KIND: [&str; 5] = [
    "var/lib/systemd/random-seed",
    "var/lib/dbus/machine-id",
    "etc/hostid",
    "entropy",
    "var/db/entropy-file",
];

pub(super) fn run(host: &Host<'_>, context: &Context, data: &Split) -> Result<(), PluginError> {
    let base = resume(context, &data.id)?;
    let system = System::of(context);
    ensure_dir(&base, "sharedfs", 0o755)?;
    let (shared, template) = (below(&base, "sharedfs")?, below(&base, "template")?);
    check_system(&template, &shared, system)?;
    let release = match system {
        System::FreeBsd => freebsd_release(host, &template, &shared)?,
        System::Linux => linux_release(&template, &shared)?,
    };
    divide(&shared, &template, system, &release).map_err(|e| about(&data.id, e))?;
    let state = open(&context.state_dir)?;
    let text = state
        .read_to_string(&rel(&staged_record(&dir(context), &data.id))?, LIMIT)
        .map_err(PluginError::new)?;
    write_record(
        context,
        &Record {
            release,
            ..Record::parse(&text)?
        },
    )
}

fn about(id: &str, e: PluginError) -> PluginError {
    PluginError {
        message: format!("divide base {id}: {}", e.message),
        ..e
    }
}

fn below(base: &Root, name: &str) -> Result<Root, PluginError> {
    base.open_dir(&rel(name)?).map_err(PluginError::new)
}

/// Where a path is: in the template, or moved already when the step runs again.
fn place<'r>(template: &'r Root, shared: &'r Root, path: &str) -> Result<Option<&'r Root>, PluginError> {
    for root in [template, shared] {
        if kind(root, path)?.is_some() {
            return Ok(Some(root));
        }
    }
    Ok(None)
}

fn check_system(template: &Root, shared: &Root, system: System) -> Result<(), PluginError> {
    let is_freebsd = place(template, shared, "bin/freebsd-version")?.is_some()
        || place(template, shared, "libexec/ld-elf.so.1")?.is_some();
    if is_freebsd && system == System::Linux {
        return Err(other_system(system));
    }
    if place(template, shared, "bin")?.is_none() && place(template, shared, "usr/bin")?.is_none() {
        return Err(
            PluginError::new("this is no base system: it has neither bin nor usr/bin at its top")
                .hint("the archive must hold the root of a system, not a directory around it"),
        );
    }
    if system == System::FreeBsd && !is_freebsd {
        return Err(PluginError::new(
            "this is no FreeBSD base: it has neither bin/freebsd-version nor libexec/ld-elf.so.1",
        )
        .hint("install the base.txz of a FreeBSD release"));
    }
    Ok(())
}

fn read(template: &Root, shared: &Root, path: &str) -> Result<Option<String>, PluginError> {
    let Some(root) = place(template, shared, path)? else {
        return Ok(None);
    };
    // A link to elsewhere, or something that is no text, tells nothing.
    Ok(root.read_to_string(&rel(path)?, LIMIT).ok())
}

/// The release that `bin/freebsd-version`, a shell script, holds in a variable.
fn freebsd_release(host: &Host<'_>, template: &Root, shared: &Root) -> Result<String, PluginError> {
    let text = read(template, shared, "bin/freebsd-version")?.unwrap_or_default();
    let value = text.lines().find_map(|l| l.strip_prefix("USERLAND_VERSION="));
    let release = value.map(|v| v.trim_matches('"').to_owned()).unwrap_or_default();
    if let Ok(release) = release.parse::<Release>() {
        newer_than_kernel(host, &release)?;
    }
    Ok(release)
}

/// `PRETTY_NAME` of os-release(5).
fn linux_release(template: &Root, shared: &Root) -> Result<String, PluginError> {
    let texts = [
        read(template, shared, "etc/os-release")?,
        read(template, shared, "usr/lib/os-release")?,
    ];
    let line = |t: &String| {
        t.lines()
            .find_map(|l| l.strip_prefix("PRETTY_NAME=").map(str::to_owned))
    };
    let value = texts.iter().flatten().find_map(line).unwrap_or_default();
    Ok(value.trim_matches(['"', '\'']).to_owned())
}

fn divide(shared: &Root, template: &Root, system: System, release: &str) -> Result<(), PluginError> {
    ensure_dir(shared, "usr", 0o755)?;
    if system == System::FreeBsd {
        clear_flags(template)?;
        prepare_freebsd(template, release)?;
    }
    let mut moved = Vec::new();
    for path in system.shared() {
        if move_one(shared, template, system, path)? {
            moved.push(*path);
        }
    }
    links::rewrite(shared, &moved)?;
    skeleton(template, system)?;
    forget(template)
}

/// Moves one part and puts a link in its place; whether it is in the shared part now.
fn move_one(shared: &Root, template: &Root, system: System, path: &str) -> Result<bool, PluginError> {
    let at = rel(path)?;
    if kind(shared, path)?.is_none() {
        let found = kind(template, path)?;
        // On Linux a link there is a merged /usr. FreeBSD's /sys is a link and is moved like the rest.
        let movable = match system {
            System::FreeBsd => matches!(found, Some(Kind::Dir | Kind::Link)),
            System::Linux => found == Some(Kind::Dir),
        };
        if !movable {
            return Ok(false);
        }
        template
            .rename_no_replace(&at, shared, &at)
            .map_err(|e| failed("move", &e))?;
    }
    template
        .replace_symlink(format!("/sharedfs/{path}"), &at)
        .map_err(PluginError::new)?;
    Ok(true)
}

fn prepare_freebsd(template: &Root, release: &str) -> Result<(), PluginError> {
    for path in FREEBSD_LEFT_OUT {
        template
            .remove_tree(&rel(path)?, &qjail_fs::never)
            .map_err(PluginError::new)?;
    }
    // Empty for now; what is put there later is seen by all jails.
    ensure_dir(template, "usr/src", 0o755)?;
    ensure_dir(template, "usr/ports", 0o755)?;
    if kind(template, "home")?.is_some() {
        return Ok(());
    }
    let has_directory = release
        .parse::<Release>()
        .map_or(true, |r| r.major >= HOME_IS_A_DIRECTORY);
    if has_directory {
        return ensure_dir(template, "home", 0o755);
    }
    ensure_dir(template, "usr/home", 0o755)?;
    template
        .symlink("usr/home", &rel("home")?)
        .map_err(PluginError::new)
}

/// FreeBSD's `schg` and its like would keep jails from being changed, updated and deleted (chflags(1)).
pub(super) fn clear_flags(root: &Root) -> Result<(), PluginError> {
    walk(root, &RelPath::root(), &mut |path, _| {
        let flags = root
            .metadata(path)
            .map_err(PluginError::new)?
            .map_or(0, |m| m.flags);
        if flags != 0 {
            root.set_flags(path, 0).map_err(PluginError::new)?;
        }
        Ok(())
    })
}

/// Takes identities and keys away that an archive of an installed system holds.
pub(super) fn forget(template: &Root) -> Result<(), PluginError> {
    for path in ONE_OF_A_KIND {
        if kind(template, path)? == Some(Kind::File) {
            template.remove_file(&rel(path)?).map_err(PluginError::new)?;
        }
    }
    if kind(template, "etc/machine-id")? == Some(Kind::File) {
        // Empty: made at the first start, see machine-id(5).
        let options = WriteOptions {
            mode: Some(0o444),
            if_exists: IfExists::Replace,
            ..WriteOptions::default()
        };
        template
            .write(&rel("etc/machine-id")?, b"", &options)
            .map_err(PluginError::new)?;
    }
    if kind(template, "etc/ssh")? != Some(Kind::Dir) {
        return Ok(());
    }
    let dir = rel("etc/ssh")?;
    for entry in template.list(&dir).map_err(PluginError::new)? {
        if entry.name.to_string_lossy().starts_with("ssh_host_") && entry.kind != Kind::Dir {
            template
                .remove_file(&dir.join(&entry.name).map_err(PluginError::new)?)
                .map_err(PluginError::new)?;
        }
    }
    Ok(())
}
