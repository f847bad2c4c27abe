//! The evil plugin, built in and as a shared object.

use std::time::{Duration, Instant};

use crate::support::{Drive, EVIL, install, trusted_dir};

const DEFECT: &str = "[this is a defect of the plugin; please report it to its author]";
const VERSIONS: &str = "[update qjail, or install the plugin's package for this version of qjail]";

/// What follows the line that says which plugin is used.
fn answers(drive: &Drive, words: &[&str]) -> Vec<String> {
    let mut lines = drive.run(words);
    let used = lines.remove(0);
    assert!(used.starts_with("used evil "), "{used}\n{lines:?}");
    lines
}

/// Runs a mood in both lives, and wants the same answers of both.
fn both(mood: &str, words: &[&str]) -> Vec<String> {
    let dir = trusted_dir();
    let built_in = answers(
        &Drive::default()
            .with("QJAIL_EVIL", mood)
            .with("DRIVE_BUILTIN", "1"),
        words,
    );
    install(dir.path(), EVIL);
    let file = answers(&Drive::new(dir.path()).with("QJAIL_EVIL", mood), words);
    assert_eq!(built_in, file, "the two lives differ");
    file
}

/// Runs a mood that only a shared object can have.
fn file(mood: &str, words: &[&str]) -> Vec<String> {
    let dir = trusted_dir();
    install(dir.path(), EVIL);
    answers(&Drive::new(dir.path()).with("QJAIL_EVIL", mood), words)
}

#[test]
fn a_good_plugin_answers_the_same_in_both_lives() {
    let lines = both("", &["resolve", "validate", "plan", "command", "step", "undo"]);
    assert_eq!(lines[0], r#"resolve {"values":{"evil":"no"}}"#);
    assert_eq!(lines[1], "log Info: evil looks at the jail");
    assert_eq!(lines[2], "validate []");
    assert!(
        lines[3].starts_with(r#"plan {"cleanup":[],"commit":[]"#),
        "{}",
        lines[3]
    );
    assert!(
        lines[3].contains(r#""plugin":"evil""#),
        "the host fills in the plugin's name: {}",
        lines[3]
    );
    assert!(lines[4].contains(r#""rows":[["evil","do"]]"#), "{}", lines[4]);
    assert_eq!(lines[5..], ["step null", "undo null"]);
}

#[test]
fn objections_cross_the_boundary() {
    let dir = trusted_dir();
    install(dir.path(), EVIL);
    let lines = answers(
        &Drive::new(dir.path()).with("DRIVE_JAIL", "refuse-me"),
        &["validate"],
    );
    assert_eq!(
        lines[1],
        r#"validate [{"hint":"take another","message":"evil does not like the name"}]"#
    );
}

#[test]
fn panics_end_in_one_sentence_and_only_undo_is_asked_again() {
    assert_eq!(
        both("panic-plan", &["plan", "plan", "validate", "step", "undo"]),
        [
            format!("plan ERROR panic: plugin evil panicked in plan/1: evil has no plan {DEFECT}"),
            "plan ERROR refused: plugin evil panicked before and is not asked again".to_owned(),
            "validate ERROR refused: plugin evil panicked before and is not asked again".to_owned(),
            "step ERROR refused: plugin evil panicked before and is not asked again".to_owned(),
            "undo null".to_owned(),
        ]
    );
    let step = both("panic-step", &["step", "undo"]);
    assert!(
        step[0].starts_with("step ERROR panic: plugin evil panicked in step/1: "),
        "{}",
        step[0]
    );
    assert_eq!(step[1], "undo null");
    let undo = both("panic-undo", &["undo", "undo"]);
    assert!(
        undo[0].starts_with("undo ERROR panic: plugin evil panicked in undo/1: "),
        "{}",
        undo[0]
    );
    assert_eq!(undo[0], undo[1]);
    let bomb = both("panic-bomb", &["plan"]);
    assert_eq!(
        bomb,
        [format!(
            "plan ERROR panic: plugin evil panicked in plan/1: no message {DEFECT}"
        )]
    );
    let bare = file("bare-panic", &["plan"]);
    assert_eq!(
        bare,
        [format!(
            "plan ERROR panic: plugin evil panicked in plan/1: it could not say why {DEFECT}"
        )]
    );
}

#[test]
fn a_service_of_the_host_that_panics_is_no_fault_of_the_plugin() {
    let dir = trusted_dir();
    install(dir.path(), EVIL);
    for drive in [
        Drive::new(dir.path()),
        Drive::default().with("DRIVE_BUILTIN", "1"),
    ] {
        let lines = answers(
            &drive.with("QJAIL_EVIL", "ask").with("DRIVE_PANIC", "1"),
            &["validate", "plan"],
        );
        let expected = "validate ERROR host-panic: the host's service running/1 panicked: the host stumbles over running/1";
        assert_eq!(lines[1], expected);
        assert!(lines[2].starts_with("plan {"), "{}", lines[2]);
    }
}

#[test]
fn errors_of_the_plugin_are_its_own() {
    assert_eq!(
        both("fails", &["plan"]),
        ["plan ERROR failed: evil will not [ask nicely]"]
    );
}

#[test]
fn plans_that_it_may_not_make() {
    let wants = |what: &str| {
        [format!(
            "plan ERROR bad-reply: plugin evil wants, in plan/1, {what} {DEFECT}"
        )]
    };
    let escape = "a step on jail:/../../etc/passwd, which is no path below its directory";
    assert_eq!(both("escape", &["plan"]), wants(escape));
    let absolute = "a step on jail://etc/passwd, which is no path below its directory";
    assert_eq!(both("absolute", &["plan"]), wants(absolute));
    let param = "to set the jail parameter path, which its manifest does not list";
    assert_eq!(both("foreign-param", &["plan"]), wants(param));
    let early = "to remove jails:/web where it could not be undone: that belongs into `cleanup`";
    assert_eq!(both("early-remove", &["plan"]), wants(early));
    assert_eq!(both("impersonate", &["plan"]), wants("a step of the plugin net"));
}

#[test]
fn replies_that_are_none() {
    let bad = |what: &str| format!("plan ERROR bad-reply: plugin evil answered plan/1 with {what}");
    let unknown = bad("a step of a kind that this qjail does not have: teleport");
    assert_eq!(
        file("unknown-step", &["plan", "validate"])[0],
        format!("{unknown} {VERSIONS}")
    );
    let half = bad("a make-dir step that can not be read: missing field `at`");
    assert_eq!(file("half-step", &["plan"]), [format!("{half} {VERSIONS}")]);
    let huge = bad("16777217 bytes, more than 16777216");
    assert_eq!(file("huge-reply", &["plan"]), [format!("{huge} {DEFECT}")]);
    assert_eq!(file("huge-error", &["plan"]), [format!("{huge} {DEFECT}")]);
    let garbage = bad("something that can not be read: expected value at line 1 column 1");
    assert_eq!(file("garbage-reply", &["plan"]), [format!("{garbage} {DEFECT}")]);
    let garbage = "plugin evil failed at plan/1, and why can not be read: expected value at line 1 column 1";
    assert_eq!(
        file("garbage-error", &["plan"]),
        [format!("plan ERROR bad-reply: {garbage} {DEFECT}")]
    );
}

#[test]
fn printing_is_against_the_rules_and_hurts_no_answer() {
    let lines = both("prints", &["plan"]);
    assert_eq!(lines[0], "evil was here");
    assert!(lines[1].starts_with("plan {"), "{}", lines[1]);
}

#[test]
fn a_plugin_that_hangs_is_given_up() {
    let dir = trusted_dir();
    install(dir.path(), EVIL);
    let began = Instant::now();
    let hang = |mood| {
        Drive::new(dir.path())
            .with("QJAIL_EVIL", mood)
            .with("DRIVE_PATIENCE", "500")
    };
    assert_eq!(
        answers(&hang("hang-plan"), &["validate", "plan", "plan", "undo"])[1..],
        [
            "validate []",
            &format!("plan ERROR timeout: plugin evil has not answered plan/1 for 0.5 s {DEFECT}"),
            "plan ERROR refused: plugin evil did not answer before and is not asked again",
            "undo null",
        ]
    );
    let lines = hang("hang-describe").run(&["plan"]);
    assert!(
        lines[0].starts_with("refused evil: plugin evil has not introduced itself within 0.5 s [it hangs; "),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("plan ERROR refused: plugin evil has not introduced itself"),
        "{lines:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(60));
}

/// The refusal of a mood, in the given life.
fn refusal(mood: &str, built_in: bool) -> String {
    let dir = trusted_dir();
    let drive = if built_in {
        Drive::default().with("DRIVE_BUILTIN", "1")
    } else {
        install(dir.path(), EVIL);
        Drive::new(dir.path())
    };
    let mut lines = drive.with("QJAIL_EVIL", mood).run(&[]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

#[test]
fn manifests_that_do_not_fit_are_refused_in_one_sentence() {
    let defect = "[this is a defect of the plugin]";
    let cases = [
        (
            "future-api",
            "plugin evil wants plugin API ^9, this qjail has 1.0.0 [install the plugin's package for this"
                .to_owned(),
        ),
        (
            "claims-list",
            "plugin evil has a bad manifest: an example of `list do` does not begin with it: evil do"
                .to_owned(),
        ),
        (
            "claims-letter",
            "plugin evil claims the option -f of `create`, which is qjail's own [update the plugin]"
                .to_owned(),
        ),
        (
            "bad-letter",
            format!(
                "plugin evil has a bad manifest: the argument `evil` of `create`: -ä is no letter or digit {defect}"
            ),
        ),
        (
            "needs-more",
            "plugin evil needs teleport/1, which neither this qjail nor another plugin has [update"
                .to_owned(),
        ),
        (
            "other-platform",
            format!("plugin evil is for plan9, not for {}", std::env::consts::OS),
        ),
        (
            "after-itself",
            format!("plugin evil has a bad manifest: it wants to run before or after itself {defect}"),
        ),
    ];
    for (mood, expected) in cases {
        for built_in in [false, true] {
            let line = refusal(mood, built_in);
            assert!(
                line.starts_with(&format!("refused evil: {expected}")),
                "{mood}: {line}"
            );
        }
    }
}

#[test]
fn introductions_that_are_none_are_refused_in_one_sentence() {
    let starts = |mood: &str, expected: &str| {
        let line = refusal(mood, false);
        assert!(
            line.starts_with(&format!("refused evil: {expected}")),
            "{mood}: {line}"
        );
    };
    starts(
        "panic-describe",
        "plugin evil failed to introduce itself: evil does not introduce itself [this is a defect",
    );
    starts(
        "garbage-manifest",
        "plugin evil has a manifest that can not be read: invalid type: integer `7`",
    );
    starts(
        "huge-manifest",
        "plugin evil introduces itself with 1048577 bytes, more than 1048576",
    );
    starts(
        "empty-error",
        "plugin evil failed to introduce itself: gave no reason",
    );
    let line = refusal("other-name", false);
    assert!(
        line.contains("/libqjail_plugin_evil.so introduces itself as plugin good ["),
        "{line}"
    );
    let line = refusal("panic-describe", true);
    assert!(
        line.starts_with("refused (built in): plugin that is built in failed to introduce itself: evil"),
        "{line}"
    );
}
