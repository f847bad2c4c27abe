//! The log of commands: what is in it, who wrote it, and what is not.

use qjail_tests::Site;
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_changes_something_is_logged_when_the_log_is_on() {
    let site = Site::from_host();
    let file = site.root.join("var/log/qjail.log");
    let _ = site.qjail(&["create", "a"]).ok();
    let off = site.qjail(&["logmsg", "hello"]).refused(1, "the log is off");
    assert!(off.err.contains("hint: qjail log --on"), "{off:#?}");
    let shown = site.qjail(&["log"]).ok();
    assert_eq!(shown.out, "");
    assert!(shown.err.contains("the log is off"), "{shown:#?}");
    let _ = site.qjail(&["log", "--on", "--dry-run"]).ok();
    assert!(!file.exists(), "the log is off");

    let _ = site.qjail(&["log", "--on"]).ok();
    let _ = site.qjail(&["list"]).ok();
    let _ = site.qjail(&["create", "b", "--dry-run"]).ok();
    let _ = site.qjail(&["create", "b"]).ok();
    let _ = site.qjail(&["create", "b"]).refused(1, "already exists");
    let _ = site
        .qjail(&["logmsg", "two words", "x\n202611232051.07*root*forged"])
        .ok();
    let _ = site.qjail(&["logmsg", " "]).refused(2, "the text is empty");
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].ends_with("log --on: ok"), "{text}");
    assert!(lines[1].ends_with("create b: ok"), "{text}");
    assert!(
        lines[2].contains("create b: failed: ") && lines[2].contains("already exists"),
        "{text}"
    );
    assert!(
        lines[3].ends_with("two words x\\n202611232051.07*root*forged"),
        "{text}"
    );
    for line in &lines {
        let stamp = line.split('*').next().unwrap();
        assert!(
            stamp.len() == 15
                && stamp.bytes().enumerate().all(|(i, b)| if i == 12 {
                    b == b'.'
                } else {
                    b.is_ascii_digit()
                }),
            "{line}"
        );
    }
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let last = site.qjail(&["log", "-n", "1"]).ok().out;
    assert!(last.lines().count() == 1 && last.contains("two words"), "{last}");
    let json = site.qjail(&["log", "-n", "2", "--json"]).ok().out;
    assert!(json.starts_with("[{") && json.contains("\"text\""), "{json}");
    let _ = site.qjail(&["log", "--on", "--off"]).refused(2, "--off");

    let _ = site.qjail(&["log", "--off"]).ok();
    let _ = site.qjail(&["delete", "b"]).ok();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().last().unwrap().ends_with("log --off: ok"), "{text}");
}

#[test]
fn a_log_that_can_not_be_written_is_said_and_stops_nothing() {
    let site = Site::from_host();
    let file = site.root.join("var/log/qjail.log");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
    let before = std::fs::read("/etc/hostname").unwrap();
    let ran = site.qjail(&["log", "--on"]).ok();
    assert!(ran.err.contains("the command is not in the log"), "{ran:#?}");
    let _ = site.qjail(&["create", "a"]).ok();
    assert_eq!(
        std::fs::read("/etc/hostname").unwrap(),
        before,
        "no link is followed"
    );
}

#[test]
fn install_switches_the_log_on() {
    let site = Site::from_host();
    let _ = site.qjail(&["install", "--from-host", "-l", "--dry-run"]).ok();
    assert!(
        !site.root.join("var/log/qjail.log").exists(),
        "nothing is changed"
    );
    let _ = site.qjail(&["install", "--from-host", "-l"]).ok();
    let log = site.qjail(&["log"]).ok().out;
    assert!(log.contains("install --from-host -l: ok"), "{log}");
}

#[test]
fn update_switches_the_log() {
    let site = Site::from_host();
    for (args, says) in [
        (&["update"] as &[&str], "--log <on|off>"),
        (&["update", "-l"], "--log"),
        (&["update", "-l", "yes"], "invalid value 'yes'"),
    ] {
        let _ = site.qjail(args).refused(2, says);
    }
    assert_eq!(site.qjail(&["update", "-l", "on"]).ok().out, "The log is on.\n");
    let _ = site.qjail(&["update", "-l", "off", "--dry-run"]).ok();
    let _ = site.qjail(&["create", "a"]).ok();
    let _ = site.qjail(&["config", "-d", "a"]).ok();
    let _ = site.qjail(&["update", "--log", "off"]).ok();
    let _ = site.qjail(&["delete", "a"]).ok();
    let log = site.qjail(&["log"]).ok().out;
    let said: Vec<&str> = log.lines().filter_map(|l| l.splitn(3, ' ').nth(2)).collect();
    assert_eq!(
        said,
        ["update -l on: ok", "create a: ok", "update --log off: ok"],
        "{log}"
    );
}
