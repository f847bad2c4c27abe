//! Limits on what a jail uses, and what it uses.

use qjail_tests::{Site, sh};

struct Jail<'a>(&'a Site, &'static str);

impl<'a> Jail<'a> {
    fn new(name: &'static str, args: &[&str]) -> Self {
        let site = Site::shared();
        let _ = site.qjail(&[&["create", name, "--start"], args].concat()).ok();
        Self(site, name)
    }

    fn sh(&self, script: &str) -> String {
        self.0.inside(self.1, script)
    }
}

impl Drop for Jail<'_> {
    fn drop(&mut self) {
        let _ = self.0.qjail(&["stop", "--force", self.1]);
        let _ = self.0.qjail(&["delete", self.1]);
    }
}

/// Tries to have 200 children at once, and says how many it got.
const BOMB: &str = "perl -e 'my $n = 0; for (1..200) { my $p = fork; last unless defined $p; \
     if ($p == 0) { close STDOUT; close STDERR; sleep 300; exit } $n++ } print $n'";

#[test]
fn a_fork_bomb_stays_inside() {
    let other = Jail::new("limcalm", &[]);
    let jail = Jail::new("limbomb", &["--limit", "pids=40"]);
    let made: u32 = jail.sh(BOMB).parse().unwrap();
    assert!((10..40).contains(&made), "{made} of 200 children with pids=40");
    // It is nearly full now: a command in it has room for a child or two, not for five.
    let full = jail.0.qjail(&[
        "exec",
        "limbomb",
        "--",
        "/bin/sh",
        "-c",
        "sleep 1 | cat | cat | cat | cat",
    ]);
    assert_ne!(full.code, 0, "a command in it is under the limit too: {full:#?}");
    assert_eq!(other.sh("echo alive"), "alive");
    let _ = jail.0.qjail(&["exec", "limbomb", "--", "kill", "-9", "-1"]);
    assert_eq!(jail.sh("echo better | cat"), "better");
    assert!(
        other.sh(BOMB).parse::<u32>().unwrap() == 200,
        "no limit where none is set"
    );
}

#[test]
fn a_memory_hog_is_ended_and_its_jail_lives_on() {
    let jail = Jail::new("limhog", &["--limit", "memory=48m"]);
    let before = jail.sh("ps -o lstart= -p 1");
    let hog = jail.0.qjail(&[
        "exec",
        "limhog",
        "--",
        "perl",
        "-e",
        "my @all; push @all, 'x' x 1048576 for 1..200; print scalar @all",
    ]);
    assert_eq!(hog.code, 137, "ended by the kernel: {hog:#?}");
    let enough = jail.sh("perl -e 'my @all; push @all, q(x) x 1048576 for 1..10; print scalar @all'");
    assert_eq!(enough, "10");
    assert_eq!(jail.sh("ps -o lstart= -p 1"), before, "the same process 1");
    // A process can not make itself safe from that.
    let score = jail.sh("cat /proc/self/oom_score_adj; echo -1000 > /proc/self/oom_score_adj || echo no");
    assert!(score.starts_with('0') && score.ends_with("no"), "{score}");
    let child = jail.sh("for p in /proc/[0-9]*; do [ $p = /proc/1 ] || cat $p/oom_score_adj; done | sort -u");
    assert_eq!(child, "0", "what exec.start left running is no safer");
    let shm = jail.0.qjail(&[
        "exec",
        "limhog",
        "--",
        "dd",
        "if=/dev/zero",
        "of=/dev/shm/x",
        "bs=1M",
        "count=60",
    ]);
    assert_ne!(shm.code, 0, "a file in memory counts too: {shm:#?}");
}

#[test]
fn processor_time_is_shared_out() {
    let jail = Jail::new("limslow", &["--limit", "cpu=10%"]);
    // 0.5 s of work takes about 5 s with a tenth of a processor.
    let started = std::time::Instant::now();
    let _ = jail.sh("perl -e '1 while (times)[0] + (times)[1] < 0.5'");
    assert!(started.elapsed().as_secs_f64() > 2.5, "{:?}", started.elapsed());
}

#[test]
fn a_jail_has_the_processors_it_is_given() {
    let jail = Jail::new("limone", &["--param", "cpuset.id=0"]);
    assert_eq!(jail.sh("nproc"), "1");
    assert_eq!(jail.sh("grep Cpus_allowed_list /proc/self/status | cut -f2"), "0");
    assert_eq!(jail.sh("grep Cpus_allowed_list /proc/1/status | cut -f2"), "0");
    let all = std::thread::available_parallelism().unwrap().get();
    if all > 1 {
        let more = jail
            .0
            .qjail(&["exec", "limone", "--", "taskset", "-p", "-c", "0-1", "1"]);
        let now = jail.sh("taskset -c 0-1 nproc 2>/dev/null || nproc");
        assert_eq!(now, "1", "its root can not get more: {more:#?}");
    }
    let _ = jail
        .0
        .qjail(&["config", "-p", "null", "--restart", "limone"])
        .ok();
    assert_eq!(jail.sh("nproc"), all.to_string());
}

#[test]
fn config_sets_shows_and_takes_away() {
    let site = Site::shared();
    let jail = Jail::new("limconf", &["--limit", "pids=50"]);
    let limits = || site.qjail(&["list", "limconf", "-o", "limits"]).ok().out;
    assert_eq!(limits(), "LIMITS\npids=50\n");
    let set = site.qjail(&[
        "config",
        "--limit",
        "memory=512m,pids=none",
        "--limit",
        "cpu=50%",
        "limconf",
    ]);
    set.refused(1, "Bypassed running jail limconf");
    let said = site
        .qjail(&[
            "config",
            "--restart",
            "--limit",
            "memory=512m,pids=none",
            "--limit",
            "cpu=50%",
            "limconf",
        ])
        .ok()
        .out;
    assert!(
        said.contains("Successfully set limit memory to 512m for limconf"),
        "{said}"
    );
    assert!(
        said.contains("Successfully removed limit pids for limconf"),
        "{said}"
    );
    assert_eq!(limits(), "LIMITS\nmemory=512m,cpu=50%\n");
    assert_eq!(jail.sh("echo runs"), "runs");
    let json = site.qjail(&["list", "limconf", "--json"]).ok().out;
    assert!(
        json.contains(r#""limits":{"cpu":"50%","memory":"512m"}"#),
        "{json}"
    );
}

#[test]
fn bad_limits_are_refused_and_nothing_changes() {
    let site = Site::shared();
    let _jail = Jail::new("limbad", &[]);
    let _ = site.qjail(&["stop", "limbad"]).ok();
    let definition = || std::fs::read_to_string(site.definition("limbad")).unwrap();
    let before = definition();
    for (limit, why) in [
        ("memory=lots", "at least 4m"),
        ("memory=1k", "at least 4m"),
        ("disk=1g", "there is no limit `disk`"),
        ("pids=0", "from 4"),
        ("cpu=0%", "from 1%"),
        ("memory", "NAME=VALUE"),
    ] {
        site.qjail(&["config", "--limit", limit, "limbad"])
            .refused(2, why);
        site.qjail(&["create", "--limit", limit, "limnew"])
            .refused(2, why);
    }
    site.qjail(&["config", "--limit", "pids=9", "--limit", "pids=10", "limbad"])
        .refused(2, "both change the limit pids");
    for (list, why) in [
        ("4097", "there is no processor 4097"),
        ("1-0", "not a list of processors"),
        ("0;1", "not a list of processors"),
    ] {
        site.qjail(&["config", "-p", list, "limbad"]).refused(1, why);
    }
    assert_eq!(definition(), before);
    assert!(!site.definition("limnew").exists());
}

#[test]
fn no_group_is_left_of_a_jail_that_was_limited() {
    let site = Site::shared();
    {
        let jail = Jail::new("limgone", &["--limit", "memory=64m,pids=30,cpu=90%"]);
        assert!(!groups(site).is_empty());
        assert_eq!(jail.sh("echo x"), "x");
    }
    assert_eq!(groups(site), "");
}

fn groups(site: &Site) -> String {
    sh(
        "find /sys/fs/cgroup -maxdepth 4 -type d -name 'limgone-*'",
        &site.root,
    )
    .out
}

#[test]
fn what_jails_use_is_shown() {
    let site = Site::from_host();
    for name in ["busy", "calm", "off"] {
        let _ = site
            .qjail(&["create", "--limit", "memory=256m,pids=40", name])
            .ok();
    }
    let _ = site.qjail(&["start", "busy", "calm"]).ok();
    let _ = site.inside("busy", "(while :; do :; done) >/dev/null 2>&1 </dev/null &");
    let top = site.qjail(&["top", "--json"]).ok().out;
    let top: serde_json::Value = serde_json::from_str(&top).unwrap();
    let names: Vec<_> = top
        .as_array()
        .unwrap()
        .iter()
        .map(|j| j["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["busy", "calm"],
        "the busiest first, none that does not run"
    );
    assert!(top[0]["cpu_percent"].as_f64().unwrap() > 5.0, "{top}");
    assert!(top[1]["cpu_percent"].as_f64().unwrap() < 5.0, "{top}");
    for jail in top.as_array().unwrap() {
        assert!(jail["memory"].as_u64().unwrap() > 0 && jail["memory"].as_u64().unwrap() < 256 << 20);
        assert!((1..40).contains(&jail["pids"].as_u64().unwrap()), "{jail}");
    }
    let table = site.qjail(&["top"]).ok().out;
    assert!(table.starts_with("NAME  CPU"), "{table}");
    assert!(
        table.contains("/256m") && table.contains("/40"),
        "limits stand beside: {table}"
    );
    let list = site.qjail(&["list", "-o", "name,cpu,mem,pids"]).ok().out;
    let off = list.lines().find(|l| l.starts_with("off")).unwrap();
    assert_eq!(off.split_whitespace().collect::<Vec<_>>(), ["off", "-", "-", "-"]);
    let _ = site.qjail(&["stop", "--force"]).ok();
}
