//! The crate against real trees, the hostile kind first.

mod copy;
mod faithful;
mod look;
mod race;
mod random;
mod remove;
mod write;

use crate::{RelPath, Root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A root in a temporary directory, with an `outside` beside it that must stay as it is.
struct Stage {
    dir: TempDir,
    root: Root,
}

const SECRET: &str = "the host's own";

impl Stage {
    fn new() -> Stage {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), SECRET).unwrap();
        let root = Root::open(&dir.path().join("root")).unwrap();
        Stage { dir, root }
    }

    /// A path of the host below the root.
    fn inside(&self, below: &str) -> PathBuf {
        self.dir.path().join("root").join(below)
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn link(&self, target: impl AsRef<Path>, at: &str) {
        std::os::unix::fs::symlink(target, self.inside(at)).unwrap();
    }

    fn fifo(&self, at: &str) {
        run("mkfifo", &[self.inside(at).to_str().unwrap()]);
    }

    fn assert_outside_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.outside())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(fs::read_to_string(self.outside().join("secret")).unwrap(), SECRET);
    }
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn run(program: &str, arguments: &[&str]) {
    let out = Command::new(program).args(arguments).output().unwrap();
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Runs a test in a process with mounts of its own, which the kernel takes down with it.
fn with_private_mounts(test: &str, body: impl FnOnce()) {
    const MARK: &str = "QJAIL_FS_TEST_INSIDE";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let out = Command::new("unshare")
        .args(["-m", "--propagation", "private"])
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(text.contains("1 passed"), "{test} is no test: {text}");
}
