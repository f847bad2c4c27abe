//! Real archives, hostile ones and damaged ones against a real file system, as root.

mod bounds;
mod builder;
mod damage;
mod evil;
mod picture;
mod random;
mod real;
mod streams;

use crate::{ArchiveError, CreateFormat, CreateOptions, ExtractOptions, Extracted, create, extract};
use qjail_fs::{RelPath, Root, never};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A root to extract into, and something beside it that must stay as it is.
struct Stage {
    dir: tempfile::TempDir,
    root: Root,
}

impl Stage {
    fn new() -> Stage {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        let root = Root::open(&dir.path().join("root")).unwrap();
        Stage { dir, root }
    }

    fn inside(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    fn extract(&self, archive: &[u8]) -> Result<Extracted, ArchiveError> {
        self.extract_with(archive, &options())
    }

    fn extract_with(&self, archive: &[u8], options: &ExtractOptions) -> Result<Extracted, ArchiveError> {
        let done = extract(archive, &self.root, options, &never, &mut |_| {});
        self.assert_outside_untouched();
        done
    }

    /// Extracts and gives the text of the error that must come.
    fn refusal(&self, archive: &[u8]) -> String {
        self.extract(archive).unwrap_err().to_string()
    }

    fn assert_outside_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.outside())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
        assert_eq!(
            fs::read_to_string(self.outside().join("secret")).unwrap(),
            "secret"
        );
        let beside = fs::read_dir(self.dir.path()).unwrap().count();
        assert_eq!(beside, 2);
    }
}

/// Two threads, so that every machine takes the same ways.
fn options() -> ExtractOptions {
    let mut options = ExtractOptions::default();
    options.decode.threads = 2;
    options
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn archived(tree: &Path, options: &CreateOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    let root = Root::open(tree).unwrap();
    create(
        &root,
        &[RelPath::root()],
        &mut bytes,
        options,
        &never,
        &mut |_| {},
    )
    .unwrap();
    bytes
}

fn as_format(format: CreateFormat) -> CreateOptions {
    CreateOptions {
        format,
        level: Some(1),
        threads: 2,
        block_size: Some(64 * 1024),
    }
}

/// Runs a program that the tests need. `cargo xtask test` installs what is missing.
fn run(program: &str, args: &[&str], dir: &Path) -> Vec<u8> {
    let out = match Command::new(program)
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C.UTF-8")
        .output()
    {
        Ok(out) => out,
        Err(e) => panic!("{program}: {e}; `cargo xtask test` installs what the tests need"),
    };
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {said}");
    out.stdout
}

/// Runs a test once more in a mount namespace of its own.
fn with_private_mounts(test: &str, body: impl FnOnce()) {
    const MARK: &str = "QJAIL_ARCHIVE_TEST_INSIDE";
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
