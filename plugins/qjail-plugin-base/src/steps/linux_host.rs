//! The step `from-host` on Linux: the host's directories are mounted at each start, so nothing of them is copied; the
//! template is made fresh, with those files of the host's `/etc` that everybody may read and programs can not do without.

use qjail_fs::{Kind, RelPath, Root};
use qjail_plugin_api::{Context, Host, PluginError};

use super::accounts::write_accounts;
use super::keep::{Copied, copy_public, write};
use super::layout::{System, ensure_dir, kind, skeleton};
use super::split::forget;
use super::{begin, cancelled, failed, open, write_record};
use crate::bases::rel;
use crate::plan::FromHost;
use crate::record::{self, Record};

/// What a template takes from the host's `/etc`. Everything else stays there: configuration of services, scheduled jobs,
/// file systems, keys, sudoers, networks.
const ETC: [&str; 31] = [
    "alternatives",
    "bash.bashrc",
    "ca-certificates.conf",
    "debian_version",
    "ethertypes",
    "gai.conf",
    "host.conf",
    "init.d",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "login.defs",
    "mime.types",
    "networks",
    "os-release",
    "pam.conf",
    "pam.d",
    "perl",
    "profile",
    "protocols",
    "rpc",
    "security",
    "services",
    "shells",
    "skel",
    "ssl/certs",
    "ssl/openssl.cnf",
    "timezone",
];

/// The same in small: terminals, and what the ssh tools read.
const ETC_TOO: [&str; 3] = ["terminfo", "ssh/ssh_config", "ssh/moduli"];

/// Where Debian keeps sshd's configuration as it ships: the host's own may hold what only concerns the host.
const SSHD_CONFIG: &str = "usr/share/openssh/sshd_config";

/// Names are looked up in files and DNS; whatever else the host asks is not there in a jail.
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\ngshadow: files\nhosts: files dns\nnetworks: files\n\
                        protocols: files\nservices: files\nethers: files\nrpc: files\n";

/// Directories that get the owner and mode that they have on the host.
const LIKE_HOST: [&str; 9] = [
    "var/backups",
    "var/local",
    "var/log",
    "var/mail",
    "var/opt",
    "var/spool",
    "var/spool/cron",
    "var/spool/cron/crontabs",
    "var/lib/misc",
];

/// What is below `/usr/local`.
const LOCAL: [&str; 8] = ["bin", "etc", "games", "include", "lib", "sbin", "share", "src"];

pub(super) fn run(host: &Host<'_>, context: &Context, data: &FromHost) -> Result<(), PluginError> {
    let base = begin(context, &data.id)?;
    let make = |name: &str| {
        base.make_dir(&rel(name)?, 0o755, None)
            .map_err(PluginError::new)?;
        base.open_dir(&rel(name)?).map_err(PluginError::new)
    };
    let (shared, template, root) = (make("sharedfs")?, make("template")?, open("/")?);
    let binds = parts(&root, &shared, &template)?;
    skeleton(&template, System::Linux)?;
    lead_back(&shared, &template)?;
    let copied = etc(host, &root, &template)?;
    write_accounts(&root, &template, System::Linux)?;
    rest(&root, &template)?;
    forget(&template)?;
    let record = Record {
        id: data.id.clone(),
        kind: record::Kind::Host,
        os: context.os.clone(),
        release: data.release.clone(),
        arch: data.arch.clone(),
        source: "host".to_owned(),
        created: context.now,
        bytes: copied.bytes,
        entries: copied.entries,
        binds,
        ..Record::default()
    };
    write_record(context, &record)
}

/// A mount point for each directory of the host, and the links of a merged `/usr` as they are there.
fn parts(root: &Root, shared: &Root, template: &Root) -> Result<Vec<String>, PluginError> {
    ensure_dir(shared, "usr", 0o755)?;
    ensure_dir(template, "usr", 0o755)?;
    let mut binds = Vec::new();
    for path in System::Linux.shared() {
        let at = rel(path)?;
        match kind(root, path)? {
            Some(Kind::Dir) => {
                shared.make_dir(&at, 0o755, None).map_err(PluginError::new)?;
                template
                    .symlink(format!("/sharedfs/{path}"), &at)
                    .map_err(PluginError::new)?;
                binds.push((*path).to_owned());
            }
            Some(Kind::Link) => {
                let target = root.read_link(&at).map_err(PluginError::new)?;
                shared.symlink(&target, &at).map_err(PluginError::new)?;
                template.symlink(&target, &at).map_err(PluginError::new)?;
            }
            _ => {}
        }
    }
    if binds.is_empty() {
        return Err(PluginError::new(
            "the host has no directories with programs that could be shared",
        ));
    }
    Ok(binds)
}

/// Relative links on the host that climb out of a shared directory (`/usr/lib/x -> ../../etc/x`) arrive below `/sharedfs`:
/// from there they are led back.
fn lead_back(shared: &Root, template: &Root) -> Result<(), PluginError> {
    let top = template.list(&RelPath::root()).map_err(PluginError::new)?;
    let names = top
        .iter()
        .filter_map(|e| e.name.to_str())
        .filter(|n| *n != "sharedfs");
    for path in names.chain(["usr/local", "usr/src"]) {
        if shared.metadata(&rel(path)?).map_err(PluginError::new)?.is_none() {
            shared
                .symlink(format!("/{path}"), &rel(path)?)
                .map_err(PluginError::new)?;
        }
    }
    Ok(())
}

fn etc(host: &Host<'_>, root: &Root, template: &Root) -> Result<Copied, PluginError> {
    for dir in ["etc/ssl", "etc/ssl/private", "etc/ssh", "etc/ssh/sshd_config.d"] {
        ensure_dir(
            template,
            dir,
            if dir.ends_with("private") { 0o710 } else { 0o755 },
        )?;
    }
    let mut copied = Copied::default();
    for name in ETC.iter().chain(&ETC_TOO) {
        if host.cancelled() {
            return Err(cancelled());
        }
        copied.add(copy_public(root, template, &format!("etc/{name}"))?);
    }
    if kind(root, SSHD_CONFIG)? == Some(Kind::File) {
        let text = root.read(&rel(SSHD_CONFIG)?, 1 << 20).map_err(PluginError::new)?;
        write(template, "etc/ssh/sshd_config", &text, 0o644)?;
    }
    write(template, "etc/nsswitch.conf", NSSWITCH.as_bytes(), 0o644)?;
    write(template, "etc/environment", b"", 0o644)?;
    write(template, "etc/machine-id", b"", 0o444)?;
    Ok(copied)
}

/// The home of root, `/var` and `/usr/local`.
fn rest(root: &Root, template: &Root) -> Result<(), PluginError> {
    for file in [".profile", ".bashrc"] {
        let from = format!("etc/skel/{file}");
        if kind(template, &from)? == Some(Kind::File) {
            let text = template.read(&rel(&from)?, 1 << 20).map_err(PluginError::new)?;
            write(template, &format!("root/{file}"), &text, 0o644)?;
        }
    }
    for name in LOCAL {
        ensure_dir(template, &format!("usr/local/{name}"), 0o755)?;
    }
    for path in LIKE_HOST {
        like_host(root, template, path)?;
    }
    for (path, target) in [("var/run", "/run"), ("var/lock", "/run/lock")] {
        template
            .replace_symlink(target, &rel(path)?)
            .map_err(PluginError::new)?;
    }
    Ok(())
}

fn like_host(root: &Root, template: &Root, path: &str) -> Result<(), PluginError> {
    let at = rel(path)?;
    if kind(root, path)? != Some(Kind::Dir) {
        return Ok(());
    }
    let Some(meta) = root.metadata(&at).map_err(PluginError::new)? else {
        return Ok(());
    };
    ensure_dir(template, path, 0o755)?;
    let fail = |e: qjail_fs::Error| failed("make the template", &e);
    template.set_owner(&at, meta.uid, meta.gid).map_err(fail)?;
    template.set_mode(&at, meta.mode).map_err(fail)
}
