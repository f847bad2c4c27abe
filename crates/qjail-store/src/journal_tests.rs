use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_transaction() {
    let d = dir();
    assert_eq!(Journal::pending(&d.path().join("none")).unwrap(), []);
    let mut journal = Journal::begin(d.path(), "jail.jail1", &json!({"title": "create jail1"})).unwrap();
    let pending = |i: usize| Journal::pending(d.path()).unwrap().remove(i);
    assert_eq!(pending(0).header, json!({"title": "create jail1"}));
    assert_eq!(
        (pending(0).name.as_str(), pending(0).records.len()),
        ("jail.jail1", 0)
    );
    journal.record(&json!({"begin": 0}), false).unwrap();
    journal.record(&json!("commit\n"), true).unwrap();
    assert_eq!(pending(0).records, [json!({"begin": 0}), json!("commit\n")]);
    assert!(!pending(0).committed);
    journal.commit().unwrap();
    assert!(pending(0).committed);
    assert_eq!(
        fs::metadata(pending(0).path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    journal.finish().unwrap();
    assert_eq!(files(d.path()), 0);
}

#[test]
fn a_dropped_journal_stays_and_is_ended_by_another_command() {
    let d = dir();
    drop(Journal::begin(d.path(), "jail.a", &1).unwrap());
    drop(Journal::begin(d.path(), "jail.a", &2).unwrap());
    drop(Journal::begin(d.path(), "base.web", &3).unwrap());
    fs::write(d.path().join("README.txt"), "x").unwrap();
    fs::write(d.path().join("x.jsonl"), "x").unwrap();
    let pending = Journal::pending(d.path()).unwrap();
    let seen: Vec<(&str, i64)> = pending
        .iter()
        .map(|p| (p.name.as_str(), p.header.as_i64().unwrap()))
        .collect();
    assert_eq!(seen, [("base.web", 3), ("jail.a", 2), ("jail.a", 1)]);
    for p in pending {
        p.finish().unwrap();
    }
    assert_eq!(files(d.path()), 2);
}

#[test]
fn what_was_cut_off_while_it_began_is_cleared_under_its_lock() {
    let d = dir();
    for name in [
        ".jail.a.1.jsonl.new",
        ".jail.b.2.jsonl.new",
        ".other.new",
        ".jail.a.new",
    ] {
        fs::write(d.path().join(name), "{\"hea").unwrap();
    }
    let mut names = Journal::unbegun(d.path()).unwrap();
    names.sort();
    assert_eq!(names, ["jail.a", "jail.b"]);
    assert_eq!(Journal::pending(d.path()).unwrap(), []);
    Journal::clear_unbegun(d.path(), "jail.a").unwrap();
    assert_eq!(Journal::unbegun(d.path()).unwrap(), ["jail.b"]);
    assert_eq!(files(d.path()), 3);
    assert_eq!(Journal::unbegun(&d.path().join("none")).unwrap(), [""; 0]);
}

#[test]
fn what_can_not_be_begun_leaves_nothing() {
    let d = dir();
    assert!(matches!(
        Journal::begin(d.path(), "a/b", &1),
        Err(Error::BadName(_))
    ));
    let no_json = std::collections::BTreeMap::from([((1, 2), 3)]);
    let e = Journal::begin(d.path(), "a", &no_json).unwrap_err().to_string();
    assert!(e.starts_with("journal ") && e.contains("a.1.jsonl: "), "{e}");
    assert_eq!(files(d.path()), 0);
    let e = Journal::begin(&d.path().join("none"), "a", &1)
        .unwrap_err()
        .to_string();
    assert!(
        e.contains("none/") && e.ends_with("No such file or directory"),
        "{e}"
    );
}

#[test]
fn damage_ends_the_records() {
    let d = dir();
    let path = d.path().join("a.1.jsonl");
    fs::write(
        &path,
        "{\"header\":1}\n{\"record\":1}\n{\"rec\0\n{\"record\":2}\n{\"commit\":true}\n",
    )
    .unwrap();
    let p = Journal::pending(d.path()).unwrap().remove(0);
    assert_eq!(
        (p.header, p.records, p.committed),
        (json!(1), vec![json!(1)], false)
    );
    fs::write(&path, "no json\n{\"record\":1}\n").unwrap();
    assert_eq!(Journal::pending(d.path()).unwrap().remove(0).header, Value::Null);
}

/// A journal cut at every byte: exactly the lines that are whole count, and no journal is what a cut header leaves.
fn check_every_cut(header: &Value, records: &[Value]) {
    let d = dir();
    let mut journal = Journal::begin(d.path(), "jail.x", header).unwrap();
    for (i, record) in records.iter().enumerate() {
        journal.record(record, i == 0).unwrap();
    }
    journal.commit().unwrap();
    let path = d.path().join("jail.x.1.jsonl");
    let text = fs::read(&path).unwrap();
    for cut in 0..=text.len() {
        fs::write(&path, &text[..cut]).unwrap();
        let whole = text[..cut].iter().filter(|b| **b == b'\n').count();
        let pending = Journal::pending(d.path()).unwrap();
        if whole == 0 {
            assert!(pending.is_empty() && !path.exists(), "cut {cut}");
            continue;
        }
        let [p] = &pending[..] else {
            panic!("cut {cut}: {pending:?}")
        };
        assert_eq!(&p.header, header, "cut {cut}");
        assert_eq!(p.records, records[..(whole - 1).min(records.len())], "cut {cut}");
        assert_eq!(p.committed, whole == records.len() + 2, "cut {cut}");
    }
}

#[test]
fn every_cut() {
    check_every_cut(
        &json!({"title": "create ä\n"}),
        &[json!({"begin": 0}), json!(12), json!({"commit": true})],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_cut_of_any(header in ".{0,20}", records in proptest::collection::vec(".{0,12}", 0..4)) {
        let records: Vec<Value> = records.into_iter().map(Value::from).collect();
        check_every_cut(&Value::from(header), &records);
    }
}
