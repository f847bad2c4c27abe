//! The plugin as the host calls it, in directories of its own: plans are run, cut off and undone for real.

mod hooks;
mod install;
mod rc;
mod refused;
mod server;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use qjail_plugin_api::{
    At, CommandReply, CommandRequest, Context, Event, HookRequest, Host, HostInfo, HostPort, IfExists,
    JailInfo, LogLevel, Options, Place, Plan, Plugin, PluginError, Point, Step, StepRequest,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Base;

/// Directories of a qjail, and a host that answers for it.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) os: &'static str,
    pub(crate) kernel: &'static str,
    pub(crate) jails: Vec<JailInfo>,
    /// How often the user may be asked before they have had enough.
    pub(crate) patience: Cell<u32>,
    pub(crate) log: RefCell<Vec<String>>,
}

impl HostPort for Site {
    fn log(&self, _level: LogLevel, message: &str) {
        self.log.borrow_mut().push(message.to_owned());
    }

    fn call(&self, op: &str, _request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let answer = match op {
            "jails/1" => json!(self.jails),
            "cancelled/1" => {
                self.patience.set(self.patience.get().saturating_sub(1));
                json!(self.patience.get() == 0)
            }
            "host/1" => json!(HostInfo {
                os: self.os.to_owned(),
                release: if self.os == "freebsd" {
                    "15.0-RELEASE-p1"
                } else {
                    "Debian 12"
                }
                .to_owned(),
                machine: "amd64".to_owned(),
                machine_arch: "amd64".to_owned(),
                kernel: self.kernel.to_owned(),
            }),
            _ => json!(null),
        };
        Ok(answer.to_string().into_bytes())
    }
}

/// What a test's plan left undone: the undo of each step that ran, the last one first.
type Undo = Box<dyn FnOnce(&Site)>;

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["jails", "state", "etc", "state/bases"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let log = RefCell::default();
        Self {
            dir,
            os: "linux",
            kernel: "6.1.0",
            jails: Vec::new(),
            patience: Cell::new(u32::MAX),
            log,
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A file of the site, written.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn context(&self) -> Context {
        let dir = |name: &str| self.path(name).to_str().unwrap().to_owned();
        Context {
            os: self.os.to_owned(),
            jails_dir: dir("jails"),
            config_dir: dir("etc"),
            state_dir: dir("state"),
            now: 1_795_470_240,
            ..Context::default()
        }
    }

    pub(crate) fn command(
        &self,
        words: &[&str],
        options: &[(&str, Value)],
    ) -> Result<CommandReply, PluginError> {
        let values: BTreeMap<String, Value> = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect();
        let command = words.iter().map(|w| (*w).to_owned()).collect();
        let request = CommandRequest {
            command,
            options: Options { values },
            context: self.context(),
        };
        Base.command(&Host::new(self), &request)
    }

    /// `install` as the host does it: the plan, or all as it was.
    pub(crate) fn install(&self, options: &[(&str, Value)]) -> Result<Plan, PluginError> {
        let plan = self.command(&["install"], options)?.plan;
        let mut done = Vec::new();
        for step in plan.steps.iter().chain(&plan.commit) {
            if let Err(e) = self.run(step, &mut done) {
                self.undo(done);
                return Err(e);
            }
        }
        for step in &plan.cleanup {
            self.run(step, &mut Vec::new())?;
        }
        Ok(plan)
    }

    pub(crate) fn undo(&self, done: Vec<Undo>) {
        for undo in done.into_iter().rev() {
            undo(self);
        }
    }

    fn at(&self, at: &At) -> PathBuf {
        let place = match at.place {
            Place::Jails => "jails",
            Place::Config => "etc",
            Place::State => "state",
            Place::Jail => panic!("no jail is installed"),
        };
        self.path(place).join(&at.path)
    }

    /// Runs a step; how to undo it is noted before it runs, as the host does.
    pub(crate) fn run(&self, step: &Step, done: &mut Vec<Undo>) -> Result<(), PluginError> {
        match step {
            Step::MakeDir { at, mode } => {
                let path = self.at(at);
                if !path.exists() {
                    let gone = path.clone();
                    done.push(Box::new(move |_| drop(fs::remove_dir(gone))));
                    fs::create_dir_all(&path).unwrap();
                    fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
                }
            }
            Step::WriteFile {
                at,
                content,
                mode,
                if_exists,
            } => {
                let path = self.at(at);
                let old = fs::read(&path).ok();
                if old.is_some() && *if_exists == IfExists::Keep {
                    return Ok(());
                }
                let back = path.clone();
                done.push(Box::new(move |_| match old {
                    Some(old) => fs::write(back, old).unwrap(),
                    None => drop(fs::remove_file(back)),
                }));
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, PermissionsExt::from_mode(mode.unwrap_or(0o644))).unwrap();
            }
            Step::SetLink { at, target } => {
                let path = self.at(at);
                let old = fs::read_link(&path).ok();
                let back = path.clone();
                done.push(Box::new(move |_| {
                    let _ = fs::remove_file(&back);
                    old.map(|o| symlink(o, &back).unwrap()).unwrap_or_default();
                }));
                let _ = fs::remove_file(&path);
                symlink(target, &path).unwrap();
            }
            Step::Rename { from, to } => {
                let (from, to) = (self.at(from), self.at(to));
                let (f, t) = (from.clone(), to.clone());
                done.push(Box::new(move |_| drop(fs::rename(t, f))));
                assert!(!to.exists());
                fs::rename(from, to).unwrap();
            }
            Step::RemoveFile { at } => drop(fs::remove_file(self.at(at))),
            Step::Plugin { op, data, .. } => {
                let request = StepRequest {
                    op: op.clone(),
                    data: data.clone(),
                    jail_root: None,
                    context: self.context(),
                };
                let again = request.clone();
                done.push(Box::new(move |site| {
                    // Undoing twice is the same as undoing once.
                    Base.undo(&Host::new(site), &again).unwrap();
                    Base.undo(&Host::new(site), &again).unwrap();
                }));
                Base.step(&Host::new(self), &request)?;
            }
            other => panic!("install has no {other:?}"),
        }
        Ok(())
    }

    /// Everything in the directories: names, modes, owners, links and contents.
    pub(crate) fn picture(&self) -> Vec<String> {
        let mut all = Vec::new();
        for name in ["jails", "state", "etc"] {
            picture(&self.path(name), &mut all);
        }
        all.sort();
        all
    }

    pub(crate) fn ask(&self, event: Event, jail: JailInfo) -> Result<Plan, Vec<String>> {
        let request = HookRequest {
            event,
            point: Point::Pre,
            jail,
            options: Options::default(),
            duplicate: false,
            several: false,
            new_name: None,
            context: self.context(),
        };
        let host = Host::new(self);
        let objections = Base.validate(&host, &request).unwrap();
        if objections.is_empty() {
            return Ok(Base.plan(&host, &request).unwrap());
        }
        Err(objections
            .into_iter()
            .map(|o| format!("{} | {}", o.message, o.hint.expect("a hint")))
            .collect())
    }
}

fn picture(dir: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        let what = if meta.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else if meta.is_file() {
            qjail_fetch::Digest::of(&fs::read(&path).unwrap()).to_string()
        } else {
            String::new()
        };
        all.push(format!(
            "{} {:o} {} {} {what}",
            path.display(),
            meta.mode(),
            meta.uid(),
            meta.gid()
        ));
        if meta.is_dir() {
            picture(&path, all);
        }
    }
}

/// One entry of a test's archive.
pub(crate) enum Item<'a> {
    Dir(&'a str, u32),
    File(&'a str, u32, &'a str),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
}

/// A tar archive. Names are written as they are, good or bad.
pub(crate) fn tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let (name, kind, mode, content, target) = match item {
            Item::Dir(n, m) => (n, tar::EntryType::Directory, *m, "", ""),
            Item::File(n, m, c) => (n, tar::EntryType::Regular, *m, *c, ""),
            Item::Link(n, t) => (n, tar::EntryType::Symlink, 0o777, "", *t),
            Item::Hard(n, t) => (n, tar::EntryType::Link, 0o644, "", *t),
        };
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// A Linux system with a merged `/usr`, an identity of its own, and links of every kind.
pub(crate) fn debian() -> Vec<u8> {
    use Item::{Dir, File, Hard, Link};
    tar(&[
        Dir("./", 0o755),
        Dir("./usr", 0o755),
        Dir("./usr/bin", 0o755),
        File("./usr/bin/tool", 0o4755, "#!/bin/sh\n"),
        Hard("./usr/bin/hard", "./usr/bin/tool"),
        Dir("./usr/lib", 0o755),
        File(
            "./usr/lib/os-release",
            0o644,
            "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        ),
        Link("./usr/lib/near", "../share/text"),
        Link("./usr/lib/far", "../../etc/passwd"),
        Link("./usr/lib/local", "../local/lib/x"),
        Dir("./usr/share", 0o755),
        File("./usr/share/text", 0o644, "text"),
        Dir("./usr/local", 0o755),
        Dir("./usr/src", 0o755),
        Link("./bin", "usr/bin"),
        Link("./lib", "usr/lib"),
        Dir("./etc", 0o755),
        Link("./etc/os-release", "../usr/lib/os-release"),
        File("./etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n"),
        File("./etc/machine-id", 0o444, "0123456789abcdef\n"),
        Dir("./etc/ssh", 0o755),
        File("./etc/ssh/sshd_config", 0o644, "Port 22\n"),
        File("./etc/ssh/ssh_host_ed25519_key", 0o600, "secret"),
        File("./etc/ssh/ssh_host_ed25519_key.pub", 0o644, "public"),
        Dir("./var", 0o755),
        Dir("./var/lib", 0o755),
        Dir("./var/lib/systemd", 0o755),
        File("./var/lib/systemd/random-seed", 0o600, "seed"),
        Dir("./root", 0o700),
    ])
}

/// The parts of a FreeBSD base that matter here.
pub(crate) fn freebsd(release: &str) -> Vec<u8> {
    use Item::{Dir, File, Link};
    let version = format!("#!/bin/sh\nUSERLAND_VERSION=\"{release}\"\n");
    tar(&[
        Dir("./", 0o755),
        Dir("./bin", 0o755),
        File("./bin/freebsd-version", 0o555, &version),
        File("./bin/sh", 0o555, "sh"),
        Dir("./boot", 0o755),
        File("./boot/loader", 0o444, "boot"),
        Dir("./rescue", 0o755),
        Dir("./lib", 0o755),
        Dir("./libexec", 0o755),
        File("./libexec/ld-elf.so.1", 0o555, "ld"),
        Dir("./sbin", 0o755),
        Link("./sys", "usr/src/sys"),
        Dir("./etc", 0o755),
        File("./etc/rc", 0o644, "rc"),
        Dir("./usr", 0o755),
        Dir("./usr/bin", 0o755),
        Link("./usr/bin/out", "../../etc/rc"),
        Dir("./usr/lib", 0o755),
        Link("./usr/lib/in", "../../lib/libc.so.7"),
        Dir("./usr/games", 0o755),
        Dir("./usr/share", 0o755),
        Dir("./usr/local", 0o755),
        Dir("./tmp", 0o1777),
    ])
}
