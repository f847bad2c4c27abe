//! Starting, stopping and cleaning up.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use qjail_model::Params;

use super::host::Host;
use super::jailparam::Jail;
use super::prepare::{Strict, prepare, take_away};
use super::run_dir::Run;
use super::{conf, lasting, modules, mounts, stop as bsd_stop, usage, vnet};
use crate::{JailSpec, Result, StopOptions, SysError};

/// How often, and how far apart, a busy mount is tried again: the last processes of a jail need a moment to go.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(100);

/// The end of a jail without its own stop.
const KILL: StopOptions = StopOptions {
    force: true,
    timeout: None,
};

/// A machine and the directory of its run-time files.
#[derive(Clone, Copy)]
pub(super) struct Life<'a> {
    pub(super) host: &'a dyn Host,
    pub(super) state: &'a Path,
}

impl Life<'_> {
    /// See [`crate::System::start`].
    pub(super) fn start(&self, spec: &JailSpec, cancelled: &dyn Fn() -> bool) -> Result<i32> {
        let attempt = || format!("jail {}", spec.name);
        let before = self.host.jail(&spec.name)?;
        if before.as_ref().is_some_and(|jail| !jail.dying) {
            return Err(SysError::new(attempt(), "it is running"));
        }
        modules::load(self.host, &spec.params)?;
        self.cleanup(spec)?;
        if let Err(error) = self.begin(spec, cancelled) {
            // The first error is the one to tell; what could not be undone is in the hint.
            return Err(match self.cleanup(spec) {
                Err(left) => error.hint(format!("not all of it could be undone: {left}")),
                Ok(()) if before.is_some() => {
                    error.hint("an earlier jail of this name is still dying; try again later")
                }
                Ok(()) => error,
            });
        }
        let found = self.host.jail(&spec.name)?.filter(|jail| !jail.dying);
        found
            .map(|jail| jail.jid)
            .ok_or_else(|| SysError::new(attempt(), "it ended as soon as exec.start had ended"))
    }

    fn begin(&self, spec: &JailSpec, cancelled: &dyn Fn() -> bool) -> Result<()> {
        let run = Run::open(self.host, self.state, spec)?;
        let params = prepare(self.host, spec, Strict::Yes)?;
        let file = run.write("jail.conf", &spec.name, &params)?;
        let lasting = lasting::write(self.state, &spec.name, &params)?;
        let command = conf::create(&file, &spec.name);
        let (status, said) = run.jail(self.host, &spec.name, &command, cancelled)?;
        if status.success() && !cancelled() {
            return Ok(());
        }
        let why = if cancelled() {
            "cancelled".to_owned()
        } else {
            said.unwrap_or_else(|| status.to_string())
        };
        let log = spec.console_log.as_ref().filter(|log| log.exists());
        Err(command.error(why).hint(match log {
            Some(log) => format!("what it said is in {}", log.display()),
            None => format!("to see more: jail -v -f {} -c {}", lasting.display(), spec.name),
        }))
    }

    /// See [`crate::System::stop`].
    pub(super) fn stop(&self, spec: &JailSpec, how: StopOptions, cancelled: &dyn Fn() -> bool) -> Result<()> {
        if self.ours(spec)? {
            let run = Run::open(self.host, self.state, spec)?;
            let started = run.params(self.state, spec)?;
            let mut own_stop = true;
            if vnet::is_vnet(&started) {
                own_stop = false;
                self.take_network(&run, spec, &started, how, cancelled);
                if cancelled() {
                    self.take_network(&run, spec, &started, KILL, &never);
                }
            }
            let params = bsd_stop::params(&started, how, own_stop);
            let first = self.remove_jail(&run, spec, &params, cancelled);
            // A failing exec.stop makes jail(8) leave the jail as it is, and so does its own end.
            if self.ours(spec)? {
                let params = bsd_stop::params(&started, KILL, false);
                let second = self.remove_jail(&run, spec, &params, &never);
                if self.ours(spec)? {
                    return first.and(second).and(Err(SysError::new(
                        format!("jail {}", spec.name),
                        "it is still running",
                    )));
                }
            }
        }
        self.cleanup(spec)
    }

    /// Runs `jail -r` with a file of its own: the one of the start stays as it is until nothing of the jail is left.
    /// `cancelled` ends it, wherever it is: only the kernel knows what became of the jail then.
    fn remove_jail(
        &self,
        run: &Run,
        spec: &JailSpec,
        params: &Params,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<()> {
        let file = run.write("stop.conf", &spec.name, params)?;
        let command = conf::remove(&file, &spec.name);
        match run.jail(self.host, &spec.name, &command, cancelled)? {
            (status, _) if status.success() => Ok(()),
            (status, said) => Err(command.error(said.unwrap_or_else(|| status.to_string()))),
        }
    }

    /// What comes before the removal of a jail with its own network. A failure of one does not stop the next.
    fn take_network(
        &self,
        run: &Run,
        spec: &JailSpec,
        started: &Params,
        how: StopOptions,
        cancelled: &dyn Fn() -> bool,
    ) {
        let open = |path: &Path| File::options().append(true).create(true).mode(0o600).open(path);
        // A console log that can not be written is no reason to leave the interfaces in the jail.
        let own = spec.console_log.as_ref().and_then(|log| open(log).ok());
        let Some(mut log) = own.or_else(|| open(&run.file("output")).ok()) else {
            return;
        };
        let limit = bsd_stop::patience(started, how);
        for command in vnet::before_removal(&spec.name, started, how.force) {
            if cancelled() {
                return;
            }
            let begun = Instant::now();
            let enough = || cancelled() || limit.is_some_and(|l| begun.elapsed() > l);
            // How it ended is told by the jail's being there afterwards, or not.
            let _ = self.host.run_into(&command, &mut log, &enough);
        }
    }

    /// Whether the jail runs. A jail of this name at another place is not touched.
    fn ours(&self, spec: &JailSpec) -> Result<bool> {
        let Some(jail) = self.host.jail(&spec.name)?.filter(|jail| !jail.dying) else {
            return Ok(false);
        };
        if is_in(&jail, &spec.path) {
            return Ok(true);
        }
        let why = format!(
            "the running jail of this name is in {}, not in {}",
            jail.path,
            spec.path.display()
        );
        Err(SysError::new(format!("jail {}", spec.name), why).hint("jls(8) shows it; jail -r stops it"))
    }

    /// See [`crate::System::cleanup`].
    pub(super) fn cleanup(&self, spec: &JailSpec) -> Result<()> {
        let run = Run::open(self.host, self.state, spec)?;
        let started = run.params(self.state, spec)?;
        if self.ours(spec)? {
            if vnet::is_vnet(&started) {
                self.take_network(&run, spec, &started, KILL, &never);
            }
            self.remove_jail(&run, spec, &bsd_stop::params(&started, KILL, false), &never)?;
        }
        self.take_back(&spec.name, &started, run.stale)?;
        self.unmount_leftovers(&resolved(&spec.path), &started)?;
        run.remove()
    }

    /// Takes back limits, interfaces and addresses that jail(8) left on the host.
    fn take_back(&self, name: &str, started: &Params, stale: bool) -> Result<()> {
        // What was there before the host was started again is gone; an address that is there now is another one.
        if stale {
            return Ok(());
        }
        // jail(8) runs no exec.poststop for a jail whose start fails, and rules outlive their jail.
        // Without accounting the kernel has none.
        if self.host.sysctl_int("kern.racct.enable") == Some(1) {
            for rule in conf::rules(name, started) {
                take_away(self.host, &usage::forget(&rule))?;
            }
        }
        let interfaces = self.host.interfaces()?;
        let pair = vnet::pair_of(name, started);
        if let Some(pair) = pair.filter(|p| interfaces.iter().any(|i| i.name == p.host_end())) {
            take_away(self.host, &vnet::destroy_pair(&pair))?;
        }
        bsd_stop::leftover_addresses(started, &interfaces)
            .iter()
            .try_for_each(|command| take_away(self.host, command))
    }

    fn unmount_leftovers(&self, root: &Path, started: &Params) -> Result<()> {
        for mounted in mounts::leftovers(root, started, &self.host.mounts()?) {
            let mut done = self.host.unmount(mounted);
            for _ in 0..TRIES {
                if !done.as_ref().is_err_and(|e| e.kind() == ErrorKind::ResourceBusy) {
                    break;
                }
                sleep(BETWEEN);
                done = self.host.unmount(mounted);
            }
            done.map_err(|e| {
                SysError::new(format!("unmount {}", mounted.on.display()), e)
                    .hint("fstat -f shows which processes hold it")
            })?;
        }
        Ok(())
    }
}

/// What can not be cancelled.
fn never() -> bool {
    false
}

/// Whether a jail has this directory as its root.
pub(super) fn is_in(jail: &Jail, path: &Path) -> bool {
    let root = Path::new(&jail.path);
    root == path || root == resolved(path)
}

/// Links on the way to a jail are the host's own; the kernel keeps paths without them.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
#[path = "life_tests.rs"]
mod tests;
