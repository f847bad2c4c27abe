//! `install` from archives and from the host.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use qjail_fetch::Digest;
use qjail_plugin_api::Step;
use serde_json::json;

use super::Item::{Dir, File, Link};
use super::{Site, debian, freebsd, gzip, tar};
use crate::record::Record;

fn link(path: impl AsRef<Path>) -> String {
    fs::read_link(path).unwrap().to_str().unwrap().to_owned()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_linux_archive_becomes_a_base() {
    let site = Site::new();
    let archive = site.file("debian-12.tar.gz", &gzip(&debian()));
    let plan = site.install(&[("source", json!(archive))]).unwrap();
    assert_eq!(plan.notes, ["Successfully installed qjail system."]);
    assert!(plan.warnings.is_empty());
    assert_eq!(link(site.path("jails/.base")), ".bases/debian-12-1");
    assert_eq!(link(site.path("jails/sharedfs")), ".base/sharedfs");

    let shared = site.path("jails/sharedfs");
    assert_eq!(mode(shared.join("usr/bin/tool")), 0o4755);
    assert_eq!(fs::metadata(shared.join("usr/bin/hard")).unwrap().nlink(), 2);
    assert_eq!(link(shared.join("usr/lib/far")), "/etc/passwd");
    assert_eq!(link(shared.join("usr/lib/local")), "/usr/local/lib/x");
    assert_eq!(link(shared.join("usr/lib/near")), "../share/text");
    assert!(!shared.join("usr/src").exists() && !shared.join("usr/local").exists());

    let template = site.path("jails/template");
    assert_eq!(link(template.join("usr/bin")), "/sharedfs/usr/bin");
    assert_eq!(link(template.join("usr/lib")), "/sharedfs/usr/lib");
    assert_eq!(
        link(template.join("bin")),
        "usr/bin",
        "the links of a merged /usr stay"
    );
    assert!(template.join("usr/local").is_dir() && template.join("usr/src").is_dir());
    for dir in [
        "sharedfs", "proc", "sys", "dev", "run", "mnt", "opt", "home", "var/log",
    ] {
        assert!(template.join(dir).is_dir(), "{dir}");
    }
    assert_eq!(
        (mode(template.join("tmp")), mode(template.join("root"))),
        (0o1777, 0o700)
    );
    assert_eq!(fs::read(template.join("etc/machine-id")).unwrap(), b"");
    assert!(template.join("etc/ssh/sshd_config").exists());
    for gone in [
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "var/lib/systemd/random-seed",
    ] {
        assert!(!template.join(gone).exists(), "{gone}");
    }

    let record = Record::load(&site.context(), "debian-12-1").unwrap().unwrap();
    assert_eq!(record.release, "Debian GNU/Linux 12 (bookworm)");
    assert_eq!(record.source, archive);
    assert_eq!(record.entries, 29);
    assert_eq!(record.sha256, Some(Digest::of(&gzip(&debian())).to_string()));
    let shown = site.command(&["bases"], &[]).unwrap().output.unwrap();
    let row = [
        "debian-12-1",
        "Debian GNU/Linux 12 (bookworm)",
        "amd64",
        &archive,
        "2026-11-23T21:44Z",
        "yes",
        "0",
    ];
    assert_eq!(shown.rows, [row]);

    assert_eq!(mode(site.path("jails/archive")), 0o700);
    let flavor = site.path("jails/flavors/default");
    assert_eq!(mode(flavor.join("etc/rc")), 0o755);
    fs::write(flavor.join("etc/rc.conf"), "mine\n").unwrap();
    site.install(&[("source", json!(archive))]).unwrap();
    assert_eq!(link(site.path("jails/.base")), ".bases/debian-12-2");
    assert!(
        site.path("jails/.bases/debian-12-1/template").is_dir(),
        "the old base stays"
    );
    assert_eq!(fs::read_to_string(flavor.join("etc/rc.conf")).unwrap(), "mine\n");
}

#[test]
fn directories_that_are_not_merged_are_shared_too() {
    let site = Site::new();
    let items = [
        Dir("bin", 0o755),
        File("bin/busybox", 0o755, "b"),
        Link("bin/sh", "/bin/busybox"),
        Dir("lib", 0o755),
        Dir("etc", 0o755),
    ];
    let archive = site.file("alpine.tar", &tar(&items));
    site.install(&[("from", json!(archive))]).unwrap();
    let template = site.path("jails/template");
    assert_eq!(link(template.join("bin")), "/sharedfs/bin");
    assert_eq!(link(template.join("lib")), "/sharedfs/lib");
    assert!(site.path("jails/sharedfs/bin/busybox").exists());
}

#[test]
fn a_freebsd_archive_becomes_a_base_on_freebsd() {
    let site = Site {
        os: "freebsd",
        kernel: "15.0-RELEASE-p1",
        ..Site::new()
    };
    let dir = site.path("15.0-RELEASE");
    let archive = site.file("15.0-RELEASE/base.txz", &freebsd("15.0-RELEASE-p1"));
    let manifest = format!(
        "base.txz\t{}\t23\tbase\t\"Base\"\ton\n",
        Digest::of(&fs::read(&archive).unwrap())
    );
    fs::write(dir.join("MANIFEST"), manifest).unwrap();
    site.install(&[("from", json!(dir))]).unwrap();
    assert_eq!(link(site.path("jails/.base")), ".bases/15.0-RELEASE-1");
    let (shared, template) = (site.path("jails/sharedfs"), site.path("jails/template"));
    for path in [
        "bin",
        "lib",
        "libexec",
        "sbin",
        "sys",
        "usr/bin",
        "usr/lib",
        "usr/share",
        "usr/src",
        "usr/ports",
    ] {
        assert_eq!(link(template.join(path)), format!("/sharedfs/{path}"));
    }
    assert_eq!(link(shared.join("sys")), "usr/src/sys");
    assert_eq!(link(shared.join("usr/bin/out")), "/etc/rc");
    assert_eq!(link(shared.join("usr/lib/in")), "../../lib/libc.so.7");
    for gone in ["boot", "rescue", "usr/games", "usr/lib32", "run"] {
        assert!(fs::symlink_metadata(template.join(gone)).is_err(), "{gone}");
    }
    assert!(template.join("home").is_dir(), "a directory since 14");
    assert_eq!(
        Record::load(&site.context(), "15.0-RELEASE-1")
            .unwrap()
            .unwrap()
            .release,
        "15.0-RELEASE-p1"
    );

    let old = site.file("13.2-RELEASE/base.txz", &freebsd("13.2-RELEASE"));
    site.install(&[("source", json!(old))]).unwrap();
    assert_eq!(
        link(site.path("jails/template/home")),
        "usr/home",
        "a link before 14"
    );
}

/// Any number of steps of any plan, undone, leave all as it was.
#[test]
fn undone_at_any_point_nothing_is_left() {
    let site = Site::new();
    let archive = site.file("base.tar.gz", &gzip(&debian()));
    for options in [vec![("source", json!(archive))], vec![("from-host", json!(true))]] {
        let before = site.picture();
        let plan = site.command(&["install"], &options).unwrap().plan;
        let steps: Vec<&Step> = plan.steps.iter().chain(&plan.commit).collect();
        // After a flavor's file it is the same again and again.
        let same = |cut: usize| cut > 0 && matches!(steps[cut - 1], Step::WriteFile { .. });
        for cut in (0..=steps.len()).filter(|c| !same(*c)) {
            let mut done = Vec::new();
            for step in &steps[..cut] {
                site.run(step, &mut done).unwrap();
            }
            site.undo(done);
            assert_eq!(site.picture(), before, "{cut} of {options:?}");
        }
    }
}

#[test]
fn steps_can_run_twice() {
    let site = Site::new();
    let archive = site.file("base.tar.gz", &gzip(&debian()));
    for options in [vec![("source", json!(archive))], vec![("from-host", json!(true))]] {
        let plan = site.command(&["install"], &options).unwrap().plan;
        for step in &plan.steps {
            site.run(step, &mut Vec::new()).unwrap();
            site.run(step, &mut Vec::new()).unwrap();
        }
        for step in &plan.commit {
            site.run(step, &mut Vec::new()).unwrap();
        }
        assert!(site.path("jails/template/etc/passwd").is_file());
        assert_eq!(link(site.path("jails/template/usr/bin")), "/sharedfs/usr/bin");
    }
}

#[test]
fn the_user_can_end_it() {
    let site = Site::new();
    let archive = site.file("base.tar.gz", &gzip(&debian()));
    for options in [vec![("source", json!(archive))], vec![("from-host", json!(true))]] {
        let before = site.picture();
        site.patience.set(1);
        let error = site.install(&options).unwrap_err();
        site.patience.set(u32::MAX);
        assert_eq!(error.code, "cancelled", "{error}");
        assert_eq!(site.picture(), before);
    }
}

#[test]
fn the_host_becomes_a_base_without_its_secrets() {
    let site = Site::new();
    let began = std::time::Instant::now();
    site.install(&[("from-host", json!(true))]).unwrap();
    assert!(began.elapsed().as_secs() < 10, "nothing large is copied");
    let record = Record::load(&site.context(), "host-1").unwrap().unwrap();
    assert!(record.binds.contains(&"usr/bin".to_owned()), "{record:?}");
    let (shared, template) = (site.path("jails/sharedfs"), site.path("jails/template"));
    for dir in &record.binds {
        assert!(
            fs::read_dir(shared.join(dir)).unwrap().next().is_none(),
            "{dir} is an empty mount point"
        );
        assert_eq!(link(template.join(dir)), format!("/sharedfs/{dir}"));
    }
    assert_eq!(
        link(shared.join("etc")),
        "/etc",
        "relative links that climb out are led back"
    );
    let shadow = fs::read_to_string(template.join("etc/shadow")).unwrap();
    assert!(
        shadow.starts_with("root:*:") && shadow.lines().all(|l| l.split(':').nth(1) == Some("*")),
        "{shadow}"
    );
    let passwd = fs::read_to_string(template.join("etc/passwd")).unwrap();
    assert!(passwd.lines().all(|l| {
        l.split(':')
            .nth(2)
            .unwrap()
            .parse::<u32>()
            .is_ok_and(|id| id < 1000 || id == 65534)
    }));
    for gone in [
        "etc/fstab",
        "etc/sudoers",
        "etc/crontab",
        "etc/network",
        "etc/ssl/private/ssl-cert-snakeoil.key",
    ] {
        assert!(!template.join(gone).exists(), "{gone}");
    }
    let mut open = Vec::new();
    public(&template.join("etc"), &mut open);
    assert_eq!(open, ["gshadow", "shadow"], "only these are not for everybody");
}

/// Names of files that not everybody may read.
fn public(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            public(&path, found);
        } else if meta.is_file() && meta.mode() & 0o004 == 0 {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
}
