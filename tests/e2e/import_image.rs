//! `import` of image jails of qjail 5: the image lies in its own mount point, and gets a second name.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use qjail_tests::{Site, same, sh};

use crate::image::{attached, image};
use crate::import::{control, old, picture};

const SETTINGS: [(&str, &str); 3] = [
    ("imagetype", "simple"),
    ("imageblockcount", "256"),
    ("imagedevice", "md0"),
];

/// The control files of image jails, and for each an empty mount point with the image in it: a file system with nothing.
fn image_jails(site: &Site, names: &[&str]) -> PathBuf {
    let dir = old(site, &[]);
    for name in names {
        let path = format!("/usr/jails/{name}/{name}.img");
        rewrite(&dir, name, &path, "");
        let root = site.jails().join(name);
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join(format!("{name}.img")), vec![0; 4096]).unwrap();
    }
    dir
}

/// The control file of an image jail, with the image there.
fn rewrite(dir: &std::path::Path, name: &str, image: &str, kind: &str) {
    let mut settings = SETTINGS.to_vec();
    settings.push(("image", image));
    if !kind.is_empty() {
        settings[0].1 = kind;
    }
    for place in ["qjail.local", "qjail.global"] {
        std::fs::create_dir_all(dir.join(place)).unwrap();
        std::fs::write(dir.join(place).join(name), control(name, "", &settings)).unwrap();
    }
}

/// A real file system with a jail's tree from the template of the site.
fn fill(site: &Site, name: &str) {
    let script = format!(
        "rm -rf tree {name}/{name}.img && cp -a template/ tree && cp -a flavors/default/. tree && \
         mkfs.ext4 -q -d tree {name}/{name}.img 256m && rm -rf tree"
    );
    let _ = sh(&script, &site.jails()).ok();
}

#[test]
fn an_image_jail_is_taken_over_and_lives() {
    let site = Site::from_host();
    let dir = image_jails(&site, &["box"]);
    fill(&site, "box");
    let at = dir.to_str().unwrap();
    let file = site.jails().join("box/box.img");
    let (before, files) = (site.picture(), picture(&dir));
    let dry = site.qjail(&["import", "--from", "qjail", at, "--dry-run"]).ok();
    assert!(
        dry.out.contains("on the shared base, in an image of 256m")
            && dry
                .out
                .contains("give jails:/box/box.img a second name: jails:/.images/box.img"),
        "{dry:#?}"
    );
    same(&site.picture(), &before, "--dry-run");
    let done = site.qjail(&["import", "--from", "qjail", at, "--yes"]).ok();
    assert!(
        done.out
            .contains("its image /usr/jails/box/box.img stays where it is"),
        "{done:#?}"
    );
    assert!(
        done.out.contains("Successfully imported box\n") && !done.out.contains("norun"),
        "{done:#?}"
    );
    assert_eq!(picture(&dir), files, "the originals");
    let number = |path: &PathBuf| std::fs::metadata(path).map(|m| (m.ino(), m.nlink())).unwrap();
    assert_eq!(number(&file), number(&image(&site, "box")));
    assert_eq!(number(&file).1, 2);
    let new: Vec<String> = site
        .picture()
        .into_iter()
        .filter(|l| !before.contains(l))
        .collect();
    assert!(
        new.iter().all(|l| l.contains(".images") || l.contains("jails.d")),
        "{new:#?}"
    );
    let text = std::fs::read_to_string(site.definition("box")).unwrap();
    assert!(
        text.contains("image = \"256m\"") && !text.contains("thick"),
        "{text}"
    );

    assert!(site.qjail(&["list"]).ok().out.contains("\nIS  N/A"));
    let _ = site.qjail(&["start", "box"]).ok();
    assert!(
        attached(&site).contains("/.images/box.img"),
        "{}",
        attached(&site)
    );
    assert_eq!(
        site.inside("box", "echo kept > /root/file; stat -f -c %T /; id -u"),
        "ext2/ext3\n0"
    );
    let _ = site.qjail(&["stop", "box"]).ok();
    assert_eq!(attached(&site), "");

    let _ = site.qjail(&["config", "--rename", "crate", "box"]).ok();
    assert!(image(&site, "crate").is_file() && !image(&site, "box").exists());
    assert!(site.jails().join("crate/box.img").is_file());
    let _ = site.qjail(&["start", "crate"]).ok();
    assert_eq!(site.inside("crate", "cat /root/file; hostname"), "kept\ncrate");
    let _ = site.qjail(&["stop", "crate"]).ok();

    let _ = site.qjail(&["delete", "crate"]).ok();
    assert_eq!(attached(&site), "");
    assert!(!site.jails().join("crate").exists() && !site.jails().join(".images").exists());
    assert_eq!(picture(&dir), files, "the originals");
}

#[test]
fn an_image_that_is_not_as_it_should_be_is_refused_by_name() {
    let site = Site::from_host();
    let cases = [
        ("good", ""),
        ("gone", "does not exist"),
        ("link", "is a symbolic link"),
        ("fifo", "is a FIFO"),
        ("names", "has 2 names"),
        ("disk", "is in use by loop"),
        ("mounted", "is in use by loop"),
        ("covered", "does not exist"),
        ("locked", "qjail 5 has left"),
        ("tmpfs", "is not on the file system of"),
        ("srv", "its image is /srv/srv.img, not in"),
        ("below", "its image is /usr/jails/below/a/below.img, not in"),
        ("eli", "of the type eli, not simple"),
        ("taken", ".images/taken.img exists already"),
    ];
    let names: Vec<&str> = cases.iter().map(|(name, _)| *name).collect();
    let dir = image_jails(&site, &names);
    rewrite(&dir, "srv", "/srv/srv.img", "");
    rewrite(&dir, "below", "/usr/jails/below/a/below.img", "");
    rewrite(&dir, "eli", "/usr/jails/eli/eli.img", "eli");
    let script = "rm gone/gone.img; ln -sf ../good/good.img link/link.img; rm fifo/fifo.img; mkfifo fifo/fifo.img; \
         ln names/names.img names/again; ln -s /dev/md0 locked.device; \
         truncate -s 8m disk/disk.img mounted/mounted.img; mkfs.ext4 -q mounted/mounted.img; \
         losetup -f disk/disk.img && mount -o loop mounted/mounted.img mounted && mount -t tmpfs none covered && \
         mount -t tmpfs none tmpfs && echo > tmpfs/tmpfs.img && mkdir -m 700 .images && echo precious > .images/taken.img";
    let _ = sh(script, &site.jails()).ok();
    let args = ["import", "--from", "qjail", dir.to_str().unwrap(), "--yes"];
    let _ = site.qjail(&[&args[..], &["good"]].concat()).ok();
    let before = site.picture();
    let ran = site.qjail(&args);
    let kept = site.picture();
    let _ = sh(
        "losetup -d $(losetup -nO NAME -j disk/disk.img); umount mounted covered tmpfs",
        &site.jails(),
    )
    .ok();
    assert_eq!(ran.code, 1, "{ran:#?}");
    for (name, why) in &cases[1..] {
        let line = ran
            .err
            .lines()
            .find(|l| l.starts_with(&format!("qjail: import {name}: ")));
        assert!(line.is_some_and(|l| l.contains(why)), "{name}: {why}: {ran:#?}");
        assert!(!site.definition(name).exists(), "{name}");
    }
    assert_eq!(
        ran.err.matches("qjail: ").count(),
        ran.err.matches("hint: ").count(),
        "{ran:#?}"
    );
    same(&kept, &before, "what was refused");
    assert_eq!(attached(&site), "");
}

/// A second name that is left would have the next import refused.
#[test]
fn kill_9_at_any_instant_leaves_no_second_name() {
    let site = Site::from_host();
    let dir = image_jails(&site, &["victim"]);
    let args = ["import", "--from", "qjail", dir.to_str().unwrap(), "--yes"];
    let take_back = || {
        let _ = std::fs::remove_file(site.definition("victim"));
        let _ = std::fs::remove_dir_all(site.jails().join(".images"));
    };
    let began = Instant::now();
    let _ = site.qjail(&args).ok();
    let took = began.elapsed();
    let rounds = 40;
    for round in 0..rounds {
        take_back();
        let mut command = site.command(&args);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(took * round / rounds + Duration::from_micros(300));
        let _ = child.kill();
        let _ = child.wait();
        let again = site.qjail(&args);
        assert!(
            again.code == 0 || again.err.contains("Bypassed existing jail victim"),
            "{round}: {again:#?}"
        );
        assert!(
            site.definition("victim").exists() && image(&site, "victim").is_file(),
            "{round}"
        );
        let journal = std::fs::read_dir(site.root.join("var/lib/qjail/state/journal"));
        assert_eq!(journal.map_or(0, Iterator::count), 0, "{round}");
    }
}

#[test]
fn a_failure_takes_the_second_name_back() {
    let site = Site::from_host();
    let dir = image_jails(&site, &["box"]);
    let args = ["import", "--from", "qjail", dir.to_str().unwrap(), "--yes"];
    let definitions = site.root.join("etc/qjail");
    std::fs::create_dir_all(definitions.join("jails.d")).unwrap();
    let _ = sh("mount --bind . . && mount -o remount,bind,ro .", &definitions).ok();
    let ran = site.qjail(&args);
    let _ = sh("umount etc/qjail", &site.root).ok();
    let ran = ran.refused(1, "Read-only file system");
    assert!(ran.err.contains("import box"), "{ran:#?}");
    assert!(!site.jails().join(".images").exists());
    let file = std::fs::metadata(site.jails().join("box/box.img")).unwrap();
    assert_eq!((file.nlink(), file.len()), (1, 4096));
    let _ = site.qjail(&args).ok();
}
