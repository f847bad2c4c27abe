//! System V IPC, by a program that runs in two jails and on the host.

use std::path::PathBuf;
use std::sync::OnceLock;

use qjail_tests::{Site, sh};

/// The program `sysvipc.c`, which needs no library of the jail.
fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let out = Site::shared().root.join("sysvipc");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/sysvipc.c");
        let line = format!("cc -static -Wall -Werror -o {} {source}", out.display());
        let _ = sh(&line, &Site::shared().root).ok();
        out
    })
}

/// A running jail that has the program; removed at the end.
struct Jail {
    site: &'static Site,
    name: &'static str,
}

impl Jail {
    fn new(name: &'static str, options: &[&str]) -> Self {
        let site = Site::shared();
        let jail = Self { site, name };
        let _ = site.qjail(&[&["create", name], options].concat()).ok();
        std::fs::copy(program(), site.jails().join(name).join("usr/local/bin/sysvipc")).unwrap();
        let _ = site.qjail(&["start", name]).ok();
        jail
    }

    fn run(&self, arguments: &str) -> String {
        self.site
            .inside(self.name, &format!("/usr/local/bin/sysvipc {arguments}"))
    }

    /// Stops it, changes it, starts it again.
    fn config(&self, options: &[&str]) -> String {
        let _ = self.site.qjail(&["stop", self.name]).ok();
        let changed = self
            .site
            .qjail(&[&["config"], options, &[self.name]].concat())
            .ok();
        let _ = self.site.qjail(&["start", self.name]).ok();
        format!("{}{}", changed.out, changed.err)
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = self.site.qjail(&["stop", "--force", self.name]);
        let _ = self.site.qjail(&["delete", self.name]);
    }
}

fn host(arguments: &str) -> String {
    let line = format!("{} {arguments}", program().display());
    sh(&line, &Site::shared().root).ok().out.trim_end().to_owned()
}

/// Removes the host's objects of a key, whatever happens.
struct Objects(u32);

impl Drop for Objects {
    fn drop(&mut self) {
        let _ = host(&format!("remove {}", self.0));
    }
}

/// A key that nobody else on this machine has.
fn key(number: u32) -> u32 {
    0x7100_0000 + std::process::id() * 16 % 0x00ff_ff00 + number
}

/// How many objects the host has.
fn host_objects() -> usize {
    sh("ipcs", &Site::shared().root)
        .ok()
        .out
        .lines()
        .filter(|l| l.starts_with("0x"))
        .count()
}

const ABSENT: &str = "shm=ENOSYS\nsem=ENOSYS\nmsg=ENOSYS";
const UNSEEN: &str = "shm=ENOENT\nsem=ENOENT\nmsg=ENOENT";

#[test]
fn off_own_and_shared() {
    let (a, b) = (Jail::new("ipca", &[]), Jail::new("ipcb", &["--sysvipc", "new"]));
    let (one, two) = (key(1), key(2));
    let _objects = (Objects(one), Objects(two));
    assert_eq!(
        a.run(&format!("make {one}")),
        ABSENT,
        "off is what a jail has without them"
    );

    let said = a.config(&["-y"]);
    assert!(said.contains("Successfully enabled sysvipc for ipca"), "{said}");
    let before = host_objects();
    assert_eq!(
        a.run(&format!("make {one} mine")),
        "shm=yes\ntext=mine\nsem=yes\nmsg=yes"
    );
    assert_eq!(
        a.run(&format!("find {one}")),
        "shm=yes\ntext=mine\nsem=yes\nmsg=yes"
    );
    assert_eq!(b.run(&format!("find {one}")), UNSEEN, "another jail");
    assert_eq!(host(&format!("find {one}")), UNSEEN);
    assert_eq!(host_objects(), before);
    assert_eq!(
        b.run(&format!("make {one} theirs")),
        "shm=yes\ntext=theirs\nsem=yes\nmsg=yes"
    );
    assert_eq!(
        a.run(&format!("find {one}")),
        "shm=yes\ntext=mine\nsem=yes\nmsg=yes"
    );
    let _ = a.site.qjail(&["restart", "ipca"]).ok();
    assert_eq!(
        a.run(&format!("find {one}")),
        UNSEEN,
        "nothing is left after a stop"
    );

    let said = a.config(&["--sysvipc", "inherit"]);
    assert!(said.contains("ipca will share"), "a warning: {said}");
    assert_eq!(
        host(&format!("make {two} ours")),
        "shm=yes\ntext=ours\nsem=yes\nmsg=yes"
    );
    assert_eq!(
        a.run(&format!("find {two}")),
        "shm=yes\ntext=ours\nsem=yes\nmsg=yes"
    );
    assert_eq!(b.run(&format!("find {two}")), UNSEEN, "the one with its own");

    let said = a.config(&["-Y"]);
    assert!(said.contains("Successfully disabled sysvipc for ipca"), "{said}");
    assert_eq!(a.run(&format!("find {two}")), ABSENT);
}

#[test]
fn one_kind_of_three() {
    let jail = Jail::new("ipck", &["--param", "sysvshm=new"]);
    assert_eq!(
        jail.run(&format!("make {} x", key(3))),
        "shm=yes\ntext=x\nsem=ENOSYS\nmsg=ENOSYS"
    );
}

#[test]
fn a_change_of_one_kind_that_does_not_go_with_the_others_is_refused() {
    let site = Site::shared();
    let _ = site.qjail(&["create", "ipcx", "--sysvipc", "new"]).ok();
    let before = std::fs::read_to_string(site.definition("ipcx")).unwrap();
    let refused = site
        .qjail(&["config", "--param", "sysvsem=inherit", "ipcx"])
        .refused(1, "sysvshm can not be `new` while sysvsem is `inherit`");
    assert!(refused.err.contains("\nhint: "), "{refused:#?}");
    assert_eq!(std::fs::read_to_string(site.definition("ipcx")).unwrap(), before);
    let _ = site.qjail(&["config", "--param", "sysvsem=disable", "ipcx"]).ok();
    let _ = site.qjail(&["delete", "ipcx"]).ok();
}

#[test]
fn what_can_not_be_is_refused_before_anything_is_made() {
    let site = Site::shared();
    let mixed = [
        "create",
        "ipcm",
        "--param",
        "sysvshm=new",
        "--param",
        "sysvsem=inherit",
    ];
    site.qjail(&mixed).refused(
        1,
        "parameter sysvshm: can not be `new` while sysvsem is `inherit`",
    );
    site.qjail(&["create", "ipcm", "--sysvipc", "yes"])
        .refused(2, "yes");
    assert!(!site.definition("ipcm").exists() && !site.jails().join("ipcm").exists());
}
