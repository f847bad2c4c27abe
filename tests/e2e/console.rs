//! The console log is bounded, and a stop that nobody wants to wait for.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use qjail_tests::{Site, sh};

/// What a console log may hold.
const LIMIT: u64 = 1 << 20;

fn log_of(site: &Site, jail: &str) -> std::path::PathBuf {
    site.root.join(format!("var/log/qjail.{jail}.console.log"))
}

#[test]
fn a_jail_that_writes_without_end_does_not_fill_the_hosts_disk() {
    let site = Site::shared();
    // 20 MB from exec.start, and 20 from what it leaves running; /dev/console is a file of the jail's own memory at most.
    let flood = "i=0; while [ $i -lt 20 ]; do i=$((i+1)); head -c 1000000 /dev/zero | tr '\\\\0' x | fold; done; echo";
    let start =
        format!("exec.start={flood}; echo begun; ({flood}; echo flooded > /dev/console; echo last line) &");
    let stop = format!("exec.stop={flood}; echo stopped");
    let args = ["create", "--start", "--param", &start, "--param", &stop, "flood"];
    let _ = site.qjail(&args).ok();
    let log = log_of(site, "flood");
    let end = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(&log).unwrap().ends_with("\nlast line\n") {
        assert!(log.metadata().unwrap().len() <= LIMIT);
        assert!(Instant::now() < end, "the last line is there");
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.len() as u64 > LIMIT / 3, "{}", text.len());
    assert!(
        text.starts_with("qjail: older output was dropped here"),
        "a line tells"
    );
    let _ = site.qjail(&["stop", "flood"]).ok();
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(
        text.len() as u64 <= LIMIT && text.ends_with("\nstopped\n"),
        "{}",
        text.len()
    );
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let _ = site.qjail(&["delete", "flood"]).ok();
    assert!(!log.exists());
}

/// Ctrl-C and SIGTERM end the waiting for `exec.stop`, or for what does not heed SIGTERM: the jail is killed.
#[test]
fn an_interrupted_stop_still_stops() {
    let site = Site::from_host();
    let slow = "exec.stop=echo stopping; sleep 60";
    let _ = site.qjail(&["create", "--param", slow, "slow"]).ok();
    let deaf = "exec.start=(trap '' TERM; while :; do sleep 0.1; done) & sleep 0.3";
    let args = ["create", "--param", deaf, "--param", "stop.timeout=60", "deaf"];
    let _ = site.qjail(&args).ok();
    for (jail, signal) in [("slow", "INT"), ("slow", "TERM"), ("deaf", "INT")] {
        for command in ["stop", "restart"] {
            let _ = site.qjail(&["start", jail]).ok();
            // A terminal tells the whole group.
            let child = site
                .command(&[command, "--timeout", "50", jail])
                .process_group(0)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_secs(1));
            let _ = sh(&format!("kill -{signal} -{}", child.id()), &site.root).ok();
            let began = Instant::now();
            let ended = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "{jail} {signal}: {said}"
            );
            assert_eq!(ended.status.code(), Some(1), "{jail} {signal}: {said}");
            let what =
                format!("stop {jail}: stopped without waiting for what runs in it: interrupted\nhint: ");
            assert!(said.contains(&what), "{said}");
            site.assert_no_trace();
            let list = site.qjail(&["list", "--running", "-o", "name"]).ok().out;
            assert_eq!(list.trim_end(), "NAME");
        }
    }
    let log = std::fs::read_to_string(log_of(&site, "slow")).unwrap();
    assert!(
        log.contains("stopping\nqjail: exec.stop `echo stopping; sleep 60`: run it: interrupted\n"),
        "{log}"
    );
    for jail in ["slow", "deaf"] {
        let _ = site.qjail(&["start", jail]).ok();
        let _ = site.qjail(&["stop", "--force", jail]).ok();
    }
}
