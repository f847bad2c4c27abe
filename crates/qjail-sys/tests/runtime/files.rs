//! What the jail's root can not do with files, devices and mounts: tried from inside, and planted before the start.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::Test;
use crate::fixture::Jail;
use crate::runtime::Mount;

pub(crate) const ALL: &[Test] = &[
    ("devices_that_the_jail_makes_do_not_work", devices),
    ("read_only_mounts_are_read_only_all_the_way_down", read_only),
    ("kernel_files_are_masked", masked),
    ("links_in_the_root_lead_nowhere", hostile_roots),
    ("setuid_programs_work", setuid),
    (
        "nothing_of_the_root_is_read_with_the_hosts_privileges",
        privileged_reads,
    ),
];

fn devices() {
    let jail = Jail::started();
    let text =
        jail.sh("for d in / /tmp /dev /dev/shm /run /var; do mknod $d/node c 1 3 && cat $d/node; done");
    assert_eq!(text.matches("Permission denied").count(), 6, "{text}");
    let text = jail.sh("cat /dev/null; echo x > /dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/full");
    assert_eq!(text.lines().take(2).collect::<Vec<_>>(), ["3", "3"], "{text}");
    assert!(text.contains("I/O error") || text.contains("No space"), "{text}");
    assert_eq!(jail.sh("rm /dev/null").lines().count(), 1);
    let names = jail.sh("ls /dev | tr '\\n' ' '");
    assert_eq!(
        names,
        "fd full kcore mqueue node null ptmx pts random shm stderr stdin stdout tty urandom zero".replace(
            "kcore ",
            if Path::new("/proc/kcore").exists() {
                "kcore "
            } else {
                ""
            }
        )
    );
}

fn read_only() {
    let jail = Jail::new();
    let host = jail.dir.path().join("shared");
    fs::create_dir_all(host.join("below")).unwrap();
    // A mount below the source, in a namespace that only this test's helper process sees, is beyond a unit test's
    // means without touching the host: use /proc's own submounts, which every host has.
    let mut spec = jail.spec.clone();
    spec.mounts.push(Mount {
        source: host.clone(),
        target: "srv/ro".into(),
        read_only: true,
    });
    spec.mounts.push(Mount {
        source: host.clone(),
        target: "srv/rw".into(),
        read_only: false,
    });
    spec.mounts.push(Mount {
        source: "/dev".into(),
        target: "srv/dev".into(),
        read_only: true,
    });
    jail.runtime.start(&spec, &|| false, &mut |_| Ok(())).unwrap();
    for place in [
        "/usr/x",
        "/srv/ro/x",
        "/srv/ro/below/x",
        "/srv/dev/x",
        "/srv/dev/shm/x",
        "/sys/x",
        "/proc/sys/x",
    ] {
        let text = jail.sh(&format!("touch {place}"));
        assert!(
            text.contains("Read-only file system") || text.contains("No such file"),
            "{place}: {text}"
        );
        assert!(!jail.root().join(&place[1..]).exists());
    }
    assert!(
        jail.sh("touch /srv/dev/shm/x").contains("Read-only"),
        "what is mounted below the source"
    );
    assert!(
        jail.sh("head -c 1 /srv/dev/zero").contains("Permission denied"),
        "no devices through mounts"
    );
    assert_eq!(jail.sh("touch /srv/rw/y && ls /srv/ro"), "below\ny");
    assert!(host.join("y").exists());
    assert!(
        jail.sh("mount -o remount,rw /usr").contains("permi"),
        "{}",
        jail.sh("mount -o remount,rw /usr")
    );
}

fn masked() {
    let jail = Jail::started();
    for file in ["/proc/keys", "/proc/timer_list", "/proc/interrupts"] {
        assert_eq!(jail.sh(&format!("cat {file}")), "", "{file}");
    }
    assert_eq!(jail.sh("ls -A /sys/firmware"), "");
    for file in ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger"] {
        let text = jail.sh(&format!("echo x > {file}"));
        assert!(
            text.contains("Read-only") || text.contains("nonexistent"),
            "{file}: {text}"
        );
    }
    assert!(jail.sh("touch /sys/x").contains("Read-only"));
    assert_eq!(jail.sh("ls -A /run"), "");
    assert_eq!(jail.sh("touch /run/x && ls /run"), "x");
}

fn hostile_roots() {
    for place in ["proc", "dev", "sys", "run", "usr", "srv/shared", "srv"] {
        for absolute in [true, false] {
            let jail = Jail::new();
            let outside = jail.dir.path().join("outside");
            fs::create_dir(&outside).unwrap();
            fs::write(outside.join("ptmx"), "precious").unwrap();
            let mut spec = jail.spec.clone();
            spec.mounts.push(Mount {
                source: outside.clone(),
                target: "srv/shared".into(),
                read_only: false,
            });
            let link = jail.root().join(place);
            let _ = fs::remove_dir(&link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(
                if absolute {
                    outside.clone()
                } else {
                    Path::new("../outside").to_owned()
                },
                &link,
            )
            .unwrap();
            let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
            let error = jail
                .runtime
                .start(&spec, &|| false, &mut |_| Ok(()))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(&format!("/{place} of the jail is a link")),
                "{place}: {error}"
            );
            assert_eq!(
                fs::read_to_string("/proc/self/mountinfo")
                    .unwrap()
                    .lines()
                    .count(),
                before.lines().count()
            );
            let left: Vec<_> = fs::read_dir(&outside)
                .unwrap()
                .flatten()
                .map(|e| e.file_name())
                .collect();
            assert_eq!(left, ["ptmx"], "{place}");
            assert_eq!(fs::read_to_string(outside.join("ptmx")).unwrap(), "precious");
            jail.nothing_is_left();
        }
    }
}

fn setuid() {
    let jail = Jail::started();
    // A copy of a program with the bit set, for a base without sudo.
    jail.sh("cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id");
    let out = jail
        .caller(&["/tmp/id", "-u"], |s| (s.uid, s.gid) = (1000, 1000))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "0", "{out:?}");
}

/// Name service configuration decides which code the C library loads. A pipe in its place stops whoever reads it.
fn privileged_reads() {
    let jail = Jail::with(|s| s.exec_start = vec![]);
    for name in [
        "nsswitch.conf",
        "passwd",
        "group",
        "ld.so.cache",
        "ld.so.preload",
        "localtime",
        "hosts",
    ] {
        let path = jail.root().join("etc").join(name);
        let _ = fs::remove_file(&path);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
    }
    // Programs of the jail may read these files, so none is started.
    let begin = std::time::Instant::now();
    let hangs = || begin.elapsed().as_secs() > 10;
    jail.runtime.start(&jail.spec, &hangs, &mut |_| Ok(())).unwrap();
    let loaded = fs::read_to_string(format!("/proc/{}/maps", jail.pid().unwrap())).unwrap();
    assert!(
        !loaded.contains("nss") && !loaded.contains(&jail.root().display().to_string()),
        "{loaded}"
    );
}
