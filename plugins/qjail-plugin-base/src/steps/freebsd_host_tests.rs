use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use qjail_plugin_api::Host;

use super::*;
use crate::tests::Site;

/// A FreeBSD 15.0 host on disk, as the installer makes it of packages: no `usr/lib32`, no sources, no distribution sets.
fn tree(site: &Site) -> PathBuf {
    let root = site.path("host");
    let files: [(&str, u32, &str); 32] = [
        (
            "bin/freebsd-version",
            0o555,
            "#!/bin/sh\nUSERLAND_VERSION=\"15.0-RELEASE-p1\"\n",
        ),
        ("bin/sh", 0o555, "sh"),
        ("lib/libc.so.7", 0o444, "libc"),
        ("libexec/ld-elf.so.1", 0o555, "rtld"),
        ("sbin/ifconfig", 0o555, "ifconfig"),
        ("usr/bin/uname", 0o555, "uname"),
        ("usr/bin/su", 0o4555, "su"),
        ("usr/bin/vi", 0o555, "vi"),
        ("usr/lib/libz.so", 0o444, "z"),
        ("usr/libdata/x", 0o444, "x"),
        ("usr/libexec/getty", 0o555, "getty"),
        ("usr/sbin/pkg", 0o555, "bootstrap"),
        (
            "usr/share/keys/pkgbase-15/trusted/awskms-15",
            0o444,
            "function: sha256\n",
        ),
        (
            "usr/local/etc/pkg/repos/FreeBSD-base.conf",
            0o644,
            "FreeBSD-base: { enabled: yes }\n",
        ),
        ("usr/local/bin/tool", 0o755, "of the host"),
        ("boot/kernel/kernel", 0o555, "kernel"),
        ("etc/pkg/FreeBSD.conf", 0o644, "FreeBSD-base: { enabled: no }\n"),
        ("etc/mtree/BSD.var.dist", 0o444, "/set type=dir\n"),
        ("etc/rc", 0o644, "rc"),
        ("etc/rc.conf", 0o644, "hostname=host\n"),
        ("etc/rc.d/var", 0o555, "var"),
        ("etc/rc.d/var.pkgsave", 0o555, "the administrator's"),
        ("etc/ssh/sshd_config", 0o644, "# as it ships\n"),
        ("etc/ssh/ssh_host_ed25519_key", 0o600, "secret"),
        (
            "etc/passwd",
            0o644,
            "root:*:0:0:Charlie &:/root:/bin/sh\nme:*:1001:1001::/home/me:/bin/sh\n",
        ),
        (
            "etc/master.passwd",
            0o600,
            "root:$6$hash:0:0::0:0:Charlie &:/root:/bin/sh\n",
        ),
        ("etc/group", 0o644, "wheel:*:0:root,me\n"),
        ("etc/pwd.db", 0o644, "db"),
        ("etc/spwd.db", 0o600, "hash"),
        ("root/.profile", 0o644, "PATH=x\n"),
        (
            "var/db/pkg/local.sqlite",
            0o644,
            "SQLite format 3\0baseFreeBSD-runtime15.0p1 /usr/bin/uname",
        ),
        ("var/db/etcupdate/current/etc/rc", 0o644, "rc"),
    ];
    for (path, mode, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }
    // pkg(8) installs the names of one file as hard links.
    fs::hard_link(root.join("usr/bin/vi"), root.join("usr/bin/ex")).unwrap();
    symlink("usr/src/sys", root.join("sys")).unwrap();
    symlink("../../lib/libc.so.7", root.join("usr/lib/libc.so")).unwrap();
    symlink("../../etc/pkg", root.join("usr/share/pkgconf")).unwrap();
    root
}

fn site() -> Site {
    Site {
        os: "freebsd",
        kernel: "15.0-RELEASE",
        ..Site::new()
    }
}

/// Makes a base of the tree and makes it the current one.
fn install(site: &Site, root: &Path) -> Record {
    let data = FromHost {
        id: "host-1".to_owned(),
        release: "15.0-RELEASE-p1".to_owned(),
        arch: "amd64".to_owned(),
    };
    let context = site.context();
    copy(&Host::new(site), &context, &data, &Root::open(root).unwrap()).unwrap();
    fs::rename(
        site.path("jails/.bases/.new-host-1"),
        site.path("jails/.bases/host-1"),
    )
    .unwrap();
    let records = site.path("state/bases/default");
    fs::rename(records.join(".new-host-1.toml"), records.join("host-1.toml")).unwrap();
    symlink(".bases/host-1", site.path("jails/.base")).unwrap();
    Record::load(&context, "host-1").unwrap().unwrap()
}

#[test]
fn a_host_of_packages_becomes_a_base_without_its_package_database() {
    let site = site();
    let root = tree(&site);
    let record = install(&site, &root);
    assert!(record.pkgbase);
    assert_eq!(
        (record.release.as_str(), record.source.as_str()),
        ("15.0-RELEASE-p1", "host")
    );
    let base = site.path("jails/.bases/host-1");
    let (shared, template) = (base.join("sharedfs"), base.join("template"));
    let text = |path: &str| fs::read_to_string(template.join(path)).unwrap();

    // pkg(8) in a jail sees a system without base packages, and no repository to install them from.
    assert!(!template.join("var/db/pkg").exists() && !shared.join("var").exists());
    assert!(text("usr/local/etc/pkg/repos/FreeBSD-base.conf").ends_with("FreeBSD-base: { enabled: no }\n"));
    assert!(text("etc/pkg/FreeBSD.conf").contains("FreeBSD-base"));
    assert!(!template.join("usr/local/bin").exists());
    assert!(
        shared
            .join("usr/share/keys/pkgbase-15/trusted/awskms-15")
            .is_file()
    );

    // What the host does not have, jails do not have; what may be filled later is there.
    for absent in ["usr/lib32", "usr/include", "boot"] {
        assert!(!shared.join(absent).exists(), "{absent}");
        assert!(fs::symlink_metadata(template.join(absent)).is_err(), "{absent}");
    }
    for later in ["usr/src", "usr/ports"] {
        assert!(fs::read_dir(shared.join(later)).unwrap().next().is_none());
        assert_eq!(
            fs::read_link(template.join(later)).unwrap(),
            Path::new("/sharedfs").join(later)
        );
    }
    let inode = |name: &str| fs::metadata(shared.join("usr/bin").join(name)).unwrap().ino();
    assert_eq!(inode("vi"), inode("ex"));
    assert_ne!(inode("vi"), fs::metadata(root.join("usr/bin/vi")).unwrap().ino());
    assert_eq!(
        fs::metadata(shared.join("usr/bin/su")).unwrap().mode() & 0o7777,
        0o4555
    );
    let target = |path: &str| fs::read_link(shared.join(path)).unwrap();
    assert_eq!(target("usr/lib/libc.so"), Path::new("../../lib/libc.so.7"));
    assert_eq!(target("usr/share/pkgconf"), Path::new("/etc/pkg"));

    // Of /etc only what is for everybody.
    for own in [
        "etc/rc.conf",
        "etc/rc.d/var.pkgsave",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/pwd.db",
        "etc/spwd.db",
        "var/db/etcupdate",
    ] {
        assert!(!template.join(own).exists(), "{own}");
    }
    assert_eq!(text("etc/master.passwd"), "root:*:0:0::0:0:root:/root:/bin/sh\n");
    assert_eq!(text("etc/group"), "wheel:x:0:root\n");
    // rc.d/var fills /var by mtree(8) at the first start, because this is missing.
    assert!(template.join("etc/mtree/BSD.var.dist").is_file() && !template.join("var/run").exists());
    assert!(template.join("home").is_dir() && template.join("firstboot").is_file());
}

#[test]
fn a_host_of_distribution_sets_is_told_apart() {
    let site = site();
    let root = tree(&site);
    let database = root.join("var/db/pkg/local.sqlite");
    fs::write(&database, "SQLite format 3\0www/nginx 1.28 /usr/local/sbin/nginx").unwrap();
    let record = install(&site, &root);
    assert!(!record.pkgbase && !record.to_text().unwrap().contains("pkgbase"));
    let template = site.path("jails/.bases/host-1/template");
    assert!(!template.join("usr/local/etc").exists());
    // Without pkg(8), or with a link in its place, there is nothing to tell by.
    let told = || pkgbase::is_used(&Root::open(&root).unwrap()).unwrap();
    fs::remove_file(&database).unwrap();
    assert!(!told());
    symlink("/etc/passwd", &database).unwrap();
    assert!(!told());
}

#[test]
fn bases_shows_what_a_base_is_made_of() {
    let site = site();
    install(&site, &tree(&site));
    let output = site.command(&["bases"], &[]).unwrap().output.unwrap();
    assert_eq!(
        output.rows[0][..4],
        ["host-1", "15.0-RELEASE-p1", "amd64", "host (pkgbase)"]
    );
    assert_eq!(output.data[0]["pkgbase"], true);
    assert_eq!(output.data[0]["source"], "host");
}
