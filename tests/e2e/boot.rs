//! `boot` and `shutdown`: what the host does with all jails when it starts and when it goes down.

use std::os::unix::process::CommandExt;

use qjail_tests::Site;

/// Puts a line into the definition of a jail.
fn define(site: &Site, jail: &str, line: &str) {
    let file = site.definition(jail);
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replacen("format = 1", &format!("format = 1\n{line}"), 1);
    std::fs::write(file, text).unwrap();
}

fn running(site: &Site, zone: &[&str]) -> Vec<String> {
    let args = [zone, &["list", "--running", "-o", "name"]].concat();
    let out = site.qjail(&args).ok().out;
    out.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn boot_starts_all_zones_in_order_and_shutdown_is_its_reverse() {
    let site = Site::from_host();
    let _ = site.qjail(&["-z", "web", "install", "--from-host"]).ok();
    for name in ["app", "db", "hand", "never"] {
        let _ = site.qjail(&["create", name]).ok();
    }
    let _ = site.qjail(&["-z", "web", "create", "front"]).ok();
    define(&site, "app", "depend = [\"db\"]");
    define(&site, "front", "depend = [\"app\"]");
    define(&site, "hand", "manual = true");
    define(&site, "never", "norun = true");

    let before = site.picture();
    let plan = site.qjail(&["boot", "--dry-run"]).ok().out;
    assert!(
        plan.find("db").unwrap() < plan.find("app").unwrap(),
        "what is needed comes first:\n{plan}"
    );
    assert!(plan.contains("Bypassed manual status hand"), "{plan}");
    qjail_tests::same(&site.picture(), &before, "after boot --dry-run");
    assert_eq!(running(&site, &[]), [""; 0]);

    let booted = site.qjail(&["boot", "--jobs", "4"]).ok();
    assert_eq!(
        booted.out.lines().collect::<Vec<_>>(),
        [
            "Bypassed manual status hand",
            "Bypassed norun status never",
            "Jail successfully started  db",
            "Jail successfully started  app",
            "Jail successfully started  front",
        ]
    );
    assert_eq!(running(&site, &[]), ["app", "db"]);
    assert_eq!(running(&site, &["-z", "web"]), ["front"]);
    let again = site.qjail(&["boot"]).ok().out;
    assert_eq!(again.matches("Jail already running.").count(), 3, "{again}");

    // A manual jail that was started by hand goes down with the others.
    let _ = site.qjail(&["start", "hand"]).ok();
    let down = site.qjail(&["shutdown", "--jobs", "1"]).ok();
    let order: Vec<_> = down.out.lines().collect();
    let at = |n: &str| {
        let line = format!("Jail successfully stopped  {n}");
        order.iter().position(|l| *l == line).expect(&down.out)
    };
    assert_eq!(order.len(), 4, "{down:?}");
    assert!(at("front") < at("app") && at("app") < at("db") && at("hand") < 4);
    site.assert_no_trace();
    assert_eq!(site.qjail(&["shutdown"]).ok().out, "");
}

#[test]
fn a_zone_can_be_booted_alone() {
    let site = Site::from_host();
    let _ = site.qjail(&["-z", "web", "install", "--from-host"]).ok();
    let _ = site.qjail(&["create", "plain"]).ok();
    let _ = site.qjail(&["-z", "web", "create", "front"]).ok();
    let booted = site.qjail(&["boot", "-z", "web"]).ok().out;
    assert_eq!(booted, "Jail successfully started  front\n");
    let _ = site.qjail(&["start", "plain"]).ok();
    let down = site.qjail(&["-z", "web", "shutdown"]).ok().out;
    assert_eq!(down, "Jail successfully stopped  front\n");
    assert_eq!(running(&site, &[]), ["plain"]);
}

#[test]
fn one_failure_stops_only_what_depends_on_it() {
    let site = Site::from_host();
    for name in ["good", "needs-broken", "needs-hand", "hand"] {
        let _ = site.qjail(&["create", name]).ok();
    }
    let _ = site
        .qjail(&["create", "--param", "exec.start=exit 7", "broken"])
        .ok();
    define(&site, "needs-broken", "depend = [\"broken\"]");
    define(&site, "needs-hand", "depend = [\"hand\"]");
    define(&site, "hand", "manual = true");
    std::fs::write(site.definition("typo"), "format = 1\nmanuel = true\n").unwrap();

    let booted = site.qjail(&["boot"]).refused(1, "start broken: ");
    assert!(
        booted.out.contains("Jail successfully started  good\n"),
        "{booted:#?}"
    );
    for what in [
        "start needs-broken: a jail that it depends on has not started",
        "start needs-hand: a jail that it depends on has not started",
        "typo.toml: line 2, column 1",
    ] {
        assert!(booted.err.contains(what), "{what}: {booted:#?}");
    }
    assert_eq!(running(&site, &[]), ["good"]);
    // Where the administrator has started the manual one, what depends on it can start.
    let _ = site.qjail(&["start", "hand"]).ok();
    let again = site.qjail(&["boot"]).refused(1, "start broken: ");
    assert!(
        again.out.contains("Jail successfully started  needs-hand\n"),
        "{again:#?}"
    );
    // A definition that broke while its jail ran is in nobody's way.
    std::fs::write(site.definition("good"), "format = 1\nmanuel = true\n").unwrap();
    let down = site.qjail(&["shutdown"]).ok();
    assert_eq!(
        down.out.matches("Jail successfully stopped").count(),
        3,
        "{down:#?}"
    );
    site.assert_no_trace();
    std::fs::remove_file(site.definition("typo")).unwrap();
    std::fs::remove_file(site.definition("good")).unwrap();
}

#[test]
fn what_a_power_failure_cut_off_is_ended_first() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "one"]).ok();
    // A command that is killed with its jail half made, as the power would.
    let mut command = site.command(&["create", "half"]);
    let mut child = command.process_group(0).spawn().unwrap();
    let journal = site.root.join("var/lib/qjail/state/journal");
    let files = || -> Vec<String> {
        let entries = std::fs::read_dir(&journal).into_iter().flatten().flatten();
        entries.map(|e| e.file_name().into_string().unwrap()).collect()
    };
    while !site.jails().join(".new.half").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    let _ = child.kill();
    let _ = child.wait();
    // And one that was killed before its journal was complete.
    std::fs::write(journal.join(".jail.other.1.jsonl.new"), "{\"title\":").unwrap();
    let booted = site.qjail(&["boot", "--jobs", "1"]);
    assert!(
        booted.out.contains("Jail successfully started  one\n"),
        "{booted:#?}"
    );
    assert!(booted.err.contains("half`, which was interrupted"), "{booted:#?}");
    assert_eq!(files(), [""; 0], "{booted:#?}");
    let _ = site.qjail(&["shutdown"]).ok();
    let left: Vec<String> = site
        .picture()
        .into_iter()
        .filter(|l| l.contains("half"))
        .collect();
    assert_eq!(left, [""; 0], "nothing is left of what was being made");
}

#[test]
fn they_take_no_names() {
    let site = Site::empty();
    for command in ["boot", "shutdown"] {
        let refused = site.qjail(&[command, "jail1"]).refused(2, "jail1");
        assert!(refused.err.contains("hint: "), "{refused:?}");
        assert_eq!(site.qjail(&[command]).ok().out, "");
    }
}
