//! A jail's root has put links, FIFOs, directories and devices where qjail reads or writes: nothing waits, and nothing
//! outside the jail is read or written.

use std::path::{Path, PathBuf};

use qjail_tests::{Ran, Site, same, sh};

/// A command and what it meets.
struct Case {
    /// What makes it possible, before anything is planted.
    before: &'static [&'static str],
    run: &'static [&'static str],
    /// What takes it back where it succeeded.
    after: &'static [&'static str],
    /// The places in the jail that it touches.
    places: &'static [&'static str],
    /// Those of them that it can not do without: whatever is there instead is refused by name.
    needs: &'static [&'static str],
}

const SSH: &[&str] = &[
    "etc",
    "etc/rc.conf",
    "etc/ssh",
    "etc/ssh/sshd_config",
    "etc/passwd",
    "etc/group",
    "etc/shadow",
    "home",
    "root/.ssh",
];
const SSH_NEEDS: &[&str] = &["etc", "etc/rc.conf", "etc/passwd", "etc/group", "etc/shadow"];
const USERS: &[&str] = &["etc/passwd", "etc/group", "etc/shadow", "etc/master.passwd"];

/// Runs a command line; one that waits for ever ends with 124.
fn in_time(site: &Site, line: &str) -> Ran {
    let script = format!(
        "QJAIL_ROOT={} timeout --foreground 30 $QJAIL_TEST_PROGRAM {line}",
        site.root.display()
    );
    sh(&script, &site.root)
}

/// Files of the host that tell when they are read, in a file system that keeps the time of it.
struct Canary {
    dir: PathBuf,
}

impl Canary {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("qjail-canary-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let _ = sh("mount -t tmpfs -o strictatime,mode=700 canary .", &dir).ok();
        let canary = Self { dir };
        std::fs::write(canary.dir.join("test"), "x").unwrap();
        let before = canary.picture();
        let _ = std::fs::read(canary.dir.join("test")).unwrap();
        assert_ne!(canary.picture(), before, "reading must show");
        canary
    }

    /// Nothing of it is read for this.
    fn picture(&self) -> Vec<String> {
        let script = "find . -type f -printf '%p %m %U %s read %A+ changed %C+\\n' -o -printf '%p %m %U changed %C+\\n'";
        let all = sh(script, &self.dir).ok().out;
        all.lines().map(str::to_owned).collect()
    }

    /// Copies what belongs at a place of the jail, with a mark in each file.
    fn copy(&self, kept: &Path) -> PathBuf {
        let script = format!(
            "rm -rf victim; cp -a {} victim 2>/dev/null || touch victim; \
             find victim -type f -exec sh -c 'for f; do echo \"# SECRET\" >> \"$f\"; done' sh {{}} +",
            kept.display()
        );
        let _ = sh(&script, &self.dir).ok();
        self.dir.join("victim")
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        let _ = sh(
            &format!("umount {0}; rmdir {0}", self.dir.display()),
            Path::new("/"),
        );
    }
}

/// What is planted at `at`, one after the other; none that is of the kind which belongs there.
fn plants(at: &Path, canary: &Canary) -> Vec<(&'static str, String)> {
    let to = canary.copy(at);
    let wrong = if at.is_dir() { "touch" } else { "mkdir" };
    [
        ("a link to the host's", format!("ln -s {}", to.display())),
        ("a FIFO", "mkfifo".to_owned()),
        ("the wrong kind", wrong.to_owned()),
        ("a device", "mknod -m 666 \"$0\" c 5 0; :".to_owned()),
    ]
    .map(|(what, make)| {
        (
            what,
            format!("{make} {}", at.display()).replace("$0", at.to_str().unwrap()),
        )
    })
    .into()
}

struct Jail<'a> {
    site: &'a Site,
    name: &'static str,
}

impl Jail<'_> {
    fn root(&self) -> PathBuf {
        self.site.jails().join(self.name)
    }

    /// A command in which `NAME` stands for the jail and `FREE` for an address.
    fn qjail(&self, args: &[&str], address: &str) -> Ran {
        let line = args.join(" ").replace("NAME", self.name).replace("FREE", address);
        in_time(self.site, &line)
    }

    /// Runs `case` with each thing planted at each of its places.
    fn endures(&self, case: &Case, canary: &Canary, address: &str) {
        for place in case.places {
            let at = self.root().join(place);
            let kept = self.root().join("kept");
            if !case.before.is_empty() {
                let _ = self.qjail(case.before, address).ok();
            }
            for (what, make) in plants(&at, canary) {
                let there = at.symlink_metadata().is_ok();
                if there {
                    std::fs::rename(&at, &kept).unwrap();
                }
                let _ = sh(&make, &canary.dir).ok();
                let before = canary.picture();
                let ran = self.qjail(case.run, address);
                let about = format!("{} {what}: {ran:#?}", at.display());
                if ran.code == 0 && !case.after.is_empty() {
                    let _ = self.qjail(case.after, address).ok();
                }
                same(&canary.picture(), &before, &about);
                self.said(case, place, &ran, &about);
                let _ = sh(&format!("rm -rf {}", at.display()), &canary.dir).ok();
                if there {
                    std::fs::rename(&kept, &at).unwrap();
                }
                if !case.before.is_empty() {
                    let _ = self.qjail(case.before, address).ok();
                }
            }
        }
    }

    fn said(&self, case: &Case, place: &str, ran: &Ran, about: &str) {
        assert!(!format!("{}{}", ran.out, ran.err).contains("SECRET"), "{about}");
        let found = sh("grep -rlI --devices=skip SECRET . 2>/dev/null", &self.root());
        assert_eq!(found.out, "", "{about}");
        let last = place.rsplit('/').next().unwrap();
        if case.needs.contains(&place) {
            assert!([1, 125].contains(&ran.code), "{about}");
            assert!(
                ran.err.starts_with("qjail: ") && ran.err.contains(last),
                "{about}"
            );
        } else {
            assert!([0, 1, 125].contains(&ran.code), "{about}");
        }
        assert!(ran.code == 0 || ran.err.contains("hint: "), "{about}");
    }
}

impl Drop for Jail<'_> {
    fn drop(&mut self) {
        let _ = self.site.qjail(&["stop", "--force", self.name]);
        let _ = self.site.qjail(&["delete", self.name]);
    }
}

fn made(name: &'static str, host: u32, more: &[&str]) -> Jail<'static> {
    let site = Site::shared();
    let (bridge, address) = (site.bridge(), site.address(host));
    let args = [&["create", "-n", &bridge, "-4", &address], more, &[name]].concat();
    let _ = site.qjail(&args).ok();
    Jail { site, name }
}

#[test]
fn changes_of_a_stopped_jail() {
    let jail = made("plantedc", 231, &[]);
    let canary = Canary::new("config");
    let cases = [
        Case {
            before: &[],
            run: &["config", "-h", "NAME"],
            after: &["config", "-H", "NAME"],
            places: SSH,
            needs: SSH_NEEDS,
        },
        Case {
            before: &["config", "-h", "NAME"],
            run: &["config", "-H", "NAME"],
            after: &[],
            places: SSH,
            needs: SSH_NEEDS,
        },
        Case {
            before: &["config", "-Y", "NAME"],
            run: &["config", "-y", "NAME"],
            after: &[],
            places: &["etc", "etc/rc.conf", "etc/passwd"],
            needs: &[],
        },
        Case {
            before: &["config", "-4", "none", "NAME"],
            run: &["config", "-4", "FREE", "NAME"],
            after: &[],
            places: &["etc", "etc/hosts"],
            needs: &[],
        },
        Case {
            before: &[],
            run: &["config", "-n", "NAMEx", "NAME"],
            after: &["config", "-n", "NAME", "NAMEx"],
            places: &["etc", "etc/hostname", "etc/hosts"],
            needs: &[],
        },
    ];
    for case in &cases {
        jail.endures(case, &canary, &jail.site.address(231));
    }
}

#[test]
fn starts() {
    let jail = made("planteds", 232, &[]);
    let canary = Canary::new("start");
    let case = Case {
        before: &[],
        run: &["start", "NAME"],
        after: &["stop", "--force", "NAME"],
        places: &[
            "etc",
            "etc/rc.conf",
            "etc/passwd",
            "etc/group",
            "etc/shadow",
            "etc/master.passwd",
        ],
        needs: USERS,
    };
    jail.endures(&case, &canary, "");
}

#[test]
fn commands_and_logins_in_a_running_jail() {
    let jail = made("plantedr", 233, &["--start"]);
    let canary = Canary::new("enter");
    let exec = Case {
        before: &[],
        run: &["exec", "NAME", "--", "/bin/true"],
        after: &[],
        places: &["etc", "etc/passwd", "etc/group", "etc/shadow"],
        needs: &["etc", "etc/passwd", "etc/group"],
    };
    let as_user = Case {
        run: &["exec", "-u", "nobody", "NAME", "--", "/bin/true"],
        ..exec
    };
    let console = Case {
        run: &["console", "-c", "true", "NAME"],
        needs: &["etc", "etc/passwd", "etc/group", "etc/shadow"],
        ..exec
    };
    for case in [as_user, console, exec] {
        jail.endures(&case, &canary, "");
    }
}

/// The root of such a jail in an archive: what `create` adds to it goes nowhere else.
#[test]
fn archives_of_such_jails() {
    let model = made("plantedm", 234, &[]);
    let canary = Canary::new("create");
    let site = model.site;
    let tar = canary.dir.join("planted.tar");
    for place in SSH {
        let at = model.root().join(place);
        let kept = canary.dir.join("kept");
        // Devices do not come out of archives.
        let plants = plants(&at, &canary)
            .into_iter()
            .filter(|(what, _)| *what != "a device");
        for (what, make) in plants {
            let there = at.symlink_metadata().is_ok();
            if there {
                let _ = sh(&format!("cp -a {} kept; rm -rf {0}", at.display()), &canary.dir).ok();
            }
            let pack = format!(
                "{make}; tar -C {} --transform 'flags=rh;s,^[.],usr/jails/plantedm,' -cf {} .",
                model.root().display(),
                tar.display()
            );
            let _ = sh(&pack, &canary.dir).ok();
            let _ = sh(&format!("rm -rf {}; mv kept {0}", at.display()), &canary.dir);
            assert!(!kept.exists());
            let mut before = canary.picture();
            before.retain(|line| !line.starts_with("./planted.tar "));
            let ran = in_time(site, &format!("create -c -a {} plantedn", tar.display()));
            let about = format!("{place} {what}: {ran:#?}");
            // The archive itself is read.
            let mut after = canary.picture();
            after.retain(|line| !line.starts_with("./planted.tar "));
            same(&after, &before, &about);
            if SSH_NEEDS.contains(place) {
                assert_eq!(ran.code, 1, "{about}");
            }
            assert!([0, 1].contains(&ran.code), "{about}");
            assert!(ran.code == 0 || ran.err.contains("hint: "), "{about}");
            if ran.code == 0 {
                let found = sh(
                    "grep -rlI --devices=skip SECRET . 2>/dev/null",
                    &site.jails().join("plantedn"),
                );
                assert_eq!(found.out, "", "{about}");
                let _ = site.qjail(&["delete", "plantedn"]).ok();
            }
            assert!(!site.jails().join("plantedn").exists(), "{about}");
        }
    }
}
