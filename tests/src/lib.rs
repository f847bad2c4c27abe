//! What the end-to-end tests stand on: a [`Site`] is the real program with its own directories, base and network.
//!
//! It starts the program as a user would and looks at what a user would see. It does not mock anything and does not look
//! into qjail's crates; what it makes on the host (directories, interfaces, jails) it removes, whatever happens.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    reason = "only tests use it: a failure here is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The program under test (`QJAIL_TEST_PROGRAM`).
///
/// # Panics
/// When the tests were not started by `cargo xtask test`, which sets it.
#[must_use]
pub fn program() -> PathBuf {
    std::env::var_os("QJAIL_TEST_PROGRAM")
        .expect("run these tests with `cargo xtask test`")
        .into()
}

/// Whether the plugins are shared objects in this run (`QJAIL_TEST_LIFE`).
#[must_use]
pub fn plugins_are_shared() -> bool {
    std::env::var_os("QJAIL_TEST_LIFE").is_some_and(|l| l == "shared")
}

/// The fixture base: a Debian root file system with an ssh server, as a tar archive (`QJAIL_FIXTURE`).
///
/// # Panics
/// As [`program`].
#[must_use]
pub fn fixture() -> PathBuf {
    std::env::var_os("QJAIL_FIXTURE")
        .expect("run these tests with `cargo xtask test`")
        .into()
}

/// The plugin that misbehaves on demand (`QJAIL_TEST_EVIL`).
///
/// # Panics
/// As [`program`].
#[must_use]
pub fn evil_plugin() -> PathBuf {
    std::env::var_os("QJAIL_TEST_EVIL")
        .expect("run these tests with `cargo xtask test`")
        .into()
}

/// How one run of the program ended.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command line, for messages.
    pub line: String,
    /// The exit status; 128 + N when signal N ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    fn new(line: String, output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output
            .status
            .code()
            .unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            line,
            code,
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The same, if it ended with 0.
    ///
    /// # Panics
    /// With all that it said, if it did not.
    #[must_use]
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The same, if it was refused as refusals must be: status `code`, a line `qjail: …` on standard error that contains
    /// `what`, and a hint.
    ///
    /// # Panics
    /// With all that it said, if it was not.
    #[track_caller]
    pub fn refused(self, code: i32, what: &str) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        assert!(self.err.starts_with("qjail: "), "{self:#?}");
        assert!(self.err.contains(what), "`{what}` is not in {self:#?}");
        self
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// One installation of qjail with everything below a directory of its own.
#[derive(Debug)]
pub struct Site {
    /// What `--root` says.
    pub root: PathBuf,
    /// A number that no other site of this machine has at the moment.
    pub number: u32,
}

impl Site {
    /// A site without a base.
    ///
    /// # Panics
    /// When its directory can not be made.
    #[must_use]
    pub fn empty() -> Self {
        let number = std::process::id() % 50 * 4 + NEXT.fetch_add(1, Ordering::Relaxed) * 200;
        let root = PathBuf::from(format!("/var/lib/qjail-e2e/{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).unwrap();
        let site = Self { root, number };
        site.bring_plugins();
        site
    }

    /// A site whose base is the running system.
    #[must_use]
    pub fn from_host() -> Self {
        let site = Self::empty();
        let _ = site.qjail(&["install", "--from-host"]).ok();
        site
    }

    /// A site with the fixture base and a network, shared by all tests of the process. Each test takes jail names and
    /// addresses of its own.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Site> = OnceLock::new();
        SHARED.get_or_init(|| {
            let site = Self::empty();
            let _ = site.qjail(&["install", fixture().to_str().unwrap()]).ok();
            let _ = site
                .qjail(&["net", "create", &site.bridge(), &site.network()])
                .ok();
            site
        })
    }

    /// Puts the plugins where the site looks for them, in the life where they are shared objects.
    ///
    /// # Panics
    /// When they can not be copied.
    pub fn bring_plugins(&self) {
        if !plugins_are_shared() {
            return;
        }
        let from: PathBuf = std::env::var_os("QJAIL_TEST_PLUGINS")
            .expect("QJAIL_TEST_PLUGINS")
            .into();
        let to = self.plugin_dir();
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }

    /// Where the site's plugins are looked for.
    #[must_use]
    pub fn plugin_dir(&self) -> PathBuf {
        self.root.join("usr/lib/qjail/plugins")
    }

    /// The zone's directory of jails.
    #[must_use]
    pub fn jails(&self) -> PathBuf {
        self.root.join("var/lib/qjail/jails")
    }

    /// The definition of a jail.
    #[must_use]
    pub fn definition(&self, jail: &str) -> PathBuf {
        self.root.join(format!("etc/qjail/jails.d/{jail}.toml"))
    }

    /// A name for the site's own bridge.
    #[must_use]
    pub fn bridge(&self) -> String {
        format!("qe{}", self.number)
    }

    /// The network of the site's own bridge.
    #[must_use]
    pub fn network(&self) -> String {
        format!("{}/24", self.address(1))
    }

    /// An address of that network.
    #[must_use]
    pub fn address(&self, host: u32) -> String {
        // 160 sites of one process: the shared one lives as long as all others.
        format!("10.{}.{}.{host}", 64 + self.number / 250 % 128, self.number % 250)
    }

    /// An address of a second network that no other site has.
    #[must_use]
    pub fn second_address(&self, host: u32) -> String {
        format!("10.{}.{}.{host}", 192 + self.number / 250 % 64, self.number % 250)
    }

    /// The program with arguments, ready to be started.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .env("QJAIL_ROOT", &self.root)
            .env("NO_COLOR", "1")
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Runs the program.
    ///
    /// # Panics
    /// When it can not be started.
    pub fn qjail(&self, args: &[&str]) -> Ran {
        Ran::new(args.join(" "), &self.command(args).output().unwrap())
    }

    /// What a command prints in a running jail.
    ///
    /// # Panics
    /// When it does not end with 0.
    #[track_caller]
    pub fn inside(&self, jail: &str, script: &str) -> String {
        self.qjail(&["exec", jail, "--", "/bin/sh", "-c", script])
            .ok()
            .out
            .trim_end()
            .to_owned()
    }

    /// Every file of the site with what it holds, for comparing before and after. Locks, which stay, and times are left
    /// out.
    ///
    /// # Panics
    /// When a file can not be read.
    #[must_use]
    pub fn picture(&self) -> Vec<String> {
        let script = "find . \\( -path './var/lib/qjail/state/locks' -o -path './usr' -o -name '*.cache*' \\) -prune \
             -o -printf '%y %m %u %g %p -> %l\\n' | grep -v '^d .*/state' | sort; \
             find . -path ./usr -prune -o -path './var/lib/qjail/state' -prune -o -type f -print0 | sort -z | xargs -0 sha256sum";
        sh(script, &self.root).out.lines().map(str::to_owned).collect()
    }

    /// How many jails are connected to the site's bridge.
    #[must_use]
    pub fn connected(&self) -> usize {
        std::fs::read_dir(format!("/sys/class/net/{}/brif", self.bridge())).map_or(0, Iterator::count)
    }

    /// Whether anything of this site is left in the kernel: processes, mounts, interfaces.
    ///
    /// # Panics
    /// With what is left.
    #[track_caller]
    pub fn assert_no_trace(&self) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let root = self.root.to_str().unwrap();
        assert!(!mounts.contains(root), "mounts are left:\n{mounts}");
        let run = self.root.join("var/lib/qjail/state/run");
        let left: Vec<_> = std::fs::read_dir(&run)
            .map(|d| d.flatten().map(|e| e.path()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "left in {}: {left:?}", run.display());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.command(&["stop", "--force", "--quiet"]).output();
        let _ = self.command(&["delete", "--all", "--yes", "--quiet"]).output();
        let _ = self.command(&["net", "delete", &self.bridge()]).output();
        if !std::thread::panicking() || std::env::var_os("QJAIL_TEST_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

/// Asserts that two pictures of a site are the same, and shows what is not.
///
/// # Panics
/// With the lines that only one of them has.
#[track_caller]
pub fn same(after: &[String], before: &[String], what: &str) {
    let only = |a: &[String], b: &[String]| a.iter().filter(|l| !b.contains(l)).cloned().collect::<Vec<_>>();
    let (more, less) = (only(after, before), only(before, after));
    assert!(
        more.is_empty() && less.is_empty(),
        "{what}: new: {more:#?}, gone: {less:#?}"
    );
}

/// Runs a shell script in `dir`.
///
/// # Panics
/// When it can not be started.
pub fn sh(script: &str, dir: &Path) -> Ran {
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran::new(script.to_owned(), &output)
}

/// The host's network interfaces by name.
///
/// # Panics
/// When the kernel does not tell.
#[must_use]
pub fn host_interfaces() -> Vec<String> {
    let dir = std::fs::read_dir("/sys/class/net").unwrap();
    let mut names: Vec<String> = dir
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
