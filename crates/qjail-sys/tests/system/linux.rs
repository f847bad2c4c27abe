//! Real jails on this Linux: a fresh root that shares the host's /usr.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use qjail_model::Params;
use qjail_sys::{ExecSpec, JailSpec, MountSpec, StopOptions, System, native};
use tempfile::TempDir;

use crate::contract::{self, Guard};
use crate::trial;

/// The argument that makes this program a caller of `exec` with an output of its own: `STATE NAME SPEC`.
pub(crate) const CALLER: &str = "__exec";

pub(crate) fn caller(args: &[OsString]) -> i32 {
    let text = |at: usize| args[at].to_str().unwrap();
    let spec: ExecSpec = serde_json::from_str(text(2)).unwrap();
    native(Path::new(text(0)))
        .exec(text(1), &spec)
        .unwrap_or_else(|error| {
            eprintln!("{error}");
            125
        })
}

const ALL: [(&str, fn()); 10] = [
    ("linux_interfaces", || contract::interfaces(&*Jail::new().system)),
    ("linux_params", || contract::harmless_params(&*Jail::new().system)),
    ("linux_images", || contract::images(&*Jail::new().system)),
    ("linux_jails", linux_jails),
    ("a_jail_has_its_addresses", a_jail_has_its_addresses),
    ("commands_run_as_the_jails_users", commands_run_as_the_jails_users),
    (
        "a_logged_command_has_no_input_and_a_limit",
        a_logged_command_has_no_input_and_a_limit,
    ),
    ("a_failed_start_leaves_nothing", a_failed_start_leaves_nothing),
    (
        "a_killed_jail_can_be_started_at_once",
        a_killed_jail_can_be_started_at_once,
    ),
    ("many_jails_at_once", many_jails_at_once),
];

pub(crate) fn trials(missing: &str) -> Vec<Trial> {
    ALL.into_iter()
        .map(|(name, test)| trial(name, missing, test))
        .collect()
}

struct Jail {
    system: Box<dyn System>,
    spec: JailSpec,
    dir: TempDir,
}

impl Jail {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spec = spec(dir.path(), "jail1");
        Self {
            system: native(dir.path()),
            spec,
            dir,
        }
    }

    /// On a bridge, with the address after the bridge's own.
    fn on(guard: &Guard<'_>) -> Self {
        let mut jail = Self::new();
        jail.spec.params.set("interface", guard.name.as_str());
        jail.spec.params.set("ip4.addr", guard.address(0));
        jail
    }

    fn start(&self) -> qjail_sys::Result<i32> {
        self.system.start(&self.spec, &|| false)
    }

    fn exec(&self, spec: &ExecSpec) -> Output {
        let spec = serde_json::to_string(spec).unwrap();
        let program = std::env::current_exe().unwrap();
        Command::new(program)
            .arg(CALLER)
            .arg(self.dir.path())
            .args([&self.spec.name, &spec])
            .output()
            .unwrap()
    }

    /// What a shell in the jail says, without the last line end.
    fn sh(&self, line: &str) -> String {
        let argv = ["sh", "-c", line].map(str::to_owned).to_vec();
        said(&self.exec(&ExecSpec {
            argv,
            ..ExecSpec::default()
        }))
    }

    /// The host ends of interfaces that mention this jail's state; none where the jail left no trace.
    fn host_ends(&self) -> Vec<String> {
        let mine = |alias: &str| {
            alias
                .trim_end()
                .starts_with(&format!("qjail:{}:", self.spec.name))
        };
        let interface = self.spec.params.text("interface").unwrap_or_default();
        let ends = fs::read_dir(format!("/sys/class/net/{interface}/brif")).map(|entries| {
            let names = entries
                .flatten()
                .map(|e| e.file_name().to_string_lossy().into_owned());
            names
                .filter(|n| fs::read_to_string(format!("/sys/class/net/{n}/ifalias")).is_ok_and(|a| mine(&a)))
                .collect()
        });
        ends.unwrap_or_default()
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = self.system.cleanup(&self.spec);
    }
}

fn spec(dir: &Path, name: &str) -> JailSpec {
    let root = dir.join("roots").join(name);
    for below in [
        "usr", "etc", "tmp", "var", "root", "home/me", "proc", "dev", "sys", "run",
    ] {
        fs::create_dir_all(root.join(below)).unwrap();
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link)).unwrap();
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nme:x:1001:1001::/home/me:/bin/sh\n",
    )
    .unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nme:x:1001:\nwheel:x:10:me\n").unwrap();
    let mut params = Params::new();
    params.set("exec.start", "echo started");
    params.set("exec.stop", "echo stopped");
    params.set("stop.timeout", "5");
    JailSpec {
        name: name.to_owned(),
        path: root,
        params,
        mounts: vec![MountSpec {
            source: "/usr".into(),
            target: "usr".to_owned(),
            read_only: true,
        }],
        console_log: Some(dir.join(format!("{name}.console.log"))),
        limits: qjail_model::Limits::default(),
    }
}

fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.is_empty(), "{errors}");
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Whether a host answers there: with a refusal, for nothing listens.
fn answers(address: &str) -> bool {
    let address: IpAddr = address.parse().unwrap();
    let tried = TcpStream::connect_timeout(&SocketAddr::new(address, 9), Duration::from_secs(3));
    matches!(tried, Err(e) if e.kind() == ErrorKind::ConnectionRefused)
}

fn linux_jails() {
    let jail = Jail::new();
    contract::jails(&*jail.system, &jail.spec);
    let console = fs::read_to_string(jail.spec.console_log.as_ref().unwrap()).unwrap();
    assert!(console.contains("started"), "{console}");
}

fn a_jail_has_its_addresses() {
    let system = native(Path::new("/nonexistent"));
    let guard = Guard::new(&*system);
    system.ensure_interface(&guard.name, &[guard.network]).unwrap();
    let mut jail = Jail::on(&guard);
    jail.spec.params.set("host.hostname", "www.example.org");
    jail.start().unwrap();
    assert!(answers(&guard.address(0)));
    assert_eq!(jail.host_ends().len(), 1);
    assert_eq!(jail.sh("uname -n"), "www.example.org");
    assert_eq!(
        jail.sh("cut -d: -f1 /proc/net/dev | tail -n +3 | xargs"),
        "lo eth0"
    );
    jail.system
        .stop(&jail.spec, StopOptions::default(), &|| false)
        .unwrap();
    assert!(jail.host_ends().is_empty());
    assert!(!answers(&guard.address(0)));
    let console = fs::read_to_string(jail.spec.console_log.as_ref().unwrap()).unwrap();
    assert_eq!(console, "started\nstopped\n");
}

fn a_logged_command_has_no_input_and_a_limit() {
    let jail = Jail::new();
    jail.start().unwrap();
    let log = jail.dir.path().join("logged");
    let run = |line: &str, limit: u64| {
        let spec = ExecSpec {
            argv: ["sh", "-c", line].map(str::to_owned).to_vec(),
            user: Some("me".to_owned()),
            ..ExecSpec::default()
        };
        let limit = Duration::from_secs(limit);
        jail.system.exec_logged(&jail.spec.name, &spec, &log, limit)
    };
    assert_eq!(run("id -u; cat; echo bad >&2; exit 3", 20).unwrap(), 3);
    assert_eq!(fs::read_to_string(&log).unwrap(), "1001\nbad\n");
    let begun = Instant::now();
    let slow = run("echo slow; sleep 30", 1).unwrap_err().to_string();
    assert!(slow.contains("too long"), "{slow}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    jail.system
        .stop(&jail.spec, StopOptions::default(), &|| false)
        .unwrap();
    run("true", 20).unwrap_err();
}

fn commands_run_as_the_jails_users() {
    let jail = Jail::new();
    jail.start().unwrap();
    let run = |user: Option<&str>, login: bool, argv: &[&str]| {
        let argv = argv.iter().map(|a| (*a).to_owned()).collect();
        jail.exec(&ExecSpec {
            user: user.map(str::to_owned),
            login,
            argv,
            ..ExecSpec::default()
        })
    };
    assert_eq!(said(&run(None, false, &["id", "-u"])), "0");
    assert_eq!(said(&run(Some("me"), false, &["id", "-G"])), "1001 10");
    assert_eq!(said(&run(Some("5:6"), false, &["id", "-G"])), "6");
    assert_eq!(
        said(&run(
            Some("me"),
            true,
            &["sh", "-c", "echo $HOME $USER $LOGNAME $PWD"]
        )),
        "/home/me me me /home/me"
    );
    let unknown = run(Some("nobody"), false, &["id"]);
    assert_eq!(unknown.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no user `nobody` in the jail"));
    assert_eq!(run(None, false, &["sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(run(None, false, &["no-such-program"]).status.code(), Some(127));
    assert_eq!(run(None, false, &["/etc/passwd"]).status.code(), Some(126));
    // Whoever is root in the jail may put anything in the way.
    let passwd = jail.spec.path.join("etc/passwd");
    fs::remove_file(&passwd).unwrap();
    symlink("/etc/hostname", &passwd).unwrap();
    assert_eq!(run(None, false, &["true"]).status.code(), Some(125));
}

fn a_failed_start_leaves_nothing() {
    let system = native(Path::new("/nonexistent"));
    let guard = Guard::new(&*system);
    system.ensure_interface(&guard.name, &[guard.network]).unwrap();
    let mut jail = Jail::on(&guard);
    jail.spec.params.set(
        "exec.start",
        vec!["echo one".to_owned(), "echo two; false".to_owned()],
    );
    let error = jail.start().unwrap_err();
    assert_eq!(
        error.to_string(),
        "run exec.start of jail1, `echo two; false`: exit status 1"
    );
    let log = jail.spec.console_log.clone().unwrap();
    assert_eq!(error.hint.unwrap(), format!("its output is in {}", log.display()));
    assert_eq!(fs::read_to_string(&log).unwrap(), "one\ntwo\n");
    assert!(jail.host_ends().is_empty() && jail.system.running().unwrap().is_empty());

    jail.spec.params.set("exec.start", "sleep 100");
    jail.spec.params.set("exec.timeout", "1");
    assert!(
        jail.start()
            .unwrap_err()
            .to_string()
            .contains("exec.timeout, 1 s")
    );
    let begin = Instant::now();
    let error = jail
        .system
        .start(&jail.spec, &|| begin.elapsed() > Duration::from_millis(100))
        .unwrap_err();
    assert_eq!(error.to_string(), "start jail1: cancelled");
    jail.spec.params.set("securelevel", "3");
    assert!(jail.start().unwrap_err().to_string().contains("securelevel"));
    jail.spec.params.unset("securelevel");
    jail.spec.path = jail.dir.path().join("gone");
    jail.start().unwrap_err();
    assert!(jail.host_ends().is_empty() && jail.system.running().unwrap().is_empty());
}

fn a_killed_jail_can_be_started_at_once() {
    let system = native(Path::new("/nonexistent"));
    let guard = Guard::new(&*system);
    system.ensure_interface(&guard.name, &[guard.network]).unwrap();
    let jail = Jail::on(&guard);
    for _ in 0..5 {
        let pid = jail.start().unwrap();
        assert!(
            Command::new("kill")
                .args(["-9", &pid.to_string()])
                .status()
                .unwrap()
                .success()
        );
        let end = Instant::now() + Duration::from_secs(10);
        while jail.system.find("jail1").unwrap().is_some() {
            assert!(Instant::now() < end, "the jail does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    jail.start().unwrap();
    assert!(answers(&guard.address(0)));
    jail.system.cleanup(&jail.spec).unwrap();
    jail.system.cleanup(&jail.spec).unwrap();
    assert!(jail.host_ends().is_empty());
}

fn many_jails_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let system = native(dir.path());
    let guard = Guard::new(&*system);
    system.ensure_interface(&guard.name, &[guard.network]).unwrap();
    let specs: Vec<JailSpec> = (0..8)
        .map(|n| {
            let mut spec = spec(dir.path(), &format!("jail{n}"));
            spec.params.set("interface", guard.name.as_str());
            spec.params.set("ip4.addr", guard.address(n));
            spec
        })
        .collect();
    let each = |work: &(dyn Fn(&JailSpec) + Sync)| {
        std::thread::scope(|scope| {
            for spec in &specs {
                scope.spawn(move || work(spec));
            }
        });
    };
    each(&|spec| assert!(system.start(spec, &|| false).unwrap() > 0));
    assert_eq!(system.running().unwrap().len(), specs.len());
    assert!((0..specs.len()).all(|n| answers(&guard.address(n))));
    each(&|spec| {
        system
            .stop(
                spec,
                StopOptions {
                    force: true,
                    timeout: None,
                },
                &|| false,
            )
            .unwrap();
    });
    assert!(system.running().unwrap().is_empty());
}
