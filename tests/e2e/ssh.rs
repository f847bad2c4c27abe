//! ssh into jails, with the real client over the jail's own address.

use std::io::Write;
use std::path::PathBuf;

use qjail_tests::{Ran, Site, sh};

/// A jail with ssh, started.
struct Jail {
    site: &'static Site,
    name: &'static str,
    address: String,
    dir: PathBuf,
}

impl Jail {
    fn new(name: &'static str, host: u32, options: &[&str]) -> Self {
        let site = Site::shared();
        let address = site.address(host);
        let bridge = site.bridge();
        let create = [&["create", "-n", &bridge, "-4", &address, name], options].concat();
        let _ = site.qjail(&create).ok();
        let dir = site.root.join(format!("ssh-{name}"));
        std::fs::create_dir_all(&dir).unwrap();
        Self {
            site,
            name,
            address,
            dir,
        }
    }

    fn start(&self) {
        let _ = self.site.qjail(&["start", self.name]).ok();
        let wait = format!(
            "for i in $(seq 100); do ssh-keyscan -t ed25519 {} 2>/dev/null | grep -q . && exit 0; sleep 0.1; done; exit 1",
            self.address
        );
        let _ = sh(&wait, &self.dir).ok();
    }

    fn stop(&self) {
        let _ = self.site.qjail(&["stop", self.name]).ok();
    }

    /// The client with options that keep it from asking, and a user.
    fn client(&self, user: &str, more: &str) -> String {
        format!(
            "ssh -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=known -o LogLevel=ERROR -o ConnectTimeout=10 \
             -o NumberOfPasswordPrompts=1 {more} {user}@{}",
            self.address
        )
    }

    /// Runs the client on a terminal: each answer is typed when the text before it has been shown.
    fn talk(&self, user: &str, command: &str, answers: &[(&str, &str)]) -> Ran {
        let client = self.client(user, "-tt -o PubkeyAuthentication=no");
        let mut script = String::from("import pty,os,sys,select,time\npid,fd=pty.fork()\n");
        script.push_str(&format!(
            "if pid==0: os.execvp('sh',['sh','-c',{:?}])\n",
            format!("{client} {command}")
        ));
        script.push_str(&format!(
            "todo={:?}\n",
            answers.iter().map(|(a, b)| vec![*a, *b]).collect::<Vec<_>>()
        ));
        script.push_str(
            "seen=b''\nout=b''\nend=time.time()+60\nwhile time.time()<end:\n  \
             if select.select([fd],[],[],0.5)[0]:\n    \
             try: got=os.read(fd,4096)\n    \
             except OSError: break\n    \
             if not got: break\n    \
             seen+=got; out+=got\n  \
             if todo and todo[0][0].encode() in seen:\n    \
             seen=seen.split(todo[0][0].encode(),1)[1]; time.sleep(0.2)\n    \
             os.write(fd,todo.pop(0)[1].encode()+b'\\n')\n\
             else:\n  os.kill(pid,9)\n\
             sys.stdout.write(out.decode(errors='replace')); sys.stdout.flush()\n\
             status=os.waitpid(pid,0)[1]\nsys.exit(os.waitstatus_to_exitcode(status) if not todo else 99)\n",
        );
        let path = self.dir.join("talk.py");
        std::fs::File::create(&path)
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        sh("python3 talk.py", &self.dir)
    }

    fn key(&self, name: &str) -> String {
        let _ = sh(&format!("ssh-keygen -q -t ed25519 -N '' -f {name}"), &self.dir).ok();
        self.dir.join(format!("{name}.pub")).display().to_string()
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        let _ = self.site.qjail(&["stop", "--force", self.name]);
        let _ = self.site.qjail(&["delete", self.name]);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn the_first_login_changes_the_password() {
    let jail = Jail::new("sshfirst", 201, &["-c"]);
    jail.start();
    let wrong = jail.talk("sshfirst", "id", &[("password:", "wrong")]);
    assert_eq!(wrong.code, 255, "{wrong:?}");
    assert!(wrong.out.contains("Permission denied"), "{wrong:?}");
    let new = "Quite4nother-1";
    let first = jail.talk(
        "sshfirst",
        "",
        &[
            ("password:", "sshfirst"),
            ("urrent password", "sshfirst"),
            ("ew password", new),
            ("ew password", new),
        ],
    );
    assert!(first.out.contains("password updated"), "{first:?}");
    let old = jail.talk("sshfirst", "id", &[("password:", "sshfirst")]);
    assert!(
        old.code == 255 && old.out.contains("Permission denied"),
        "{old:?}"
    );
    let who = jail.talk("sshfirst", "id", &[("password:", new)]).ok().out;
    assert!(who.contains("(sshfirst)") && who.contains("(sudo)"), "{who}");
    let root = jail.talk("sshfirst", "su -c id", &[("password:", new)]).ok().out;
    assert!(root.contains("uid=0(root)"), "{root}");
}

#[test]
fn keys_let_in_and_passwords_do_not() {
    let jail = Jail::new("sshkeys", 202, &[]);
    let key = jail.key("mine");
    let told = jail
        .site
        .qjail(&["config", "--ssh-key", key.trim_end_matches(".pub"), "sshkeys"])
        .refused(1, "PRIVATE key");
    assert!(told.err.contains("hint: "), "{told:?}");
    let _ = jail
        .site
        .qjail(&["config", "--ssh-key", &key, "--ssh-user", "anna", "sshkeys"])
        .ok();
    jail.start();
    let by_key = format!(
        "{} 'id; su -c id; ls -A'",
        jail.client("anna", "-i mine -o BatchMode=yes")
    );
    let said = sh(&by_key, &jail.dir).ok().out;
    assert!(
        said.contains("(anna)") && said.contains("uid=0(root)") && said.contains(".profile"),
        "{said}"
    );
    let _ = jail.key("other");
    let other = format!(
        "{} id",
        jail.client("anna", "-i other -o IdentitiesOnly=yes -o BatchMode=yes")
    );
    assert_eq!(sh(&other, &jail.dir).code, 255);
    for password in ["anna", "sshkeys", ""] {
        let refused = jail.talk("anna", "id", &[("password:", password)]);
        assert_eq!(refused.code, 255, "{refused:?}");
    }
    // Two jails have keys of their own, and a restart keeps them.
    let second = Jail::new("sshtwo", 203, &["-c"]);
    second.start();
    let scan = |j: &Jail| {
        let line = sh(
            &format!("ssh-keyscan -t ed25519 {} 2>/dev/null", j.address),
            &j.dir,
        )
        .ok()
        .out;
        line.split(' ').nth(2).unwrap().to_owned()
    };
    let keys = (scan(&jail), scan(&second));
    assert_ne!(keys.0, keys.1);
    jail.stop();
    // Off: nobody listens any more. The jail's own files are as before but for what is told.
    let _ = jail.site.qjail(&["config", "-H", "sshkeys"]).ok();
    let _ = jail.site.qjail(&["start", "sshkeys"]).ok();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(sh(&by_key, &jail.dir).code, 255, "sshd is off");
    assert_eq!(
        jail.site
            .inside("sshkeys", "grep -c anna /etc/passwd /etc/shadow || true"),
        "/etc/passwd:0\n/etc/shadow:0"
    );
    jail.stop();
    // And on again, in the same home directory and with the same host key.
    let _ = jail
        .site
        .qjail(&["config", "--ssh-key", &key, "--ssh-user", "anna", "sshkeys"])
        .ok();
    jail.start();
    assert_eq!(scan(&jail), keys.0);
    let _ = sh(&by_key, &jail.dir).ok();
}

#[test]
fn config_is_idempotent_and_a_random_password_works() {
    let jail = Jail::new("sshagain", 204, &[]);
    let first = jail.site.qjail(&["config", "-h", "sshagain"]).ok();
    assert!(
        first.out.contains("Successful ssh enable for sshagain"),
        "{first:?}"
    );
    let root = jail.site.jails().join("sshagain");
    let picture = || {
        sh("find . -printf '%y %m %U %G %p %T@\\n' | sort; find . -type f -print0 | sort -z | xargs -0 md5sum", &root).out
    };
    let before = picture();
    let again = jail.site.qjail(&["config", "-h", "sshagain"]).ok();
    assert!(again.out.contains("Already set"), "{again:?}");
    assert_eq!(picture(), before);
    let told = jail
        .site
        .qjail(&["config", "--ssh-password", "random", "sshagain"])
        .ok()
        .out;
    let secret = told
        .split("password ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    jail.start();
    let old = jail.talk("sshagain", "id", &[("password:", "sshagain")]);
    assert_eq!(old.code, 255, "{old:?}");
    let who = jail.talk("sshagain", "id", &[("password:", &secret)]).ok().out;
    assert!(who.contains("(sshagain)"), "{who}");
}

/// Off again takes back what on has given, and no more.
#[test]
fn a_user_who_was_there_before_is_no_administrator_afterwards() {
    let jail = Jail::new("sshbob", 206, &[]);
    let _ = jail.site.qjail(&["start", "sshbob"]).ok();
    let _ = jail
        .site
        .inside("sshbob", "useradd -m bob && useradd -m -G adm amy");
    jail.stop();
    let groups = || {
        let root = jail.site.jails().join("sshbob");
        sh("sort etc/group etc/gshadow | grep -E 'bob|amy|wheel|sudo'", &root).out
    };
    let before = groups();
    let _ = jail.site.qjail(&["config", "--ssh-user", "bob", "sshbob"]).ok();
    assert_ne!(groups(), before);
    let _ = jail.site.qjail(&["config", "--ssh-user", "amy", "sshbob"]).ok();
    let _ = jail.site.qjail(&["config", "-H", "sshbob"]).ok();
    let left = groups().replace("wheel:x:999:\n", "").replace("wheel:*::\n", "");
    assert_eq!(left, before);
}

/// The user is called as the jail is then.
#[test]
fn a_jail_that_is_renamed_in_the_same_call() {
    let jail = Jail::new("sshold", 207, &[]);
    let said = jail
        .site
        .qjail(&["config", "-n", "sshnew", "-h", "sshold"])
        .ok()
        .out;
    assert!(said.contains("ssh: sshnew, password sshnew"), "{said}");
    let passwd = std::fs::read_to_string(jail.site.jails().join("sshnew/etc/passwd")).unwrap();
    assert!(
        passwd.contains("\nsshnew:") && !passwd.contains("sshold"),
        "{passwd}"
    );
    let _ = jail.site.qjail(&["delete", "sshnew"]).ok();
}

/// Nothing can be done in a directory that somebody took away, and nothing keeps the jail from being deleted.
#[test]
fn a_jail_without_its_directory() {
    let jail = Jail::new("sshgone", 208, &[]);
    let root = jail.site.jails().join("sshgone");
    std::fs::rename(&root, jail.dir.join("away")).unwrap();
    for option in ["-h", "-H"] {
        let said = jail
            .site
            .qjail(&["config", option, "sshgone"])
            .refused(1, "its directory ");
        assert!(said.err.contains("hint: move it back there"), "{said:?}");
    }
    for options in [&["-y"] as &[&str], &["-4", "none"], &["-m"], &["-n", "sshback"]] {
        let _ = jail.site.qjail(&[&["config"], options, &["sshgone"]].concat());
    }
    let listed = jail.site.qjail(&["list"]).ok();
    assert!(listed.err.is_empty(), "{listed:?}");
    let name = if jail.site.definition("sshback").exists() {
        "sshback"
    } else {
        "sshgone"
    };
    let _ = jail.site.qjail(&["delete", name]).ok();
}

/// What the jail's root has planted is refused by `config` and nothing changes, in the jail or outside.
#[test]
fn hostile_roots_are_refused() {
    let jail = Jail::new("sshevil", 205, &[]);
    let root = jail.site.jails().join("sshevil");
    let key = jail.key("mine");
    let definition = jail.site.definition("sshevil");
    let picture = || {
        let script = format!(
            "find . -printf '%y %m %U %G %p %l %T@\\n' | sort; find . -type f -print0 | sort -z | xargs -0 md5sum; md5sum {}",
            definition.display()
        );
        sh(&script, &root).out
    };
    let outside = || {
        sh(
            "find outside -type f -exec md5sum {} +; find outside -printf '%m %U %p %T@\\n'",
            &jail.dir,
        )
        .out
    };
    let places = [
        "etc",
        "etc/rc.conf",
        "etc/ssh",
        "etc/ssh/sshd_config",
        "etc/passwd",
        "etc/shadow",
        "etc/group",
        "home",
    ];
    for place in places {
        let at = root.join(place);
        let kept = root.join("kept");
        for plant in ["ln -s $(realpath outside)", "mkfifo", "mkdir", "touch"] {
            let was_dir = at.is_dir();
            if plant == if was_dir { "mkdir" } else { "touch" } {
                continue;
            }
            std::fs::rename(&at, &kept).unwrap();
            let make = if was_dir {
                "cp -a $1 outside"
            } else {
                "cp /etc/passwd outside"
            };
            let script = format!("rm -rf outside; {make}; {plant} $2");
            let script = script
                .replace("$1", kept.to_str().unwrap())
                .replace("$2", at.to_str().unwrap());
            let _ = sh(&script, &jail.dir).ok();
            let before = (picture(), outside());
            let said = sh(
                &format!(
                    "QJAIL_ROOT={} timeout 20 $QJAIL_TEST_PROGRAM config --ssh-key {key} sshevil",
                    jail.site.root.display()
                ),
                &jail.dir,
            )
            .refused(1, "ssh of sshevil: ");
            assert_eq!(said.err.lines().count(), 2, "{place} {plant}: {said:?}");
            assert_eq!(picture(), before.0, "{place} {plant}");
            assert_eq!(outside(), before.1, "{place} {plant}");
            let _ = sh(&format!("rm -rf {}", at.display()), &jail.dir);
            std::fs::rename(&kept, &at).unwrap();
        }
    }
    let long = "a".repeat(40);
    let refused = jail
        .site
        .qjail(&["create", "-c", &long])
        .refused(1, "can not be a user's");
    assert!(refused.err.contains("--ssh-user"), "{refused:?}");
}
