//! Starting a jail, as seen by the caller.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::channel::Channel;
use super::console::{self, Log};
use super::create::{Order, Reply, StartRequest};
use super::helper::Request;
use super::rundir::Record;
use super::spec::{Attempt, Failure, RuntimeError, StartSpec};
use super::{Runtime, helper, oci};

/// How often the caller is asked whether what is waited for is still wanted.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// A helper and the socket to it.
#[derive(Debug)]
pub(super) struct Helper {
    child: Child,
    pub(super) channel: Channel,
}

impl Helper {
    /// Closes the socket, which ends what the helper does, and waits for it.
    pub(super) fn end(self) {
        let Helper { mut child, channel } = self;
        drop(channel);
        let _ = child.wait();
    }
}

impl Runtime {
    /// Starts a helper. Its only descriptors are the socket and the null device.
    pub(super) fn helper(&self, job: &str) -> Result<Helper, Failure> {
        let attempt = || "start a helper".to_owned();
        let program = self.program().map_err(|why| Failure::new(attempt(), why))?;
        let (channel, theirs) = Channel::pair().attempt(attempt)?;
        let child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0("qjail")
            .args(["__jail", job])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .attempt(attempt)?;
        Ok(Helper { child, channel })
    }

    /// Starts a jail and returns the number of its process 1. `wire` is called with that number once the namespaces are
    /// there and before `exec.start`, to make the network. `cancelled` is asked while commands run. On failure nothing
    /// is left, but what `wire` did is for the caller to undo.
    ///
    /// # Errors
    /// What failed; the output of commands is in the console log.
    pub(crate) fn start(
        &self,
        spec: &StartSpec,
        cancelled: &dyn Fn() -> bool,
        wire: &mut dyn FnMut(i32) -> Result<(), String>,
    ) -> Result<i32, RuntimeError> {
        let dir = self.jail(&spec.name);
        let running = dir
            .process_one()
            .map_err(|e| RuntimeError::step(format!("look for {}", spec.name), e))?;
        if running.is_some() {
            return Err(RuntimeError::Running {
                name: spec.name.clone(),
            });
        }
        if let Some(why) = oci::impossible(spec.isolation) {
            return Err(RuntimeError::step(format!("start {}", spec.name), why));
        }
        dir.prepare(&Record {
            isolation: spec.isolation,
            resources: spec.resources.clone(),
        })?;
        let started = self.try_start(spec, cancelled, wire);
        if started.is_err() {
            // Why it did not start says more than what could not be cleared away, which the next command tries again.
            let _ = self.cleanup(&spec.name);
        }
        started
    }

    fn try_start(
        &self,
        spec: &StartSpec,
        cancelled: &dyn Fn() -> bool,
        wire: &mut dyn FnMut(i32) -> Result<(), String>,
    ) -> Result<i32, RuntimeError> {
        let console = spec.console_log.as_deref().map(console::open).transpose()?;
        let helper = self.helper("start")?;
        let started = converse(&helper.channel, self.run_dir(), spec, console, cancelled, wire);
        helper.end();
        started
    }
}

fn converse(
    helper: &Channel,
    run_dir: &Path,
    spec: &StartSpec,
    console: Option<OwnedFd>,
    cancelled: &dyn Fn() -> bool,
    wire: &mut dyn FnMut(i32) -> Result<(), String>,
) -> Result<i32, RuntimeError> {
    let request = Request::Start(StartRequest {
        jail: spec.clone(),
        run_dir: run_dir.to_owned(),
    });
    let files: Vec<_> = console.iter().map(AsFd::as_fd).collect();
    helper
        .send(&request, &files)
        .attempt(|| format!("start {}", spec.name))?;
    let Reply::Created(pid, note) = hear(helper, spec, cancelled)? else {
        return Err(RuntimeError::step(
            format!("start {}", spec.name),
            "the helper spoke out of turn",
        ));
    };
    // Before process 1 writes, which has the same open file.
    if let (Some(log), Some(note)) = (console, note) {
        Log::from(log).append(format!("qjail: {note}\n").as_bytes());
    }
    wire(pid).map_err(|why| RuntimeError::step(format!("make the network of {}", spec.name), why))?;
    helper
        .send(&Order::Go, &[])
        .attempt(|| format!("start {}", spec.name))?;
    match hear(helper, spec, cancelled)? {
        Reply::Started => Ok(pid),
        _ => Err(RuntimeError::step(
            format!("start {}", spec.name),
            "the helper spoke out of turn",
        )),
    }
}

/// The next reply, failures as errors.
fn hear(helper: &Channel, spec: &StartSpec, cancelled: &dyn Fn() -> bool) -> Result<Reply, RuntimeError> {
    let name = || spec.name.clone();
    let line = |number| spec.exec_start.get(number).cloned().unwrap_or_default();
    loop {
        let (ready, _) = helper::either(helper, helper, Some(Instant::now() + LOOK))
            .attempt(|| format!("wait for the start of {}", spec.name))?;
        if ready {
            break;
        }
        if cancelled() {
            return Err(RuntimeError::Cancelled { name: name() });
        }
    }
    match helper
        .receive::<Reply>()
        .attempt(|| format!("start {}", spec.name))?
    {
        None => Err(RuntimeError::step(
            format!("start {}", spec.name),
            "the helper ended unexpectedly",
        )),
        Some((Reply::Failed(failure), _)) => Err(failure.into()),
        Some((Reply::Command(number, status), _)) => Err(RuntimeError::StartCommand {
            name: name(),
            command: line(number),
            status,
        }),
        Some((Reply::Timeout(number), _)) => {
            let limit = spec.exec_timeout.unwrap_or_default();
            Err(RuntimeError::StartTimeout {
                name: name(),
                command: line(number),
                limit,
            })
        }
        Some((reply, _)) => Ok(reply),
    }
}
