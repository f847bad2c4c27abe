use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::super::golden;
use crate::rehearsal::Rehearsal;
use crate::{JailSpec, Result, StopOptions, System};

/// A host with lo1, and the jail `a` on it.
struct Site {
    dir: TempDir,
    machine: Rehearsal,
    system: Box<dyn System>,
    spec: JailSpec,
}

impl Site {
    fn new() -> Self {
        Self::with(&[("ip4.addr", &["192.168.1.2"])])
    }

    fn with(params: &[(&str, &[&str])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let machine = Rehearsal::new();
        ifconfig(&machine, "lo1 create");
        ifconfig(&machine, "lo1 inet 192.168.1.1/28 alias");
        ifconfig(&machine, "bridge1 create");
        let mut spec = golden::spec("a", params);
        spec.console_log = Some(dir.path().join("console.log"));
        Self {
            system: machine.system(dir.path()),
            dir,
            machine,
            spec,
        }
    }

    fn start(&self) -> Result<i32> {
        self.system.start(&self.spec, &|| false)
    }

    fn stop(&self) -> Result<()> {
        self.system.stop(&self.spec, StopOptions::default(), &|| false)
    }

    /// The error of a start, with its hint.
    fn fails(&self) -> (String, String) {
        let error = self.start().unwrap_err();
        (error.to_string(), error.hint.unwrap_or_default())
    }
}

fn ifconfig(machine: &Rehearsal, words: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    machine.by_hand("/sbin/ifconfig", &words).unwrap();
}

#[test]
fn a_jail_that_runs_is_not_started_again() {
    let site = Site::new();
    site.start().unwrap();
    let running = site.machine.state();
    assert!(site.fails().0.ends_with("it is running"));
    assert_eq!(site.machine.state(), running);
}

#[test]
fn a_start_that_was_cancelled_leaves_nothing() {
    let site = Site::new();
    let before = site.machine.state();
    let error = site.system.start(&site.spec, &|| true).unwrap_err();
    assert!(error.to_string().ends_with("cancelled"), "{error}");
    assert_eq!(site.machine.state(), before);
}

#[test]
fn a_start_that_fails_beside_a_dying_jail_says_so() {
    let site = Site::new();
    site.machine.foreign_jail("a", Path::new("/usr/jails/a"));
    site.machine.dying("a");
    let (_, hint) = site.fails();
    assert!(
        hint.contains("an earlier jail of this name is still dying"),
        "{hint}"
    );
}

#[test]
fn what_could_not_be_undone_is_told_and_undone_later() {
    let site = Site::new();
    let before = site.machine.state();
    for (call, says) in [
        (
            "unmount(2) /usr/jails/a/sharedfs",
            "unmount /usr/jails/a/sharedfs: ",
        ),
        (
            "/sbin/ifconfig lo1 inet 192.168.1.2/32 -alias",
            "permission denied",
        ),
    ] {
        site.machine.fail("/sbin/mount -t devfs", "devfs: no");
        site.machine.fail(call, "permission denied");
        // Nor can jail(8) itself.
        site.machine.fail("/sbin/umount", "permission denied");
        let (error, hint) = site.fails();
        assert!(error.contains("devfs: no"), "the first error is the one: {error}");
        assert!(
            hint.contains("not all of it could be undone: ") && hint.contains(says),
            "{hint}"
        );
        site.machine.mend();
        assert_ne!(site.machine.state(), before);
        site.system.cleanup(&site.spec).unwrap();
        assert_eq!(site.machine.state(), before);
    }
}

#[test]
fn a_busy_mount_is_waited_for() {
    let site = Site::new();
    let before = site.machine.state();
    site.machine.fail("/sbin/mount -t devfs", "no");
    site.machine.fail("/sbin/umount", "busy");
    site.machine.fail("unmount(2)", "busy");
    let machine = site.machine.clone();
    let freed = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(400));
        machine.mend();
    });
    assert!(site.fails().0.contains("mount -t devfs"));
    freed.join().unwrap();
    assert_eq!(site.machine.state(), before);
}

#[test]
fn a_jail_that_does_not_go_is_told() {
    let site = Site::new();
    let before = site.machine.state();
    site.start().unwrap();
    let running = site.machine.state();
    site.machine.fail("/usr/sbin/jail", "jail: a: no");
    let error = site.stop().unwrap_err();
    assert!(error.to_string().contains("stop.conf -r a: "), "{error}");
    assert_eq!(site.machine.state(), running, "a jail that runs keeps its mounts");
    site.machine.mend();
    site.stop().unwrap();
    assert_eq!(site.machine.state(), before);
}

/// After a boot an address with the same numbers is somebody else's.
/// What jail(8) was at when it was killed is asked of the kernel, and the jail goes without its own stop.
#[test]
fn an_interrupted_stop_still_stops() {
    let vnet: &[(&str, &[&str])] = &[("vnet", &["new"]), ("interface", &["bridge1"])];
    for site in [Site::new(), Site::with(vnet)] {
        let before = site.system.interfaces().unwrap();
        site.start().unwrap();
        let _ = site.machine.transcript();
        let enough = || true;
        site.system
            .stop(&site.spec, StopOptions::default(), &enough)
            .unwrap();
        assert!(site.system.running().unwrap().is_empty());
        let said = site.machine.transcript();
        let removals: Vec<&str> = said.lines().filter(|l| l.contains("/usr/sbin/jail ")).collect();
        assert_eq!(removals.len(), 2, "{said}");
        assert!(removals[0].ends_with("(killed at once)"), "{said}");
        assert!(!said.contains("in the jail: /bin/sh /etc/rc.shutdown"), "{said}");
        assert_eq!(site.system.interfaces().unwrap(), before, "{said}");
    }
}

#[test]
fn what_is_there_since_the_boot_stays() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    for (boot, stays) in [(now - 1000, false), (now + 1000, true)] {
        let site = Site::new();
        site.start().unwrap();
        // As when the power went: the files of the run are still there.
        let file = site.dir.path().join("run/a/jail.conf");
        let file = file.to_str().unwrap();
        site.machine
            .by_hand("/usr/sbin/jail", &["-f", file, "-r", "a"])
            .unwrap();
        ifconfig(&site.machine, "lo1 inet 192.168.1.2/32 alias");
        site.machine.booted(boot);
        site.system.cleanup(&site.spec).unwrap();
        assert_eq!(site.machine.state().contains("192.168.1.2/32"), stays);
        assert!(!site.dir.path().join("run/a").exists());
    }
}

#[test]
fn interfaces_are_taken_back_also_where_the_console_log_can_not_be_written() {
    let params: &[(&str, &[&str])] = &[("vnet", &["new"]), ("interface", &["bridge1"])];
    let mut site = Site::with(params);
    site.spec.console_log = Some(site.dir.path().join("none/console.log"));
    let before = site.machine.state();
    site.start().unwrap();
    drop(site.machine.transcript());
    site.stop().unwrap();
    let told = site.machine.transcript();
    let (own, back) = ("$ /usr/sbin/jexec -l a", "$ /sbin/ifconfig qb_a -vnet a");
    assert!(told.contains(own) && told.contains(back), "{told}");
    assert_eq!(site.machine.state(), before);
}

#[test]
fn an_interface_that_the_administrator_gives_goes_in_and_comes_back() {
    let mut site = Site::with(&[
        ("vnet", &["new"]),
        ("vnet.interface", &["em1"]),
        ("ip4.addr", &["10.1.0.2"]),
    ]);
    ifconfig(&site.machine, "em1 create");
    site.spec.params.set("interface", "em0");
    let before = site.machine.state();
    site.start().unwrap();
    let running = site.machine.state();
    assert!(running.contains("interface em1  in jail a"), "{running}");
    assert!(!running.contains("qa_a") && !running.contains("10.1.0.2"));
    site.stop().unwrap();
    assert_eq!(site.machine.state(), before);
}

#[test]
fn an_image_is_attached_and_given_back_once() {
    let site = Site::new();
    let (file, at) = (site.dir.path().join("a.img"), site.dir.path().join("a"));
    fs::create_dir(&at).unwrap();
    let before = site.machine.state();
    site.system.make_image(&file, 1 << 20).unwrap();
    assert_eq!(site.machine.state(), before);
    let attach = || site.system.attach_image(&file, &at);
    attach().unwrap();
    let attached = site.machine.state();
    attach().unwrap();
    assert_eq!(site.machine.state(), attached);
    site.machine.fail("/sbin/umount", "busy");
    site.machine.fail("unmount(2)", "busy");
    let error = site.system.detach_image(&file, &at).unwrap_err();
    assert!(
        error
            .hint
            .is_some_and(|h| h.starts_with("something uses it: fstat -f "))
    );
    assert_eq!(site.machine.state(), attached);
    site.machine.mend();
    for _ in 0..2 {
        site.system.detach_image(&file, &at).unwrap();
        assert_eq!(site.machine.state(), before);
    }
    // A disk that a killed command has left is used.
    let name = file.to_str().unwrap();
    site.machine
        .by_hand("/sbin/mdconfig", &["-a", "-t", "vnode", "-f", name])
        .unwrap();
    attach().unwrap();
    assert_eq!(site.machine.state(), attached);
}

#[test]
fn a_file_that_is_none_is_told() {
    let site = Site::new();
    site.system.publish(&site.spec).unwrap();
    let lasting = site.dir.path().join("jail.conf.d/a.conf");
    fs::remove_file(&lasting).unwrap();
    site.system.withdraw("a").unwrap();
    fs::create_dir(&lasting).unwrap();
    let error = site.system.withdraw("a").unwrap_err();
    assert!(
        error.to_string().starts_with("remove the jail.conf of a: "),
        "{error}"
    );
}

#[test]
fn the_file_of_a_jail_that_runs_stays_as_it_is() {
    let mut site = Site::new();
    site.start().unwrap();
    let lasting = site.dir.path().join("jail.conf.d/a.conf");
    let text = fs::read_to_string(&lasting).unwrap();
    site.spec.params.set("securelevel", "3");
    site.system.publish(&site.spec).unwrap();
    assert_eq!(fs::read_to_string(&lasting).unwrap(), text);
    site.stop().unwrap();
    site.system.publish(&site.spec).unwrap();
    assert!(
        fs::read_to_string(&lasting)
            .unwrap()
            .contains("securelevel = \"3\";")
    );
}
