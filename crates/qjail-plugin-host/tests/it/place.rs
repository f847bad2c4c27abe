//! Which of several plugins is used, and when its code is loaded.

use std::fs;

use qjail_plugin_host::{HostConfig, Registry};

use crate::support::{Drive, EVIL, install, trusted_dir};

#[test]
fn a_warm_cache_loads_no_code_until_it_is_needed() {
    let dir = trusted_dir();
    let file = install(dir.path(), EVIL);
    let cache = dir.path().join("cache");
    let drive = |mood: &str| {
        Drive::new(dir.path())
            .with("DRIVE_CACHE", cache.to_str().unwrap())
            .with("QJAIL_EVIL", mood)
    };
    let last = |mood: &str, words: &[&str]| drive(mood).run(words).pop().unwrap();

    assert_eq!(last("", &["load-count"]), "load-count 1");
    assert_eq!(last("", &["load-count"]), "load-count 0");
    // The code is not asked: it would not even introduce itself any more.
    assert_eq!(last("panic-describe", &["load-count"]), "load-count 0");
    assert_eq!(last("", &["plan", "validate", "load-count"]), "load-count 1");

    install(dir.path(), EVIL);
    assert_eq!(
        last("", &["load-count"]),
        "load-count 1",
        "the file was written again"
    );
    fs::write(&cache, "rubbish").unwrap();
    assert_eq!(last("", &["load-count"]), "load-count 1");
    assert_eq!(last("", &["load-count"]), "load-count 0");
    fs::remove_file(file).unwrap();
    assert!(drive("").run(&["plan"])[0].contains("there is no plugin evil"));
}

#[test]
fn a_refusal_is_not_remembered() {
    let dir = trusted_dir();
    install(dir.path(), EVIL);
    let cache = dir.path().join("cache");
    let drive = |mood: &str| {
        Drive::new(dir.path())
            .with("DRIVE_CACHE", cache.to_str().unwrap())
            .with("QJAIL_EVIL", mood)
    };
    let refused = drive("panic-describe").run(&["load-count"]);
    let used = drive("").run(&["load-count"]);
    assert_ne!(refused[0], used[0], "its cause may have gone away");
    assert_eq!(used.last().unwrap(), "load-count 1");
}

#[test]
fn a_file_that_was_trusted_once_is_checked_again_before_it_is_loaded() {
    let dir = trusted_dir();
    let file = install(dir.path(), EVIL);
    let cache = dir.path().join("cache");
    let drive = Drive::new(dir.path()).with("DRIVE_CACHE", cache.to_str().unwrap());
    drive.run(&[]);
    crate::support::set_mode(&file, 0o666);
    let lines = drive.run(&["plan"]);
    assert!(
        lines[0].contains("can be written by others than root (mode 0666)"),
        "{lines:?}"
    );
}

#[test]
fn a_built_in_plugin_wins_over_a_file_which_is_not_even_loaded() {
    let dir = trusted_dir();
    install(dir.path(), EVIL);
    let lines = Drive::new(dir.path())
        .with("DRIVE_BUILTIN", "1")
        .run(&["load-count"]);
    assert_eq!(lines[0], "used evil BuiltIn");
    assert!(
        lines[1].starts_with("note plugin evil is built in; /"),
        "{lines:?}"
    );
    assert_eq!(lines[2], "load-count 0");
}

#[test]
fn two_files_of_one_plugin_are_both_refused() {
    let (one, two) = (trusted_dir(), trusted_dir());
    install(one.path(), EVIL);
    install(two.path(), EVIL);
    let mut drive = Drive::new(one.path());
    drive.dirs.push(two.path().to_path_buf());
    let lines = drive.run(&["load-count"]);
    let twice = format!(
        "refused evil: plugin evil is there twice: {}/{EVIL} and {}/{EVIL} [",
        one.path().display(),
        two.path().display()
    );
    assert!(
        lines[0].starts_with(&twice) && lines[1].starts_with(&twice),
        "{lines:?}"
    );
    assert_eq!(lines[2], "load-count 0");
}

#[test]
fn switches_and_sums_are_obeyed_without_loading() {
    let dir = trusted_dir();
    let file = install(dir.path(), EVIL);
    let config = || HostConfig {
        dirs: vec![dir.path().to_path_buf()],
        os: "linux".to_owned(),
        ..HostConfig::default()
    };
    let why = |config: HostConfig| {
        let registry = Registry::discover(&config);
        assert_eq!(registry.plugins().len() + registry.refused().len(), 1);
        (
            registry.refused().first().map(|r| r.why.message.clone()),
            registry.loads(),
        )
    };
    let disabled = HostConfig {
        disable: vec!["evil".to_owned()],
        ..config()
    };
    assert_eq!(
        why(disabled),
        (Some("plugin evil is disabled in qjail.toml".to_owned()), 0)
    );
    let others = HostConfig {
        allow: Some(vec!["net".to_owned()]),
        ..config()
    };
    assert_eq!(
        why(others),
        (
            Some("plugin evil is not among those that qjail.toml allows".to_owned()),
            0
        )
    );
    let named = HostConfig {
        allow: Some(vec!["evil".to_owned()]),
        ..config()
    };
    assert_eq!(why(named), (None, 1));

    let out = std::process::Command::new("sha256sum")
        .arg(&file)
        .output()
        .unwrap();
    let sum = String::from_utf8(out.stdout)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let pin = |sum: &str| HostConfig {
        sha256: [("evil".to_owned(), sum.to_owned())].into(),
        ..config()
    };
    assert_eq!(why(pin(&sum)), (None, 1));
    let (told, loads) = why(pin(&"0".repeat(64)));
    assert_eq!(
        told.unwrap(),
        format!(
            "{} has the SHA-256 sum {sum}, not the one in qjail.toml",
            file.display()
        )
    );
    assert_eq!(loads, 0);

    // The same with a cache that knows the file already.
    let cache = Some(dir.path().join("cache"));
    assert_eq!(
        why(HostConfig {
            cache: cache.clone(),
            ..pin(&sum)
        }),
        (None, 1)
    );
    assert_eq!(
        why(HostConfig {
            cache: cache.clone(),
            ..pin(&sum)
        }),
        (None, 0)
    );
    assert!(
        why(HostConfig { cache, ..pin("beef") })
            .0
            .unwrap()
            .contains("not the one in qjail.toml")
    );
}
