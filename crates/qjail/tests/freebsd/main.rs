//! FreeBSD, command by command: what each command of the handbook's chapter sends to the kernel and to the tools of the
//! host, compared with `golden/freebsd`. The host is [`Rehearsal`]; all else is the program as it is, plugins included.
//!
//! A golden file that differs is rewritten when `QJAIL_GOLDEN=write` is set.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod chapter;
mod config;
mod import;
mod own_files;
mod refused;
mod vnet;

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

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

    /// Runs a command; what it sends and says is noted below its line. Tells whether it was done, and what it said.
    fn run(&mut self, args: &[&str]) -> (bool, String) {
        let root = self.path("");
        let words: Vec<OsString> = ["--root", root.to_str().unwrap(), "--no-progress", "--jobs", "1"]
            .iter()
            .chain(args)
            .map(OsString::from)
            .collect();
        let machine = self.machine.clone();
        let (code, said) =
            heard(|| qjail_cli::run_on(&words, "freebsd", &|state| Arc::from(machine.system(state))));
        let done = code == ExitCode::SUCCESS;
        self.text += &format!(
            "# qjail {}{}\n{}",
            args.join(" "),
            if done { "" } else { "   (fails)" },
            self.machine.transcript()
        );
        self.text.extend(said.lines().map(|line| format!("! {line}\n")));
        (done, said)
    }

    fn ok(&mut self, args: &[&str]) {
        let (done, _) = self.run(args);
        assert!(done, "{args:?}: {}", self.text);
    }

    /// What the command says when it fails.
    fn fails(&mut self, args: &[&str]) -> String {
        let (done, said) = self.run(args);
        assert!(!done && !said.is_empty(), "{args:?}: {}", self.text);
        said
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

    /// The text of a jail's definition.
    fn definition(&self, jail: &str) -> String {
        let file = format!("usr/local/etc/qjail/jails.d/{jail}.toml");
        fs::read_to_string(self.path(&file)).unwrap()
    }

    /// The smallest archive that is a base of FreeBSD 13.2.
    fn base(&self) -> PathBuf {
        let archive = self.dir.path().join("base.txz");
        if archive.exists() {
            return archive;
        }
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

/// Standard error is one for all threads: a command has it for itself while it runs.
static STANDARD_ERROR: Mutex<()> = Mutex::new(());

/// What something returns, and what it says on standard error meanwhile.
fn heard<T>(run: impl FnOnce() -> T) -> (T, String) {
    let _alone = STANDARD_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = tempfile::tempfile().unwrap();
    let own = rustix::io::dup(rustix::stdio::stderr()).unwrap();
    rustix::stdio::dup2_stderr(&file).unwrap();
    let answer = run();
    rustix::stdio::dup2_stderr(&own).unwrap();
    let mut said = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut said).unwrap();
    (answer, said)
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
