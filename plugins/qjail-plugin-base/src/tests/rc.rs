//! The `/etc/rc` that ships for Linux, run by a real shell in a root directory of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::flavors::SHIPPED;

/// A root directory with the host's programs, the flavor, and the services that a test puts there.
struct Root(tempfile::TempDir);

impl Root {
    fn new(rc_conf: &str) -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        for dir in ["usr/local", "etc/init.d", "run", "tmp", "proc", "dev"] {
            fs::create_dir_all(root.0.path().join(dir)).unwrap();
        }
        for name in ["bin", "lib", "lib64", "sbin"] {
            match fs::read_link(Path::new("/").join(name)) {
                Ok(target) => symlink(target, root.0.path().join(name)).unwrap(),
                Err(_) => fs::create_dir(root.0.path().join(name)).unwrap(),
            }
        }
        for file in SHIPPED.iter().filter(|f| f.path.starts_with("default/etc/")) {
            root.put(&file.path["default/".len()..], file.mode, file.content);
        }
        root.put("etc/rc.conf", 0o644, rc_conf);
        root.put("etc/group", 0o644, "root:x:0:\n");
        root
    }

    fn put(&self, path: &str, mode: u32, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    }

    /// A script or program that notes how it was called.
    fn service(&self, path: &str, status: i32) {
        let name = path.rsplit('/').next().unwrap();
        self.put(
            path,
            0o755,
            &format!("#!/bin/sh\necho {name} $* >>/calls\nexit {status}\n"),
        );
    }

    /// Runs a script of the root in it; what was called, and what was said.
    fn run(&self, script: &str) -> (Vec<String>, String) {
        let dir = self.0.path().display();
        let _ = fs::remove_file(self.0.path().join("calls"));
        // Programs of the host, but not its own /usr/local and services.
        let inside = format!(
            "set -e; mount --make-rprivate /; \
             mkdir -p {dir}/over {dir}/keep; cp -a {dir}/usr/local {dir}/keep/; \
             mount --bind /usr {dir}/usr; mount --bind {dir}/keep/local {dir}/usr/local; \
             for d in bin lib lib64 sbin; do if [ -d {dir}/$d ] && [ ! -L {dir}/$d ] && [ -d /$d ]; then mount --bind /$d {dir}/$d; fi; done; \
             for p in sshd cron crond rsyslogd syslogd ssh-keygen; do for b in usr/sbin usr/bin; do \
               if [ -e {dir}/$b/$p ]; then mount --bind {dir}/etc/group {dir}/$b/$p; fi; done; done; \
             mknod -m 666 {dir}/dev/null c 1 3 2>/dev/null || :; \
             exec chroot {dir} /bin/sh {script}"
        );
        let ran = Command::new("unshare")
            .args(["-m", "sh", "-c", &inside])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{script}: {ran:?}");
        let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        (calls.lines().map(str::to_owned).collect(), said)
    }
}

#[test]
fn a_posix_shell_reads_the_scripts() {
    for file in SHIPPED.iter().filter(|f| f.mode == 0o755) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../flavors")
            .join(file.path);
        let ran = Command::new("sh").arg("-n").arg(&path).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        assert!(file.content.starts_with("#!/bin/sh\n"));
    }
}

#[test]
fn enabled_services_start_in_order_and_stop_in_reverse() {
    let root = Root::new(
        "# cron_enable=\"YES\"\nweb_enable=\"YES\"\nold_enable=NO\ncron_enable='yes' # nightly\nsyslogd_enable=\"YES\"\n\
         late_enable=\"YES\"\nlate_enable=\"NO\"\ngone_enable=\"YES\"\nfailing_enable=\"YES\"\nsyslogd_flags=\"-ss\"\n\
         evil_enable=\"YES\"; touch /evil\n`touch /evil`_enable=\"YES\"\n$(touch /evil)\ntouch /evil\n",
    );
    root.service("etc/init.d/rsyslog", 0);
    root.service("etc/init.d/cron", 0);
    root.service("etc/init.d/old", 0);
    root.service("etc/init.d/late", 0);
    root.service("usr/local/etc/rc.d/web", 0);
    root.service("etc/init.d/web", 0);
    root.service("etc/init.d/failing", 3);
    root.service("etc/init.d/evil", 0);
    let (calls, said) = root.run("/etc/rc");
    assert_eq!(
        calls,
        [
            "rsyslog start",
            "web start",
            "cron start",
            "failing start",
            "evil start"
        ]
    );
    assert_eq!(
        said,
        "rc: gone: not installed\nrc: failing: /etc/init.d/failing start failed with status 3\n"
    );
    assert!(!root.0.path().join("evil").exists(), "the file is read, not run");
    for dir in ["run/lock", "run/sshd"] {
        assert!(root.0.path().join(dir).is_dir(), "{dir}");
    }
    let (calls, _) = root.run("/etc/rc.shutdown");
    assert_eq!(
        calls,
        [
            "evil stop",
            "failing stop",
            "cron stop",
            "web stop",
            "rsyslog stop"
        ]
    );
}

#[test]
fn sshd_gets_its_own_keys_and_needs_no_script() {
    let root = Root::new("sshd_enable=\"YES\"\n");
    root.service("usr/local/sbin/ssh-keygen", 0);
    root.service("usr/local/sbin/sshd", 0);
    let (calls, said) = root.run("/etc/rc");
    assert_eq!(calls, ["ssh-keygen -A", "sshd"], "{said}");
    root.service("etc/init.d/ssh", 0);
    let (calls, _) = root.run("/etc/rc");
    assert_eq!(calls, ["ssh-keygen -A", "ssh start"]);
}

#[test]
fn without_anything_to_start_it_ends_well() {
    let root = Root::new("");
    assert_eq!(root.run("/etc/rc"), (Vec::new(), String::new()));
    fs::remove_file(root.0.path().join("etc/rc.conf")).unwrap();
    assert_eq!(root.run("/etc/rc"), (Vec::new(), String::new()));
    assert_eq!(root.run("/etc/rc.shutdown"), (Vec::new(), String::new()));
    // With the flavor's own file what is not installed is named, and that is all.
    let shipped = SHIPPED.iter().find(|f| f.path == "default/etc/rc.conf").unwrap();
    root.put("etc/rc.conf", 0o644, shipped.content);
    let (_, said) = root.run("/etc/rc");
    assert!(said.lines().all(|l| l.starts_with("rc: ")), "{said}");
}

#[test]
fn another_rc_is_not_stopped_by_ours() {
    let root = Root::new("web_enable=\"YES\"\n");
    root.service("etc/init.d/web", 0);
    root.put("etc/rc", 0o755, "#!/bin/sh\necho foreign >>/calls\n");
    assert_eq!(root.run("/etc/rc.shutdown").0, Vec::<String>::new());
}
