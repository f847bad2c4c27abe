//! Jails with a file system of their own: `create --image`.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use qjail_tests::{Site, same, sh};

/// Loop devices on files of the site, and its mounts. A device stays as long as a copy of its mount lives on in the mount
/// namespace of anybody else on this machine, which may be a moment.
pub(crate) fn attached(site: &Site) -> String {
    let root = site.root.display();
    let mounts = format!("grep -F '{root}/var/lib/qjail/jails' /proc/mounts | grep ext4; true");
    let mounts = sh(&mounts, &site.root).ok().out;
    let end = Instant::now() + Duration::from_secs(10);
    while mounts.is_empty() && !devices(site).is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    devices(site) + &mounts
}

/// The files of the site that have a loop device.
fn devices(site: &Site) -> String {
    let root = site.root.display();
    let script = format!("cat /sys/block/loop*/loop/backing_file 2>/dev/null | grep -F {root}; true");
    sh(&script, &site.root).ok().out
}

pub(crate) fn image(site: &Site, jail: &str) -> std::path::PathBuf {
    site.jails().join(format!(".images/{jail}.img"))
}

#[test]
fn the_life_of_an_image_jail() {
    let site = Site::from_host();
    let before = site.picture();
    let _ = site.qjail(&["create", "-i", "256M", "a"]).ok();
    assert_eq!(attached(&site), "");
    let meta = std::fs::metadata(image(&site, "a")).unwrap();
    assert_eq!(
        (meta.len(), meta.permissions().mode() & 0o777),
        (256 << 20, 0o600)
    );
    assert_eq!(std::fs::read_dir(site.jails().join("a")).unwrap().count(), 0);
    assert!(site.qjail(&["list"]).ok().out.contains("\nIS  N/A"));

    let _ = site.qjail(&["start", "a"]).ok();
    assert!(attached(&site).contains("nodev"), "{}", attached(&site));
    assert_eq!(
        site.inside("a", "echo kept > /root/file; stat -f -c %T /"),
        "ext2/ext3"
    );
    let size: u64 = site
        .inside("a", "df -B1M --output=size / | tail -1")
        .trim()
        .parse()
        .unwrap();
    assert!((200..256).contains(&size), "{size}");
    let _ = site.qjail(&["delete", "a"]).refused(1, "Bypassed running jail a");
    let _ = site.qjail(&["stop", "a"]).ok();
    assert_eq!(attached(&site), "");
    site.assert_no_trace();

    let _ = site.qjail(&["config", "--rename", "b", "a"]).ok();
    assert_eq!(attached(&site), "");
    assert!(image(&site, "b").is_file() && !image(&site, "a").exists());
    let _ = site.qjail(&["start", "b"]).ok();
    assert_eq!(site.inside("b", "cat /root/file; hostname"), "kept\nb");
    // Its process 1 ends by itself: the next command unmounts.
    let _ = sh(
        &format!(
            "kill -9 {}",
            site.qjail(&["list", "-o", "jid", "b"])
                .ok()
                .out
                .lines()
                .last()
                .unwrap()
                .trim()
        ),
        &site.root,
    )
    .ok();
    std::thread::sleep(Duration::from_millis(300));
    let _ = site.qjail(&["create", "-i", "256m", "c"]).ok();
    assert_eq!(attached(&site), "");
    let _ = site.qjail(&["delete", "b", "c"]).ok();
    std::fs::remove_file(site.root.join("var/log/qjail.b.console.log")).unwrap_or_default();
    same(&site.picture(), &before, "created, used and deleted");
}

#[test]
fn a_start_that_fails_leaves_nothing_mounted() {
    let site = Site::from_host();
    let create = ["create", "-i", "256m", "--param", "exec.start=exit 3", "a"];
    let _ = site.qjail(&create).ok();
    assert_eq!(site.qjail(&["start", "a"]).code, 1);
    assert_eq!(attached(&site), "");
    // The file is lost: that is told, and the jail can still be deleted.
    std::fs::remove_file(image(&site, "a")).unwrap();
    assert!(site.qjail(&["start", "a"]).err.contains("a.img"));
    let _ = site.qjail(&["delete", "a"]).ok();
    assert!(!site.jails().join("a").exists());
    assert_eq!(attached(&site), "");
}

/// While another mount namespace still has the file system, it is mounted again, and not a second one in the same file.
#[test]
fn a_file_never_has_two_file_systems_at_work() {
    let site = Site::from_host();
    let _ = site.qjail(&["create", "-i", "256m", "a"]).ok();
    let _ = site.qjail(&["start", "a"]).ok();
    let mut holder = std::process::Command::new("unshare")
        .args(["-m", "--propagation", "private", "sleep", "60"])
        .spawn()
        .unwrap();
    let mounts = format!("/proc/{}/mounts", holder.id());
    let holds = || {
        std::fs::read_to_string(&mounts).unwrap_or_default()
            != std::fs::read_to_string("/proc/mounts").unwrap()
    };
    std::thread::sleep(Duration::from_millis(300));
    let _ = site.qjail(&["stop", "a"]).ok();
    assert!(holds(), "the copy of the mount is still there");
    assert_eq!(devices(&site).lines().count(), 1);
    let _ = site.qjail(&["start", "a"]).ok();
    let again = devices(&site);
    let _ = site.inside("a", "echo here > /root/file; sync");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let _ = site.qjail(&["stop", "a"]).ok();
    assert_eq!(again.lines().count(), 1, "{again}");
    assert_eq!(attached(&site), "");
    let _ = site.qjail(&["start", "a"]).ok();
    assert_eq!(site.inside("a", "cat /root/file"), "here");
    let _ = site.qjail(&["stop", "a"]).ok();
}

#[test]
fn bad_images_are_refused_and_change_nothing() {
    let site = Site::from_host();
    let before = site.picture();
    for (size, what) in [("2x", "is not a size"), ("0", "0 bytes"), ("-5m", "--image")] {
        let ran = site.qjail(&["create", &format!("--image={size}"), "a"]);
        assert!(ran.code == 2 && ran.err.contains(what), "{ran:#?}");
    }
    let small = site.qjail(&["create", "-i", "1m", "a"]).refused(1, "too small");
    assert!(small.err.contains("give at least"), "{}", small.err);
    // No mkfs.ext4: an empty file that nobody can execute is in its place.
    let hidden = format!(
        "unshare -m sh -c 'mount --bind /dev/null /usr/sbin/mkfs.ext4; exec {} --root {} create -i 256m a'",
        qjail_tests::program().display(),
        site.root.display()
    );
    let ran = sh(&hidden, &site.root);
    assert!(
        ran.code == 1 && ran.err.contains("apt install e2fsprogs"),
        "{ran:#?}"
    );
    // A file of that name is there.
    std::fs::create_dir(site.jails().join(".images")).unwrap();
    std::fs::write(image(&site, "a"), "precious").unwrap();
    let _ = site
        .qjail(&["create", "-i", "256m", "a"])
        .refused(1, "exists already");
    assert_eq!(std::fs::read_to_string(image(&site, "a")).unwrap(), "precious");
    std::fs::remove_dir_all(site.jails().join(".images")).unwrap();
    same(&site.picture(), &before, "refused");
    assert_eq!(attached(&site), "");
}

#[test]
fn an_image_that_fills_up_while_it_is_made_leaves_all_as_before() {
    let site = Site::from_host();
    let flavor = site.jails().join("flavors/big");
    std::fs::create_dir(&flavor).unwrap();
    std::fs::write(flavor.join("zeros"), vec![1; 300 << 20]).unwrap();
    let before = site.picture();
    let ran = site.qjail(&["create", "-i", "256m", "-f", "big", "a"]);
    assert!(ran.code == 1 && ran.err.contains("No space left"), "{ran:#?}");
    same(&site.picture(), &before, "no space left");
    assert_eq!(attached(&site), "");
}

#[test]
fn kill_9_at_any_instant_leaves_nothing_mounted() {
    let site = Site::from_host();
    let create = ["create", "-i", "256m", "victim"];
    let took = |args: &[&str]| {
        let began = Instant::now();
        let _ = site.qjail(args).ok();
        began.elapsed()
    };
    let times = [
        took(&create),
        took(&["start", "victim"]),
        took(&["stop", "victim"]),
    ];
    let _ = site.qjail(&["delete", "victim"]).ok();
    let killed = |args: &[&str], after: Duration| {
        let mut command = site.command(args);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(after);
        let _ = child.kill();
        let _ = child.wait();
    };
    let rounds = 12;
    for round in 0..rounds {
        let part = |time: Duration| time * round / rounds + Duration::from_micros(700);
        killed(&create, part(times[0]));
        let made = site.qjail(&create);
        assert!(
            made.code == 0 || made.err.contains("already exists"),
            "{round}: {made:#?}"
        );
        assert_eq!(attached(&site), "", "round {round}: create");
        killed(&["start", "victim"], part(times[1]));
        let _ = site.qjail(&["start", "victim"]).ok();
        assert_eq!(site.inside("victim", "hostname"), "victim", "round {round}");
        killed(&["stop", "victim"], part(times[2]));
        let _ = site.qjail(&["stop", "victim"]).ok();
        assert_eq!(attached(&site), "", "round {round}: stop");
        site.assert_no_trace();
        killed(
            &["config", "--rename", "other", "victim"],
            Duration::from_millis(u64::from(round)),
        );
        // Whichever name it has by now.
        let _ = site.qjail(&["config", "--rename", "victim", "other"]);
        assert_eq!(attached(&site), "", "round {round}: rename");
        killed(&["delete", "victim"], Duration::from_millis(u64::from(round)));
        let gone = site.qjail(&["delete", "victim"]);
        assert!(
            gone.code == 0 || gone.err.contains("doesn't exist"),
            "{round}: {gone:#?}"
        );
        assert_eq!(attached(&site), "", "round {round}: delete");
        assert!(!site.jails().join(".images").exists(), "round {round}");
        assert!(!site.jails().join(".new.victim").exists(), "round {round}");
    }
}
