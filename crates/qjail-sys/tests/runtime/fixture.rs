//! A jail to test with: a fresh root that shares the host's /usr.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::runtime::{ExecSpec, Isolation, Mount, Runtime, RuntimeError, StartSpec, StopSpec};

pub(crate) struct Jail {
    pub(crate) runtime: Runtime,
    pub(crate) spec: StartSpec,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin";

impl Jail {
    pub(crate) fn new() -> Jail {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        make_root(&root);
        let spec = StartSpec {
            name: "j1".into(),
            path: root,
            hostname: "j1.example".into(),
            mounts: vec![Mount {
                source: "/usr".into(),
                target: "usr".into(),
                read_only: true,
            }],
            isolation: Isolation::default(),
            resources: crate::runtime::Resources::default(),
            exec_start: vec![":".into()],
            exec_timeout: Some(Duration::from_secs(30)),
            console_log: Some(dir.path().join("console.log")),
        };
        Jail {
            runtime: Runtime::new(dir.path().join("run")),
            spec,
            dir,
        }
    }

    pub(crate) fn started() -> Jail {
        let jail = Jail::new();
        jail.start().unwrap();
        jail
    }

    pub(crate) fn with(change: impl FnOnce(&mut StartSpec)) -> Jail {
        let mut jail = Jail::new();
        change(&mut jail.spec);
        jail
    }

    pub(crate) fn start(&self) -> Result<i32, RuntimeError> {
        self.runtime.start(&self.spec, &|| false, &mut |_| Ok(()))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.spec.path
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub(crate) fn pid(&self) -> Option<i32> {
        self.runtime.running().unwrap().get(&self.spec.name).copied()
    }

    pub(crate) fn stop(&self) {
        self.runtime
            .stop(&self.spec.name, &stop_spec(), &|| false)
            .unwrap();
    }

    pub(crate) fn console(&self) -> String {
        let text = fs::read_to_string(self.dir.path().join("console.log")).unwrap_or_default();
        // What a host without control groups has to say.
        let ours = |line: &&str| !line.starts_with("qjail: the jail is ");
        text.split_inclusive('\n').filter(ours).collect()
    }

    /// A command in the jail, by a caller of its own, with its output.
    pub(crate) fn caller(&self, argv: &[&str], change: impl FnOnce(&mut ExecSpec)) -> Command {
        let mut spec = exec_spec(argv);
        change(&mut spec);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg("__exec")
            .arg(self.run_dir())
            .arg(&self.spec.name)
            .arg(serde_json::to_string(&spec).unwrap());
        command
    }

    pub(crate) fn exec(&self, argv: &[&str]) -> Output {
        self.caller(argv, |_| {}).output().unwrap()
    }

    /// What a shell in the jail says, on both outputs, without the last line end.
    pub(crate) fn sh(&self, line: &str) -> String {
        let out = self.exec(&["sh", "-c", &format!("exec 2>&1; {line}")]);
        let text = String::from_utf8_lossy(&out.stdout).trim_end().to_owned();
        let errors = String::from_utf8_lossy(&out.stderr);
        assert!(errors.is_empty(), "{line}: {errors}");
        text
    }

    pub(crate) fn nothing_is_left(&self) {
        assert_eq!(self.pid(), None);
        assert!(!self.run_dir().join(&self.spec.name).exists(), "run directory");
        assert_eq!(groups(&self.run_dir()), Vec::<PathBuf>::new());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(
            !mounts.contains(&self.dir.path().display().to_string()),
            "{mounts}"
        );
        // A process that was killed is out of its mounts a moment after its locks are gone.
        eventually("no process is left", || processes_of(self.dir.path()).is_empty());
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = self.runtime.cleanup(&self.spec.name);
    }
}

pub(crate) fn stop_spec() -> StopSpec {
    StopSpec {
        exec_stop: vec![],
        timeout: Duration::from_secs(5),
        exec_timeout: None,
        force: false,
        console: None,
    }
}

pub(crate) fn exec_spec(argv: &[&str]) -> ExecSpec {
    ExecSpec {
        argv: argv.iter().map(|a| (*a).to_owned()).collect(),
        env: vec![("PATH".into(), PATH.into())],
        cwd: "/".into(),
        ..ExecSpec::default()
    }
}

pub(crate) fn make_root(root: &Path) {
    for dir in ["usr", "etc", "tmp", "var", "root", "proc", "dev", "sys", "run"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n",
    )
    .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n").unwrap();
}

/// The control groups of jails of a run directory.
pub(crate) fn groups(run: &Path) -> Vec<PathBuf> {
    let hash = run
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let end = format!("-{hash:016x}");
    let trees = [
        "", "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "systemd", "unified",
    ];
    let mut found = Vec::new();
    for tree in trees {
        let Ok(entries) = fs::read_dir(Path::new("/sys/fs/cgroup").join(tree).join("qjail")) else {
            continue;
        };
        found.extend(
            entries
                .flatten()
                .map(|e| e.path())
                .filter(|p| p.to_string_lossy().ends_with(&end)),
        );
    }
    found
}

/// Processes whose root is below `dir`, but for this one and zombies.
pub(crate) fn processes_of(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let mounts = fs::read_to_string(path.join("mountinfo")).unwrap_or_default();
        let needle = dir.file_name().unwrap().to_string_lossy().into_owned();
        if mounts.contains(&needle) && entry.file_name().to_string_lossy().parse::<u32>().is_ok() {
            let line = fs::read_to_string(path.join("cmdline"))
                .unwrap_or_default()
                .replace('\0', " ");
            found.push(format!("{} {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

pub(crate) fn eventually(what: &str, test: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !test() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
