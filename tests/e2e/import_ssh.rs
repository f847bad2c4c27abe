//! `import` of jails whose user for ssh was to be made at their next start.

use qjail_tests::{Site, sh};

use crate::import::{old, thin_root};

/// No user can be called so.
const LONG: &str = "a-name-that-is-too-long-for-any-user";

/// What qjail 5 has written into a jail that waits for its user.
fn prepare(site: &Site, name: &str) {
    let script = "echo 'sshd_enable=YES' >> etc/rc.conf; echo 'UseDNS no' >> etc/ssh/sshd_config";
    let _ = sh(script, &site.jails().join(name)).ok();
}

fn read(site: &Site, jail: &str, path: &str) -> String {
    std::fs::read_to_string(site.jails().join(jail).join(path)).unwrap()
}

#[test]
fn the_user_for_ssh_is_made_with_the_import() {
    let site = Site::empty();
    let _ = site
        .qjail(&["install", qjail_tests::fixture().to_str().unwrap()])
        .ok();
    let waits = [("poststartssh", "yes")];
    let dir = old(&site, &[("door", "", &waits), ("locked", "", &waits)]);
    thin_root(&site, "", "conf");
    ["door", "locked", "conf"]
        .iter()
        .for_each(|name| prepare(&site, name));
    // Nothing can be changed in it.
    let _ = sh(
        "mount --bind locked/etc locked/etc && mount -o remount,bind,ro locked/etc",
        &site.jails(),
    )
    .ok();
    let at = dir.to_str().unwrap();
    let dry = site
        .qjail(&["import", "--from", "qjail", at, "door", "--dry-run"])
        .ok();
    assert!(dry.out.contains("ssh in door: sshd on, user door"), "{dry:#?}");
    assert!(!read(&site, "door", "etc/passwd").contains("door"));
    let done = site.qjail(&["import", "--from", "qjail", at, "--yes"]);
    let _ = sh("umount locked/etc", &site.jails()).ok();
    let done = done.ok();
    for says in [
        "Successfully imported door\n",
        "ssh: door, password door, to be changed at the first login",
        "Successfully imported locked\n",
    ] {
        assert!(done.out.contains(says), "{says}: {done:#?}");
    }
    // It is imported all the same.
    assert!(
        done.err
            .contains("the user for ssh has not been made yet: qjail config -h locked does it (")
            && done.err.contains("Read-only file system"),
        "{done:#?}"
    );
    assert!(!read(&site, "locked", "etc/passwd").contains("locked"));
    let text = std::fs::read_to_string(site.definition("locked")).unwrap();
    assert!(!text.contains("plugin"), "{text}");
    assert!(read(&site, "door", "etc/passwd").contains("\ndoor:"));
    assert_eq!(
        read(&site, "door", "etc/rc.conf").matches("sshd_enable").count(),
        1
    );
    assert_eq!(
        read(&site, "door", "etc/ssh/sshd_config")
            .matches("\nUseDNS no")
            .count(),
        1
    );
    let already = site.qjail(&["config", "-h", "door"]).ok();
    assert!(
        already.out.contains("Already set to ssh enabled for door"),
        "{already:#?}"
    );
    let _ = site.qjail(&["config", "-H", "door"]).ok();
    assert!(!read(&site, "door", "etc/passwd").contains("\ndoor:"));

    let file = site.root.join("jail.conf");
    std::fs::write(
        &file,
        "path = \"/usr/jails/$name\";\nconf { exec.poststart = \"jexec conf pw adduser conf -p 12-12-12 -c Jail -m -g wheel -s csh \
         -w yes\"; }\n",
    )
    .unwrap();
    let done = site
        .qjail(&["import", "--from", "jail.conf", file.to_str().unwrap(), "--yes"])
        .ok();
    assert!(done.out.contains("its user for ssh is made now"), "{done:#?}");
    assert!(read(&site, "conf", "etc/passwd").contains("\nconf:"));
    assert!(
        !std::fs::read_to_string(site.definition("conf"))
            .unwrap()
            .contains("pw adduser")
    );
}

#[test]
fn where_it_can_not_be_made_the_reason_is_told() {
    let site = Site::from_host();
    let waits = [("poststartssh", "yes")];
    let dir = old(
        &site,
        &[("bare", "", &waits), (LONG, "", &waits), ("box", "", &waits)],
    );
    let at = dir.to_str().unwrap();
    let note = |name: &str, why: &str| {
        format!("note: the user for ssh has not been made yet: qjail config -h {name} does it ({why}")
    };
    let settings = site.root.join("etc/qjail/qjail.toml");
    // An image is not mounted for it.
    let control = dir.join("qjail.local/box");
    let text = std::fs::read_to_string(&control).unwrap();
    for place in ["qjail.local/box", "qjail.global/box"] {
        let image = text.replace("image=\"\"", "image=\"/usr/jails/box/box.img\"");
        std::fs::write(dir.join(place), image).unwrap();
    }
    std::fs::write(site.jails().join("box/box.img"), vec![0; 4096]).unwrap();
    let _ = sh("rm -rf bare/etc/ssh", &site.jails()).ok();
    let ran = site.qjail(&["import", "--from", "qjail", at, "--yes"]).ok();
    for (name, why) in [
        (
            "bare",
            "ssh of bare: there is no sshd: etc/ssh/sshd_config is missing",
        ),
        (
            LONG,
            "the jail's name a-name-that-is-too-long-for-any-user can not be a user's",
        ),
        ("box", "its files are in an image"),
    ] {
        assert!(ran.out.contains(&note(name, why)), "{name}: {ran:#?}");
        let text = std::fs::read_to_string(site.definition(name)).unwrap();
        assert!(!text.contains("norun") && !text.contains("plugin"), "{text}");
        std::fs::remove_file(site.definition(name)).unwrap();
    }
    std::fs::write(&settings, "[plugins]\ndisable = [\"ssh\"]\n").unwrap();
    let ran = site
        .qjail(&["import", "--from", "qjail", at, "bare", "--yes"])
        .ok();
    assert!(
        ran.out.contains(&note("bare", "there is no plugin ssh")),
        "{ran:#?}"
    );
}
