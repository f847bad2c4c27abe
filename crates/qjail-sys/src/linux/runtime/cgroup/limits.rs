//! Limits by control groups, and what a jail uses: for each controller on whichever version has it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};

use super::super::spec::{Attempt, Failure, Resources, Used, plain};
use super::{ALL, Groups, Hierarchy, mounted};

/// The period in microseconds that processor time is shared out in; the kernel's own default.
const PERIOD: u64 = 100_000;

/// One limit, as control groups have it.
struct Setting {
    /// What users call it.
    limit: &'static str,
    controller: &'static str,
    /// Files of version 1 and 2 with what to write, in this order.
    files: [Vec<File>; 2],
}

struct File {
    name: &'static str,
    value: String,
    /// Not every kernel has it, and the others need it not: without swap, what limits swap.
    optional: bool,
}

fn file(name: &'static str, value: impl ToString) -> File {
    File {
        name,
        value: value.to_string(),
        optional: false,
    }
}

fn optional(name: &'static str, value: impl ToString) -> File {
    File {
        optional: true,
        ..file(name, value)
    }
}

fn settings(resources: &Resources) -> Vec<Setting> {
    let memory = resources.memory.map(|bytes| Setting {
        limit: "memory",
        controller: "memory",
        files: [
            vec![
                file("memory.limit_in_bytes", bytes),
                optional("memory.memsw.limit_in_bytes", bytes),
            ],
            vec![file("memory.max", bytes), optional("memory.swap.max", 0)],
        ],
    });
    let pids = resources.pids.map(|count| Setting {
        limit: "pids",
        controller: "pids",
        files: [vec![file("pids.max", count)], vec![file("pids.max", count)]],
    });
    let cpu = resources.cpu.map(|percent| {
        let quota = u64::from(percent) * PERIOD / 100;
        Setting {
            limit: "cpu",
            controller: "cpu",
            files: [
                vec![file("cpu.cfs_period_us", PERIOD), file("cpu.cfs_quota_us", quota)],
                vec![file("cpu.max", format!("{quota} {PERIOD}"))],
            ],
        }
    });
    let processors = resources.processors.as_ref().map(|list| Setting {
        limit: "processors",
        controller: "cpuset",
        files: [vec![file("cpuset.cpus", list)], vec![file("cpuset.cpus", list)]],
    });
    [memory, pids, cpu, processors].into_iter().flatten().collect()
}

/// Whether a limit needs this hierarchy.
pub(super) fn needs(tree: &Hierarchy, resources: &Resources) -> bool {
    settings(resources).iter().any(|s| tree.has(s.controller))
}

/// Why limits can not be had here: each limit with the reason. Asking changes nothing.
pub(in super::super) fn lacking(resources: &Resources) -> Vec<(&'static str, String)> {
    let trees = mounted();
    settings(resources)
        .iter()
        .filter_map(|setting| {
            let why = match trees.iter().find(|tree| tree.has(setting.controller)) {
                None => format!(
                    "no mounted control groups have the controller {}",
                    setting.controller
                ),
                Some(tree) => {
                    let error = access(&tree.mount, Access::WRITE_OK).err()?;
                    format!("{}: {}", tree.mount.display(), plain(&error.into()))
                }
            };
            Some((setting.limit, why))
        })
        .collect()
}

/// The processors that a jail can be given.
pub(in super::super) fn processors() -> BTreeSet<u32> {
    let trees = mounted();
    let tree = trees.iter().find(|tree| tree.has("cpuset"));
    let files = ["cpuset.effective_cpus", "cpuset.cpus.effective"];
    let own = tree.and_then(|tree| {
        files
            .iter()
            .find_map(|file| fs::read_to_string(tree.mount.join(file)).ok())
    });
    let text = own
        .or_else(|| fs::read_to_string("/sys/devices/system/cpu/online").ok())
        .unwrap_or_default();
    numbers(text.trim())
}

/// `0-3,5`; what is no number is passed over.
fn numbers(list: &str) -> BTreeSet<u32> {
    list.split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}

impl Groups {
    /// Sets the limits on the groups, which have been made.
    pub(in super::super) fn limit(&self, resources: &Resources) -> Result<(), Failure> {
        for setting in settings(resources) {
            let tree = self.tree(&setting)?;
            if tree.version2 {
                pass_down(tree, setting.controller)?;
            }
            let dir = self.dir(tree);
            for file in &setting.files[usize::from(tree.version2)] {
                let path = dir.join(file.name);
                if file.optional && !path.exists() {
                    continue;
                }
                fs::write(&path, &file.value).attempt(|| {
                    format!(
                        "set the limit {}: write {} to {}",
                        setting.limit,
                        file.value,
                        path.display()
                    )
                })?;
            }
        }
        self.limits_hold(resources)
    }

    /// Whether whatever joins now is limited: each group is there to be joined.
    pub(in super::super) fn limits_hold(&self, resources: &Resources) -> Result<(), Failure> {
        settings(resources).iter().try_for_each(|setting| {
            let tree = self.tree(setting)?;
            self.door(tree)
                .map(drop)
                .attempt(|| format!("join {}", self.dir(tree).display()))
        })
    }

    fn tree(&self, setting: &Setting) -> Result<&Hierarchy, Failure> {
        let found = self.trees.iter().find(|tree| tree.has(setting.controller));
        found.ok_or_else(|| {
            let why = format!(
                "no mounted control groups have the controller {}",
                setting.controller
            );
            Failure::new(format!("set the limit {}", setting.limit), why)
        })
    }

    /// What the processes in the groups use.
    pub(in super::super) fn used(&self) -> Used {
        let read = |tree: &Hierarchy, file: &str| fs::read_to_string(self.dir(tree).join(file)).ok();
        let number = |controller: &str, files: [&str; 2]| {
            let tree = self.trees.iter().find(|tree| tree.has(controller))?;
            read(tree, files[usize::from(tree.version2)])?
                .trim()
                .parse::<u64>()
                .ok()
        };
        let droppable = || {
            let tree = self.trees.iter().find(|tree| tree.has("memory"))?;
            let name = ["total_inactive_file", "inactive_file"][usize::from(tree.version2)];
            field(&read(tree, "memory.stat")?, name)
        };
        let version2 = || self.trees.iter().find(|tree| tree.version2);
        let memory = number("memory", ["memory.usage_in_bytes", "memory.current"]);
        Used {
            memory: memory.map(|all| all.saturating_sub(droppable().unwrap_or(0))),
            pids: number("pids", ["pids.current", "pids.current"]),
            cpu: number("cpuacct", ["cpuacct.usage", "cpuacct.usage"])
                .map(Duration::from_nanos)
                .or_else(|| field(&read(version2()?, "cpu.stat")?, "usage_usec").map(Duration::from_micros)),
        }
    }
}

/// The number behind a word at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(word, _)| *word == name)?.1.trim().parse().ok()
}

/// Lets the groups below have a controller: version 2 wants it said at each level.
fn pass_down(tree: &Hierarchy, controller: &str) -> Result<(), Failure> {
    let all = tree.mount.join(ALL);
    [tree.mount.as_path(), &all]
        .into_iter()
        .try_for_each(|dir: &Path| {
            let path = dir.join("cgroup.subtree_control");
            fs::write(&path, format!("+{controller}")).attempt(|| {
                format!(
                    "let jails have the controller {controller}: write to {}",
                    path.display()
                )
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_written_for_either_version() {
        let resources = Resources {
            memory: Some(64 << 20),
            pids: Some(50),
            cpu: Some(150),
            processors: Some("0,2-3".to_owned()),
        };
        let written = |version: usize| {
            let all = settings(&resources);
            let files = all.iter().flat_map(|s| &s.files[version]);
            files
                .map(|f| format!("{}={}", f.name, f.value))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            written(0),
            [
                "memory.limit_in_bytes=67108864",
                "memory.memsw.limit_in_bytes=67108864",
                "pids.max=50",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=150000",
                "cpuset.cpus=0,2-3"
            ]
        );
        assert_eq!(
            written(1),
            [
                "memory.max=67108864",
                "memory.swap.max=0",
                "pids.max=50",
                "cpu.max=150000 100000",
                "cpuset.cpus=0,2-3"
            ]
        );
        assert!(settings(&Resources::default()).is_empty());
    }

    #[test]
    fn a_controller_that_nobody_has_is_told() {
        let groups = Groups {
            trees: vec![],
            name: "x".to_owned(),
        };
        let resources = Resources {
            memory: Some(1 << 30),
            ..Resources::default()
        };
        let why = groups.limit(&resources).unwrap_err().to_string();
        assert!(
            why.contains("set the limit memory") && why.contains("controller memory"),
            "{why}"
        );
        groups.limit(&Resources::default()).unwrap();
        assert_eq!(groups.used(), Used::default());
    }

    #[test]
    fn lists_and_fields() {
        assert_eq!(numbers("0-2,5"), BTreeSet::from([0, 1, 2, 5]));
        assert!(numbers("").is_empty());
        assert_eq!(field("user_usec 4\nusage_usec 17\n", "usage_usec"), Some(17));
        assert_eq!(field("usage 1\n", "usage_usec"), None);
        assert!(!processors().is_empty());
    }
}
