//! On the real kernel; needs root. What needs a program that is its own helper is tested in `tests/`.

use super::*;

#[test]
fn nothing_runs_in_a_fresh_directory() {
    let dir = tempfile::tempdir().unwrap();
    let linux = Linux::new(dir.path());
    assert!(linux.running().unwrap().is_empty());
    assert!(linux.find("jail1").unwrap().is_none());
    let error = linux.exec("jail1", &ExecSpec::default()).unwrap_err();
    assert_eq!(error.to_string(), "enter jail1: it is not running");
    assert_eq!(error.hint.as_deref(), Some("qjail start jail1"));
}

#[test]
fn what_this_machine_has_is_not_missing() {
    let dir = tempfile::tempdir().unwrap();
    let linux = Linux::new(dir.path());
    for need in [Need::Files, Need::Jails, Need::Network] {
        assert_eq!(linux.missing(need), []);
    }
}

#[test]
fn there_is_no_rc_conf() {
    let linux = Linux::new(Path::new("/none"));
    assert!(linux.rc_value("hostname").is_err());
    assert!(linux.rc_conf("hostname", &RcChange::Unset).is_err());
}
