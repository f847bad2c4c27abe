//! Whole operations on the in-memory system and real files: done wholly, undone wholly, repaired after a crash.
#![expect(clippy::unwrap_used, reason = "a failure here is a failed test")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use qjail_core::{CreateRequest, Engine, Outcome, StopRequest, Ui};
use qjail_model::JailName;
use qjail_plugin_api::{Builtin, LogLevel, Progress};
use qjail_plugin_host::{HostConfig, Registry};
use qjail_store::{Layout, Os};
use qjail_sys::fake::Fake;

mod busy;

use busy::{Busy, copy};

struct Quiet;

impl Ui for Quiet {
    fn log(&self, _level: LogLevel, _message: &str) {}
    fn progress(&self, _progress: &Progress) {}
    fn progress_done(&self) {}
}

fn engine(root: &Path, system: &Arc<Fake>, busy: &'static Busy) -> Engine {
    let builtin: &'static Builtin = Box::leak(Box::new(Builtin::new(busy)));
    let config = HostConfig {
        os: "linux".into(),
        builtins: vec![builtin],
        ..HostConfig::default()
    };
    Engine {
        layout: Layout::new(Os::Linux, Some(root)),
        system: Arc::clone(system) as _,
        registry: Registry::discover(&config),
        ui: Box::new(Quiet),
        cancel: Arc::new(AtomicBool::new(false)),
        zone: None,
        dry_run: false,
        jobs: 2,
        now: 1_800_000_000,
        command: "test".into(),
        planned: Mutex::default(),
    }
}

/// A site with a base, a flavor, and files for every step to meet.
fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    Layout::new(Os::Linux, Some(root)).create().unwrap();
    let script = "cd var/lib/qjail/jails && mkdir -p .bases/b/template/etc .bases/b/template/usr .bases/b/sharedfs/usr/bin \
        flavors/default/etc && ln -s .bases/b .base && ln -s .base/sharedfs sharedfs && ln -s .base/template template && \
        ln -s /sharedfs/usr/bin .bases/b/template/usr/bin && echo tool > .bases/b/sharedfs/usr/bin/tool && \
        echo base > .bases/b/template/etc/motd && echo flavor > flavors/default/etc/flavored && \
        cd ../state && echo old > old && chmod 640 old && echo mine > scribbled && chmod 604 scribbled && ln -s here link && echo f > from && \
        cd ../../../../etc/qjail && printf 'a=1\\nb=1\\n' > lines && echo x > gone";
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(root)
        .status()
        .unwrap();
    assert!(done.success());
    dir
}

/// Every file with mode and content; what is allowed to differ (locks, cache) left out.
fn picture(root: &Path) -> String {
    let script = "find . -path '*/locks/*' -prune -o -printf '%y %m %p %l\\n' | sort; \
        find . -type f ! -path '*/locks/*' -print0 | sort -z | xargs -0 md5sum";
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(root)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn name(s: &str) -> JailName {
    JailName::new(s).unwrap()
}

fn request(s: &str) -> CreateRequest {
    CreateRequest {
        name: s.to_owned(),
        ..CreateRequest::default()
    }
}

#[test]
fn create_start_stop_delete_and_nothing_is_left() {
    let dir = site();
    let (system, busy) = (Arc::new(Fake::new("linux")), Busy::leaked());
    let engine = engine(dir.path(), &system, busy);
    let jail = name("jail1");
    engine.create(&jail, &request("jail1")).unwrap();
    let root = dir.path().join("var/lib/qjail/jails/jail1");
    assert_eq!(
        std::fs::read_to_string(root.join("etc/motd")).unwrap(),
        "base\nhello\n"
    );
    assert_eq!(
        std::fs::read_to_string(root.join("etc/flavored")).unwrap(),
        "flavor\n"
    );
    let definition = std::fs::read_to_string(dir.path().join("etc/qjail/jails.d/jail1.toml")).unwrap();
    assert!(
        definition.contains("\"ip4.addr\" = [\"10.0.0.1\"]"),
        "{definition}"
    );
    assert!(matches!(engine.start(&jail).unwrap(), Outcome::Done(_)));
    assert_eq!(system.jail("jail1").unwrap().mounts.len(), 1);
    assert_eq!(
        engine.delete(&jail, &[]).unwrap_err().message,
        "Bypassed running jail jail1"
    );
    assert!(matches!(engine.start(&jail).unwrap(), Outcome::Bypassed(_)));
    engine.stop(&jail, StopRequest::default()).unwrap();
    engine.delete(&jail, &[]).unwrap();
    assert!(!root.exists() && !root.with_file_name(".old.jail1").exists());
    assert!(!dir.path().join("etc/qjail/jails.d/jail1.toml").exists());
}

#[test]
fn a_command_in_the_jail_is_part_of_the_start() {
    let dir = site();
    let system = Arc::new(Fake::new("linux"));
    let engine = engine(dir.path(), &system, Busy::leaked());
    let jail = name("jail1");
    engine.create(&jail, &request("jail1")).unwrap();
    let before = picture(dir.path());
    system.set_exec_status(3);
    let error = engine.start(&jail).unwrap_err();
    assert_eq!(
        error.message,
        "start jail1: /sbin/once now in jail1: exit status 3"
    );
    assert!(error.hint.is_some_and(|h| h.contains("jail1.console.log")));
    assert!(system.jail("jail1").is_none(), "the start was undone");
    assert_eq!(picture(dir.path()), before);
    system.set_exec_status(0);
    engine.start(&jail).unwrap();
    let log = system.calls();
    assert_eq!(log.last().unwrap(), "exec jail1: /sbin/once now");
    let definition = std::fs::read_to_string(dir.path().join("etc/qjail/jails.d/jail1.toml")).unwrap();
    assert!(
        definition.contains("[plugins.busy]") && definition.contains("started = true"),
        "{definition}"
    );
}

#[test]
fn thick_jails_have_copies_instead_of_links() {
    let dir = site();
    let engine = engine(dir.path(), &Arc::new(Fake::new("linux")), Busy::leaked());
    engine
        .create(
            &name("fat"),
            &CreateRequest {
                thick: true,
                ..request("fat")
            },
        )
        .unwrap();
    let bin = dir.path().join("var/lib/qjail/jails/fat/usr/bin");
    assert!(bin.symlink_metadata().unwrap().is_dir());
    assert_eq!(std::fs::read_to_string(bin.join("tool")).unwrap(), "tool\n");
}

#[test]
fn a_failure_at_any_step_leaves_the_old_state() {
    for fail_at in 1..=5 {
        let dir = site();
        let busy = Busy::leaked();
        busy.fail_at.store(fail_at, Ordering::Relaxed);
        let system = Arc::new(Fake::new("linux"));
        let engine = engine(dir.path(), &system, busy);
        let before = picture(dir.path());
        let error = engine.create(&name("jail1"), &request("jail1")).unwrap_err();
        assert!(
            error.message.starts_with("create jail1: ") && error.message.contains("fails as told"),
            "{error}"
        );
        assert!(error.more.is_empty(), "{error:?}");
        assert_eq!(picture(dir.path()), before, "step {fail_at}");
        assert!(
            qjail_sys::System::interfaces(&*system)
                .unwrap()
                .iter()
                .all(|i| i.name != "lo9"),
            "step {fail_at}"
        );
    }
}

#[test]
fn a_failing_system_leaves_the_old_state() {
    let dir = site();
    let system = Arc::new(Fake::new("linux"));
    let engine = engine(dir.path(), &system, Busy::leaked());
    let jail = name("jail1");
    system.fail_on("ensure_interface lo9");
    let before = picture(dir.path());
    engine.create(&jail, &request("jail1")).unwrap_err();
    assert_eq!(picture(dir.path()), before);
    system.heal();
    engine.create(&jail, &request("jail1")).unwrap();
    let before = picture(dir.path());
    system.fail_on("start jail1");
    let error = engine.start(&jail).unwrap_err();
    assert!(error.message.starts_with("start jail1: "), "{error}");
    assert!(system.jail("jail1").is_none());
    assert_eq!(picture(dir.path()), before);
}

/// Nothing is left to undo in a directory that somebody has taken away: the jail is not locked for it, and can be deleted.
#[test]
fn a_jail_that_loses_its_directory_on_the_way() {
    let dir = site();
    let busy = Busy::leaked();
    let system = Arc::new(Fake::new("linux"));
    let engine = engine(dir.path(), &system, busy);
    let jail = name("jail1");
    engine.create(&jail, &request("jail1")).unwrap();
    let own = engine.layout.jails_dir(None).join("jail1");
    *busy.takes.lock().unwrap() = Some(own.clone());
    busy.fail_at
        .store(busy.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let error = engine.start(&jail).unwrap_err();
    assert!(
        error.message.contains("fails as told") && error.more.is_empty(),
        "{error:?}"
    );
    assert!(!own.exists());
    assert_eq!(std::fs::read_dir(engine.layout.journal_dir()).unwrap().count(), 0);
    engine.delete(&jail, &[]).unwrap();
}

/// Where the file system with all jails is away, and not one jail's directory, what is to be undone waits for it.
#[test]
fn a_journal_waits_for_a_file_system_that_is_not_mounted() {
    let dir = site();
    let busy = Busy::leaked();
    let engine = engine(dir.path(), &Arc::new(Fake::new("linux")), busy);
    let jail = name("jail1");
    engine.create(&jail, &request("jail1")).unwrap();
    let jails = engine.layout.jails_dir(None);
    *busy.takes.lock().unwrap() = Some(jails.clone());
    busy.fail_at
        .store(busy.calls.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    let error = engine.start(&jail).unwrap_err();
    assert!(
        error.more.iter().any(|e| e.message.contains("tries again")),
        "{error:?}"
    );
    assert_eq!(std::fs::read_dir(engine.layout.journal_dir()).unwrap().count(), 1);
}

#[test]
fn objections_come_together_and_before_any_change() {
    let dir = site();
    let engine = engine(dir.path(), &Arc::new(Fake::new("linux")), Busy::leaked());
    let before = picture(dir.path());
    let request = CreateRequest {
        flavors: vec!["defualt".into()],
        ..request("bad")
    };
    let error = engine.create(&name("bad"), &request).unwrap_err();
    let all: Vec<&str> = std::iter::once(&error)
        .chain(&error.more)
        .map(|e| e.message.as_str())
        .collect();
    assert_eq!(all, ["there is no flavor defualt", "one", "two"]);
    assert_eq!(error.hint.as_deref(), Some("there is a flavor default"));
    assert_eq!(picture(dir.path()), before);
}

#[test]
fn cancelling_undoes() {
    let dir = site();
    let engine = engine(dir.path(), &Arc::new(Fake::new("linux")), Busy::leaked());
    let before = picture(dir.path());
    engine.cancel.store(true, Ordering::Relaxed);
    let error = engine.create(&name("jail1"), &request("jail1")).unwrap_err();
    assert_eq!(error.message, "create jail1: interrupted");
    assert_eq!(picture(dir.path()), before);
}

/// Takes the disk as it is in the middle of each step, cuts the journal at every byte behind its header, and lets another
/// program find it.
#[test]
fn a_crash_in_the_middle_is_repaired_wherever_the_journal_ends() {
    let dir = site();
    let shots = tempfile::tempdir().unwrap();
    let busy = Busy::leaked();
    let system = Arc::new(Fake::new("linux"));
    let before = picture(dir.path());
    *busy.snapshots.lock().unwrap() = Some((dir.path().to_owned(), shots.path().to_owned()));
    engine(dir.path(), &system, busy)
        .create(&name("jail1"), &request("jail1"))
        .unwrap();
    *busy.snapshots.lock().unwrap() = None;
    for shot in 1..=5 {
        let shot = shots.path().join(shot.to_string());
        let journal = std::fs::read_dir(shot.join("var/lib/qjail/state/journal"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let text = std::fs::read(&journal).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains("s3cret"),
            "what is only shown is in the journal"
        );
        let last = text[..text.len() - 1].iter().rposition(|b| *b == b'\n').unwrap() + 1;
        // The record of the step that was running may be cut anywhere; all before it was on disk already.
        for cut in [
            last,
            last + 1,
            (last + text.len()) / 2,
            text.len() - 1,
            text.len(),
        ] {
            // The journal names its directories: the disk must come back where it was.
            let root = dir.path();
            for entry in std::fs::read_dir(root).unwrap() {
                std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
            copy(&shot.join("."), root);
            std::fs::write(root.join(journal.strip_prefix(&shot).unwrap()), &text[..cut]).unwrap();
            engine(root, &system, busy).recover();
            assert_eq!(picture(root), before, "{} cut at {cut}", shot.display());
        }
    }
}

#[test]
fn a_committed_delete_is_finished_after_a_crash() {
    let dir = site();
    let (system, busy) = (Arc::new(Fake::new("linux")), Busy::leaked());
    let engine_of = |root: &Path| engine(root, &system, busy);
    engine_of(dir.path())
        .create(&name("jail1"), &request("jail1"))
        .unwrap();
    let engine = engine_of(dir.path());
    // A directory that can not be removed: something is mounted in it.
    let inside = dir.path().join("var/lib/qjail/jails/jail1/var");
    assert!(
        Command::new("mount")
            .args(["-t", "tmpfs", "none"])
            .arg(&inside)
            .status()
            .unwrap()
            .success()
    );
    let refused = engine.delete(&name("jail1"), &[]).unwrap_err();
    assert!(Command::new("umount").arg(&inside).status().unwrap().success());
    assert!(refused.message.contains("mounted"), "{refused}");
    assert!(dir.path().join("etc/qjail/jails.d/jail1.toml").exists());
    engine.delete(&name("jail1"), &[]).unwrap();
    assert!(!dir.path().join("var/lib/qjail/jails/jail1").exists());
}
