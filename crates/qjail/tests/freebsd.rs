//! FreeBSD, command by command: what each command of the handbook's chapter sends to the kernel and to the tools of the
//! host, compared with `golden/freebsd`. The host is [`Rehearsal`]; all else is the program as it is, plugins included.
//!
//! A golden file that differs is rewritten when `QJAIL_GOLDEN=write` is set.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use qjail_plugin_base as _;
use qjail_plugin_net as _;
use qjail_plugin_ssh as _;
use qjail_plugin_sysvipc as _;
use qjail_sys::rehearsal::Rehearsal;
use tempfile::TempDir;

struct Host {
    dir: TempDir,
    machine: Rehearsal,
    text: String,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Plugins and settings are taken from below directories that only their owner can write to.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            dir,
            machine: Rehearsal::new(),
            text: String::new(),
        }
    }

    /// A host with a base and the chapter's network.
    fn ready() -> Self {
        let mut host = Self::new();
        let base = host.base();
        host.ok(&["install", base.to_str().unwrap()]);
        host.ok(&["net", "create", "lo1", "192.168.1.1/28"]);
        host.text.clear();
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    /// Runs a command; what it sends is noted below its line.
    fn run(&mut self, args: &[&str]) -> bool {
        let root = self.path("");
        let words: Vec<OsString> = ["--root", root.to_str().unwrap(), "--no-progress", "--jobs", "1"]
            .iter()
            .chain(args)
            .map(OsString::from)
            .collect();
        let machine = self.machine.clone();
        let code = qjail_cli::run_on(&words, "freebsd", &|state| Arc::from(machine.system(state)));
        let done = code == ExitCode::SUCCESS;
        self.text += &format!(
            "# qjail {}{}\n{}",
            args.join(" "),
            if done { "" } else { "   (fails)" },
            self.machine.transcript()
        );
        done
    }

    fn ok(&mut self, args: &[&str]) {
        assert!(self.run(args), "{args:?}: {}", self.text);
    }

    fn fails(&mut self, args: &[&str]) {
        assert!(!self.run(args), "{args:?}: {}", self.text);
    }

    /// Compares what was noted with a golden file, and begins anew.
    fn check(&mut self, name: &str) {
        let root = self.path("");
        let text = std::mem::take(&mut self.text)
            .replace(root.to_str().unwrap(), "/")
            .replace(self.dir.path().to_str().unwrap(), "/tmp/x");
        let text: String = text.lines().map(|l| format!("{}\n", without_stamp(l))).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/freebsd")
            .join(name);
        if std::env::var_os("QJAIL_GOLDEN").is_some_and(|v| v == "write") {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{name}; QJAIL_GOLDEN=write rewrites it");
    }

    /// The smallest archive that is a base of FreeBSD 13.2.
    fn base(&self) -> PathBuf {
        let tree = self.dir.path().join("base");
        let version = "#!/bin/sh\nUSERLAND_VERSION=\"13.2-RELEASE\"\n";
        for (file, content) in [
            ("bin/freebsd-version", version),
            ("bin/sh", "sh"),
            ("lib/libc.so.7", "libc"),
            ("libexec/ld-elf.so.1", "rtld"),
            ("sbin/ifconfig", "ifconfig"),
            ("usr/bin/login", "login"),
            ("usr/sbin/jexec", "jexec"),
            ("etc/rc", "echo started\n"),
            ("etc/rc.conf", ""),
            ("etc/group", "wheel:*:0:root\n"),
            ("etc/passwd", "root:*:0:0:Charlie &:/root:/bin/csh\n"),
            ("etc/master.passwd", "root::0:0::0:0:Charlie &:/root:/bin/csh\n"),
            ("etc/ssh/sshd_config", "# UseDNS yes\n"),
            ("usr/sbin/sshd", "sshd"),
            ("root/.profile", ""),
            ("var/log/messages", ""),
            ("dev/.keep", ""),
            ("tmp/.keep", ""),
        ] {
            let path = tree.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        symlink("usr/src/sys", tree.join("sys")).unwrap();
        let archive = self.dir.path().join("base.txz");
        let done = std::process::Command::new("tar")
            .args([
                "-cJf",
                archive.to_str().unwrap(),
                "-C",
                tree.to_str().unwrap(),
                ".",
            ])
            .status()
            .unwrap();
        assert!(done.success());
        archive
    }

    fn state(&self) -> String {
        self.machine.state()
    }
}

/// Bases are named after the second in which they are installed: `13.2-RELEASE-20261126000000`.
fn without_stamp(line: &str) -> String {
    let mut out = String::new();
    for part in line.split('/') {
        let cut = part
            .find("RELEASE-")
            .map_or(part, |at| &part[..at + "RELEASE".len()]);
        let rest = part[cut.len()..]
            .find(' ')
            .map_or("", |at| &part[cut.len() + at..]);
        out += &format!("{}{cut}{rest}", if out.is_empty() { "" } else { "/" });
    }
    out
}

#[test]
fn the_chapter() {
    let mut host = Host::new();
    let base = host.base();
    host.ok(&["install", base.to_str().unwrap()]);
    host.check("install.txt");
    host.ok(&["net", "create", "lo1", "192.168.1.1/28"]);
    host.check("net-create.txt");
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.1", "jail1"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.ok(&["list"]);
    host.check("create.txt");
    let before = host.state();
    host.ok(&["start", "jail1"]);
    host.check("start-jail1.txt");
    host.ok(&["start", "jail2"]);
    host.check("start-jail2.txt");
    host.ok(&["restart", "jail1"]);
    host.check("restart-jail1.txt");
    host.ok(&["stop"]);
    host.check("stop.txt");
    assert_eq!(host.state(), before);
    host.ok(&["start"]);
    host.fails(&["delete", "jail1"]);
    host.ok(&["stop", "jail1"]);
    host.text.clear();
    host.ok(&["delete", "jail1"]);
    host.check("delete-jail1.txt");
    host.ok(&["stop", "--force", "jail2"]);
    host.check("stop-force.txt");
    host.ok(&["delete", "--yes", "-A"]);
    host.ok(&["net", "delete", "lo1"]);
    host.check("delete-all-net-delete.txt");
    assert_eq!(host.state(), Host::new().state());
}

#[test]
fn the_chapters_settings() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "postgres"]);
    host.text.clear();
    for option in ["-m", "-M", "-r", "-R", "-y", "-k"] {
        host.ok(&["config", option, "postgres"]);
    }
    host.ok(&[
        "config", "-s", "2", "-f", "1", "-p", "0-1", "-b", "61", "postgres",
    ]);
    host.check("config.txt");
    // What it adds to a start runs in the jail, where a rehearsal does not go.
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.5", "door"]);
    host.text.clear();
    host.ok(&["config", "-h", "door"]);
    host.check("config-ssh.txt");
    host.fails(&["start", "door"]);
    host.ok(&["delete", "door"]);
    host.text.clear();
    host.ok(&["start", "postgres"]);
    host.check("start-configured.txt");
    host.fails(&["config", "-m", "postgres"]);
    host.ok(&["stop", "postgres"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.4", "web"]);
    host.text.clear();
    host.ok(&["config", "-m", "postgres"]);
    host.text.clear();
    host.ok(&["boot"]);
    host.check("boot.txt");
    host.ok(&["start", "postgres"]);
    host.text.clear();
    host.ok(&["shutdown"]);
    host.check("shutdown.txt");
}

#[test]
fn a_jail_with_a_file_system_of_its_own() {
    let mut host = Host::ready();
    let before = host.state();
    host.ok(&["create", "-i", "64m", "-n", "lo1", "-4", "192.168.1.6", "box"]);
    assert_eq!(host.state(), before);
    host.check("create-image.txt");
    host.ok(&["start", "box"]);
    host.check("start-image.txt");
    host.ok(&["stop", "box"]);
    host.check("stop-image.txt");
    assert_eq!(host.state(), before);
    host.ok(&["config", "--rename", "crate", "box"]);
    host.check("rename-image.txt");
    // What fails at any point leaves no disk and no mount.
    for tool in [
        "/sbin/newfs",
        "/sbin/fsck_ffs",
        "/sbin/mount",
        "/sbin/mdconfig -a",
    ] {
        host.machine.fail(tool, "no");
        host.fails(&["create", "-i", "64m", "-n", "lo1", "-4", "192.168.1.7", "other"]);
        host.machine.mend();
        assert_eq!(host.state(), before, "{tool}");
    }
    host.text.clear();
    host.ok(&["delete", "crate"]);
    host.check("delete-image.txt");
    assert_eq!(host.state(), before);
}

#[test]
fn a_command_in_a_jail() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.fails(&["exec", "jail2", "--", "/bin/sh"]);
    host.ok(&["start", "jail2"]);
    host.text.clear();
    // As far as the jail's door: a rehearsal has no inside.
    host.fails(&["exec", "jail2", "--", "/bin/sh"]);
    host.fails(&["console", "jail2"]);
    host.machine.sysctl("kern.osreldate", "1500068");
    host.fails(&["exec", "jail2", "--", "/bin/sh"]);
    host.check("exec.txt");
}

#[test]
fn a_failed_start_leaves_nothing_and_says_why() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let before = host.state();
    for (command, words) in [
        ("/usr/sbin/jail", "jail: exec.start: no such command"),
        (
            "/sbin/ifconfig lo1 inet 192.168.1.2/32 alias",
            "ifconfig: ioctl (SIOCAIFADDR): File exists",
        ),
        (
            "/sbin/mount -t nullfs",
            "mount_nullfs: Operation not supported by device",
        ),
        ("/sbin/mount -t devfs", "mount: devfs: Operation not permitted"),
        ("/bin/sh /etc/rc", "rc: 1: not found"),
    ] {
        host.machine.fail(command, words);
        host.fails(&["start", "jail2"]);
        assert_eq!(host.state(), before, "{command}");
        host.machine.mend();
    }
    host.text.clear();
    host.machine.fail("/bin/sh /etc/rc", "rc: 1: not found");
    host.fails(&["start", "jail2"]);
    host.check("start-fails.txt");
    host.machine.mend();
    host.ok(&["start", "jail2"]);
    host.machine
        .fail("/bin/sh /etc/rc.shutdown jail", "rc.shutdown: 1: not found");
    host.text.clear();
    host.ok(&["stop", "jail2"]);
    host.check("stop-fails.txt");
    assert_eq!(host.state(), before);
}

#[test]
fn what_the_host_forbids_is_refused_before_anything_is_changed() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.text.clear();
    let before = host.state();
    host.machine.sysctl("kern.securelevel", "1");
    for args in [
        &["start", "jail2"][..],
        &["create", "-n", "lo1", "-4", "192.168.1.3", "jail3"],
        &["net", "create", "lo2", "10.9.0.1/24"],
        &["delete", "jail2"],
    ] {
        host.fails(args);
    }
    host.machine.sysctl("kern.securelevel", "-1");
    host.machine.unload("nullfs", false);
    host.fails(&["start", "jail2"]);
    assert_eq!(host.state(), before);
    assert!(host.path("usr/jails/jail2").is_dir() && !host.path("usr/jails/jail3").exists());
    host.fails(&["create", "-n", "lo7", "-4", "10.0.0.1", "jail3"]);
    host.fails(&["create", "-n", "em0", "--param", "vnet=new", "thirteen-char"]);
    assert!(!host.path("usr/jails/thirteen-char").exists());
    host.check("refused.txt");
}

#[test]
fn a_network_of_its_own() {
    let mut host = Host::ready();
    host.ok(&["net", "create", "bridge1", "10.1.0.1/24"]);
    host.ok(&[
        "create", "-n", "bridge1", "-4", "10.1.0.2", "--param", "vnet=new", "web",
    ]);
    let before = host.state();
    host.text.clear();
    host.ok(&["start", "web"]);
    host.check("start-vnet.txt");
    host.ok(&["stop", "web"]);
    host.check("stop-vnet.txt");
    assert_eq!(host.state(), before);
    // Its interfaces are called after it.
    host.fails(&["config", "-n", "thirteen-char", "web"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "thirteen-char"]);
    host.fails(&["config", "--param", "vnet=new", "thirteen-char"]);
    host.ok(&["config", "--param", "vnet=new", "-n", "thirteen", "thirteen-char"]);
    host.ok(&["delete", "thirteen"]);
    assert_eq!(host.state(), before);
    for module in ["if_epair", "if_bridge"] {
        host.machine.unload(module, false);
        host.fails(&["start", "web"]);
        assert_eq!(host.state(), before);
    }
}

#[test]
fn the_lasting_file_works_without_qjail() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let before = host.state();
    let file = host.path("var/db/qjail/jail.conf.d/jail2.conf");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let made = fs::read_to_string(&file).unwrap();
    host.ok(&["start", "jail2"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), made);
    host.ok(&["stop", "jail2"]);
    let name = file.to_str().unwrap();
    host.machine
        .by_hand("/usr/sbin/jail", &["-f", name, "-c", "jail2"])
        .unwrap();
    assert!(host.state().contains("192.168.1.2/32"));
    host.ok(&["stop", "jail2"]);
    assert_eq!(host.state(), before);
    host.ok(&["config", "--param", "securelevel=2", "jail2"]);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .contains("securelevel = \"2\";")
    );
    host.ok(&["delete", "jail2"]);
    assert!(!file.exists());
}

#[test]
fn jails_of_others_are_left_alone() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "jail3"]);
    host.machine.foreign_jail("other", &host.path("usr/jails/jail2"));
    host.machine.foreign_jail("jail3", Path::new("/somewhere/else"));
    let before = host.state();
    for args in [
        &["start", "jail2"][..],
        &["delete", "jail2"],
        &["start", "jail3"],
        &["stop", "jail3"],
        &["delete", "jail3"],
        &["exec", "jail3", "--", "/bin/sh", "-c", "exit 0"],
    ] {
        host.fails(args);
    }
    assert_eq!(host.state(), before);
    assert!(host.path("usr/jails/jail2").is_dir() && host.path("usr/jails/jail3").is_dir());
}

#[test]
fn a_dying_jail_is_waited_for() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    host.machine.foreign_jail("jail2", &host.path("usr/jails/jail2"));
    host.machine.dying("jail2");
    let before = host.state();
    host.fails(&["start", "jail2"]);
    host.fails(&["exec", "jail2", "--", "/bin/sh", "-c", "exit 0"]);
    assert_eq!(host.state(), before);
}

/// What each option of `config` changes in the jail.conf(5) of a jail, and that its opposite takes it back.
#[test]
fn the_options_of_config() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let file = host.path("var/db/qjail/jail.conf.d/jail2.conf");
    let plain = fs::read_to_string(&file).unwrap();
    let mut golden = String::new();
    for (on, off) in [
        ("-b 70", "-B"),
        ("-f 2", "--unset exec.fib"),
        ("-k", "-K"),
        ("-l", "-L"),
        ("-t", "-T"),
        ("-x", "-X"),
        ("-l -t -x", "-L -T -X"),
        ("-q", "-Q"),
        ("-s 2", "--unset securelevel"),
        ("-s -1", "--unset securelevel"),
        ("-p 0,2-3", "-p null"),
        ("--param allow.noset_hostname", "--unset allow.set_hostname"),
        (
            "--param allow.mlock --param exec.timeout=90",
            "--unset allow.mlock --unset exec.timeout",
        ),
        (
            "--param exec.poststart=/bin/a --param exec.poststart=/bin/b",
            "--unset exec.poststart",
        ),
    ] {
        for (options, taken_back) in [(on, false), (off, true)] {
            let words: Vec<&str> = ["config"]
                .into_iter()
                .chain(options.split(' '))
                .chain(["jail2"])
                .collect();
            host.ok(&words);
            let now = fs::read_to_string(&file).unwrap();
            if taken_back {
                assert_eq!(now, plain, "{options}");
            } else {
                golden += &format!("# qjail config {options} jail2\n");
                golden += &difference(&plain, &now);
            }
        }
    }
    // A name can be forced upon qjail, not upon the kernel.
    for refused in [
        &["config", "--param", "frobnicate=1", "--force-param", "jail2"][..],
        &["config", "-s", "5", "jail2"],
    ] {
        host.fails(refused);
        assert_eq!(fs::read_to_string(&file).unwrap(), plain);
    }
    host.ok(&["config", "-n", "www", "jail2"]);
    assert!(!file.exists() && !host.path("usr/jails/jail2").exists());
    let renamed = fs::read_to_string(host.path("var/db/qjail/jail.conf.d/www.conf")).unwrap();
    golden += "# qjail config -n www jail2\n";
    golden += &difference(&plain, &renamed);
    host.ok(&["start", "www"]);
    host.ok(&["config", "-k", "--restart", "www"]);
    host.ok(&["stop", "www"]);
    host.text = golden;
    host.check("config-options.txt");
}

/// The lines that went and those that came.
fn difference(before: &str, after: &str) -> String {
    let only = |a: &str, b: &str, sign: char| -> String {
        let lines = a.lines().filter(|l| !b.lines().any(|x| x == *l));
        lines.map(|l| format!("{sign}{l}\n")).collect()
    };
    only(before, after, '-') + &only(after, before, '+')
}
