use super::*;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_refusal_says_who_and_since_when() {
    let d = dir();
    let held = Lock::acquire(d.path(), "jail.jail1", "start", Wait::No).unwrap();
    let e = Lock::acquire(d.path(), "jail.jail1", "stop", Wait::No).unwrap_err();
    let Error::Busy {
        holder: Some(holder), ..
    } = &e
    else {
        panic!("{e}")
    };
    assert_eq!(
        (holder.pid, holder.command.as_str()),
        (std::process::id(), "start")
    );
    assert!(now().abs_diff(holder.since) < 60);
    assert_eq!(
        e.to_string(),
        format!(
            "jail1 is being used by qjail start (pid {}, since {} UTC)",
            std::process::id(),
            clock(holder.since)
        )
    );
    assert!(e.is_busy());
    drop(held);
    drop(Lock::acquire(d.path(), "jail.jail1", "stop", Wait::No).unwrap());
    assert!(d.path().join("jail.jail1.lock").exists());
}

#[test]
fn odd_notes_do_not_matter() {
    let d = dir();
    std::fs::write(d.path().join("base.lock"), [0xff; 5000]).unwrap();
    let held = Lock::acquire(d.path(), "base", &"\u{1}é".repeat(90), Wait::No).unwrap();
    let e = Lock::acquire_shared(d.path(), "base", "create", Wait::No).unwrap_err();
    assert_eq!(e.to_string(), "the base lock is being used by another qjail");
    drop(held);
    assert_eq!(subject("base.web"), "the base lock of zone web");
}

#[test]
fn shared_and_exclusive() {
    let d = dir();
    let one = Lock::acquire_shared(d.path(), "base", "create", Wait::No).unwrap();
    let two = Lock::acquire_shared(d.path(), "base", "create", Wait::No).unwrap();
    let start = Instant::now();
    let e = Lock::acquire(d.path(), "base", "install", Wait::For(Duration::from_millis(60))).unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert!(
        e.to_string()
            .starts_with("the base lock is being used by qjail create (pid "),
        "{e}"
    );
    drop(one);
    assert!(Lock::acquire(d.path(), "base", "install", Wait::No).is_err());
    drop(two);
    drop(Lock::acquire(d.path(), "base", "install", Wait::No).unwrap());
}

#[test]
fn waiting_ends_when_the_holder_does() {
    let d = dir();
    let held = Lock::acquire(d.path(), "definitions", "create", Wait::No).unwrap();
    let waiter = {
        let path = d.path().to_owned();
        std::thread::spawn(move || {
            Lock::acquire(&path, "definitions", "create", Wait::For(Duration::from_secs(30))).map(drop)
        })
    };
    std::thread::sleep(Duration::from_millis(60));
    drop(held);
    waiter.join().unwrap().unwrap();
}

#[test]
fn all_or_none() {
    let d = dir();
    let held = Lock::acquire(d.path(), "jail.b", "start", Wait::No).unwrap();
    assert!(
        Lock::acquire_all(d.path(), &["jail.c", "jail.b", "jail.a"], "stop", Wait::No)
            .unwrap_err()
            .is_busy()
    );
    drop(Lock::acquire(d.path(), "jail.a", "start", Wait::No).unwrap());
    drop(held);
    let all = Lock::acquire_all(d.path(), &["jail.c", "jail.a", "jail.c"], "stop", Wait::No).unwrap();
    assert_eq!(all.len(), 2);
}

#[test]
fn names_that_are_no_file_names() {
    let d = dir();
    for bad in [
        "",
        ".",
        "..",
        ".x",
        "a/b",
        "../x",
        "a b",
        "a\n",
        "ä",
        &"a".repeat(121),
    ] {
        let e = Lock::acquire(d.path(), bad, "start", Wait::No).unwrap_err();
        assert!(matches!(e, Error::BadName(_)), "{e}");
    }
    assert_eq!(std::fs::read_dir(d.path()).unwrap().count(), 0);
    let e = Lock::acquire(&d.path().join("none"), "a", "start", Wait::No).unwrap_err();
    assert!(
        e.to_string().starts_with("open the lock ") && e.to_string().contains("none/a.lock"),
        "{e}"
    );
}

#[test]
fn names() {
    let zone = ZoneName::new("web").unwrap();
    assert_eq!(jail_lock(&JailName::new("jail1").unwrap()), "jail.jail1");
    assert_eq!(
        (base_lock(None), base_lock(Some(&zone))),
        ("base".to_owned(), "base.web".to_owned())
    );
}

/// A process that another thread is starting has a copy of the descriptor until it executes.
#[test]
fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
    let d = dir();
    let held = Lock::acquire(d.path(), "jail.jail1", "start", Wait::No).unwrap();
    let _copy = held.file.try_clone().unwrap();
    drop(held);
    drop(Lock::acquire(d.path(), "jail.jail1", "stop", Wait::No).unwrap());
}
