use super::*;
use qjail_model::ZoneName;
use std::os::unix::fs::PermissionsExt;

fn name(text: &str) -> JailName {
    JailName::new(text).unwrap()
}

fn store() -> (tempfile::TempDir, Definitions) {
    let dir = tempfile::tempdir().unwrap();
    let definitions = Definitions::new(dir.path());
    (dir, definitions)
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn save_load_rename_remove() {
    let (dir, d) = store();
    let mut definition = Definition::new();
    definition.zone = Some(ZoneName::new("web").unwrap());
    definition.params.set("ip4.addr", "192.168.1.2");
    assert_eq!(d.load(&name("a")).unwrap(), None);
    d.save(&name("a"), &definition).unwrap();
    assert_eq!(d.load(&name("a")).unwrap(), Some(definition.clone()));
    assert_eq!(
        fs::metadata(d.path(&name("a"))).unwrap().permissions().mode() & 0o777,
        0o644
    );
    d.rename(&name("a"), &name("b")).unwrap();
    assert_eq!(d.load(&name("b")).unwrap(), Some(definition.clone()));
    d.save(&name("c"), &Definition::new()).unwrap();
    let e = d.rename(&name("b"), &name("c")).unwrap_err();
    assert!(e.to_string().contains("c.toml"), "{e}");
    assert_eq!(d.load(&name("b")).unwrap(), Some(definition));
    assert!(
        d.rename(&name("none"), &name("new"))
            .unwrap_err()
            .to_string()
            .contains("none.toml")
    );
    assert!(d.remove(&name("b")).unwrap());
    assert!(!d.remove(&name("b")).unwrap());
    assert!(!d.exists(&name("b")));
    assert_eq!(files(dir.path()), ["c.toml"]);
}

#[test]
fn broken_files_do_not_hide_the_others() {
    let (dir, d) = store();
    d.save(&name("web"), &Definition::new()).unwrap();
    fs::write(dir.path().join("typo.toml"), "format = 1\nmanuel = true\n").unwrap();
    fs::write(dir.path().join("latin1.toml"), b"format = 1 # caf\xe9\n").unwrap();
    fs::create_dir(dir.path().join("folder.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("link.toml")).unwrap();
    for stray in [
        "README",
        ".web.toml.new",
        ".hidden.toml",
        "a b.toml",
        "123.toml",
        "web.toml~",
    ] {
        fs::write(dir.path().join(stray), "x").unwrap();
    }
    let list = d.list().unwrap();
    let names: Vec<&str> = list.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["folder", "latin1", "link", "typo", "web"]);
    assert!(list[4].1.is_ok());
    let path = |file: &str| dir.path().join(file).display().to_string();
    let error = |i: usize| list[i].1.as_ref().unwrap_err().to_string();
    assert!(
        error(0).starts_with(&format!("read {}: ", path("folder.toml"))),
        "{}",
        error(0)
    );
    assert!(
        error(1).starts_with(&format!("read {}: ", path("latin1.toml"))),
        "{}",
        error(1)
    );
    assert_eq!(
        error(2),
        format!("read {}: No such file or directory", path("link.toml"))
    );
    assert!(error(3).starts_with(&format!(
        "{}: line 2, column 1: unknown field `manuel`",
        path("typo.toml")
    )));
    assert!(!error(3).contains('\n'));
    assert_eq!(d.load(&name("typo")).unwrap_err().to_string(), error(3));
    assert_eq!(
        d.read_text(&name("typo")).unwrap().unwrap(),
        "format = 1\nmanuel = true\n"
    );
    let strays: Vec<String> = d.strays().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(strays.len(), 2);
    assert!(
        strays[0].starts_with(&path("123.toml")) && strays[1].starts_with(&path("a b.toml")),
        "{strays:?}"
    );
}

#[test]
fn no_directory_is_an_empty_one_and_a_file_is_an_error() {
    let (dir, _) = store();
    assert!(
        Definitions::new(dir.path().join("none"))
            .list()
            .unwrap()
            .is_empty()
    );
    let e = Definitions::new(dir.path().join("none"))
        .save(&name("a"), &Definition::new())
        .unwrap_err();
    assert!(e.to_string().contains("none/.a.toml.new: No such file"), "{e}");
    fs::write(dir.path().join("file"), "").unwrap();
    let e = Definitions::new(dir.path().join("file")).list().unwrap_err();
    assert!(e.to_string().contains("file: Not a directory"), "{e}");
}

#[test]
fn a_file_without_end_is_refused() {
    let (_dir, d) = store();
    fs::write(d.path(&name("a")), " ".repeat((1 << 20) + 1)).unwrap();
    let e = d.load(&name("a")).unwrap_err().to_string();
    assert!(
        e.starts_with("read ") && e.ends_with("a.toml: file too large"),
        "{e}"
    );
}

#[test]
fn a_fifo_or_a_device_is_refused_at_once() {
    let (dir, d) = store();
    d.save(&name("web"), &Definition::new()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("fifo.toml"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join("null.toml")).unwrap();
    for odd in ["fifo", "null"] {
        let e = d.load(&name(odd)).unwrap_err().to_string();
        assert!(
            e.ends_with(&format!("{odd}.toml: it is not a regular file")),
            "{e}"
        );
    }
    assert_eq!(
        d.list()
            .unwrap()
            .iter()
            .filter(|(_, found)| found.is_ok())
            .count(),
        1
    );
}

#[test]
fn leftovers_of_a_cut_off_writer_are_cleared_and_not_followed() {
    let (dir, d) = store();
    fs::write(dir.path().join("victim"), "untouched").unwrap();
    std::os::unix::fs::symlink("victim", dir.path().join(".a.toml.new")).unwrap();
    d.save(&name("a"), &Definition::new()).unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join("victim")).unwrap(),
        "untouched"
    );
    fs::write(dir.path().join(".a.toml.new"), "half").unwrap();
    assert!(d.remove(&name("a")).unwrap());
    assert_eq!(files(dir.path()), ["victim"]);
}

#[test]
fn a_thousand() {
    let (dir, d) = store();
    for i in 0..1000 {
        let text = format!(
            "format = 1\n\n[params]\n\"ip4.addr\" = \"10.0.{}.{}\"\n",
            i / 250,
            i % 250 + 1
        );
        fs::write(dir.path().join(format!("room-{i:03}.toml")), text).unwrap();
    }
    fs::write(dir.path().join("room-500.toml"), "format = ").unwrap();
    let list = d.list().unwrap();
    assert_eq!(list.len(), 1000);
    assert!(list.is_sorted_by(|a, b| a.0 < b.0));
    let broken: Vec<&str> = list
        .iter()
        .filter(|(_, r)| r.is_err())
        .map(|(n, _)| n.as_str())
        .collect();
    assert_eq!(broken, ["room-500"]);
    assert_eq!(
        list[999].1.as_ref().unwrap().params.text("ip4.addr"),
        Some("10.0.3.250")
    );
}
