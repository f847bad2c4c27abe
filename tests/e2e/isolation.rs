//! What a jail can not do.

use qjail_tests::{Site, sh};

struct Jail<'a> {
    site: &'a Site,
    name: &'static str,
}

impl<'a> Jail<'a> {
    fn new(site: &'a Site, name: &'static str, params: &[&str]) -> Self {
        let args: Vec<&str> = ["create", "--start", name]
            .into_iter()
            .chain(params.iter().flat_map(|p| ["--param", p]))
            .collect();
        let _ = site.qjail(&args).ok();
        Self { site, name }
    }

    fn sh(&self, script: &str) -> String {
        self.site.inside(self.name, script)
    }

    /// Standard error of a script that must fail.
    fn fails(&self, script: &str) -> String {
        let ran = self
            .site
            .qjail(&["exec", self.name, "--", "/bin/sh", "-c", script]);
        assert_ne!(ran.code, 0, "{ran:#?}");
        ran.err
    }
}

impl Drop for Jail<'_> {
    fn drop(&mut self) {
        let _ = self.site.qjail(&["stop", "--force", self.name]);
        let _ = self.site.qjail(&["delete", self.name]);
    }
}

#[test]
fn it_has_namespaces_of_its_own() {
    let jail = Jail::new(Site::shared(), "spaces", &[]);
    for space in ["pid", "mnt", "uts", "ipc", "net"] {
        let inside = jail.sh(&format!("readlink /proc/self/ns/{space}"));
        let host = std::fs::read_link(format!("/proc/self/ns/{space}")).unwrap();
        assert_ne!(inside, host.to_str().unwrap(), "{space}");
    }
    let processes: usize = jail.sh("ls -d /proc/[0-9]* | wc -l").parse().unwrap();
    assert!(processes < 10, "only its own processes: {processes}");
    assert_eq!(jail.sh("hostname"), "spaces");
    let mounts = jail.sh("cat /proc/self/mounts");
    assert!(
        !mounts.contains(jail.site.root.to_str().unwrap()),
        "host paths do not show: {mounts}"
    );
}

#[test]
fn it_has_few_capabilities_and_no_raw_sockets() {
    let jail = Jail::new(Site::shared(), "caps", &[]);
    let bounding = u64::from_str_radix(&jail.sh("grep CapBnd /proc/self/status | cut -f2"), 16).unwrap();
    for (bit, name) in [
        (12, "NET_ADMIN"),
        (13, "NET_RAW"),
        (16, "SYS_MODULE"),
        (19, "SYS_PTRACE"),
        (21, "SYS_ADMIN"),
        (22, "SYS_BOOT"),
        (25, "SYS_TIME"),
    ] {
        assert_eq!(bounding >> bit & 1, 0, "CAP_{name}");
    }
    for (bit, name) in [
        (0, "CHOWN"),
        (6, "SETGID"),
        (7, "SETUID"),
        (10, "NET_BIND_SERVICE"),
        (18, "SYS_CHROOT"),
    ] {
        assert_eq!(bounding >> bit & 1, 1, "CAP_{name}");
    }
    jail.fails("ping -c 1 -W 1 127.0.0.1");
    jail.fails("mount -t tmpfs none /mnt");
    jail.fails("unshare -U true");
    jail.fails("dmesg");
    let raw = Jail::new(Site::shared(), "rawcaps", &["allow.raw_sockets"]);
    assert!(raw.sh("ping -c 1 -W 1 127.0.0.1").contains("1 received"));
}

#[test]
fn it_does_not_see_the_hosts_kernel_files() {
    let jail = Jail::new(Site::shared(), "masked", &[]);
    assert_eq!(jail.sh("cat /proc/kcore | wc -c"), "0");
    assert_eq!(jail.sh("cat /proc/keys 2>/dev/null | wc -c"), "0");
    jail.fails("echo 1 > /proc/sys/kernel/panic");
    jail.fails("echo b > /proc/sysrq-trigger");
    jail.fails("mkdir /sys/fs/cgroup/x");
    let devices = jail.sh("ls /dev");
    for device in [
        "null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "fd", "stdin", "stdout", "stderr",
    ] {
        assert!(devices.lines().any(|d| d == device), "{device}: {devices}");
    }
    for device in ["mem", "kmsg", "vda", "sda", "loop0", "kvm"] {
        assert!(!devices.lines().any(|d| d == device), "{device}");
    }
    jail.fails("mknod /tmp/disk b 254 0 && dd if=/tmp/disk of=/dev/null bs=512 count=1");
}

#[test]
fn the_hosts_program_can_not_be_reached_from_inside() {
    let jail = Jail::new(Site::shared(), "runc", &[]);
    jail.fails("cat /proc/1/exe > /dev/null");
    jail.fails("readlink /proc/1/exe || readlink /proc/1/fd/* || cat /proc/1/fd/* < /dev/null");
    jail.fails("cat /proc/1/maps /proc/1/environ | grep .");
    jail.fails("dd if=/proc/1/mem bs=1 count=1");
    // A process that enters the jail must not offer the program either, at whatever instant it is looked at.
    let before = sh("sha256sum $QJAIL_TEST_PROGRAM", std::path::Path::new("/"))
        .ok()
        .out;
    let watcher = "(for i in $(seq 3000); do for e in /proc/[0-9]*/exe; do \
                    [ \"$e\" = /proc/self/exe ] && continue; t=$(readlink $e 2>/dev/null); \
                    case \"$t\" in *memfd*|*qjail*) echo owned 2>/dev/null >> $e && echo written >> /tmp/hit;; esac; done; done) >/dev/null 2>&1 &";
    let _ = jail.sh(watcher);
    for _ in 0..15 {
        let _ = jail.sh("true");
    }
    assert_eq!(
        jail.sh("cat /tmp/hit 2>/dev/null; true"),
        "",
        "a jail wrote to a program of the host"
    );
    assert_eq!(
        sh("sha256sum $QJAIL_TEST_PROGRAM", std::path::Path::new("/"))
            .ok()
            .out,
        before
    );
}

#[test]
fn process_1_reaps_orphans() {
    let jail = Jail::new(Site::shared(), "reaper", &[]);
    let _ = jail.sh("for i in 1 2 3 4 5; do (sh -c 'sleep 0.05 & exit' &) ; done; sleep 0.5");
    let zombies = jail.sh("cat /proc/[0-9]*/stat 2>/dev/null | grep -c ' Z ' || true");
    assert_eq!(zombies, "0");
}

#[test]
fn system_v_ipc_is_off() {
    let jail = Jail::new(Site::shared(), "nosysv", &[]);
    for call in ["shmget(7,64,0x3b0)", "semget(7,1,0x3b0)", "msgget(7,0x3b0)"] {
        let script = format!("perl -e 'defined({call}) and exit 0; exit 1'");
        jail.fails(&script);
    }
}

/// The host's mounts, but for those that other tests make meanwhile.
fn mounts(root: &str) -> String {
    let of_others =
        |l: &&str| !l.contains(root) && (l.contains("/qjail-e2e/") || l.contains("/qjail-canary-"));
    let all = std::fs::read_to_string("/proc/self/mounts").unwrap();
    all.lines().filter(|l| !of_others(l)).collect()
}

/// A jail's root user has put links where the next start mounts or writes: nothing outside may change.
#[test]
fn hostile_links_in_the_root_do_not_reach_the_host() {
    let site = Site::from_host();
    let outside = site.root.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    for place in ["sharedfs", "proc", "dev", "sys", "run", "etc", "tmp"] {
        let _ = site.qjail(&["create", "evil"]).ok();
        let jail = site.jails().join("evil");
        let at = jail.join(place);
        let _ = std::fs::remove_dir_all(&at);
        std::os::unix::fs::symlink("../../../../../outside", &at).unwrap();
        let target = std::fs::canonicalize(&at);
        assert!(
            target.is_ok_and(|t| t == outside),
            "the link must lead out for the test to mean something"
        );
        let before = sh("find . | sort; cat precious", &outside).out;
        let mounted = mounts(site.root.to_str().unwrap());
        let started = site.qjail(&["start", "evil"]);
        assert_eq!(mounts(site.root.to_str().unwrap()), mounted, "{place}");
        if started.code == 0 {
            let _ = site.qjail(&["stop", "--force", "evil"]).ok();
        } else {
            assert!(started.err.contains("qjail: start evil"), "{started:#?}");
        }
        assert_eq!(sh("find . | sort; cat precious", &outside).out, before, "{place}");
        let _ = site.qjail(&["delete", "evil"]).ok();
        assert_eq!(
            sh("find . | sort; cat precious", &outside).out,
            before,
            "delete with {place}"
        );
    }
}

#[test]
fn no_user_of_the_host_finds_what_a_jail_has_made() {
    let jail = Jail::new(Site::shared(), "setuid", &[]);
    let _ = jail.sh("cp /bin/true /var/tmp/rooted; chmod 4755 /var/tmp/rooted");
    let path = jail.site.jails().join("setuid/var/tmp/rooted");
    assert!(path.exists());
    // setpriv itself keeps root's rights until it has executed something.
    let script = format!(
        "setpriv --reuid 65534 --regid 65534 --clear-groups sh -c {}",
        path.display()
    );
    let ran = sh(&script, std::path::Path::new("/"));
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("Permission denied"), "{ran:?}");
}
