//! The plugin on synthetic roots of both systems, and on hostile ones.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use qjail_plugin_api::serde_json::{Value, json};
use qjail_plugin_api::{
    Context, Event, HookRequest, Host, HostPort, JailInfo, LogLevel, Options, Plan, Plugin, PluginError,
    Point, Step, StepRequest,
};

use crate::Ssh;

mod hostile;

struct Nobody;

impl HostPort for Nobody {
    fn log(&self, _: LogLevel, _: &str) {}
    fn call(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        Ok(b"null".to_vec())
    }
}

/// A directory of jails with one jail `web`, and a file of the host outside it.
struct World {
    dir: tempfile::TempDir,
    os: &'static str,
}

const MASTER: &str = "# $FreeBSD$\n#\nroot::0:0::0:0:Charlie &:/root:/bin/csh\ntoor:*:0:0::0:0:Bourne-again Superuser:/root:\n\
    www:*:80:80::0:0:World Wide Web Owner:/nonexistent:/usr/sbin/nologin\n\
    nobody:*:65534:65534::0:0:Unprivileged user:/nonexistent:/usr/sbin/nologin\n";
const FREEBSD_PASSWD: &str = "# $FreeBSD$\n#\nroot:*:0:0:Charlie &:/root:/bin/csh\ntoor:*:0:0:Bourne-again Superuser:/root:\n\
    www:*:80:80:World Wide Web Owner:/nonexistent:/usr/sbin/nologin\n\
    nobody:*:65534:65534:Unprivileged user:/nonexistent:/usr/sbin/nologin\n";
const FREEBSD_GROUP: &str = "wheel:*:0:root\noperator:*:5:root\nwww:*:80:\nnobody:*:65534:\n";

impl World {
    fn new(os: &'static str, files: &[(&str, &str)]) -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            os,
        };
        for (path, content) in files {
            let path = world.jail().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        world
    }

    /// As `template` is on 13.2: home is a link, and the shared part is behind links.
    fn freebsd13() -> Self {
        let world = Self::new(
            "freebsd",
            &[
                ("etc/master.passwd", MASTER),
                ("etc/passwd", FREEBSD_PASSWD),
                ("etc/group", FREEBSD_GROUP),
                ("etc/rc.conf", "network_interfaces=\"\"\n"),
                (
                    "etc/ssh/sshd_config",
                    "#Port 22\nSubsystem\tsftp\t/usr/libexec/sftp-server\n",
                ),
                ("../.bases/b/sharedfs/usr/share/skel/dot.profile", "# profile\n"),
            ],
        );
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(world.jail().join("etc/master.passwd"), mode).unwrap();
        std::fs::create_dir_all(world.jail().join("usr/home")).unwrap();
        symlink("usr/home", world.jail().join("home")).unwrap();
        symlink("/sharedfs/usr/share", world.jail().join("usr/share")).unwrap();
        symlink(".bases/b", world.dir.path().join(".base")).unwrap();
        world
    }

    fn linux(more: &[(&str, &str)]) -> Self {
        let base = [
            (
                "etc/passwd",
                "root:x:0:0:root:/root:/bin/bash\nmail:x:8:8::/var/mail:/usr/sbin/nologin\n",
            ),
            (
                "etc/shadow",
                "root:*:20000:0:99999:7:::\nmail:*:20000:0:99999:7:::\n",
            ),
            ("etc/group", "root:x:0:\nusers:x:100:\n"),
            ("etc/rc.conf", "sshd_enable=\"NO\"\n"),
            ("etc/ssh/sshd_config", "UsePAM yes\n"),
            (
                "etc/pam.d/su",
                "auth sufficient pam_rootok.so\n@include common-auth\n",
            ),
            ("home/.keep", ""),
        ];
        Self::new("linux", &[&base, more].concat())
    }

    fn jail(&self) -> PathBuf {
        self.dir.path().join("web")
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.jail().join(path)).unwrap()
    }

    fn request(&self, event: Event, options: Value, kept: Value) -> HookRequest {
        let map = |v: Value| v.as_object().cloned().unwrap_or_default().into_iter().collect();
        HookRequest {
            event,
            point: Point::Post,
            jail: JailInfo {
                name: "web".to_owned(),
                kept: map(kept),
                ..JailInfo::default()
            },
            options: Options { values: map(options) },
            duplicate: false,
            several: false,
            new_name: None,
            context: self.context(),
        }
    }

    fn context(&self) -> Context {
        Context {
            os: self.os.to_owned(),
            jails_dir: self.dir.path().display().to_string(),
            now: 20_000 * 86400,
            ..Context::default()
        }
    }

    /// Asks as qjail does: validate, plan. The message of the first objection otherwise.
    fn plan(&self, options: Value, kept: Value) -> Result<Plan, String> {
        let request = self.request(Event::Config, options, kept);
        let host = Host::new(&Nobody);
        match Ssh.validate(&host, &request).unwrap().first() {
            Some(o) => Err(format!("{} | {}", o.message, o.hint.clone().expect("a hint"))),
            None => Ok(Ssh.plan(&host, &request).unwrap()),
        }
    }

    fn step(&self, step: &Step, undo: bool) -> Result<(), PluginError> {
        let Step::Plugin { op, data, .. } = step else {
            return Ok(());
        };
        let request = StepRequest {
            op: op.clone(),
            data: data.clone(),
            jail_root: Some(self.jail().display().to_string()),
            context: self.context(),
        };
        let host = Host::new(&Nobody);
        if undo {
            Ssh.undo(&host, &request)
        } else {
            Ssh.step(&host, &request)
        }
    }

    /// Plans and runs, each step twice; returns what is kept.
    fn config(&self, options: Value, kept: Value) -> Value {
        let plan = self.plan(options, kept.clone()).unwrap();
        for step in &plan.steps {
            self.step(step, false).unwrap();
            self.step(step, false).unwrap();
        }
        plan.keep.map_or(kept, |keep| json!(keep))
    }
}

/// The hash, which has a salt of its own each time, as one word.
fn without_salt(text: &str) -> String {
    let hide = |f: &str| {
        if f.starts_with("$6$") {
            "HASH".to_owned()
        } else {
            f.to_owned()
        }
    };
    text.split_inclusive('\n')
        .map(|line| line.split(':').map(hide).collect::<Vec<_>>().join(":"))
        .collect()
}

#[test]
fn a_freebsd_jail_gets_what_pw_makes() {
    let world = World::freebsd13();
    let kept = world.config(json!({"ssh": true}), json!({}));
    assert_eq!(kept, json!({"users": ["web"], "pending": true}));
    let master = world.text("etc/master.passwd");
    assert_eq!(
        without_salt(&master),
        format!("{MASTER}web:HASH:1001:0::1355270400:0:Jail:/home/web:/bin/csh\n")
    );
    assert_eq!(
        world.text("etc/passwd"),
        format!("{FREEBSD_PASSWD}web:*:1001:0:Jail:/home/web:/bin/csh\n")
    );
    assert_eq!(world.text("etc/group"), FREEBSD_GROUP, "wheel is its login group");
    assert_eq!(
        world.text("etc/rc.conf"),
        "network_interfaces=\"\"\nsshd_enable=\"YES\"\n"
    );
    assert!(world.text("etc/ssh/sshd_config").contains("\nUseDNS no\n"));
    let mode = |path: &str| world.jail().join(path).metadata().unwrap();
    assert_eq!(mode("etc/master.passwd").mode() & 0o777, 0o600);
    assert_eq!(mode("usr/home/web").mode() & 0o777, 0o700);
    assert_eq!(mode("usr/home/web").uid(), 1001);
    assert_eq!(world.text("usr/home/web/.profile"), "# profile\n");
    // The next start rebuilds the databases, once.
    let start = world.request(Event::Start, json!({}), kept.clone());
    let plan = Ssh.plan(&Host::new(&Nobody), &start).unwrap();
    let [Step::RunInJail { argv, user: None, .. }] = plan.steps.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(argv.join(" "), "/usr/sbin/pwd_mkdb -p /etc/master.passwd");
    let kept = json!(plan.keep.unwrap());
    assert_eq!(kept, json!({"users": ["web"]}));
    let start = world.request(Event::Start, json!({}), kept.clone());
    assert_eq!(Ssh.plan(&Host::new(&Nobody), &start).unwrap(), Plan::default());
    // And off again.
    assert_eq!(
        world.config(json!({"no-ssh": true}), kept),
        json!({"pending": true})
    );
    assert_eq!(world.text("etc/master.passwd"), MASTER);
    assert_eq!(world.text("etc/passwd"), FREEBSD_PASSWD);
    assert!(world.text("etc/rc.conf").ends_with("sshd_enable=\"NO\"\n"));
    assert!(!world.text("etc/ssh/sshd_config").contains("UseDNS"));
    // The home directory is still there, and the next account of the name owns it.
    let kept = world.config(json!({"ssh": true}), json!({}));
    assert_eq!(kept["users"], json!(["web"]));
    assert!(world.text("etc/master.passwd").contains(":1001:0::1355270400:"));
}

/// Who was there before gets into wheel, and out of it again.
#[test]
fn a_freebsd_user_who_was_there_before() {
    let world = World::freebsd13();
    let add = |file: &str, line: &str| {
        std::fs::write(world.jail().join(file), world.text(file) + line).unwrap();
    };
    add(
        "etc/master.passwd",
        "bob:*:1005:1005::0:0:Bob:/home/bob:/bin/sh\n",
    );
    add("etc/passwd", "bob:*:1005:1005:Bob:/home/bob:/bin/sh\n");
    let before = ["etc/master.passwd", "etc/passwd", "etc/group"].map(|f| world.text(f));
    let kept = world.config(json!({"ssh-user": "bob"}), json!({}));
    assert_eq!(kept["joined"], json!({"bob": "wheel"}));
    assert!(
        world.text("etc/group").contains("wheel:*:0:root,bob\n"),
        "{}",
        world.text("etc/group")
    );
    world.config(json!({"no-ssh": true}), kept);
    assert_eq!(
        before,
        ["etc/master.passwd", "etc/passwd", "etc/group"].map(|f| world.text(f))
    );
}

#[test]
fn freebsd_without_passwords_and_with_home_as_it_is_since_14() {
    let world = World::freebsd13();
    std::fs::remove_file(world.jail().join("home")).unwrap();
    std::fs::create_dir(world.jail().join("home")).unwrap();
    let key = key_file(&world);
    world.config(json!({"ssh-key": [key], "ssh-user": "anna"}), json!({}));
    assert!(
        world
            .text("etc/master.passwd")
            .ends_with("anna:*:1001:0::0:0:Jail:/home/anna:/bin/csh\n")
    );
    assert_eq!(world.text("home/anna/.ssh/authorized_keys"), format!("{KEY}\n"));
    let mode = |path: &str| world.jail().join(path).metadata().unwrap().mode() & 0o777;
    assert_eq!(
        (mode("home/anna/.ssh"), mode("home/anna/.ssh/authorized_keys")),
        (0o700, 0o600)
    );
}

const KEY: &str = include_str!("../golden/key.pub").trim_ascii_end();

fn key_file(world: &World) -> String {
    let path = world.dir.path().join("key.pub");
    std::fs::write(&path, KEY).unwrap();
    path.display().to_string()
}

#[test]
fn a_linux_jail_without_any_group_for_it_gets_wheel() {
    let world = World::linux(&[("etc/skel/.profile", "p\n")]);
    let kept = world.config(json!({"ssh": true}), json!({}));
    assert_eq!(
        without_salt(&world.text("etc/shadow")),
        "root:*:20000:0:99999:7:::\nmail:*:20000:0:99999:7:::\nweb:HASH:0:0:99999:7:::\n"
    );
    assert_eq!(
        world.text("etc/group"),
        "root:x:0:\nusers:x:100:\nweb:x:1000:\nwheel:x:999:web\n"
    );
    assert!(
        world
            .text("etc/passwd")
            .ends_with("web:x:1000:1000:Jail:/home/web:/bin/bash\n")
    );
    assert!(
        world
            .text("etc/pam.d/su")
            .contains("pam_wheel.so trust use_uid group=wheel\n")
    );
    assert_eq!(world.text("etc/rc.conf"), "sshd_enable=\"YES\"\n");
    assert_eq!(world.text("home/web/.profile"), "p\n");
    // Asked for again it has nothing to do; another password it takes.
    assert!(
        world
            .plan(json!({"ssh": true}), kept.clone())
            .unwrap()
            .steps
            .is_empty()
    );
    let kept = world.config(json!({"ssh-password": "random"}), kept);
    assert!(without_salt(&world.text("etc/shadow")).ends_with("web:HASH:20000:0:99999:7:::\n"));
    let kept = world.config(json!({"ssh-key": [key_file(&world)]}), kept);
    assert!(world.text("etc/shadow").ends_with("web:*:20000:0:99999:7:::\n"));
    assert_eq!(world.config(json!({"no-ssh": true}), kept), json!({}));
    assert_eq!(world.text("etc/group"), "root:x:0:\nusers:x:100:\nwheel:x:999:\n");
    assert!(!world.text("etc/passwd").contains("web") && !world.text("etc/shadow").contains("web"));
}

#[test]
fn a_linux_base_with_sudo_uses_it() {
    let world = World::linux(&[("etc/sudoers", "@includedir /etc/sudoers.d\n")]);
    let su = world.text("etc/pam.d/su");
    world.config(json!({"ssh": true}), json!({}));
    assert_eq!(world.text("etc/sudoers.d/qjail-ssh"), "web ALL=(ALL:ALL) ALL\n");
    assert_eq!(world.text("etc/pam.d/su"), su);
    world.config(json!({"ssh-key": [key_file(&world)]}), json!({"users": ["web"]}));
    assert_eq!(
        world.text("etc/sudoers.d/qjail-ssh"),
        "web ALL=(ALL:ALL) NOPASSWD: ALL\n"
    );
    world.config(json!({"no-ssh": true}), json!({"users": ["web"]}));
    assert!(!world.jail().join("etc/sudoers.d/qjail-ssh").exists());
}

#[test]
fn the_secret_is_shown_once_and_not_in_a_dry_run() {
    let world = World::linux(&[]);
    let plan = world.plan(json!({"ssh-password": "random"}), json!({})).unwrap();
    let note = plan.notes.join(" ");
    let secret = note
        .split("password ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(secret.len(), 20, "{note}");
    assert!(!json!(plan.steps).to_string().contains(&secret));
    let mut request = world.request(Event::Config, json!({"ssh-password": "random"}), json!({}));
    request.context.dry_run = true;
    let shown = json!(Ssh.plan(&Host::new(&Nobody), &request).unwrap()).to_string();
    assert!(
        !shown.contains("$6$") && shown.contains("shown when it is made"),
        "{shown}"
    );
}

/// qjail brings back the files that are remembered; the plugin takes away the directories that it made, whether the step
/// ran, ran in part or not at all.
#[test]
fn undo_leaves_what_was_there() {
    for runs in [0, 1, 2] {
        let world = World::linux(&[("etc/skel/.profile", "p\n")]);
        let before = picture(world.dir.path());
        let plan = world.plan(json!({"ssh-key": [KEY_PATH]}), json!({})).unwrap();
        let [Step::RememberFiles { files }, step] = plan.steps.as_slice() else {
            panic!("{plan:?}")
        };
        let at = |path: &str| world.jail().join(path);
        let old: Vec<_> = files.iter().map(|f| std::fs::read(at(&f.path)).ok()).collect();
        for _ in 0..runs {
            world.step(step, false).unwrap();
        }
        world.step(step, true).unwrap();
        world.step(step, true).unwrap();
        for (file, old) in files.iter().zip(old) {
            match old {
                Some(old) => std::fs::write(at(&file.path), old).unwrap(),
                None => assert!(!at(&file.path).exists(), "{file}"),
            }
        }
        assert_eq!(picture(world.dir.path()), before, "{runs}");
    }
}

#[test]
fn bad_wishes_are_refused() {
    let world = World::linux(&[]);
    let refused = |options: Value| world.plan(options, json!({})).unwrap_err();
    assert!(refused(json!({"ssh-user": "mail"})).contains("an account of the base"));
    assert!(refused(json!({"ssh-user": "root"})).contains("an account of the base"));
    assert!(refused(json!({"ssh-user": "a:b"})).contains("can not be a user's"));
    assert!(refused(json!({"ssh-key": ["/nonexistent"]})).contains("public key"));
    let mut request = world.request(Event::Create, json!({"ssh": true}), json!({}));
    request.jail.flavors = vec!["ssh-default".to_owned()];
    request.jail.name = "a".repeat(33);
    request.jail.params.set("ip4", "inherit");
    let told = json!(Ssh.validate(&Host::new(&Nobody), &request).unwrap()).to_string();
    for what in ["invalid together", "--ssh-user", "ip4 = inherit"] {
        assert!(told.contains(what), "{told}");
    }
    std::fs::remove_file(world.jail().join("etc/ssh/sshd_config")).unwrap();
    assert!(refused(json!({"ssh": true})).contains("there is no sshd"));
}

const KEY_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/golden/key.pub");

fn picture(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        let content = if meta.is_file() {
            std::fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        lines.push(format!(
            "{} {:o} {} {content:?}",
            path.display(),
            meta.mode(),
            meta.uid()
        ));
        if meta.is_dir() {
            lines.extend(picture(&path));
        }
    }
    lines.sort();
    lines
}
