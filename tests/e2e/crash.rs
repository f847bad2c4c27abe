//! `kill -9` at any instant, and signals: the next command finds the old state or the new one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use qjail_tests::Site;

/// Numbers that look random and are the same in every run (Numerical Recipes' LCG).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// How long a command takes undisturbed, in microseconds.
fn duration(site: &Site, args: &[&str]) -> u64 {
    let began = Instant::now();
    let _ = site.qjail(args).ok();
    u64::try_from(began.elapsed().as_micros()).unwrap()
}

/// Starts a command and kills it, and nothing but it, after `micros`.
fn killed(site: &Site, args: &[&str], micros: u64) {
    let mut child = site
        .command(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_micros(micros));
    let _ = child.kill();
    let _ = child.wait();
}

#[test]
fn kill_9_at_200_instants_is_repaired_by_the_next_command() {
    let site = Site::from_host();
    let bridge = site.bridge();
    let _ = site.qjail(&["net", "create", &bridge, &site.network()]).ok();
    let address = site.address(7);
    let create = ["create", "-n", &bridge, "-4", &address, "victim"];
    let times = [
        duration(&site, &create),
        duration(&site, &["start", "victim"]),
        duration(&site, &["stop", "victim"]),
        duration(&site, &["delete", "victim"]),
        duration(&site, &["install", "--from-host"]),
    ];
    let mut dice = Dice(20_261_123);
    for round in 0..40 {
        let mut instant = |i: usize| dice.below(times[i] * 12 / 10 + 1);
        // create: there is a whole jail or none, and it can be made.
        killed(&site, &create, instant(0));
        let made = site.qjail(&create);
        assert!(
            made.code == 0 || made.err.contains("already exists"),
            "round {round}: {made:#?}"
        );
        // start: running or not, and it can be started.
        killed(&site, &["start", "victim"], instant(1));
        let started = site.qjail(&["start", "victim"]).ok();
        assert!(
            started.out.contains("start") || started.out.contains("already running"),
            "{started:#?}"
        );
        assert_eq!(site.inside("victim", "hostname"), "victim", "round {round}");
        assert_eq!(site.connected(), 1, "round {round}: one veth");
        // stop
        killed(&site, &["stop", "victim"], instant(2));
        let _ = site.qjail(&["stop", "victim"]).ok();
        assert_eq!(site.connected(), 0, "round {round}: no veth");
        site.assert_no_trace();
        // delete
        killed(&site, &["delete", "victim"], instant(3));
        let deleted = site.qjail(&["delete", "victim"]);
        assert!(
            deleted.code == 0 || deleted.err.contains("doesn't exist"),
            "round {round}: {deleted:#?}"
        );
        assert!(
            !site.jails().join("victim").exists() && !site.jails().join(".old.victim").exists(),
            "round {round}"
        );
        assert!(!site.jails().join(".new.victim").exists(), "round {round}");
        // install: the base stays whole, old or new.
        killed(&site, &["install", "--from-host"], instant(4));
        assert!(
            site.jails().join("template/etc/passwd").is_file(),
            "round {round}"
        );
    }
    let _ = site.qjail(&["install", "--from-host"]).ok();
    let left: Vec<_> = std::fs::read_dir(site.jails().join(".bases"))
        .unwrap()
        .flatten()
        .collect();
    assert!(
        left.iter()
            .all(|e| !e.file_name().to_string_lossy().starts_with(".new")),
        "{left:?}"
    );
    let journal = std::fs::read_dir(site.root.join("var/lib/qjail/state/journal"))
        .unwrap()
        .count();
    assert_eq!(journal, 0);
    let _ = site.qjail(&create).ok();
    let _ = site.qjail(&["start", "victim"]).ok();
}

#[test]
fn sigterm_and_sigint_undo_cleanly() {
    let site = Site::from_host();
    let _ = site
        .qjail(&["net", "create", &site.bridge(), &site.network()])
        .ok();
    let args = [
        "create",
        "-n",
        &site.bridge(),
        "-4",
        "auto",
        "--param",
        "exec.start=sleep 30",
        "slow",
    ];
    let _ = site.qjail(&args).ok();
    for signal in ["TERM", "INT"] {
        let child = site
            .command(&["start", "slow"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(700));
        let began = Instant::now();
        let _ = qjail_tests::sh(&format!("kill -{signal} {}", child.id()), &site.root).ok();
        let ended = child.wait_with_output().unwrap();
        assert!(began.elapsed() < Duration::from_secs(10), "{signal}");
        assert_eq!(
            ended.status.code(),
            Some(1),
            "{signal}: {}",
            String::from_utf8_lossy(&ended.stderr)
        );
        assert!(
            String::from_utf8_lossy(&ended.stderr).contains("interrupted"),
            "{ended:?}"
        );
        assert!(
            site.qjail(&["list", "--running", "-o", "name"])
                .ok()
                .out
                .trim_end()
                == "NAME"
        );
        site.assert_no_trace();
        assert_eq!(site.connected(), 0);
    }
}

/// A jail that was stopped for a change is started again by the next command, wherever `config --restart` was killed.
#[test]
fn a_restart_that_was_killed_is_finished_by_the_next_command() {
    let site = Site::from_host();
    let slow = ["--param", "exec.start=sleep 2", "--param", "exec.stop=sleep 2"];
    let _ = site.qjail(&[&["create"], &slow[..], &["web"]].concat()).ok();
    let _ = site.qjail(&["start", "web"]).ok();
    // While it stops; and, 2 s later, while it starts, after it was renamed.
    for (millis, now) in [(1000, "web"), (3000, "www")] {
        killed(
            &site,
            &["config", "-k", "-n", "www", "--restart", "web"],
            millis * 1000,
        );
        let next = site.qjail(&["create", "other"]).ok();
        assert!(
            next.err.contains("finished `restart www`, which was interrupted"),
            "{next:?}"
        );
        let list = site.qjail(&["list", "--running", "-o", "name"]).ok().out;
        assert_eq!(list, format!("NAME\n{now}\n"));
        let _ = site.qjail(&["delete", "other"]).ok();
        let journal = site.root.join("var/lib/qjail/state/journal");
        assert_eq!(std::fs::read_dir(journal).unwrap().count(), 0);
    }
    let _ = site.qjail(&["stop", "--force", "www"]).ok();
    site.assert_no_trace();
}
