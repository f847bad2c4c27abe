//! Roots of jails whose root has planted something.

use std::os::unix::fs::symlink;
use std::path::Path;

use qjail_plugin_api::serde_json::json;

use super::{KEY_PATH, World, picture};

/// Whoever is root in the jail has put something else in the place of each file: nothing outside is read or written,
/// nothing waits, nothing in the jail changes.
#[test]
fn hostile_roots_are_refused_and_nothing_changes() {
    let places = [
        "etc",
        "etc/rc.conf",
        "etc/ssh",
        "etc/ssh/sshd_config",
        "etc/passwd",
        "etc/shadow",
        "etc/group",
        "etc/gshadow",
        "etc/pam.d",
        "etc/pam.d/su",
        "etc/skel",
        "home",
        "home/web",
        "home/web/.ssh",
        "home/web/.ssh/authorized_keys",
        "etc/sudoers",
    ];
    for place in places {
        for plant in ["link", "fifo", "dir", "file"] {
            let world = World::linux(&[
                ("etc/gshadow", "root:*::\n"),
                ("etc/skel/.profile", ""),
                ("home/web/.ssh/authorized_keys", ""),
            ]);
            if place == "etc/skel" {
                // Only a new home directory is filled from it.
                std::fs::remove_dir_all(world.jail().join("home/web")).unwrap();
            } else {
                std::os::unix::fs::chown(world.jail().join("home/web"), Some(1000), Some(1000)).unwrap();
            }
            let (at, outside) = (world.jail().join(place), world.dir.path().join("outside"));
            let was_dir = at.is_dir();
            if was_dir {
                // What the link leads to has all that would be looked for.
                copy(&at, &outside);
                std::fs::remove_dir_all(&at).unwrap();
            } else {
                std::fs::write(&outside, "root:x:0:0:host:/root:/bin/sh\n").unwrap();
                let _ = std::fs::remove_file(&at);
            }
            match plant {
                "link" => symlink(&outside, &at).unwrap(),
                "fifo" => make_fifo(&at),
                "dir" if !was_dir => std::fs::create_dir(&at).unwrap(),
                "file" if was_dir => std::fs::write(&at, "").unwrap(),
                _ => continue,
            }
            let before = picture(world.dir.path());
            let told = world.plan(json!({"ssh-key": [KEY_PATH]}), json!({})).unwrap_err();
            assert!(
                told.starts_with("ssh of web: ") && !told.contains('\n'),
                "{place} {plant}: {told}"
            );
            // And if it is planted after the plan was made: the step itself refuses too.
            let honest = World::linux(&[]);
            let plan = honest.plan(json!({"ssh-key": [KEY_PATH]}), json!({})).unwrap();
            let step = plan.steps.last().unwrap();
            world.step(step, false).unwrap_err();
            assert_eq!(picture(world.dir.path()), before, "{place} {plant}");
        }
    }
}

fn make_fifo(at: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
