//! The step `from-host` on FreeBSD: the running system's executables are copied with their hard links, since the host may
//! be updated under running jails; the template is made fresh, with public files of the host's `/etc` only.
//!
//! The password databases that pwd_mkdb(8) makes hold the host's hashes and are left out: a script that rc(8) runs at the
//! jail's first start makes them from the template's own `master.passwd`.

use qjail_fs::{CopyOptions, Kind, Root, copy_tree};
use qjail_plugin_api::{Context, Host, PluginError, Progress};

use super::accounts::write_accounts;
use super::keep::{Copied, copy_public, write};
use super::layout::{System, ensure_dir, kind, skeleton};
use super::split::{clear_flags, forget};
use super::watch::watched;
use super::{begin, failed, links, open, pkgbase, write_record};
use crate::bases::rel;
use crate::plan::FromHost;
use crate::record::{self, Record};

/// What a template takes from the host's `/etc`; its own rc.conf, jails, firewalls, keys and jobs stay there.
const ETC: [&str; 48] = [
    "crontab",
    "csh.cshrc",
    "csh.login",
    "csh.logout",
    "defaults",
    "devd.conf",
    "devfs.conf",
    "dma",
    "ftpusers",
    "gettytab",
    "gss",
    "hosts.allow",
    "hosts.equiv",
    "libmap.conf",
    "locate.rc",
    "localtime",
    "login.access",
    "login.conf",
    "login.conf.db",
    "mail.rc",
    "motd.template",
    "mtree",
    "netconfig",
    "network.subr",
    "networks",
    "newsyslog.conf",
    "newsyslog.conf.d",
    "nsswitch.conf",
    "os-release",
    "pam.d",
    "periodic",
    "pkg",
    "profile",
    "protocols",
    "rc",
    "rc.d",
    "rc.resume",
    "rc.shutdown",
    "rc.subr",
    "rc.suspend",
    "rpc",
    "services",
    "shells",
    "ssh/moduli",
    "ssh/ssh_config",
    "ssh/sshd_config",
    "ssl",
    "syslog.conf",
];

/// More of it.
const ETC_TOO: [&str; 4] = ["syslog.d", "termcap.small", "ttys", "rc.initdiskless"];

/// Makes the password databases at the first start.
const MAKE_DATABASES: &str = "#!/bin/sh
#
# PROVIDE: qjail_accounts
# BEFORE: FILESYSTEMS
# KEYWORD: firstboot
#
# Made by qjail: password databases from /etc/master.passwd, before anything looks up a name.

. /etc/rc.subr

name=qjail_accounts
start_cmd='/usr/sbin/pwd_mkdb -p /etc/master.passwd'
stop_cmd=:

load_rc_config $name
run_rc_command \"$1\"
";

pub(super) fn run(host: &Host<'_>, context: &Context, data: &FromHost) -> Result<(), PluginError> {
    copy(host, context, data, &open("/")?)
}

/// Makes the base of the system below `root`.
fn copy(host: &Host<'_>, context: &Context, data: &FromHost, root: &Root) -> Result<(), PluginError> {
    let pkgbase = pkgbase::is_used(root)?;
    let base = begin(context, &data.id)?;
    let make = |name: &str| {
        base.make_dir(&rel(name)?, 0o755, None)
            .map_err(PluginError::new)?;
        base.open_dir(&rel(name)?).map_err(PluginError::new)
    };
    let (shared, template) = (make("sharedfs")?, make("template")?);
    ensure_dir(&template, "usr", 0o755)?;
    ensure_dir(&shared, "usr", 0o755)?;
    let mut copied = Copied::default();
    let mut moved = Vec::new();
    for path in System::FreeBsd.shared() {
        host.progress(&Progress {
            about: format!("copy /{path}"),
            ..Progress::default()
        });
        if let Some(part) = copy_part(host, root, &shared, path)? {
            copied.add(part);
            template
                .symlink(format!("/sharedfs/{path}"), &rel(path)?)
                .map_err(PluginError::new)?;
            moved.push(*path);
        }
    }
    clear_flags(&shared)?;
    links::rewrite(&shared, &moved)?;
    skeleton(&template, System::FreeBsd)?;
    ensure_dir(&template, "home", 0o755)?;
    copied.add(etc(root, &template)?);
    if pkgbase {
        pkgbase::without_repository(&template)?;
    }
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
        pkgbase,
        ..Record::default()
    };
    write_record(context, &record)
}

/// Copies one shared part; none where the host has none.
fn copy_part(host: &Host<'_>, root: &Root, shared: &Root, path: &str) -> Result<Option<Copied>, PluginError> {
    let at = rel(path)?;
    let fail = |e: qjail_fs::Error| failed(&format!("copy /{path}"), &e);
    match kind(root, path)? {
        // Sources and ports are for `update -S` and `-P`.
        _ if matches!(path, "usr/src" | "usr/ports") => {
            ensure_dir(shared, path, 0o755)?;
            Ok(Some(Copied { entries: 1, bytes: 0 }))
        }
        Some(Kind::Link) => {
            shared
                .symlink(root.read_link(&at).map_err(fail)?, &at)
                .map_err(fail)?;
            Ok(Some(Copied { entries: 1, bytes: 0 }))
        }
        Some(Kind::Dir) => {
            ensure_dir(shared, path, 0o755)?;
            let (from, to) = (
                root.open_dir(&at).map_err(fail)?,
                shared.open_dir(&at).map_err(fail)?,
            );
            let stats = watched(host, |cancelled| {
                copy_tree(
                    &from,
                    &to,
                    &CopyOptions {
                        cancelled,
                        ..CopyOptions::default()
                    },
                )
                .map_err(fail)
            })?;
            let entries = stats.files + stats.dirs + stats.links + stats.hard_links;
            Ok(Some(Copied {
                entries,
                bytes: stats.bytes,
            }))
        }
        _ => Ok(None),
    }
}

fn etc(root: &Root, template: &Root) -> Result<Copied, PluginError> {
    ensure_dir(template, "etc/ssh", 0o755)?;
    let mut copied = Copied::default();
    for name in ETC.iter().chain(&ETC_TOO) {
        copied.add(copy_public(root, template, &format!("etc/{name}"))?);
    }
    for name in [
        "root/.cshrc",
        "root/.profile",
        "root/.login",
        ".cshrc",
        ".profile",
    ] {
        copied.add(copy_public(root, template, name)?);
    }
    write_accounts(root, template, System::FreeBsd)?;
    write(template, "etc/fstab", b"", 0o644)?;
    write(
        template,
        "etc/rc.d/qjail_accounts",
        MAKE_DATABASES.as_bytes(),
        0o555,
    )?;
    // rc(8) runs scripts with the keyword `firstboot` while this file exists, and then removes it.
    write(template, "firstboot", b"", 0o644)?;
    Ok(copied)
}

#[cfg(test)]
#[path = "freebsd_host_tests.rs"]
mod tests;
