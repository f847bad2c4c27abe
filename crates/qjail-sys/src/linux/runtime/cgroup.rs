//! The control groups of a jail: `qjail/NAME-HASH` in every mounted hierarchy of version 1 and 2.
//!
//! A jail leaves the groups of whoever started it, so that the end of a login session or of a service does not end the
//! jail, and its memory is not charged to them. What cannot be written is left out and told, but for limits (`limits`):
//! a jail with a limit that cannot be set, or a process that cannot be put under it, does not run.
//!
//! Moving a process takes the kernel 10 ms and more where nothing was moved lately: it waits for a grace period of RCU.
//! A process that moves its only thread, which version 1 allows, does not wait. Where a version 2 hierarchy without
//! controllers lies beside those of version 1, it is left alone unless the starter is in a group of it.

mod limits;

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::mountinfo::{self, Mounted};
use super::raw;
use super::spec::{Attempt, Failure, Resources, plain};

pub(super) use limits::{lacking, processors};

/// The directory that holds the groups of all jails.
const ALL: &str = "qjail";
const PROCESSES: &str = "cgroup.procs";
/// Its counterpart for threads, version 1 only.
const THREADS: &str = "tasks";
/// How long the processes of a group that is removed may take to die.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted tree of control groups.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    version2: bool,
    /// The controllers in it: `memory`, `pids`, ….
    controllers: Vec<String>,
}

impl Hierarchy {
    fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

/// The hierarchies that are mounted now.
fn mounted() -> Vec<Hierarchy> {
    let mut trees = hierarchies(mountinfo::read().unwrap_or_default());
    for tree in trees.iter_mut().filter(|tree| tree.version2) {
        let list = fs::read_to_string(tree.mount.join("cgroup.controllers")).unwrap_or_default();
        tree.controllers = list.split_whitespace().map(str::to_owned).collect();
    }
    trees
}

/// Where the groups of a jail are.
#[derive(Debug)]
pub(super) struct Groups {
    trees: Vec<Hierarchy>,
    name: String,
}

impl Groups {
    /// The groups of that name in every hierarchy that is mounted now.
    pub(super) fn new(name: String) -> Groups {
        Groups {
            trees: mounted(),
            name,
        }
    }

    /// The same without a version 2 hierarchy that need not be joined.
    pub(super) fn to_join(name: String, resources: &Resources) -> Groups {
        let mut groups = Groups::new(name);
        let mine = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let at_root = mine.lines().any(|line| line == "0::/");
        let version1 = groups.trees.iter().any(|tree| !tree.version2);
        groups
            .trees
            .retain(|tree| !(tree.version2 && version1 && at_root) || limits::needs(tree, resources));
        groups
    }

    /// Whether joining may have to wait, see above.
    pub(super) fn slow(&self) -> bool {
        self.trees.iter().any(|tree| tree.version2)
    }

    fn dir(&self, tree: &Hierarchy) -> PathBuf {
        tree.mount.join(ALL).join(&self.name)
    }

    /// Makes the groups: doors to join them through, and a sentence about what could not be done.
    pub(super) fn make(&self) -> (Vec<OwnedFd>, Option<String>) {
        let failures: Vec<_> = self
            .trees
            .iter()
            .filter_map(|tree| self.make_one(tree).err())
            .collect();
        let all = self.trees.len();
        let note = match failures.first() {
            None if all == 0 => Some("the jail is in no control group: none is mounted".to_owned()),
            None => None,
            Some(why) => Some(format!(
                "the jail is not in {} of {all} control groups: {why}",
                failures.len()
            )),
        };
        (self.doors(), note)
    }

    fn make_one(&self, tree: &Hierarchy) -> Result<(), Failure> {
        let dir = self.dir(tree);
        // Another jail's removal may take the common directory away between the two steps.
        let made = (0..20).find_map(|_| match make(tree, &dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            made => Some(made),
        });
        made.unwrap_or(Err(io::ErrorKind::NotFound.into()))
            .attempt(|| format!("make {}", dir.display()))?;
        self.door(tree)
            .map(drop)
            .attempt(|| format!("join {}", dir.display()))
    }

    fn door(&self, tree: &Hierarchy) -> io::Result<fs::File> {
        let file = if tree.version2 { PROCESSES } else { THREADS };
        fs::OpenOptions::new().write(true).open(self.dir(tree).join(file))
    }

    /// Descriptors through which a process can [`join`], whatever it can see by then.
    pub(super) fn doors(&self) -> Vec<OwnedFd> {
        self.trees
            .iter()
            .filter_map(|tree| self.door(tree).ok())
            .map(OwnedFd::from)
            .collect()
    }

    /// Kills what is left in the groups and removes them. Nothing to remove is no error.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        for tree in &self.trees {
            let dir = self.dir(tree);
            while let Err(error) = fs::remove_dir(&dir) {
                match error.kind() {
                    io::ErrorKind::NotFound => break,
                    io::ErrorKind::ResourceBusy if Instant::now() < end => kill_all(&dir),
                    // Where nothing can be written, what is not there cannot be removed either.
                    _ if !dir.exists() => break,
                    _ => return Err(Failure::new(format!("remove {}", dir.display()), plain(&error))),
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            // Fails while other jails have groups, and then it is to stay.
            let _ = fs::remove_dir(tree.mount.join(ALL));
        }
        Ok(())
    }
}

/// Moves this process into the groups of `doors`, into as many as it can; the first failure.
pub(super) fn join(doors: &[OwnedFd]) -> io::Result<()> {
    let mut joined = Ok(());
    for door in doors {
        joined = joined.and(rustix::io::write(door, b"0").map(drop));
    }
    Ok(joined?)
}

fn make(tree: &Hierarchy, dir: &Path) -> io::Result<()> {
    let Some(all) = dir.parent() else { return Ok(()) };
    for (dir, parent) in [(all, tree.mount.as_path()), (dir, all)] {
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if tree.has("cpuset") && !tree.version2 {
            inherit_cpus(parent, dir)?;
        }
    }
    Ok(())
}

/// Nothing may join a version 1 cpuset that has no processors and memory nodes.
fn inherit_cpus(parent: &Path, dir: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if fs::read_to_string(dir.join(file))?.trim().is_empty() {
            fs::write(dir.join(file), fs::read_to_string(parent.join(file))?)?;
        }
    }
    Ok(())
}

/// Kills every process of a group, each known by a descriptor that was opened while it was in the group.
fn kill_all(dir: &Path) {
    if fs::write(dir.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for pid in members(dir) {
        let Some(number) = Pid::from_raw(pid) else {
            continue;
        };
        let Ok(pidfd) = pidfd_open(number, PidfdFlags::empty()) else {
            continue;
        };
        if members(dir).contains(&pid) {
            let _ = raw::signal_process(std::os::fd::AsFd::as_fd(&pidfd), libc::SIGKILL);
        }
    }
}

fn members(dir: &Path) -> Vec<i32> {
    let text = fs::read_to_string(dir.join(PROCESSES)).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.parse().ok())
        .filter(|pid| *pid > 0)
        .collect()
}

/// The hierarchies among the mounts, each once.
fn hierarchies(mounts: Vec<Mounted>) -> Vec<Hierarchy> {
    let mut devices = Vec::new();
    let mut found = Vec::new();
    for Mounted {
        device,
        at,
        kind,
        options,
    } in mounts
    {
        if !matches!(kind.as_str(), "cgroup" | "cgroup2") || devices.contains(&device) {
            continue;
        }
        devices.push(device);
        let version2 = kind == "cgroup2";
        found.push(Hierarchy {
            mount: at,
            version2,
            controllers: if version2 { Vec::new() } else { options },
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found_once() {
        let mounts = b"22 1 0:20 / /sys rw - sysfs sysfs rw\n\
            30 22 0:25 / /sys/fs/cgroup/cpu\\040set rw,relatime shared:9 - cgroup cgroup rw,cpuset\n\
            31 22 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
            32 22 0:26 / /mnt rw - cgroup2 cgroup2 rw\n\ngarbage\n";
        let found = hierarchies(mountinfo::parse(mounts));
        let cpuset = Hierarchy {
            mount: "/sys/fs/cgroup/cpu set".into(),
            version2: false,
            controllers: vec!["rw".to_owned(), "cpuset".to_owned()],
        };
        let unified = Hierarchy {
            mount: "/sys/fs/cgroup/unified".into(),
            version2: true,
            controllers: vec![],
        };
        assert_eq!(found, [cpuset, unified]);
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        Groups::new(format!("no-such-jail-{}", std::process::id()))
            .remove()
            .unwrap();
    }
}
