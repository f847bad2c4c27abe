//! The rc.d(8) script, run by this system's sh with a stand-in for FreeBSD's rc.subr(8).

use std::path::PathBuf;
use std::process::Command;

use crate::run::top;

/// What the script needs of rc.subr(8), in the words of its manual: `run_rc_command` calls `ARGUMENT_cmd` where `rcvar` is
/// on, `restart` is stop and start, and unknown words end with 1.
const RC_SUBR: &str = r#"
load_rc_config() { qjail_enable="${TEST_ENABLE-}"; }
run_rc_command() {
	case "$1" in
	one*) action="${1#one}"; force=yes ;;
	*) action="$1"; force= ;;
	esac
	eval value=\$$rcvar
	case "$action" in
	start|stop|status|restart) ;;
	*) echo "unknown directive '$action'." >&2; return 1 ;;
	esac
	if [ "$value" != YES ] && [ -z "$force" ]; then
		echo "Cannot '$action' $name. Set $rcvar to YES" >&2
		return 1
	fi
	if [ "$action" = restart ]; then
		$stop_cmd && $start_cmd
	else
		eval \$${action}_cmd
	fi
}
"#;

struct Stage {
    dir: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("qjail-rc-{name}-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("sbin")).unwrap();
        let script = std::fs::read_to_string(top().join("packaging/freebsd/files/qjail.in")).unwrap();
        let script = script
            .replace("%%PREFIX%%", dir.to_str().unwrap())
            .replace("/etc/rc.subr", dir.join("rc.subr").to_str().unwrap());
        std::fs::write(dir.join("qjail"), script).unwrap();
        std::fs::write(dir.join("rc.subr"), RC_SUBR).unwrap();
        let program = "#!/bin/sh\necho \"qjail $*\"\ncase \"$*\" in *fails*) exit 1;; esac\n";
        super::tree::write(&dir.join("sbin/qjail"), program, 0o755).unwrap();
        Self { dir }
    }

    /// What the program is called with, and the script's exit status.
    fn service(&self, enable: &str, args: &[&str]) -> (String, Option<i32>) {
        let output = Command::new("sh")
            .arg(self.dir.join("qjail"))
            .args(args)
            .env("TEST_ENABLE", enable)
            .output()
            .unwrap();
        (
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned(),
            output.status.code(),
        )
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn the_host_starts_and_stops_all_jails() {
    let stage = Stage::new("all");
    let yes = |args: &[&str]| stage.service("YES", args);
    assert_eq!(yes(&["start"]), ("qjail boot".to_owned(), Some(0)));
    assert_eq!(yes(&["stop"]), ("qjail shutdown".to_owned(), Some(0)));
    assert_eq!(yes(&["status"]), ("qjail list --all-zones".to_owned(), Some(0)));
    assert_eq!(
        yes(&["restart"]),
        ("qjail shutdown\nqjail boot".to_owned(), Some(0))
    );
    assert_eq!(yes(&["nonsense"]), (String::new(), Some(1)));
}

#[test]
fn names_mean_those_jails_only() {
    let stage = Stage::new("names");
    let yes = |args: &[&str]| stage.service("YES", args);
    assert_eq!(
        yes(&["start", "jail1", "web="]),
        ("qjail start jail1 web=".to_owned(), Some(0))
    );
    assert_eq!(
        yes(&["restart", "jail1"]),
        ("qjail stop jail1\nqjail start jail1".to_owned(), Some(0))
    );
    assert_eq!(
        yes(&["status", "jail1"]),
        ("qjail list jail1".to_owned(), Some(0))
    );
    assert_eq!(
        yes(&["start", "fails"]).1,
        Some(1),
        "a failure is the script's status too"
    );
}

#[test]
fn nothing_is_done_unless_it_is_enabled() {
    let stage = Stage::new("off");
    for off in ["", "NO"] {
        assert_eq!(stage.service(off, &["start"]), (String::new(), Some(1)));
        assert_eq!(
            stage.service(off, &["onestart"]),
            ("qjail boot".to_owned(), Some(0))
        );
    }
}

#[test]
fn its_place_in_the_order_of_rc_is_said() {
    let script = std::fs::read_to_string(top().join("packaging/freebsd/files/qjail.in")).unwrap();
    for line in [
        "# PROVIDE: qjail",
        "# REQUIRE: LOGIN FILESYSTEMS cleanvar",
        "# BEFORE: securelevel",
        "# KEYWORD: nojail shutdown",
    ] {
        assert!(script.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn the_port_offers_every_plugin() {
    let makefile = std::fs::read_to_string(top().join("packaging/freebsd/Makefile")).unwrap();
    let value = |key: &str| -> Vec<String> {
        let line = makefile
            .lines()
            .find(|l| l.starts_with(&format!("{key}=")))
            .unwrap();
        let words = line.split_once('=').unwrap().1.split_whitespace();
        words.map(str::to_ascii_lowercase).collect()
    };
    let mut plugins = crate::run::PLUGINS.map(str::to_owned).to_vec();
    plugins.sort();
    let sorted = |mut words: Vec<String>| {
        words.retain(|w| w != "dynamic" && w != "docs");
        words.sort();
        words
    };
    for key in ["OPTIONS_DEFINE", "OPTIONS_DEFAULT", "PLUGINS"] {
        assert_eq!(sorted(value(key)), plugins, "{key}");
    }
    for plugin in &plugins {
        let line = format!("{}_VARS=\tCARGO_FEATURES+={plugin}", plugin.to_uppercase());
        assert!(makefile.lines().any(|l| l == line), "{line}");
    }
}
