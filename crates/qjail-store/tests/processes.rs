//! Locks and journals between real processes, killed ones among them, and writes to a full disk.
//!
//! The program starts itself as the other process: `hold`, `count`, `both`, `journal`, `full`.

#![allow(
    clippy::unwrap_used,
    reason = "a test; clippy knows only functions marked as such"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use qjail_model::{Definition, JailName};
use qjail_store::{Definitions, Error, Journal, Lock, Settings, Wait};

const LONG: Wait = Wait::For(Duration::from_secs(60));

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hold", dir] => hold(Path::new(dir)),
        ["count", dir] => count(Path::new(dir)),
        ["both", dir, first, second] => both(Path::new(dir), first, second),
        ["journal", dir] => journal(Path::new(dir)),
        ["full", dir] => full(Path::new(dir)),
        _ => {
            a_killed_holder_leaves_no_lock();
            no_increment_is_lost();
            opposite_orders_do_not_block();
            a_killed_writer_leaves_a_readable_journal();
            a_full_disk_leaves_the_old_state();
        }
    }
}

fn me(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn path(dir: &tempfile::TempDir) -> &str {
    dir.path().to_str().unwrap()
}

fn wait_ready(child: &mut Child) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
}

fn ready() {
    std::io::stdout().write_all(b"ready\n").unwrap();
}

fn hold(dir: &Path) {
    let _lock = Lock::acquire(dir, "jail.jail1", "start", Wait::No).unwrap();
    ready();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn a_killed_holder_leaves_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = me(&["hold", path(&dir)]).spawn().unwrap();
    wait_ready(&mut child);
    for result in [
        Lock::acquire(dir.path(), "jail.jail1", "stop", Wait::No),
        Lock::acquire_shared(
            dir.path(),
            "jail.jail1",
            "list",
            Wait::For(Duration::from_millis(50)),
        ),
    ] {
        let e = result.unwrap_err().to_string();
        assert!(
            e.starts_with(&format!(
                "jail1 is being used by qjail start (pid {}, since ",
                child.id()
            )),
            "{e}"
        );
    }
    drop(Lock::acquire(dir.path(), "jail.jail2", "stop", Wait::No).unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(Lock::acquire(dir.path(), "jail.jail1", "stop", Wait::No).unwrap());
}

fn count(dir: &Path) {
    let file = dir.join("number");
    for _ in 0..25 {
        let _lock = Lock::acquire(dir, "definitions", "create", LONG).unwrap();
        let number: u32 = fs::read_to_string(&file).unwrap().parse().unwrap();
        std::thread::yield_now();
        fs::write(&file, (number + 1).to_string()).unwrap();
    }
}

fn no_increment_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("number"), "0").unwrap();
    let children: Vec<Child> = (0..4)
        .map(|_| me(&["count", path(&dir)]).spawn().unwrap())
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(dir.path().join("number")).unwrap(), "100");
}

fn both(dir: &Path, first: &str, second: &str) {
    for _ in 0..50 {
        let locks = Lock::acquire_all(dir, &[first, second], "rename", LONG).unwrap();
        assert_eq!(locks.len(), 2);
    }
}

fn opposite_orders_do_not_block() {
    let dir = tempfile::tempdir().unwrap();
    let one = me(&["both", path(&dir), "jail.a", "jail.b"]).spawn().unwrap();
    let two = me(&["both", path(&dir), "jail.b", "jail.a"]).spawn().unwrap();
    for mut child in [one, two] {
        assert!(child.wait().unwrap().success());
    }
}

/// One transaction after the other: header `n`, records `0..8`, commit.
fn journal(dir: &Path) {
    let mut first = true;
    for n in 0_u64.. {
        let mut journal = Journal::begin(dir, "jail.x", &n).unwrap();
        for record in 0..8 {
            journal.record(&record, false).unwrap();
            if std::mem::take(&mut first) {
                ready();
            }
        }
        journal.commit().unwrap();
        journal.finish().unwrap();
    }
}

fn a_killed_writer_leaves_a_readable_journal() {
    for round in 0..30 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = me(&["journal", path(&dir)]).spawn().unwrap();
        wait_ready(&mut child);
        std::thread::sleep(Duration::from_micros(round * 137));
        child.kill().unwrap();
        child.wait().unwrap();
        let pending = Journal::pending(dir.path()).unwrap();
        assert!(pending.len() <= 1, "{pending:?}");
        for p in pending {
            assert!(p.header.is_u64(), "{p:?}");
            assert!(
                p.records
                    .iter()
                    .enumerate()
                    .all(|(i, r)| r.as_u64() == Some(i as u64)),
                "{p:?}"
            );
            assert!(!p.committed || p.records.len() == 8, "{p:?}");
            p.finish().unwrap();
        }
    }
}

/// Runs `full` in a mount namespace of its own, on a file system of 64 KiB that goes away with it.
fn a_full_disk_leaves_the_old_state() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let script = "mount -t tmpfs -o size=64k qjail-test \"$2\" && exec \"$1\" full \"$2\"";
    let status = Command::new("unshare")
        .args(if root {
            &["--mount"][..]
        } else {
            &["--map-root-user", "--mount"]
        })
        .args(["sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success(), "needs unshare(1) and leave to mount a tmpfs");
}

fn full(dir: &Path) {
    let (jail1, jail2) = (JailName::new("jail1").unwrap(), JailName::new("jail2").unwrap());
    let definitions = Definitions::new(dir);
    definitions.save(&jail1, &Definition::new()).unwrap();
    let mut settings = Settings::load(&dir.join("qjail.toml")).unwrap();
    settings.set(&["log"], &true.into()).unwrap();
    settings.save().unwrap();
    let mut journal = Journal::begin(dir, "jail.jail1", &"header").unwrap();
    journal.record(&"first", true).unwrap();
    let old_text = fs::read_to_string(dir.join("jail1.toml")).unwrap();

    fill(&dir.join("ballast"));
    let names = |dir: &Path| {
        fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect::<Vec<_>>()
    };
    let before = names(dir);
    let mut changed = Definition::new();
    changed.manual = true;
    refused(definitions.save(&jail1, &changed));
    refused(definitions.save(&jail2, &changed));
    settings.set(&["log"], &false.into()).unwrap();
    refused(settings.save());
    refused(Journal::begin(dir, "jail.jail2", &"header").map(drop));
    // The first page has room, so the line is cut in the middle.
    refused(journal.record(&"x".repeat(20_000), false));
    assert_eq!(fs::read_to_string(dir.join("jail1.toml")).unwrap(), old_text);
    assert_eq!(
        fs::read_to_string(dir.join("qjail.toml")).unwrap(),
        "log = true\n"
    );
    assert_eq!(names(dir), before);
    journal.commit().unwrap();
    let pending = Journal::pending(dir).unwrap();
    assert_eq!(
        (&pending[0].records[..], pending[0].committed),
        (&["first".into()][..], true)
    );

    let lock = Lock::acquire(dir, "jail.jail1", "start", Wait::No).unwrap();
    let e = Lock::acquire(dir, "jail.jail1", "start", Wait::No).unwrap_err();
    assert_eq!(e.to_string(), "jail1 is being used by another qjail");
    drop(lock);

    fs::remove_file(dir.join("ballast")).unwrap();
    definitions.save(&jail1, &changed).unwrap();
    assert_eq!(definitions.load(&jail1).unwrap(), Some(changed));
}

fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

fn refused(result: Result<(), Error>) {
    let e = result.unwrap_err();
    assert!(e.is_no_space(), "{e}");
    assert!(e.to_string().ends_with("No space left on device"), "{e}");
}
