//! `import` on FreeBSD: the control files that qjail 5 wrote there, as they are, and the jail.conf(5) that it made of them.

use std::fs;

use super::Host;

/// The control file of a default jail, as `qjail create -n lo1 -4 192.168.1.1 jail1` of qjail 5 wrote it on FreeBSD 13.2.
const JAIL1: &str = r#"name="jail1"
ip4="192.168.1.1"
ip6=""
path="/usr/jails/jail1"
interface="lo1"
fstab="/usr/local/etc/qjail.fstab/jail1"
securelevel=""
cpuset=""
fib=""
vnet=""
vinterface=""
rsockets=""
ruleset=""
sysvipc=""
quotas=""
nullfs=""
tmpfs=""
zfs=""
poststartssh=""
deffile="/usr/local/etc/qjail.local/jail1"
image=""
imagetype=""
imageblockcount=""
imagedevice=""
"#;

/// What the same program made of it for jail(8).
const JAIL1_CONF: &str = r#"jail1 { 
host.hostname       =  "jail1";
path                =  "/usr/jails/jail1";
mount.fstab         =  "/usr/local/etc/qjail.fstab/jail1";
exec.consolelog     =  "/var/log/qjail.jail1.console.log";
mount.devfs;
ip4.addr            =  192.168.1.1;
interface           =  "lo1";
devfs_ruleset       =  "4";
exec.start          =  "/bin/sh /etc/rc";
exec.stop           =  "/bin/sh /etc/rc.shutdown";
}
"#;

/// The other jails: suffix of the file, address, settings that are not the default.
type Settings = &'static [(&'static str, &'static str)];
const OTHERS: [(&str, &str, &str, Settings); 5] = [
    (
        "web",
        ".man",
        "192.168.1.2",
        &[
            ("securelevel", "2"),
            ("cpuset", "0-1"),
            ("fib", "1"),
            ("rsockets", "allow.raw_sockets"),
            ("quotas", "allow.quotas"),
            ("sysvipc", "allow.sysvipc"),
            ("tmpfs", "allow.mount.tmpfs"),
        ],
    ),
    ("never", ".norun", "192.168.1.3", &[]),
    ("door", "", "192.168.1.4", &[("poststartssh", "yes")]),
    (
        "stack",
        "",
        "10.1.0.2",
        &[("vnet", "be|pf|3"), ("vinterface", "em0"), ("ruleset", "70")],
    ),
    (
        "box",
        "",
        "192.168.1.6",
        &[
            ("image", "/usr/jails/box/box.img"),
            ("imagetype", "simple"),
            ("imageblockcount", "64"),
            ("imagedevice", "md0"),
        ],
    ),
];

/// The control file of another jail: that of `jail1` with other values.
fn control(name: &str, address: &str, settings: Settings) -> String {
    let text = JAIL1.replace("jail1", name).replace("192.168.1.1", address);
    settings.iter().fold(text, |text, (key, value)| {
        text.replace(&format!("\n{key}=\"\""), &format!("\n{key}=\"{value}\""))
    })
}

impl Host {
    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The files of a jail of qjail 5, and its root.
    fn old_jail(&self, name: &str, suffix: &str, text: &str) {
        for place in ["qjail.local", "qjail.global"] {
            self.write(&format!("usr/local/etc/{place}/{name}{suffix}"), text);
        }
        let mut fstab = format!("/usr/jails/sharedfs /usr/jails/{name}/sharedfs nullfs ro 0 0\n");
        // One has data of its own, from elsewhere.
        if name == "never" {
            fstab += "/data /usr/jails/never/data nullfs rw 0 0\n";
        }
        self.write(&format!("usr/local/etc/qjail.fstab/{name}"), &fstab);
        let (root, template) = (
            self.path(&format!("usr/jails/{name}")),
            self.path("usr/jails/template/."),
        );
        fs::create_dir_all(&root).unwrap();
        if text.contains("image=\"\"") {
            let copied = std::process::Command::new("cp")
                .arg("-a")
                .args([&template, &root])
                .status();
            assert!(copied.unwrap().success());
        } else {
            let image = fs::File::create(root.join(format!("{name}.img"))).unwrap();
            image.set_len(64 << 20).unwrap();
        }
    }

    /// What qjail keeps of a jail, and the file for jail(8), into the text that is compared.
    fn note_jail(&mut self, name: &str) {
        for path in [
            format!("usr/local/etc/qjail/jails.d/{name}.toml"),
            format!("var/db/qjail/jail.conf.d/{name}.conf"),
        ] {
            let text = fs::read_to_string(self.path(&path)).unwrap();
            self.text += &format!("{path}:\n");
            for line in text.lines().filter(|l| !l.starts_with("created = ")) {
                self.text += &format!("    | {line}\n");
            }
        }
    }
}

#[test]
fn the_jails_of_qjail_5() {
    let mut host = Host::ready();
    host.old_jail("jail1", "", JAIL1);
    for (name, suffix, address, settings) in OTHERS {
        host.old_jail(name, suffix, &control(name, address, settings));
    }
    let before = host.state();
    host.machine
        .by_hand(
            "/sbin/mdconfig",
            &[
                "-a",
                "-t",
                "vnode",
                "-f",
                host.path("usr/jails/box/box.img").to_str().unwrap(),
            ],
        )
        .unwrap();
    host.fails(&["import", "--from", "qjail", "--yes"]);
    assert!(!host.path("usr/jails/.images").exists());
    host.machine
        .by_hand("/sbin/mdconfig", &["-d", "-u", "md0"])
        .unwrap();
    host.ok(&[
        "import",
        "--from",
        "qjail",
        "--yes",
        host.path("usr/local/etc").to_str().unwrap(),
        "box",
    ]);
    assert_eq!(host.state(), before);
    for (name, ..) in OTHERS {
        host.note_jail(name);
    }
    host.note_jail("jail1");
    for (command, name) in [
        ("start", "jail1"),
        ("start", "box"),
        ("stop", "box"),
        ("delete", "box"),
    ] {
        host.ok(&[command, name]);
    }
    assert!(!host.path("usr/jails/box").exists() && !host.path("usr/jails/.images").exists());
    host.ok(&["start", "never"]);
    host.ok(&["stop"]);
    assert_eq!(host.state(), before);
    host.check("import-qjail.txt");
}

#[test]
fn the_jails_of_a_jail_conf() {
    let mut host = Host::ready();
    host.old_jail("jail1", "", JAIL1);
    host.old_jail("door", "", JAIL1);
    let old = host.path("usr/local/etc");
    host.ok(&[
        "import",
        "--from",
        "qjail",
        "--yes",
        old.to_str().unwrap(),
        "jail1",
    ]);
    host.text.clear();
    host.note_jail("jail1");
    let of_qjail = std::mem::take(&mut host.text);
    fs::remove_file(host.path("usr/local/etc/qjail/jails.d/jail1.toml")).unwrap();
    let door = JAIL1_CONF
        .replace("jail1", "door")
        .replace("192.168.1.1", "192.168.1.4")
        .replace(
            "exec.start ",
            "exec.poststart = \"jexec door pw adduser door -p 12-12-12 -c Jail -m -g wheel -s csh -w yes\";\n\
         securelevel = \"2\";\nallow.raw_sockets;\nallow.sysvipc;\nallow.quota;\nexec.start ",
        );
    host.write("etc/jail.conf", &format!("{JAIL1_CONF}{door}"));
    let file = host.path("etc/jail.conf");
    host.ok(&["import", "--from", "jail.conf", "--yes", file.to_str().unwrap()]);
    let transcript = std::mem::take(&mut host.text);
    host.note_jail("jail1");
    // Both sources say the same of it.
    assert_eq!(host.text, of_qjail);
    host.text = transcript + &host.text;
    host.note_jail("door");
    host.check("import-jail-conf.txt");
}

/// Jails are taken over before a base is installed: the user gets what qjail 5's base has for its home directory.
#[test]
fn ssh_before_a_base_is_installed() {
    let mut host = Host::ready();
    host.old_jail(
        "door",
        "",
        &control("door", "192.168.1.4", &[("poststartssh", "yes")]),
    );
    for link in ["usr/jails/.base", "usr/jails/sharedfs"] {
        fs::remove_file(host.path(link)).unwrap();
    }
    host.write("usr/jails/sharedfs/usr/share/skel/dot.cshrc", "set prompt\n");
    host.ok(&["import", "--from", "qjail", "--yes"]);
    let home = host.path("usr/jails/door/usr/home/door/.cshrc");
    assert_eq!(fs::read_to_string(home).unwrap(), "set prompt\n");
}
