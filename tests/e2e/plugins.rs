//! Plugins as a user meets them: listed, checked, refused; and one that means harm.

use std::os::unix::fs::PermissionsExt;

use qjail_tests::{Site, evil_plugin, plugins_are_shared, sh};

#[test]
fn plugins_lists_where_each_came_from() {
    let site = Site::from_host();
    let shown = site.qjail(&["plugins"]).ok().out;
    for name in ["base", "net"] {
        let line = shown.lines().find(|l| l.starts_with(name)).expect(&shown);
        let origin = if plugins_are_shared() {
            "/usr/lib/qjail/plugins/"
        } else {
            "built in"
        };
        assert!(line.contains(origin), "{line}");
    }
    let json: serde_json::Value = serde_json::from_str(&site.qjail(&["--json", "plugins"]).ok().out).unwrap();
    assert!(json.is_array(), "{json}");
}

#[test]
fn check_tells_why_a_file_would_be_refused() {
    let site = Site::empty();
    let dir = site.plugin_dir();
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("libqjail_plugin_evil.so");
    std::fs::copy(evil_plugin(), &file).unwrap();
    let good = site.qjail(&["plugins", "check", file.to_str().unwrap()]).ok();
    assert!(good.out.contains("evil"), "{good:#?}");

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let open = site.qjail(&["plugins", "check", file.to_str().unwrap()]);
    assert_eq!(open.code, 1, "{open:#?}");
    assert!(format!("{}{}", open.out, open.err).contains("writ"), "{open:#?}");
    let listed = site.qjail(&["plugins"]).ok();
    assert!(
        listed.out.contains("libqjail_plugin_evil.so") && listed.out.contains("writ"),
        "{listed:#?}"
    );
    let _ = site.qjail(&["list"]).ok();

    std::fs::write(dir.join("libqjail_plugin_text.so"), "not an object").unwrap();
    let text = site.qjail(&[
        "plugins",
        "check",
        dir.join("libqjail_plugin_text.so").to_str().unwrap(),
    ]);
    assert_eq!(text.code, 1, "{text:#?}");
    let missing = site.qjail(&["plugins", "check", "/no/such/file.so"]);
    assert_eq!(missing.code, 1, "{missing:#?}");
    let system = site.qjail(&["plugins", "check", "/lib/x86_64-linux-gnu/libc.so.6"]);
    assert_eq!(system.code, 1, "a library that is no plugin: {system:#?}");
}

#[test]
fn another_abi_is_refused_by_a_sentence_that_helps() {
    let site = Site::from_host();
    let dir = site.plugin_dir();
    std::fs::create_dir_all(&dir).unwrap();
    let source = "#include <stdint.h>\nstruct { uint32_t len; char magic[12]; uint32_t major, minor; char rest[256]; } \
        m = { 300, \"wrong-magic!\", 99, 0 };\nvoid *qjail_magic_qjail_plugin_old(void) { return &m; }\nint qjail_plugin_old;\n";
    std::fs::write(site.root.join("old.c"), source).unwrap();
    let build = format!(
        "cc -shared -fPIC -o {}/libqjail_plugin_old.so old.c",
        dir.display()
    );
    let _ = sh(&build, &site.root).ok();
    let listed = site.qjail(&["plugins"]).ok();
    let line = listed
        .out
        .lines()
        .find(|l| l.contains("libqjail_plugin_old.so"))
        .expect(&listed.out);
    assert!(line.contains("refused"), "{line}");
    let _ = site.qjail(&["create", "a"]).ok();
}

/// What `QJAIL_EVIL` can name that shows when a jail is created (plugins/qjail-plugin-evil). `hang-…` has its own test: it takes
/// the host's patience to give up.
const EVIL_WAYS: [&str; 29] = [
    "absolute",
    "after-itself",
    "bad-letter",
    "bare-panic",
    "claims-letter",
    "claims-list",
    "early-remove",
    "empty-error",
    "escape",
    "fails",
    "foreign-param",
    "future-api",
    "garbage-error",
    "garbage-manifest",
    "garbage-reply",
    "half-step",
    "huge-error",
    "huge-manifest",
    "huge-reply",
    "impersonate",
    "needs-more",
    "other-name",
    "other-platform",
    "panic-bomb",
    "panic-describe",
    "panic-plan",
    "panic-step",
    "prints",
    "unknown-step",
];

/// Each way in which the evil plugin misbehaves: one sentence, and all is as before.
#[test]
fn the_evil_plugin_can_not_hurt() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "--start", "good"]).ok();
    let dir = site.plugin_dir();
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(evil_plugin(), dir.join("libqjail_plugin_evil.so")).unwrap();
    let before = site.picture();
    for way in EVIL_WAYS {
        // What it says about itself changes from way to way, which a file that does not change never does.
        let _ = std::fs::remove_file(site.root.join("var/lib/qjail/state/plugins.cache.json"));
        let mut create = site.command(&["create", "victim"]);
        let output = create.env("QJAIL_EVIL", way).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.code().is_some_and(|c| c <= 2),
            "{way}: {:?} {err}",
            output.status
        );
        assert!(
            !err.contains("panicked at") && !err.contains("RUST_BACKTRACE"),
            "{way}: {err}"
        );
        if output.status.success() {
            assert!(
                out.contains("Successfully created  victim\n"),
                "{way}: {out}{err}"
            );
            let _ = site.qjail(&["delete", "victim"]).ok();
        } else {
            assert!(err.starts_with("qjail: "), "{way}: {err}");
            assert!(err.lines().count() <= 4, "{way}: {err}");
        }
        qjail_tests::same(&site.picture(), &before, way);
        let list = site.command(&["list"]).env("QJAIL_EVIL", way).output().unwrap();
        assert!(list.status.success(), "{way}: a bad plugin never breaks list");
        assert!(String::from_utf8_lossy(&list.stdout).contains(" good\n"), "{way}");
    }
    let mut stop = site.command(&["stop", "good"]);
    assert!(
        stop.env("QJAIL_EVIL", "panic-describe")
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn a_plugin_that_hangs_is_given_up() {
    let site = Site::from_host();
    let dir = site.plugin_dir();
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(evil_plugin(), dir.join("libqjail_plugin_evil.so")).unwrap();
    let began = std::time::Instant::now();
    let output = site
        .command(&["create", "victim"])
        .env("QJAIL_EVIL", "hang-plan")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(began.elapsed() < std::time::Duration::from_secs(60), "{err}");
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("evil") && err.contains("has not answered"), "{err}");
    assert!(!site.definition("victim").exists());
}
