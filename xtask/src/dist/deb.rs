//! A Debian package of the tree: below `/usr`, with the systemd unit and the logrotate entry.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::tree::{files, place, write};
use crate::run::{command, has, read, run, top};

/// Makes the package in `out` from the tree `dir`, which is laid out for `/usr/local`.
pub(super) fn make(dir: &Path, out: &Path, time: u64) -> Result<PathBuf> {
    if !has("dpkg-deb") {
        bail!("dpkg-deb makes the package, and is not installed");
    }
    let architecture = read(&mut command("dpkg", &["--print-architecture"]))?
        .trim()
        .to_owned();
    let root = out.join("deb");
    let _ = std::fs::remove_dir_all(&root);
    for file in files(dir)? {
        if let Some((to, mode)) = placed(&file) {
            place(&dir.join(&file), &root.join(to), mode)?;
        }
    }
    pages(&root)?;
    let linux = top().join("packaging/linux");
    place(
        &linux.join("qjail.service"),
        &root.join("usr/lib/systemd/system/qjail.service"),
        0o644,
    )?;
    place(
        &linux.join("qjail.logrotate"),
        &root.join("etc/logrotate.d/qjail"),
        0o644,
    )?;
    let docs = root.join("usr/share/doc/qjail");
    place(&top().join("LICENSE"), &docs.join("copyright"), 0o644)?;
    place(&top().join("CHANGELOG.md"), &docs.join("changelog"), 0o644)?;
    compress(&docs.join("changelog"))?;
    control(&root, &architecture)?;
    let file = out.join(format!("qjail_{}_{architecture}.deb", env!("CARGO_PKG_VERSION")));
    let (from, to) = (root.display().to_string(), file.display().to_string());
    run(&mut command("chmod", &["-R", "u=rwX,go=rX", &from]))?;
    run(
        command("dpkg-deb", &["--root-owner-group", "--build", &from, &to])
            .env("SOURCE_DATE_EPOCH", time.to_string())
            .stdout(std::process::Stdio::null()),
    )?;
    Ok(file)
}

/// Where a file of the tree is in the package, with its mode. Plugins are built in; the licence has its own place.
fn placed(file: &Path) -> Option<(PathBuf, u32)> {
    let name = file.display().to_string();
    if name.starts_with("lib/") || name.ends_with("doc/qjail/LICENSE") || name.ends_with("CHANGELOG.md") {
        return None;
    }
    let run = name.starts_with("sbin/") || name.ends_with("/etc/rc") || name.ends_with("/etc/rc.shutdown");
    Some((Path::new("usr").join(file), if run { 0o755 } else { 0o644 }))
}

/// Compresses the manual pages, as Debian's policy has them.
fn pages(root: &Path) -> Result<()> {
    let dir = root.join("usr/share/man/man8");
    for page in files(&dir)? {
        compress(&dir.join(page))?;
    }
    Ok(())
}

fn compress(file: &Path) -> Result<()> {
    run(&mut command("gzip", &["-9n", &file.display().to_string()]))
}

fn control(root: &Path, architecture: &str) -> Result<()> {
    let installed = files(root)?;
    let mut bytes = 0;
    let mut sums = String::new();
    for file in &installed {
        bytes += std::fs::metadata(root.join(file))?.len();
        let sum = read(&mut command("md5sum", &[&root.join(file).display().to_string()]))?;
        let sum = sum.split(' ').next().context("md5sum said nothing")?;
        sums.push_str(&format!("{sum}  {}\n", file.display()));
    }
    let text = format!(
        "Package: qjail\nVersion: {}\nArchitecture: {architecture}\nMaintainer: The qjail authors <qjail@localhost>\n\
         Installed-Size: {}\nDepends: libc6 (>= 2.34), libgcc-s1\nRecommends: e2fsprogs\nSection: admin\nPriority: optional\n\
         Description: jails that share one read-only base system\n qjail deploys, runs, configures and updates jails: \
         isolated systems that\n share one read-only copy of an operating system's executables. The same\n commands run on \
         FreeBSD, with jail(8).\n",
        env!("CARGO_PKG_VERSION"),
        bytes.div_ceil(1024)
    );
    write(&root.join("DEBIAN/control"), &text, 0o644)?;
    write(&root.join("DEBIAN/md5sums"), &sums, 0o644)?;
    write(&root.join("DEBIAN/conffiles"), "/etc/logrotate.d/qjail\n", 0o644)?;
    let script =
        "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ]; then\n\tsystemctl daemon-reload || true\nfi\n";
    write(&root.join("DEBIAN/postinst"), script, 0o755)?;
    write(&root.join("DEBIAN/postrm"), script, 0o755)
}
