//! Building the plugin, finding a place that can be trusted, running the driver.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

pub(crate) const EVIL: &str = "libqjail_plugin_evil.so";

/// The directory that holds this test's own program, `target/debug/deps`, less `deps`.
fn build_dir() -> PathBuf {
    let exe = env::current_exe().unwrap();
    exe.parent().unwrap().parent().unwrap().to_path_buf()
}

/// The evil plugin as a shared object; built once for all tests, into the same target directory (cargo has let go of its lock by
/// the time tests run).
pub(crate) fn evil() -> &'static Path {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(build_evil)
        .as_ref()
        .expect("the evil plugin as a shared object")
}

fn build_evil() -> Result<PathBuf, String> {
    let build_dir = build_dir();
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "rustc",
        "--quiet",
        "-p",
        "qjail-plugin-evil",
        "--lib",
        "--crate-type",
        "cdylib",
    ]);
    command.arg("--target-dir").arg(build_dir.parent().unwrap());
    if build_dir.ends_with("release") {
        command.arg("--release");
    }
    let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let path = build_dir.join(EVIL);
    if built.status.success() && path.exists() {
        Ok(path)
    } else {
        Err(String::from_utf8_lossy(&built.stderr).into_owned())
    }
}

/// A new directory with nothing but trusted directories above it. `target/tmp` of a clone below /tmp has not.
pub(crate) fn trusted_dir() -> TempDir {
    let home = env::var("HOME").unwrap_or_default();
    let candidates = [env!("CARGO_TARGET_TMPDIR"), &home, "/var/lib", "/var/db"];
    let place = candidates
        .iter()
        .map(Path::new)
        .find(|p| p.is_dir() && is_trusted(p));
    tempfile::Builder::new()
        .prefix("qjail-")
        .tempdir_in(place.expect("a directory that only we can write"))
        .unwrap()
}

fn is_trusted(dir: &Path) -> bool {
    let me = fs::metadata("/proc/self").map(|m| m.uid()).unwrap_or(0);
    dir.canonicalize().unwrap().ancestors().all(|d| {
        let meta = fs::metadata(d).unwrap();
        (meta.uid() == 0 || meta.uid() == me) && meta.mode() & 0o022 == 0
    })
}

/// A copy of the evil plugin in `dir`, under `name`.
pub(crate) fn install(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    fs::copy(evil(), &path).unwrap();
    set_mode(&path, 0o644);
    path
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A run of the driver.
#[derive(Default)]
pub(crate) struct Drive {
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) vars: BTreeMap<&'static str, String>,
}

impl Drive {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dirs: vec![dir.to_path_buf()],
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.vars.insert(name, value.into());
        self
    }

    /// The lines it printed, the last one (`intact`) taken away. Nothing may be on standard error.
    pub(crate) fn run(&self, words: &[&str]) -> Vec<String> {
        let mut command = Command::new(build_dir().join("examples/drive"));
        command
            .args(&self.dirs)
            .arg("--")
            .args(words)
            .envs(&self.vars)
            .current_dir("/");
        let out = command.output().unwrap();
        let stdout = String::from_utf8(out.stdout).unwrap();
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert!(
            out.status.success() && stderr.is_empty(),
            "{:?}\n{stdout}\n{stderr}",
            out.status
        );
        let mut lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
        assert_eq!(lines.pop().as_deref(), Some("intact"), "{stdout}");
        lines
    }
}
