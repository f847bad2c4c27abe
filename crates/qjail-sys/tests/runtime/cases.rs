//! The life of a jail: start, commands in it, stop, and what goes wrong on the way.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::runtime::{Runtime, RuntimeError, StopSpec};

use crate::Test;
use crate::fixture::{Jail, eventually, exec_spec, make_root, stop_spec};

pub(crate) const ALL: &[Test] = &[
    (
        "start_runs_commands_in_order_and_stop_leaves_nothing",
        start_and_stop,
    ),
    ("commands_end_as_they_ended", exit_codes),
    ("commands_get_user_directory_environment_and_input", exec_details),
    ("a_failing_exec_start_undoes_the_start", failing_start),
    ("a_hanging_exec_start_is_ended", hanging_start),
    ("a_cancelled_start_is_undone", cancelled_start),
    ("the_network_is_made_before_exec_start", wiring),
    ("a_second_start_is_refused", second_start),
    ("impossible_starts_say_why", impossible_starts),
    ("the_console_is_a_private_file_and_a_pipe_inside", console),
    ("exec_stop_runs_and_processes_get_sigterm", stopping),
    ("stubborn_processes_are_killed_in_time", stubborn),
    ("stop_and_cleanup_of_nothing_are_no_errors", nothing_to_stop),
    ("orphans_are_reaped", orphans),
    ("signals_are_passed_on", signals),
    ("jails_start_and_stop_in_parallel", parallel),
];

fn start_and_stop() {
    let jail =
        Jail::with(|s| s.exec_start = vec!["echo one; hostname".into(), "echo two; env | sort".into()]);
    let started = jail.start().unwrap();
    assert_eq!(jail.pid(), Some(started));
    let seen = "one\nj1.example\ntwo\nHOME=/\nPATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin\n\
        PWD=/\nSHELL=/bin/sh\nUSER=root\n";
    assert_eq!(jail.console(), seen);
    jail.stop();
    jail.nothing_is_left();
    jail.start().unwrap();
    jail.stop();
    jail.nothing_is_left();
}

fn exit_codes() {
    let jail = Jail::started();
    fs::write(jail.root().join("tmp/plain"), "#!/bin/sh\n").unwrap();
    let cases: &[(&[&str], i32)] = &[
        (&["true"], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "exit 255"], 255),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["sh", "-c", "kill -TERM $$"], 143),
        (&["no-such-program"], 127),
        (&["/no/such/program"], 127),
        (&["/tmp/plain"], 126),
        (&["/tmp"], 126),
    ];
    for (argv, code) in cases {
        assert_eq!(jail.exec(argv).status.code(), Some(*code), "{argv:?}");
    }
    let text = String::from_utf8(jail.exec(&["no-such-program"]).stderr).unwrap();
    assert_eq!(text, "qjail: no-such-program: no such file or directory\n");
    let out = jail
        .caller(&["true"], |s| s.cwd = "/nowhere".into())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(125));
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("/nowhere"),
        "{out:?}"
    );
    let gone = Jail::new();
    assert!(matches!(
        gone.runtime.exec("j1", &exec_spec(&["true"])),
        Err(RuntimeError::NotRunning { name }) if name == "j1"
    ));
}

fn exec_details() {
    let jail = Jail::started();
    let mut command = jail.caller(
        &["sh", "-c", "id; pwd; echo $A; cat; grep CapEff /proc/self/status"],
        |s| {
            s.uid = 1000;
            s.gid = 1000;
            s.groups = vec![4, 24];
            s.cwd = "/tmp".into();
            s.env.push(("A".into(), "b c".into()));
        },
    );
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"input\n").unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let seen =
        "uid=1000(user) gid=1000(user) groups=1000(user),4,24\n/tmp\nb c\ninput\nCapEff:\t0000000000000000\n";
    assert_eq!(text, seen);
    let login = jail
        .caller(&["sh", "-c", "echo $0"], |s| s.arg0 = Some("-sh".into()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&login.stdout), "-sh\n");
    assert_eq!(
        jail.sh("ls /proc/self/fd"),
        "0\n1\n2\n3",
        "the fourth is ls's own"
    );
    assert_eq!(
        jail.sh("kill -l | head -1; trap"),
        jail.sh("kill -l | head -1"),
        "no signal is ignored"
    );
    assert_eq!(jail.sh("umask"), "0022");
}

fn failing_start() {
    let jail = Jail::with(|s| s.exec_start = vec!["echo first".into(), "exit 3".into(), "echo never".into()]);
    match jail.start() {
        Err(RuntimeError::StartCommand {
            name,
            command,
            status,
        }) => {
            assert_eq!((name.as_str(), command.as_str(), status), ("j1", "exit 3", 3));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(jail.console(), "first\n");
    jail.nothing_is_left();
}

fn hanging_start() {
    let jail = Jail::with(|s| {
        s.exec_start = vec!["trap '' TERM INT HUP; (setsid sleep 1000 &); sleep 1000".into()];
        s.exec_timeout = Some(Duration::from_millis(300));
    });
    let begin = Instant::now();
    let error = jail.start().unwrap_err().to_string();
    assert!(error.contains("not done within 0.3 s"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5));
    jail.nothing_is_left();
}

fn cancelled_start() {
    let jail = Jail::with(|s| s.exec_start = vec!["sleep 1000".into()]);
    let asked = Cell::new(0);
    let cancelled = || asked.replace(asked.get() + 1) >= 2;
    let error = jail
        .runtime
        .start(&jail.spec, &cancelled, &mut |_| Ok(()))
        .unwrap_err();
    assert!(matches!(error, RuntimeError::Cancelled { .. }), "{error}");
    jail.nothing_is_left();
}

fn wiring() {
    let jail = Jail::with(|s| s.exec_start = vec!["test -e /tmp/wired".into()]);
    let file = jail.root().join("tmp/wired");
    let mut seen = None;
    let started = jail.runtime.start(&jail.spec, &|| false, &mut |pid| {
        seen = Some((
            pid,
            fs::read_link(format!("/proc/{pid}/ns/net")).unwrap(),
            jail.pid(),
        ));
        fs::write(&file, "").unwrap();
        Ok(())
    });
    let (pid, net, running) = seen.unwrap();
    assert_eq!(started.unwrap(), pid);
    assert_eq!(running, Some(pid), "the lock is there before anybody is told");
    assert_ne!(net, fs::read_link("/proc/self/ns/net").unwrap());
    jail.stop();
    let error = jail
        .runtime
        .start(&jail.spec, &|| false, &mut |_| Err("no bridge".into()))
        .unwrap_err();
    assert_eq!(error.to_string(), "make the network of j1: no bridge");
    jail.nothing_is_left();
}

fn second_start() {
    let jail = Jail::started();
    assert!(matches!(jail.start(), Err(RuntimeError::Running { .. })));
    assert!(jail.pid().is_some(), "the first one still runs");
    assert_eq!(jail.sh("echo works"), "works");
}

fn impossible_starts() {
    let refused = |change: &dyn Fn(&mut Jail)| {
        let mut jail = Jail::new();
        change(&mut jail);
        let error = jail.start().unwrap_err().to_string();
        jail.nothing_is_left();
        error
    };
    let text = refused(&|jail| jail.spec.path = "/no/such/root".into());
    assert!(text.contains("/no/such/root"), "{text}");
    let text = refused(&|jail| jail.spec.mounts[0].source = "/no/such/source".into());
    assert!(text.contains("/no/such/source"), "{text}");
    let text = refused(&|jail| jail.spec.mounts[0].target = "../x".into());
    assert!(text.contains("../x"), "{text}");
    let text = refused(&|jail| jail.spec.console_log = Some("/no/such/log".into()));
    assert!(text.contains("/no/such/log"), "{text}");
    let text = refused(&|jail| {
        jail.spec.isolation.sysvshm = crate::runtime::Ipc::New;
        jail.spec.isolation.sysvsem = crate::runtime::Ipc::Inherit;
    });
    assert!(text.contains("`new` in part"), "{text}");
    let text = refused(&|jail| {
        fs::remove_dir_all(jail.spec.path.join("usr")).unwrap();
        jail.spec.mounts.clear();
    });
    assert!(text.contains("exit status 127"), "no shell: {text}");
}

fn console() {
    let jail = Jail::with(|s| {
        s.exec_start = vec!["stat -L -c %F /proc/self/fd/1; (sleep 0.3; echo later) &".into()];
    });
    jail.start().unwrap();
    assert!(jail.console().starts_with("fifo\n"), "{}", jail.console());
    eventually("output of what exec.start left running", || {
        jail.console().ends_with("later\n")
    });
    let log = jail.dir.path().join("console.log");
    assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o7777, 0o600);
    jail.stop();
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &log).unwrap();
    let error = jail.start().unwrap_err().to_string();
    assert!(error.contains("console.log"), "{error}");
    fs::remove_file(&log).unwrap();
}

fn stopping() {
    let jail = Jail::with(|s| {
        let line = "(trap 'echo asked; exit' TERM; echo ready; while :; do sleep 0.05; done) &";
        s.exec_start = vec![line.into()];
    });
    jail.start().unwrap();
    eventually("the service is ready", || jail.console().contains("ready"));
    let log = jail.dir.path().join("stop.log");
    let how = StopSpec {
        exec_stop: vec![
            "echo stopping; hostname".into(),
            "exit 9".into(),
            "sleep 100".into(),
        ],
        exec_timeout: Some(Duration::from_millis(500)),
        console: Some(log.clone()),
        ..stop_spec()
    };
    jail.runtime.stop("j1", &how, &|| false).unwrap();
    jail.nothing_is_left();
    let text = fs::read_to_string(log).unwrap();
    assert!(text.starts_with("stopping\nj1.example\n"), "{text}");
    assert!(text.contains("`exit 9`: run it: exit status 9"), "{text}");
    assert!(text.contains("`sleep 100`: run it: it took too long"), "{text}");
    assert!(jail.console().contains("asked"), "{}", jail.console());
}

fn stubborn() {
    for (force, timeout, at_least, at_most) in [
        (false, 300, 300, 3000),
        (false, 0, 0, 1500),
        (true, 60_000, 0, 1500),
    ] {
        let jail = Jail::with(|s| {
            s.exec_start = vec!["(trap '' TERM; echo ready; while :; do sleep 0.05; done) &".into()];
        });
        jail.start().unwrap();
        eventually("the service is ready", || jail.console().contains("ready"));
        let begin = Instant::now();
        let exec_stop = if force { vec!["sleep 60".into()] } else { vec![] };
        let how = StopSpec {
            force,
            timeout: Duration::from_millis(timeout),
            exec_stop,
            ..stop_spec()
        };
        jail.runtime.stop("j1", &how, &|| false).unwrap();
        let took = begin.elapsed().as_millis();
        assert!((at_least..at_most).contains(&took), "{force} {timeout}: {took}");
        jail.nothing_is_left();
    }
}

fn nothing_to_stop() {
    let jail = Jail::new();
    jail.runtime.stop("j1", &stop_spec(), &|| false).unwrap();
    jail.runtime.cleanup("j1").unwrap();
    let nowhere = Runtime::new("/nonexistent/run".into());
    nowhere.cleanup("j1").unwrap();
    assert!(nowhere.running().unwrap().is_empty());
}

fn orphans() {
    let jail = Jail::with(|s| {
        s.exec_start = vec!["for i in 1 2 3 4 5; do (sh -c 'sleep 0.1' &) ; done; (sleep 1000 &)".into()];
    });
    jail.start().unwrap();
    let _ = jail.exec(&["sh", "-c", "(sleep 0.1 &); exit 0"]);
    eventually("only process 1, sleep and the shell are left", || {
        let all = jail.sh("cat /proc/[0-9]*/stat | cut -d ' ' -f 2,3");
        !all.contains(" Z") && all.matches("(sleep)").count() == 1
    });
}

fn signals() {
    let jail = Jail::started();
    for (signal, name) in [
        (libc::SIGTERM, "TERM"),
        (libc::SIGINT, "INT"),
        (libc::SIGHUP, "HUP"),
    ] {
        let line = format!("trap 'echo got; exit 5' {name}; echo ready; while :; do sleep 0.05; done");
        let mut caller = jail.caller(&["sh", "-c", &line], |_| {});
        let mut child = caller.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        std::io::BufRead::read_line(&mut output, &mut text).unwrap();
        unsafe { libc::kill(child.id().cast_signed(), signal) };
        std::io::Read::read_to_string(&mut output, &mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5), "{name}");
        assert_eq!(text, "ready\ngot\n");
    }
}

fn parallel() {
    let dir = tempfile::tempdir().unwrap();
    let base = Jail::new();
    let runtime = Runtime::new(dir.path().join("run"));
    let specs: Vec<_> = (0..8)
        .map(|n| {
            let root = dir.path().join(format!("root{n}"));
            make_root(&root);
            let mut spec = base.spec.clone();
            spec.name = format!("p{n}");
            spec.path = root;
            spec
        })
        .collect();
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for spec in &specs {
                scope.spawn(|| runtime.start(spec, &|| false, &mut |_| Ok(())).unwrap());
            }
        });
        assert_eq!(runtime.running().unwrap().len(), 8);
        std::thread::scope(|scope| {
            for spec in &specs {
                scope.spawn(|| runtime.stop(&spec.name, &stop_spec(), &|| false).unwrap());
            }
        });
        assert!(runtime.running().unwrap().is_empty());
        assert!(crate::fixture::groups(&dir.path().join("run")).is_empty());
    }
}
