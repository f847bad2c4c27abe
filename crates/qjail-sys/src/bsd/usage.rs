//! What a jail uses, as rctl(8) tells it.

use std::time::Duration;

use super::command::Invocation;
use crate::Usage;

pub(crate) const RCTL: &str = "/usr/bin/rctl";

/// `rctl -u jail:NAME`.
pub(crate) fn ask(name: &str) -> Invocation {
    Invocation::new(RCTL, &["-u", &format!("jail:{name}")])
}

/// `rctl -r jail:NAME:RESOURCE:deny`.
pub(crate) fn forget(rule: &str) -> Invocation {
    Invocation::new(RCTL, &["-r", rule])
}

/// The answer: a line `RESOURCE=AMOUNT` for each resource, in bytes, seconds or percent of one processor.
pub(crate) fn parse(answer: &str) -> Usage {
    let amount = |resource: &str| {
        let mut lines = answer.lines().filter_map(|line| line.trim().split_once('='));
        lines.find(|(name, _)| *name == resource)?.1.parse::<u64>().ok()
    };
    Usage {
        memory: amount("memoryuse"),
        pids: amount("maxproc"),
        cpu_time: amount("cputime").map(Duration::from_secs),
        cpu_percent: amount("pcpu"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_understood() {
        let answer = "cputime=12\ndatasize=2715648\nstacksize=0\ncoredumpsize=0\nmemoryuse=52428800\n\
            memorylocked=0\nmaxproc=7\nopenfiles=896\nvmemoryuse=1073741824\npseudoterminals=0\nswapuse=0\n\
            nthr=8\nwallclock=4711\npcpu=3\nreadbps=0\n";
        let usage = Usage {
            memory: Some(52_428_800),
            pids: Some(7),
            cpu_time: Some(Duration::from_secs(12)),
            cpu_percent: Some(3),
        };
        assert_eq!(parse(answer), usage);
        assert_eq!(parse("garbage\nmaxproc=x\n"), Usage::default());
        assert_eq!(ask("jail1").to_string(), "/usr/bin/rctl -u jail:jail1");
    }

    #[test]
    fn without_accounting_each_limit_is_refused_with_what_to_do() {
        let limits = "pids=20".parse().map(|limit| {
            let mut limits = qjail_model::Limits::default();
            limits.apply(limit);
            limits
        });
        let refused = super::super::needs::without_accounting(&limits.unwrap());
        assert_eq!(refused[0].0, "pids");
        assert!(
            refused[0]
                .1
                .hint
                .as_deref()
                .unwrap()
                .contains("kern.racct.enable=1")
        );
    }
}
