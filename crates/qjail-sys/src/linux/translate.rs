//! From the vocabulary of jail(8) to that of the runtime, and its errors back.

use std::time::Duration;

use qjail_model::{Limits, Params};

use super::runtime::{Ipc, Isolation, Mount, Resources, RuntimeError, StartSpec, StopSpec};
use crate::{JailSpec, StopOptions, SysError};

/// `stop.timeout` where it is not set, see jail(8).
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn start(spec: &JailSpec) -> StartSpec {
    let mount = |m: &crate::MountSpec| Mount {
        source: m.source.clone(),
        target: m.target.clone(),
        read_only: m.read_only,
    };
    StartSpec {
        name: spec.name.clone(),
        path: spec.path.clone(),
        hostname: spec.params.text("host.hostname").unwrap_or(&spec.name).to_owned(),
        mounts: spec.mounts.iter().map(mount).collect(),
        isolation: isolation(&spec.params),
        resources: Resources {
            processors: spec.params.text("cpuset.id").map(str::to_owned),
            ..resources(&spec.limits)
        },
        exec_start: spec.params.list("exec.start"),
        exec_timeout: seconds(&spec.params, "exec.timeout").filter(|limit| !limit.is_zero()),
        console_log: spec.console_log.clone(),
    }
}

pub(super) fn stop(spec: &JailSpec, how: StopOptions) -> StopSpec {
    let own = || seconds(&spec.params, "stop.timeout");
    StopSpec {
        exec_stop: spec.params.list("exec.stop"),
        timeout: how.timeout.or_else(own).unwrap_or(STOP_TIMEOUT),
        exec_timeout: how
            .timeout
            .or_else(|| seconds(&spec.params, "exec.timeout"))
            .filter(|limit| !limit.is_zero()),
        force: how.force,
        console: spec.console_log.clone(),
    }
}

fn isolation(params: &Params) -> Isolation {
    let ipc = |key| match params.text(key) {
        Some("new") => Ipc::New,
        Some("inherit") => Ipc::Inherit,
        _ => Ipc::Disable,
    };
    Isolation {
        raw_sockets: params.is_on("allow.raw_sockets"),
        vnet: crate::params::is_vnet(params),
        sysvshm: ipc("sysvshm"),
        sysvsem: ipc("sysvsem"),
        sysvmsg: ipc("sysvmsg"),
    }
}

pub(super) fn resources(limits: &Limits) -> Resources {
    Resources {
        memory: limits.memory.map(qjail_model::Size::bytes),
        pids: limits.pids,
        cpu: limits.cpu.map(qjail_model::Percent::get),
        processors: None,
    }
}

fn seconds(params: &Params, key: &str) -> Option<Duration> {
    params.text(key)?.parse().ok().map(Duration::from_secs)
}

pub(super) fn not_running(name: &str) -> SysError {
    SysError::new(format!("enter {name}"), "it is not running").hint(format!("qjail start {name}"))
}

pub(super) fn error(error: RuntimeError) -> SysError {
    match error {
        RuntimeError::Running { name } => SysError::new(format!("start {name}"), "it is running"),
        RuntimeError::NotRunning { name } => not_running(&name),
        RuntimeError::StartCommand {
            name,
            command,
            status,
        } => SysError::new(
            format!("run exec.start of {name}, `{command}`"),
            format!("exit status {status}"),
        ),
        RuntimeError::StartTimeout { name, command, limit } => SysError::new(
            format!("run exec.start of {name}, `{command}`"),
            format!("not done within exec.timeout, {} s", limit.as_secs()),
        ),
        RuntimeError::Cancelled { name } => SysError::new(format!("start {name}"), "cancelled"),
        RuntimeError::Step { attempt, why } => SysError::new(attempt, why),
    }
}

/// With where to look for the cause.
pub(super) fn start_error(cause: RuntimeError, spec: &JailSpec) -> SysError {
    let spoke = matches!(
        cause,
        RuntimeError::StartCommand { .. } | RuntimeError::StartTimeout { .. }
    );
    match &spec.console_log {
        Some(log) if spoke => error(cause).hint(format!("its output is in {}", log.display())),
        _ => error(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_the_runtimes_own() {
        let mut params = Params::new();
        for (key, value) in [
            ("sysvshm", "new"),
            ("sysvmsg", "inherit"),
            ("exec.timeout", "0"),
            ("stop.timeout", "3"),
            ("allow.raw_sockets", "true"),
            ("cpuset.id", "0-1"),
        ] {
            params.set(key, value);
        }
        params.set("exec.start", vec!["a".to_owned(), "b c".to_owned()]);
        let spec = JailSpec {
            name: "jail1".to_owned(),
            path: "/j".into(),
            params,
            mounts: vec![crate::MountSpec {
                source: "/s".into(),
                target: "sharedfs".to_owned(),
                read_only: true,
            }],
            console_log: Some("/log".into()),
            limits: Limits {
                pids: Some(9),
                ..Limits::default()
            },
        };
        let started = start(&spec);
        assert_eq!(started.hostname, "jail1");
        assert_eq!(started.exec_start, ["a", "b c"]);
        assert_eq!(started.exec_timeout, None);
        assert_eq!(started.resources.processors.as_deref(), Some("0-1"));
        assert_eq!(
            (started.resources.pids, started.resources.memory),
            (Some(9), None)
        );
        assert!(started.mounts[0].read_only && started.isolation.raw_sockets);
        let ipc = started.isolation;
        assert_eq!(
            (ipc.sysvshm, ipc.sysvsem, ipc.sysvmsg),
            (Ipc::New, Ipc::Disable, Ipc::Inherit)
        );
        assert_eq!(
            stop(&spec, StopOptions::default()).timeout,
            Duration::from_secs(3)
        );
        let asked = StopOptions {
            force: true,
            timeout: Some(Duration::ZERO),
        };
        assert!(stop(&spec, asked).force && stop(&spec, asked).timeout.is_zero());
    }

    #[test]
    fn a_failed_exec_start_tells_where_its_output_is() {
        let spec = JailSpec {
            name: "jail1".to_owned(),
            path: "/j".into(),
            params: Params::new(),
            mounts: vec![],
            console_log: Some("/log".into()),
            limits: Limits::default(),
        };
        let cause = || RuntimeError::StartCommand {
            name: "jail1".into(),
            command: "false".into(),
            status: 1,
        };
        let error = start_error(cause(), &spec);
        assert_eq!(
            error.to_string(),
            "run exec.start of jail1, `false`: exit status 1"
        );
        assert_eq!(error.hint.as_deref(), Some("its output is in /log"));
    }
}
