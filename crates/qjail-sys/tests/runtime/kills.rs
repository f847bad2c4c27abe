//! SIGKILL at any instant: of the caller and of the helper, while a jail starts, stops or is entered.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Test;
use crate::fixture::{Jail, eventually, processes_of};

pub(crate) const ALL: &[Test] = &[
    (
        "a_killed_caller_leaves_nothing_that_cleanup_does_not_remove",
        killed_callers,
    ),
    (
        "a_killed_helper_leaves_nothing_that_cleanup_does_not_remove",
        killed_helpers,
    ),
    ("half_a_start_ends_by_itself", half_starts),
    ("a_jail_that_was_killed_from_outside_is_not_running", killed_jail),
];

fn start_caller(jail: &Jail) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .arg("__start")
        .arg(jail.run_dir())
        .arg(serde_json::to_string(&jail.spec).unwrap());
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The helpers that `caller` started.
fn helpers(caller: u32) -> Vec<i32> {
    let children =
        std::fs::read_to_string(format!("/proc/{caller}/task/{caller}/children")).unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn killed_callers() {
    let jail = Jail::with(|s| s.exec_start = vec!["sleep 0.01".into(), "(sleep 1000 &)".into()]);
    for round in 0..60_u64 {
        let mut caller = start_caller(&jail);
        std::thread::sleep(Duration::from_micros(round * 1500));
        caller.kill().unwrap();
        caller.wait().unwrap();
        jail.runtime.cleanup("j1").unwrap();
        jail.nothing_is_left();
    }
}

fn killed_helpers() {
    let jail = Jail::with(|s| s.exec_start = vec!["sleep 0.01".into(), "(sleep 1000 &)".into()]);
    let mut hit = 0;
    for round in 0..60_u64 {
        let mut caller = start_caller(&jail);
        let pid = caller.id();
        eventually("a helper", || {
            !helpers(pid).is_empty()
                || !std::path::Path::new(&format!("/proc/{pid}/task")).exists()
                || ended(pid)
        });
        std::thread::sleep(Duration::from_micros(round * 1000));
        for helper in helpers(pid) {
            unsafe { libc::kill(helper, libc::SIGKILL) };
            hit += 1;
        }
        let succeeded = caller.wait().unwrap().success();
        assert_eq!(jail.pid().is_some(), succeeded, "round {round}");
        jail.runtime.cleanup("j1").unwrap();
        jail.nothing_is_left();
    }
    assert!(hit > 10, "{hit}");
}

fn ended(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn half_starts() {
    let jail = Jail::with(|s| s.exec_start = vec!["sleep 1000".into()]);
    let mut caller = start_caller(&jail);
    eventually("exec.start runs", || jail.pid().is_some());
    caller.kill().unwrap();
    caller.wait().unwrap();
    eventually("process 1 ends with its starter", || jail.pid().is_none());
    eventually("and with it all others", || {
        processes_of(jail.dir.path()).is_empty()
    });
    jail.runtime.cleanup("j1").unwrap();
    jail.nothing_is_left();
}

fn killed_jail() {
    let jail = Jail::started();
    let mut inside = jail.caller(&["sleep", "1000"], |_| {}).spawn().unwrap();
    eventually("sleep", || jail.sh("ps ax").contains("sleep 1000"));
    unsafe { libc::kill(jail.pid().unwrap(), libc::SIGKILL) };
    assert_eq!(inside.wait().unwrap().code(), Some(137));
    eventually("it does not run", || jail.pid().is_none());
    jail.runtime.cleanup("j1").unwrap();
    jail.nothing_is_left();
    jail.start().unwrap();
    assert_eq!(jail.sh("echo again"), "again");
}
