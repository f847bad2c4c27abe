//! What running jails use at the moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qjail_model::JailName;
use qjail_sys::Usage;

use crate::engine::Engine;

/// What a jail uses. None where it does not run, or the kernel keeps no account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Tenths of a percent of one processor.
    pub cpu: Option<u64>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes; on Linux threads.
    pub pids: Option<u64>,
}

impl Engine {
    /// What each of `names` uses; the share of a processor is that of the time `over`, which this takes where the kernel does
    /// not keep the share itself. Ends early when the user has had enough.
    #[must_use]
    pub fn used(&self, names: &[JailName], over: Duration) -> BTreeMap<JailName, Used> {
        let look = || -> Vec<(&JailName, Usage)> {
            // Of a jail that has just ended nothing is told, which is the truth.
            let told = |n| Some((n, self.system.usage(JailName::as_str(n)).ok()?));
            names.iter().filter_map(told).collect()
        };
        let began = Instant::now();
        let before = look();
        if before.iter().any(|(_, u)| u.cpu_time.is_some()) {
            self.rest(began + over);
        }
        let passed = began.elapsed();
        let first: BTreeMap<_, _> = before.into_iter().collect();
        let used = |(name, now): (&JailName, Usage)| (name.clone(), between(first.get(name), &now, passed));
        look().into_iter().map(used).collect()
    }

    /// Waits until then, in steps after which the user may end it.
    fn rest(&self, end: Instant) {
        while !self.cancelled() && Instant::now() < end {
            std::thread::sleep(end.saturating_duration_since(Instant::now()).min(STEP));
        }
    }
}

/// How long a wish to end may go unheard.
const STEP: Duration = Duration::from_millis(50);

fn between(before: Option<&Usage>, now: &Usage, passed: Duration) -> Used {
    let share = || {
        let worked = now.cpu_time?.checked_sub(before?.cpu_time?)?;
        let tenths = worked.as_micros() * 1000 / passed.as_micros().max(1);
        u64::try_from(tenths).ok()
    };
    Used {
        cpu: now.cpu_percent.map(|p| p * 10).or_else(share),
        memory: now.memory,
        pids: now.pids,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_between() {
        let at = |ms| Usage {
            cpu_time: Some(Duration::from_millis(ms)),
            ..Usage::default()
        };
        let share = |a, b| between(Some(&at(a)), &at(b), Duration::from_secs(1)).cpu;
        assert_eq!(share(100, 350), Some(250));
        assert_eq!(share(100, 2100), Some(2000), "two processors");
        assert_eq!(share(350, 100), None, "it was started anew");
        let kept = Usage {
            cpu_percent: Some(7),
            ..Usage::default()
        };
        assert_eq!(between(None, &kept, Duration::ZERO).cpu, Some(70));
        assert_eq!(between(None, &Usage::default(), Duration::ZERO), Used::default());
    }
}
