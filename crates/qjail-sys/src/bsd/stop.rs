//! How a jail is stopped: which file jail(8) gets, and what is left afterwards.

use std::time::Duration;

use qjail_model::{Network, Params};

use super::command::Invocation;
use super::network;
use crate::{Interface, StopOptions};

/// The parameters of the file for `jail -r`: those of the start, less what is to be passed over.
///
/// `own_stop` is false where `exec.stop` was run already or failed before.
pub(crate) fn params(started: &Params, how: StopOptions, own_stop: bool) -> Params {
    let mut params = started.clone();
    if how.force {
        params.set("stop.timeout", "0");
    } else if let Some(timeout) = how.timeout {
        params.set("stop.timeout", timeout.as_secs().to_string());
        // jail(8) counts stop.timeout from the end of exec.stop only. There 0 is for ever.
        if !timeout.is_zero() {
            params.set("exec.timeout", timeout.as_secs().to_string());
        }
    }
    if how.force || !own_stop {
        params.unset("exec.stop");
    }
    if how.force {
        params.unset("exec.prestop");
    }
    params
}

/// How long the jail's own stop may take where jail(8) does not watch it: `exec.timeout`, as there; none is for ever.
pub(crate) fn patience(started: &Params, how: StopOptions) -> Option<Duration> {
    let own = started.text("exec.timeout").and_then(|t| t.parse().ok());
    let given = how.timeout.filter(|limit| !limit.is_zero());
    given
        .or(own.map(Duration::from_secs))
        .filter(|limit| !limit.is_zero())
}

/// The commands that take back the addresses that jail(8) put on the host's interfaces: only those that the file names
/// with their interface, and only where they are there with the very length that was added.
pub(crate) fn leftover_addresses(started: &Params, interfaces: &[Interface]) -> Vec<Invocation> {
    let added = ["ip4.addr", "ip6.addr"]
        .into_iter()
        .flat_map(|key| started.list(key));
    let there = |interface: &str, network: Network| {
        interfaces
            .iter()
            .any(|i| i.name == interface && i.addresses.contains(&network))
    };
    added
        .filter_map(|text| {
            let (interface, network) = text.split_once('|')?;
            let network = network.parse().ok()?;
            there(interface, network).then(|| network::remove_alias(interface, network))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::prepare::Strict;
    use super::super::{conf, golden};
    use super::*;

    fn started() -> Params {
        let mut spec = golden::spec(
            "a",
            &[
                ("ip4.addr", &["192.168.1.1", "192.168.1.2"]),
                ("exec.prestop", &["/bin/x"]),
            ],
        );
        spec.params.set("stop.timeout", "30");
        conf::shared(&spec, &golden::interfaces(), Strict::Yes).unwrap()
    }

    #[test]
    fn variants() {
        let text = |how, own| {
            let p = params(&started(), how, own);
            let get = |k| p.get(k).map(ToString::to_string).unwrap_or_default();
            format!(
                "{}, {}, {}, {}",
                get("exec.timeout"),
                get("stop.timeout"),
                get("exec.stop"),
                get("exec.prestop")
            )
        };
        let gently = StopOptions::default();
        let timeout = StopOptions {
            timeout: Some(Duration::from_secs(5)),
            ..gently
        };
        let force = StopOptions {
            force: true,
            timeout: Some(Duration::from_secs(5)),
        };
        assert_eq!(text(gently, true), ", 30, /bin/sh /etc/rc.shutdown jail, /bin/x");
        assert_eq!(text(timeout, true), "5, 5, /bin/sh /etc/rc.shutdown jail, /bin/x");
        assert_eq!(text(timeout, false), "5, 5, , /bin/x");
        assert_eq!(text(force, true), ", 0, , ");
    }

    #[test]
    fn the_own_stop_of_a_jail_does_not_take_for_ever() {
        let how = |timeout: Option<u64>| StopOptions {
            timeout: timeout.map(Duration::from_secs),
            ..StopOptions::default()
        };
        let mut params = started();
        assert_eq!(patience(&params, how(None)), None);
        params.set("exec.timeout", "20");
        assert_eq!(patience(&params, how(None)), Some(Duration::from_secs(20)));
        assert_eq!(patience(&params, how(Some(5))), Some(Duration::from_secs(5)));
        params.set("exec.timeout", "0");
        assert_eq!(patience(&params, how(None)), None);
    }

    #[test]
    fn only_what_was_added_is_taken_back() {
        let lines = |interfaces: &[Interface]| {
            leftover_addresses(&started(), interfaces)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert!(lines(&golden::interfaces()).is_empty());
        let mut host = golden::interfaces();
        host[2].addresses.push("192.168.1.2/32".parse().unwrap());
        assert_eq!(lines(&host), ["/sbin/ifconfig lo1 inet 192.168.1.2/32 -alias"]);
        host[2].addresses[1] = "192.168.1.2/28".parse().unwrap();
        assert!(
            lines(&host).is_empty(),
            "the administrator's own, with another length"
        );
    }
}
