//! Files that are no plugins, made by the C compiler or by nobody.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Drive, EVIL, install, trusted_dir};

fn compile(dir: &Path, name: &str, source: &str) {
    let from = dir.join("source.c");
    fs::write(&from, source).unwrap();
    let to = dir.join(name);
    let out = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&to)
        .arg(&from)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    crate::support::set_mode(&to, 0o644);
    fs::remove_file(from).unwrap();
}

/// A magic function for a plugin named `c`, which returns these bytes.
fn magic(len: u32, magic: &str, major: u32) -> String {
    format!(
        "struct m {{ unsigned len; char magic[12]; unsigned major, minor; char rest[64]; }};
         static const struct m block = {{ {len}, {{ {} }}, {major}, 0, {{ 0 }} }};
         const struct m *qjail_magic_qjail_plugin_c(void) {{ return &block; }}",
        magic.bytes().map(|b| b.to_string()).collect::<Vec<_>>().join(",")
    )
}

fn refusal(make: impl FnOnce(&Path)) -> String {
    let dir = trusted_dir();
    make(dir.path());
    let mut lines = Drive::new(dir.path()).run(&[]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0).replace(dir.path().to_str().unwrap(), "DIR")
}

#[test]
fn objects_with_other_magic() {
    let c = "libqjail_plugin_c.so";
    let no_plugin = "refused c: DIR/libqjail_plugin_c.so is no qjail plugin: it has no valid qjail_magic_qjail_plugin_c \
                     [remove it from the plugin directory; a plugin's file keeps its name]";
    assert_eq!(
        refusal(|d| compile(d, c, "int nothing(void) { return 0; }")),
        no_plugin
    );
    assert_eq!(
        refusal(|d| compile(d, c, &magic(88, "PostgreSQL!!", 1))),
        no_plugin
    );
    assert_eq!(
        refusal(|d| compile(d, c, &magic(20, "qjail plugin", 1))),
        no_plugin
    );
    assert_eq!(
        refusal(|d| compile(d, c, "void *qjail_magic_qjail_plugin_c(void) { return 0; }")),
        no_plugin
    );
    assert_eq!(
        refusal(|d| compile(d, c, &magic(88, "qjail plugin", 2))),
        "refused c: plugin c speaks plugin ABI 2, this qjail speaks 1 \
         [update qjail, or install the plugin's package for this version of qjail]"
    );
    let truncated = refusal(|d| compile(d, c, &magic(24, "qjail plugin", 1)));
    assert!(
        truncated.starts_with("refused c: plugin c was built for , this qjail for "),
        "{truncated}"
    );
}

#[test]
fn files_that_are_no_shared_objects() {
    let text = |content: &'static [u8]| {
        refusal(move |d| {
            fs::write(d.join("libqjail_plugin_c.so"), content).unwrap();
            crate::support::set_mode(&d.join("libqjail_plugin_c.so"), 0o644);
        })
    };
    for content in [&b""[..], b"just a text\n", b"\x7fELF", &[0x7f; 4096]] {
        let line = text(content);
        assert!(
            line.starts_with("refused c: DIR/libqjail_plugin_c.so is no shared object that can be loaded: "),
            "{line}"
        );
        assert!(!line.contains("/proc/self"), "{line}");
    }
}

#[test]
fn a_plugin_that_is_cut_anywhere_is_used_or_refused() {
    let dir = trusted_dir();
    let path = install(dir.path(), EVIL);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for length in (6..28).map(|bits| 1 << bits).filter(|n| *n < whole.len()) {
        fs::write(&path, &whole[..length]).unwrap();
        let lines = Drive::new(dir.path()).run(&[]);
        if lines[0].contains("is no shared object that can be loaded: the file is cut short [install") {
            refused += 1;
        } else {
            // What is missing is never loaded: debugging information.
            assert!(lines[0].starts_with("used evil"), "{length}: {lines:?}");
        }
    }
    assert!(refused >= 8, "{refused}");
}

#[test]
fn a_plugin_under_another_name_is_refused() {
    let line = refusal(|d| drop(install(d, "libqjail_plugin_good.so")));
    assert!(
        line.starts_with("refused good: DIR/libqjail_plugin_good.so is no qjail plugin"),
        "{line}"
    );
}

#[test]
fn one_bad_file_does_not_disturb_a_good_one() {
    let dir = trusted_dir();
    install(dir.path(), EVIL);
    compile(
        dir.path(),
        "libqjail_plugin_c.so",
        "int nothing(void) { return 0; }",
    );
    fs::write(dir.path().join("README"), "not looked at").unwrap();
    let lines = Drive::new(dir.path()).run(&["plan"]);
    assert!(lines[0].starts_with("used evil File("), "{lines:?}");
    assert!(lines[1].starts_with("refused c: "), "{lines:?}");
    assert!(lines[2].starts_with("plan {"), "{lines:?}");
}

#[test]
fn a_report_tells_how_far_a_file_gets() {
    let dir = trusted_dir();
    let path = install(dir.path(), EVIL);
    let report = |path: &Path, mood: &str| {
        let drive = Drive::default()
            .with("DRIVE_FILE", path.to_str().unwrap())
            .with("QJAIL_EVIL", mood);
        drive.run(&["check"])
    };
    let lines = report(&path, "");
    assert_eq!(lines[0], "check name: qjail_plugin_evil");
    assert_eq!(lines[1], "check place: only root can write it");
    assert!(
        lines[2].starts_with("check load: ABI 1.0, API 1.0.0, rustc 1."),
        "{lines:?}"
    );
    assert_eq!(lines[3], "check manifest: evil 0.1.0");
    assert_eq!(lines.last().unwrap(), "check ends true");

    let lines = report(&path, "future-api");
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("check api: NOT plugin evil wants plugin API ^9")),
        "{lines:?}"
    );
    assert_eq!(lines.last().unwrap(), "check ends false");
    let lines = report(&path, "claims-letter");
    assert!(
        lines
            .iter()
            .any(|l| l.starts_with("check claims: NOT plugin evil claims the option -f")),
        "{lines:?}"
    );

    let lines = report(Path::new("/etc/passwd"), "");
    assert!(
        lines[0].starts_with("check name: NOT /etc/passwd is not named like a plugin"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2);
    let lines = report(&dir.path().join("libqjail_plugin_none.so"), "");
    assert!(lines[1].contains("check place: NOT can not open"), "{lines:?}");
}
