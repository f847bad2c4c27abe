//! The run-time files of one jail: `RUN/NAME/` with
//!
//! * `alive`: process 1 holds a record lock on it for as long as it lives;
//! * `starting`: the helper of a start holds a record lock on it (who), and it and all it forked hold an flock(2) (that);
//! * `spec.json`: how the jail was started, for commands that enter it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::process::{Flock, FlockType, Pid, PidfdFlags, fcntl_getlk, pidfd_open};
use serde::{Deserialize, Serialize};

use super::spec::{Attempt, Failure, Isolation, Resources};

const ALIVE: &str = "alive";
const STARTING: &str = "starting";
const RECORD: &str = "spec.json";

/// What of a start commands that enter the jail have to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) isolation: Isolation,
    #[serde(default)]
    pub(super) resources: Resources,
}

/// A process that is known to hold a lock: its number and a descriptor that never means another process.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

/// The directory of one jail.
#[derive(Debug, Clone)]
pub(super) struct RunDir {
    base: PathBuf,
    name: String,
}

impl RunDir {
    pub(super) fn new(base: &Path, name: &str) -> RunDir {
        RunDir {
            base: base.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.base.join(&self.name)
    }

    /// The name of the jail's control groups: told apart from those of a jail of the same name in another run directory.
    pub(super) fn group(&self) -> String {
        // FNV-1a, 64 bit: stable from one version of this program to the next, as std's hashes are not.
        let hash = self
            .base
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
        format!("{}-{hash:016x}", self.name)
    }

    /// Makes the directory and its files for a start.
    pub(super) fn prepare(&self, record: &Record) -> Result<(), Failure> {
        let path = self.path();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .attempt(|| format!("make {}", path.display()))?;
        let file = path.join(RECORD);
        let text =
            serde_json::to_vec(record).map_err(|e| Failure::new(format!("write {}", file.display()), e))?;
        fs::write(&file, text).attempt(|| format!("write {}", file.display()))
    }

    /// How the jail was started.
    pub(super) fn record(&self) -> Result<Record, Failure> {
        let file = self.path().join(RECORD);
        let text = fs::read(&file).attempt(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).map_err(|e| Failure::new(format!("read {}", file.display()), e))
    }

    /// The file that process 1 locks, made when it is missing.
    pub(super) fn alive(&self) -> Result<File, Failure> {
        self.lock_file(ALIVE)
    }

    /// The file that the helper of a start locks, made when it is missing.
    pub(super) fn starting(&self) -> Result<File, Failure> {
        self.lock_file(STARTING)
    }

    fn lock_file(&self, name: &str) -> Result<File, Failure> {
        let path = self.path().join(name);
        let mut how = OpenOptions::new();
        how.read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW);
        how.open(&path).attempt(|| format!("open {}", path.display()))
    }

    /// Process 1, where the jail runs.
    pub(super) fn process_one(&self) -> io::Result<Option<Holder>> {
        holder(&self.path().join(ALIVE))
    }

    /// The helper of a start that is going on.
    pub(super) fn helper(&self) -> io::Result<Option<Holder>> {
        holder(&self.path().join(STARTING))
    }

    /// Removes the directory; nothing to remove is no error.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        let path = self.path();
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).attempt(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The jails below `base` whose `alive` is locked, with the number of who holds it.
pub(super) fn running(base: &Path) -> io::Result<BTreeMap<String, i32>> {
    let entries = match fs::read_dir(base) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if let Some(pid) = locked_by(&entry.path().join(ALIVE))? {
            found.insert(name, pid);
        }
    }
    Ok(found)
}

/// Who holds the record lock on a file; nobody where there is no such file.
fn locked_by(path: &Path) -> io::Result<Option<i32>> {
    let file = match OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
    {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        file => file?,
    };
    holder_of(&file)
}

fn holder_of(file: &impl AsFd) -> io::Result<Option<i32>> {
    let lock = fcntl_getlk(file, &Flock::from(FlockType::WriteLock))?;
    Ok(lock
        .and_then(|lock| lock.pid)
        .map(|pid| pid.as_raw_nonzero().get()))
}

/// The process that holds the record lock on a file. Asked again once the descriptor is there: a number that was
/// recycled in between does not hold the lock.
fn holder(path: &Path) -> io::Result<Option<Holder>> {
    while let Some(pid) = locked_by(path)? {
        let Some(number) = Pid::from_raw(pid) else { break };
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(pidfd) if locked_by(path)? == Some(pid) => return Ok(Some(Holder { pid, pidfd })),
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_runs_where_there_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(running(&dir.path().join("none")).unwrap().is_empty());
        fs::write(dir.path().join("file"), "").unwrap();
        let jail = RunDir::new(dir.path(), "a");
        jail.prepare(&Record {
            isolation: Isolation::default(),
            resources: Resources::default(),
        })
        .unwrap();
        jail.alive().unwrap();
        assert!(running(dir.path()).unwrap().is_empty());
        assert!(jail.process_one().unwrap().is_none());
        jail.remove().unwrap();
        jail.remove().unwrap();
    }

    #[test]
    fn groups_differ_by_directory_and_stay() {
        let group = |base| RunDir::new(Path::new(base), "a").group();
        assert_eq!(group("/x"), group("/x"));
        assert_ne!(group("/x"), group("/y"));
        assert!(group("/x").starts_with("a-"));
    }
}
