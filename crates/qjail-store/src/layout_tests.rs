use super::*;

fn name(text: &str) -> JailName {
    JailName::new(text).unwrap()
}

fn zone(text: &str) -> ZoneName {
    ZoneName::new(text).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_table_of_the_design() {
    let p = |path: PathBuf| path.display().to_string();
    let f = Layout::new(Os::FreeBsd, None);
    assert_eq!(p(f.jails_dir(None)), "/usr/jails");
    assert_eq!(p(f.jails_dir(Some(&zone("web")))), "/usr/jails.web");
    assert_eq!(p(f.definitions_dir()), "/usr/local/etc/qjail/jails.d");
    assert_eq!(p(f.settings_file()), "/usr/local/etc/qjail/qjail.toml");
    assert_eq!(p(f.journal_dir()), "/var/db/qjail/journal");
    assert_eq!(
        p(f.console_log(&name("jail1"))),
        "/var/log/qjail.jail1.console.log"
    );
    assert_eq!(f.plugin_dirs(), [Path::new("/usr/local/lib/qjail/plugins")]);
    let l = Layout::new(Os::Linux, Some(Path::new("/tmp/q")));
    assert_eq!(p(l.jails_dir(None)), "/tmp/q/var/lib/qjail/jails");
    assert_eq!(
        p(l.jails_dir(Some(&zone("web")))),
        "/tmp/q/var/lib/qjail/jails.web"
    );
    assert_eq!(p(l.config_dir()), "/tmp/q/etc/qjail");
    assert_eq!(p(l.locks_dir()), "/tmp/q/var/lib/qjail/state/locks");
    assert_eq!(p(l.log_file()), "/tmp/q/var/log/qjail.log");
    assert_eq!(
        l.plugin_dirs()[1],
        Path::new("/tmp/q/usr/local/lib/qjail/plugins")
    );
}

#[test]
fn create_makes_everything_once_and_closes_jails_and_state() {
    for os in [Os::FreeBsd, Os::Linux] {
        let dir = tempfile::tempdir().unwrap();
        let l = Layout::new(os, Some(&dir.path().join("a/b")));
        l.create().unwrap();
        for open in [l.config_dir(), l.definitions_dir(), l.root().to_owned()] {
            assert_eq!(mode(&open), 0o755, "{}", open.display());
        }
        for private in [
            l.jails_dir(None),
            l.state_dir(),
            l.locks_dir(),
            l.journal_dir(),
            l.bases_dir(),
            l.run_dir(),
        ] {
            assert_eq!(mode(&private), 0o700, "{}", private.display());
        }
        fs::set_permissions(l.jails_dir(None), Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(l.state_dir(), Permissions::from_mode(0o755)).unwrap();
        l.create().unwrap();
        assert_eq!(
            mode(&l.jails_dir(None)),
            0o700,
            "what jails make is out of reach of users of the host"
        );
        assert_eq!(mode(&l.state_dir()), 0o700);
    }
}

#[test]
fn a_file_in_the_way_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("usr"), "").unwrap();
    let e = Layout::new(Os::FreeBsd, Some(dir.path())).create().unwrap_err();
    assert!(
        e.to_string()
            .starts_with(&format!("make the directory {}/usr", dir.path().display())),
        "{e}"
    );
}

#[test]
fn zones_from_definitions_and_directories() {
    let dir = tempfile::tempdir().unwrap();
    let l = Layout::new(Os::Linux, Some(dir.path()));
    assert!(l.zones().unwrap().is_empty());
    l.create().unwrap();
    assert!(l.zones().unwrap().is_empty());
    l.create_zone(&zone("web")).unwrap();
    let jails = l.jails_dir(None);
    for odd in ["jails.", "jails.a b", "jails.123", "other"] {
        fs::create_dir(jails.with_file_name(odd)).unwrap();
    }
    fs::write(jails.with_file_name("jails.file"), "").unwrap();
    fs::write(l.definitions_dir().join("a.toml"), "format = 1\nzone = \"db\"\n").unwrap();
    fs::write(l.definitions_dir().join("b.toml"), "broken").unwrap();
    let zones: Vec<String> = l.zones().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(zones, ["db", "web"]);
}
