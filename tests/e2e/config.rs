//! `config`: every option of the core, several at once, restarts, refusals.

use qjail_tests::{Site, same};

fn definition(site: &Site, jail: &str) -> String {
    std::fs::read_to_string(site.definition(jail)).unwrap()
}

#[test]
fn switches_and_parameters_are_kept_and_taken_back() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let fresh = definition(&site, "a");
    for (on, off, line, says_on, says_off) in [
        (
            "-m",
            "-M",
            "manual = true",
            "Successful set manual status on a",
            "Successful set manual status off a",
        ),
        (
            "-r",
            "-R",
            "norun = true",
            "Successful set norun status a",
            "Successful removed norun status a",
        ),
        (
            "-k",
            "-K",
            "\"allow.raw_sockets\" = true",
            "Successfully enabled allow.raw_sockets for a",
            "Successfully disabled allow.raw_sockets for a",
        ),
    ] {
        assert_eq!(site.qjail(&["config", on, "a"]).ok().out.trim_end(), says_on);
        assert!(definition(&site, "a").contains(line));
        let again = site.qjail(&["config", on, "a"]).ok();
        assert!(again.out.starts_with("Already set to "), "{again:#?}");
        assert_eq!(site.qjail(&["config", off, "a"]).ok().out.trim_end(), says_off);
        assert_eq!(definition(&site, "a"), fresh, "{on} {off}");
        let again = site.qjail(&["config", off, "a"]).ok();
        assert!(again.out.starts_with("Already set to "), "{again:#?}");
    }
    // At their harmless values the options of FreeBSD are taken on Linux as well.
    let _ = site
        .qjail(&[
            "config",
            "-s",
            "-1",
            "-f",
            "0",
            "-b",
            "5",
            "--param",
            "exec.timeout=9",
            "a",
        ])
        .ok();
    let text = definition(&site, "a");
    for line in [
        "securelevel = \"-1\"",
        "\"exec.fib\" = \"0\"",
        "devfs_ruleset = \"5\"",
        "\"exec.timeout\" = \"9\"",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let _ = site
        .qjail(&[
            "config",
            "-B",
            "--unset",
            "securelevel",
            "--unset",
            "exec.fib",
            "--unset",
            "exec.timeout",
            "-p",
            "null",
            "a",
        ])
        .ok();
    assert_eq!(definition(&site, "a"), fresh);
    let negated = site
        .qjail(&["config", "--param", "allow.noset_hostname", "a"])
        .ok();
    assert!(
        negated.out.contains("disabled allow.set_hostname"),
        "{negated:#?}"
    );
    assert!(definition(&site, "a").contains("\"allow.set_hostname\" = false"));
    // The default of that one is on.
    let unset = site.qjail(&["config", "--unset", "allow.set_hostname", "a"]).ok();
    assert_eq!(
        unset.out,
        "Successfully set allow.set_hostname to its default for a\n"
    );
}

#[test]
fn several_options_and_jails_in_one_call() {
    let site = Site::from_host();
    for name in ["web1", "web2", "db"] {
        let _ = site.qjail(&["create", name]).ok();
    }
    let both = site.qjail(&["config", "-m", "-k", "web=", "nosuch", "db"]);
    assert_eq!(both.code, 1, "one of them does not exist: {both:#?}");
    assert!(
        both.err.contains("Jail doesn't exist. nosuch") && both.err.contains("hint: "),
        "{both:#?}"
    );
    for name in ["web1", "web2", "db"] {
        assert!(
            both.out
                .contains(&format!("Successful set manual status on {name}\n")),
            "{both:#?}"
        );
        assert!(definition(&site, name).contains("allow.raw_sockets"), "{name}");
    }
    let all = site.qjail(&["config", "-A", "-M", "--json"]).ok();
    assert_eq!(all.out.lines().count(), 3);
    assert!(
        all.out
            .lines()
            .all(|l| l.starts_with('{') && l.contains("\"jail\":")),
        "{all:#?}"
    );
    // All is checked before anything is applied, and each plan is only shown.
    let before = site.picture();
    let refused = site
        .qjail(&["config", "-m", "-s", "2", "-l", "db"])
        .refused(1, "securelevel");
    assert!(
        refused.err.contains("config -l db: parameter allow.mount.nullfs"),
        "{refused:#?}"
    );
    let plan = site.qjail(&["config", "-m", "-n", "sql", "--dry-run", "db"]).ok();
    assert!(plan.out.contains("rename jails:/db to jails:/sql"), "{plan:#?}");
    same(&site.picture(), &before, "refused and dry");
}

#[test]
fn the_definition_is_shown() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "--param", "stop.timeout=3", "a"]).ok();
    let text = site.qjail(&["config", "-d", "a"]).ok().out;
    assert!(
        text.contains("\"stop.timeout\" = \"3\"") && text.contains("format = 1"),
        "{text}"
    );
    let json = site.qjail(&["config", "--display", "--json", "a"]).ok().out;
    assert!(
        json.contains("\"stop.timeout\":\"3\"") && json.contains("\"name\":\"a\""),
        "{json}"
    );
}

#[test]
fn refusals_change_nothing() {
    let site = Site::from_host();
    for name in ["a", "b"] {
        let _ = site.qjail(&["create", name]).ok();
    }
    let before = site.picture();
    for (args, code, says) in [
        (&["config", "a"] as &[&str], 2, "nothing to change"),
        (&["config", "-m"], 2, "name the jails"),
        (&["config", "-A", "-m", "a"], 2, "--all"),
        (&["config", "-m", "-M", "a"], 2, "--no-manual"),
        (&["config", "-k", "-K", "a"], 2, "--no-raw-sockets"),
        (&["config", "-b", "5", "-B", "a"], 2, "--no-devfs-ruleset"),
        (
            &["config", "-k", "--unset", "allow.raw_sockets", "a"],
            2,
            "both change allow.raw_sockets",
        ),
        (&["config", "-d", "-m", "a"], 2, "--display"),
        (&["config", "-s", "4", "a"], 2, "'4'"),
        (&["config", "-s", "-2", "a"], 2, "'-2'"),
        (&["config", "-f", "x", "a"], 2, "'x'"),
        (&["config", "-f", "2", "a"], 1, "config -f a: parameter exec.fib"),
        (
            &["config", "-s", "1", "a"],
            1,
            "config -s a: parameter securelevel",
        ),
        (
            &["config", "-b", "70", "a"],
            1,
            "config -b a: parameter devfs_ruleset",
        ),
        (
            &["config", "-l", "a"],
            1,
            "config -l a: parameter allow.mount.nullfs",
        ),
        (
            &["config", "-t", "a"],
            1,
            "config -t a: parameter allow.mount.tmpfs",
        ),
        (
            &["config", "-x", "a"],
            1,
            "config -x a: parameter allow.mount.zfs",
        ),
        (&["config", "-q", "a"], 1, "config -q a: parameter allow.quotas"),
        (
            &["config", "--param", "sekurelevel=1", "a"],
            2,
            "there is securelevel",
        ),
        (
            &["config", "--param", "frobnicate=1", "a"],
            2,
            "no parameter frobnicate",
        ),
        (
            &["config", "--param", "frobnicate=1", "--force-param", "a"],
            1,
            "not known on Linux",
        ),
        (&["config", "--param", "securelevel=9", "a"], 2, "from -1 to 3"),
        (&["config", "--param", "path=/", "a"], 2, "path can not be set"),
        (&["config", "--param", "a b=1", "a"], 2, "a b"),
        (
            &["config", "--param", "persist", "--param", "persist=0", "a"],
            2,
            "given twice",
        ),
        (&["config", "--force-param", "-m", "a"], 2, "--param"),
        (&["config", "-n", "b", "a"], 1, "Jailname already exists. b"),
        (&["config", "-n", "c", "a", "b"], 2, "two jails"),
        (&["config", "-n", "c", "-A"], 2, "--all"),
        (&["config", "-n", "template", "a"], 2, "reserved"),
        (&["config", "-n", "7", "a"], 2, "jail id"),
        (&["config", "-n", "c", "nosuch"], 1, "Jail doesn't exist. nosuch"),
        (&["config", "-m", "x="], 1, "No match for group prefix. x"),
        (&["-z", "nosuch", "config", "-m", "a"], 1, "Un-known zone"),
        (&["help", "params", "sekurelevel"], 2, "there is securelevel"),
    ] {
        let ran = site.qjail(args).refused(code, says);
        assert!(ran.err.contains("hint: "), "{ran:#?}");
        same(&site.picture(), &before, &format!("{args:?}"));
    }
}

#[test]
fn what_somebody_wrote_into_a_definition_is_no_hindrance() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let text = definition(&site, "a") + "\n[params]\nfrobnicate = \"1\"\n";
    std::fs::write(site.definition("a"), text).unwrap();
    let _ = site.qjail(&["config", "-m", "a"]).ok();
    let _ = site.qjail(&["list", "a"]).ok();
    assert!(definition(&site, "a").contains("frobnicate"));
    let _ = site.qjail(&["config", "--unset", "frobnicate", "a"]).ok();
    let _ = site.qjail(&["start", "a"]).ok();
}

#[test]
fn a_running_jail_is_passed_over_or_restarted() {
    let site = Site::from_host();
    for name in ["a", "b"] {
        let _ = site.qjail(&["create", name]).ok();
    }
    let _ = site.qjail(&["start", "a"]).ok();
    let before = site.picture();
    let refused = site
        .qjail(&["config", "-m", "a"])
        .refused(1, "Bypassed running jail a");
    assert!(
        refused.err.contains("hint: ") && refused.err.contains("--restart"),
        "{refused:#?}"
    );
    // A change that is refused stops nothing.
    let jid = |site: &Site| site.qjail(&["list", "-o", "jid", "a"]).ok().out;
    let first = jid(&site);
    let _ = site
        .qjail(&["config", "-s", "2", "--restart", "a"])
        .refused(1, "securelevel");
    let dry = site.qjail(&["config", "-k", "--restart", "--dry-run", "a"]).ok();
    for title in ["Plan of stop a", "Plan of config a", "Plan of start a"] {
        assert!(dry.out.contains(title), "{dry:#?}");
    }
    assert_eq!(jid(&site), first);
    same(&site.picture(), &before, "refused");
    let both = site.qjail(&["config", "-k", "--restart", "a", "b"]).ok();
    assert_eq!(both.out.lines().count(), 2, "{both:#?}");
    assert_ne!(jid(&site), first, "it was restarted");
    let states = site.qjail(&["list", "-o", "name,status"]).ok().out;
    assert!(
        states.contains("a     DR\n") && states.contains("b     DS\n"),
        "{states}"
    );
    // Nothing to change is no reason to stop anything.
    let second = jid(&site);
    let _ = site.qjail(&["config", "-k", "--restart", "a"]).ok();
    assert_eq!(jid(&site), second);
    let _ = site.qjail(&["stop"]).ok();
    site.assert_no_trace();
}

#[test]
fn raw_sockets_decide_about_ping() {
    let site = Site::shared();
    let (address, bridge) = (site.address(60), site.bridge());
    let _ = site
        .qjail(&["create", "-n", &bridge, "-4", &address, "pinger"])
        .ok();
    let _ = site.qjail(&["start", "pinger"]).ok();
    let ping = [
        "exec",
        "pinger",
        "--",
        "ping",
        "-c",
        "1",
        "-W",
        "2",
        &site.address(1),
    ];
    assert_ne!(site.qjail(&ping).code, 0, "without raw sockets");
    let _ = site.qjail(&["config", "-k", "--restart", "pinger"]).ok();
    let works = site.qjail(&ping).ok();
    assert!(works.out.contains("1 received"), "{works:#?}");
    let _ = site.qjail(&["config", "-K", "--restart", "pinger"]).ok();
    assert_ne!(site.qjail(&ping).code, 0, "switched off again");
    let _ = site.qjail(&["stop", "pinger"]).ok();
    let _ = site.qjail(&["delete", "pinger"]).ok();
}

#[test]
fn the_parameters_are_explained() {
    let site = Site::empty();
    let all = site.qjail(&["help", "params"]).ok().out;
    assert!(
        all.contains("securelevel") && all.contains("number from -1 to 3") && all.contains("zfs.dataset")
    );
    let one = site.qjail(&["help", "params", "allow.noraw_sockets"]).ok().out;
    assert!(
        one.starts_with("allow.raw_sockets  (switch;") && one.contains("ping(8)"),
        "{one}"
    );
    let json = site.qjail(&["help", "params", "path", "--json"]).ok().out;
    assert!(json.contains("\"type\":\"not to be set\""), "{json}");
    let help = site.qjail(&["help", "config"]).ok().out;
    for letter in "A d n m M r R b B f k K l L t T x X q Q s p".split(' ') {
        assert!(
            help.contains(&format!("  -{letter}, --")),
            "-{letter} is not explained:\n{help}"
        );
    }
    for long in ["--param", "--unset", "--force-param", "--restart"] {
        assert!(help.contains(long), "{long}");
    }
}

#[test]
fn jails_can_be_made_to_wait_for_each_other() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "db"]).ok();
    let _ = site
        .qjail(&["create", "--param", "depend=nosuch", "web"])
        .refused(1, "nosuch");
    let _ = site.qjail(&["create", "--param", "depend=db", "app"]).ok();
    assert!(definition(&site, "app").contains("depend = [\"db\"]"));
    let _ = site
        .qjail(&["config", "--param", "depend=app", "db"])
        .refused(1, "app depends on db already");
    let _ = site
        .qjail(&["config", "--param", "depend=db", "db"])
        .refused(1, "a jail can not wait for itself");
    let _ = site
        .qjail(&["config", "--param", "depend=nosuch", "db"])
        .refused(1, "nosuch");
    let started = site.qjail(&["start"]).ok().out;
    assert!(
        started.find("started  db") < started.find("started  app"),
        "{started}"
    );
    let _ = site.qjail(&["stop"]).ok();
    let _ = site.qjail(&["config", "--unset", "depend", "app"]).ok();
    assert!(!definition(&site, "app").contains("depend"));
    let twice = site.qjail(&["config", "--param", "depend=db,db", "app"]).ok();
    assert_eq!(twice.out, "Successfully set depend to db for app\n");
}

/// Whoever reads the end knows how things are: the change stands, or the jail is meant to stay down.
#[test]
fn a_restart_that_ends_with_a_stopped_jail_says_so() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "--start", "a"]).ok();
    let broken = site
        .qjail(&["config", "--restart", "--param", "exec.start=/nonexistent", "a"])
        .refused(1, "config a: the change is made, and the jail is stopped");
    assert!(broken.err.contains("hint: take the change back"), "{broken:#?}");
    let _ = site.qjail(&["config", "--unset", "exec.start", "a"]).ok();
    let _ = site.qjail(&["start", "a"]).ok();
    let down = site.qjail(&["config", "--restart", "-r", "a"]).ok();
    assert!(
        down.out.contains("norun status") && down.out.lines().count() == 2,
        "{down:#?}"
    );
    assert!(
        site.qjail(&["list", "--running"])
            .ok()
            .out
            .lines()
            .all(|l| !l.ends_with(" a"))
    );
}

#[test]
fn an_argument_with_control_characters_is_told_on_one_line() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "a"]).ok();
    let refused = site
        .qjail(&["config", "--param", "exec.poststart=a\nb\u{1b}[2J", "a"])
        .refused(2, "control character");
    assert_eq!(refused.err.lines().count(), 2, "{refused:#?}");
    assert!(
        refused.err.contains("exec.poststart=a\\nb\\u{1b}[2J"),
        "{refused:#?}"
    );
    assert!(!refused.err.contains('\u{1b}'), "{refused:#?}");
    for args in [
        &["config", "-4", "1\n2", "a"] as &[&str],
        &["config", "-w", "x\u{1b}y", "a"],
        &["li\nst"],
    ] {
        let refused = site.qjail(args).refused(2, "qjail: ");
        assert_eq!(refused.err.lines().count(), 2, "{refused:#?}");
        assert!(!refused.err.contains('\u{1b}'), "{refused:#?}");
    }
}
