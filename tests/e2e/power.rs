//! A loss of power: the disk as it is at one instant, without what the kernel still holds in memory.

use std::path::PathBuf;

use qjail_tests::{Site, sh};

/// A site whose jails, journal and definitions are on a file system of their own, so that its disk can be copied.
struct Disk {
    site: Site,
    disk: PathBuf,
    copy: PathBuf,
    seen: PathBuf,
}

impl Disk {
    fn new() -> Self {
        let site = Site::empty();
        let path = |end: &str| site.root.with_extension(end);
        let (disk, copy, seen) = (path("disk"), path("copy"), path("seen"));
        // No writing of its own before the test is over: only what is asked for reaches the disk.
        let script = format!(
            "truncate -s 1G {d} && mkfs.ext4 -q {d} && mount -o loop,commit=300 {d} {r} && mkdir -p {s}",
            d = disk.display(),
            r = site.root.display(),
            s = seen.display()
        );
        let _ = sh(&script, "/tmp".as_ref()).ok();
        // Those of the site are below the mount.
        site.bring_plugins();
        Self {
            site,
            disk,
            copy,
            seen,
        }
    }

    /// What a host that lost its power now would find: the script's output, run in the site's root.
    fn after_power_loss(&self, script: &str) -> String {
        let all = format!(
            "cp --sparse=always {d} {c} && mount -o loop {c} {s} && cd {s} && {{ {script}; }}; status=$?; cd /; umount {s}; \
             rm -f {c}; exit $status",
            d = self.disk.display(),
            c = self.copy.display(),
            s = self.seen.display()
        );
        sh(&all, "/tmp".as_ref()).ok().out
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let script = format!(
            "umount {}; rm -f {} {}; rmdir {}",
            self.site.root.display(),
            self.disk.display(),
            self.copy.display(),
            self.seen.display()
        );
        let _ = sh(&script, "/tmp".as_ref());
    }
}

/// Names and contents of every file below a directory.
fn contents(dir: &str) -> String {
    format!("cd {dir} && find . -type f -print0 | sort -z | xargs -0 sha256sum")
}

#[test]
fn what_was_reported_as_done_is_there_after_a_loss_of_power() {
    let disk = Disk::new();
    let jails = "var/lib/qjail/jails";
    let site = &disk.site;
    let now = |dir: &str| sh(&contents(dir), &site.root).ok().out;

    let _ = site.qjail(&["install", "--from-host"]).ok();
    let template = disk.after_power_loss(&contents(&format!("{jails}/template/etc")));
    assert!(template.lines().count() > 10, "{template}");
    assert_eq!(template, now(&format!("{jails}/template/etc")));

    let _ = site.qjail(&["create", "a"]).ok();
    let jail = format!("{jails}/a");
    assert_eq!(disk.after_power_loss(&contents(&jail)), now(&jail));
    let defined = disk.after_power_loss("cat etc/qjail/jails.d/a.toml");
    assert!(defined.contains("format = 1"), "{defined}");

    let _ = site.qjail(&["config", "--rename", "b", "a"]).ok();
    let names = disk.after_power_loss(&format!("ls -A {jails} etc/qjail/jails.d"));
    assert!(names.contains("\nb\n") && !names.contains("\na\n"), "{names}");
    assert!(names.contains("b.toml") && !names.contains("a.toml"), "{names}");

    let _ = site.qjail(&["delete", "b"]).ok();
    let names = disk.after_power_loss(&format!("ls -A {jails} etc/qjail/jails.d"));
    assert!(!names.contains("\nb\n") && !names.contains("b.toml"), "{names}");
}
