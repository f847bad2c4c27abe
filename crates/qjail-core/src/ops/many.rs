//! Several jails at once: in the order of what depends on what, in parallel, and no failure stops the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use qjail_model::{JailName, Selector};
use qjail_sys::Need;

use crate::engine::Engine;
use crate::ops::run::{Outcome, StopRequest};
use crate::{Error, Result};

/// What is to be done with each jail.
#[derive(Debug, Clone, Copy)]
pub enum Job {
    /// Start it.
    Start,
    /// Stop it.
    Stop(StopRequest),
    /// Stop it where it runs, then start it.
    Restart(StopRequest),
}

/// What became of one jail, as it is reported.
pub type Report<'a> = &'a (dyn Fn(&JailName, Result<Outcome>) + Sync);

impl Engine {
    /// Does `job` with every jail that is meant (all of the zone where `selectors` is empty), up to `jobs` at once.
    /// Each result is reported as it comes. A selector that means no jail is an error of its own, returned.
    pub fn many(&self, job: Job, selectors: &[Selector], report: Report<'_>) -> Vec<Error> {
        if let Err(error) = self.require(Need::Jails) {
            return vec![error];
        }
        let (mut names, errors) = self.select(selectors);
        if selectors.is_empty() && !matches!(job, Job::Start) {
            names.extend(self.running_undefined());
        }
        let depends = self.depends(&names);
        match job {
            Job::Start => self.start_all(&names, &depends, BTreeSet::new(), false, report),
            Job::Stop(request) => self.stop_all(&names, &depends, request, report),
            Job::Restart(request) => {
                let stopped = self.stop_for_restart(&names, &depends, request, report);
                if !self.cancelled() {
                    // With `dry_run` nothing has been stopped, but would have been.
                    self.start_all(&stopped, &depends, BTreeSet::new(), self.dry_run, report);
                }
            }
        }
        errors
    }

    /// What each of `names` depends on, as far as it is among them.
    pub(crate) fn depends(&self, names: &[JailName]) -> BTreeMap<JailName, Vec<JailName>> {
        let set: BTreeSet<&JailName> = names.iter().collect();
        names
            .iter()
            .filter_map(|name| Some((name.clone(), self.definitions().load(name).ok()??.depend)))
            .map(|(name, depend)| {
                let depend = depend.into_iter().filter_map(|d| JailName::new(d).ok());
                (name, depend.filter(|d| set.contains(d)).collect())
            })
            .collect()
    }

    /// Starts `names`. What depends on one of `failed`, or on one that fails, is not started, which is a failure too.
    pub(crate) fn start_all(
        &self,
        names: &[JailName],
        depends: &BTreeMap<JailName, Vec<JailName>>,
        mut failed: BTreeSet<JailName>,
        stopped: bool,
        report: Report<'_>,
    ) {
        for level in levels(names, depends) {
            let (blocked, free): (Vec<JailName>, Vec<JailName>) = level.into_iter().partition(|n| {
                depends
                    .get(n)
                    .is_some_and(|d| d.iter().any(|d| failed.contains(d)))
            });
            for name in blocked {
                report(
                    &name,
                    Err(Error::new(format!(
                        "start {name}: a jail that it depends on has not started"
                    ))),
                );
                failed.insert(name);
            }
            failed.extend(self.in_parallel(&free, report, |name| self.start_from(name, stopped)));
        }
    }

    pub(crate) fn stop_all(
        &self,
        names: &[JailName],
        depends: &BTreeMap<JailName, Vec<JailName>>,
        request: StopRequest,
        report: Report<'_>,
    ) {
        for level in levels(names, depends).into_iter().rev() {
            self.in_parallel(&level, report, |name| self.stop(name, request));
        }
    }

    /// Stops what runs; a jail that does not run is passed over in silence, one that would not stop is left out.
    fn stop_for_restart(
        &self,
        names: &[JailName],
        depends: &BTreeMap<JailName, Vec<JailName>>,
        request: StopRequest,
        report: Report<'_>,
    ) -> Vec<JailName> {
        let quiet = |name: &JailName, result: Result<Outcome>| match result {
            Ok(Outcome::Bypassed(_)) => {}
            other => report(name, other),
        };
        let mut failed = BTreeSet::new();
        for level in levels(names, depends).into_iter().rev() {
            failed.extend(self.in_parallel(&level, &quiet, |name| self.stop(name, request)));
        }
        names.iter().filter(|n| !failed.contains(*n)).cloned().collect()
    }

    /// Runs `job` for each name in up to `jobs` threads; returns those that failed.
    fn in_parallel(
        &self,
        names: &[JailName],
        report: Report<'_>,
        job: impl Fn(&JailName) -> Result<Outcome> + Sync,
    ) -> Vec<JailName> {
        let next = AtomicUsize::new(0);
        let failed = std::sync::Mutex::new(Vec::new());
        let work = || {
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = if self.cancelled() {
                    Err(Error::cancelled().about(name))
                } else {
                    job(name)
                };
                if result.is_err() {
                    failed
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push(name.clone());
                }
                report(name, result);
            }
        };
        let workers = self.jobs.clamp(1, names.len().max(1));
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        failed
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// `names` in levels: each depends only on earlier ones. What depends on itself in a circle comes last, in one level.
fn levels(names: &[JailName], depends: &BTreeMap<JailName, Vec<JailName>>) -> Vec<Vec<JailName>> {
    let mut left: BTreeSet<JailName> = names.iter().cloned().collect();
    let mut levels = Vec::new();
    while !left.is_empty() {
        let ready = |n: &&JailName| {
            depends
                .get(*n)
                .is_none_or(|d| d.iter().all(|d| !left.contains(d)))
        };
        let mut level: Vec<JailName> = left.iter().filter(ready).cloned().collect();
        if level.is_empty() {
            level = left.iter().cloned().collect();
        }
        left.retain(|n| !level.contains(n));
        levels.push(level);
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(s: &str) -> JailName {
        JailName::new(s).unwrap()
    }

    #[test]
    fn dependencies_come_first_and_circles_end() {
        let names = [name("a"), name("b"), name("c"), name("x"), name("y")];
        let depends = [
            ("a", vec!["c"]),
            ("b", vec![]),
            ("c", vec!["b"]),
            ("x", vec!["y"]),
            ("y", vec!["x"]),
        ]
        .map(|(n, d)| (name(n), d.into_iter().map(name).collect()))
        .into();
        let levels = levels(&names, &depends);
        let text: Vec<String> = levels
            .iter()
            .map(|l| l.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(text, ["b", "c", "a", "x y"]);
    }
}
