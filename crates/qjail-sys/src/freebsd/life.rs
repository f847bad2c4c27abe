//! Starting, stopping and cleaning up.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::Duration;

use qjail_fs::{RelPath, Root, WriteOptions};
use qjail_model::Params;

use super::{kernel, wire};
use crate::bsd::command::{Invocation, jail_said};
use crate::bsd::{conf, mounts, stop as bsd_stop, vnet};
use crate::{JailSpec, Result, StopOptions, SysError};

/// How often a running jail(8) is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How often, and how far apart, a busy mount is tried again: the last processes of a jail need a moment to go.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(100);

/// The files of one jail's run: `STATE/run/NAME`.
struct Run {
    directory: Root,
    path: PathBuf,
    /// Written before the system was started: what it names is gone.
    stale: bool,
    started: Option<Params>,
}

impl Run {
    /// Opens, and makes where it is missing, the directory of a jail.
    fn open(state: &Path, spec: &JailSpec) -> Result<Self> {
        let fail = |e: qjail_fs::Error| SysError::new(format!("keep the run-time files of {}", spec.name), e);
        let below = RelPath::new("run").and_then(|run| run.join(&spec.name));
        let below = below.map_err(|e| SysError::new(format!("start {}", spec.name), e))?;
        let state_dir = Root::open(state).map_err(fail)?;
        state_dir.make_dirs(&below, 0o700, None).map_err(fail)?;
        let directory = state_dir.open_dir(&below).map_err(fail)?;
        let path = state.join(below.as_os_str());
        let mut run = Self {
            directory,
            path,
            stale: false,
            started: None,
        };
        run.read(&spec.name)?;
        Ok(run)
    }

    fn read(&mut self, name: &str) -> Result<()> {
        let Ok(written) = fs::metadata(self.file("jail.conf")) else {
            return Ok(());
        };
        self.stale = kernel::boot_time().is_some_and(|boot| written.mtime() < boot);
        let fail = |e: qjail_fs::Error| SysError::new(format!("read the jail.conf of {name}"), e);
        let file = RelPath::new("jail.conf").map_err(|e| SysError::new("read jail.conf", e))?;
        let text = self.directory.read_to_string(&file, 1 << 20).map_err(fail)?;
        self.started = Some(conf::parse(name, &text)?);
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a jail.conf(5) and tells its path.
    fn write(&self, file: &str, name: &str, params: &Params) -> Result<String> {
        let fail = |why: String| SysError::new(format!("write the jail.conf of {name}"), why);
        let text = conf::render(name, params)?;
        let below = RelPath::new(file).map_err(|e| fail(e.to_string()))?;
        let options = WriteOptions {
            mode: Some(0o600),
            ..WriteOptions::default()
        };
        self.directory
            .write(&below, text.as_bytes(), &options)
            .map_err(|e| fail(e.to_string()))?;
        let path = self.file(file);
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| fail(format!("{} is not text", path.display())))
    }

    /// What the jail was started with; without its file nothing that was added to the host is known.
    fn params(&self, spec: &JailSpec) -> Result<Params> {
        self.started
            .clone()
            .map_or_else(|| vnet::without_addresses(spec), Ok)
    }

    /// Runs jail(8) and gives how it ended and what it said. `cancelled` ends it.
    fn jail(
        &self,
        name: &str,
        command: &Invocation,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(ExitStatus, Option<String>)> {
        let mut options = File::options();
        let options = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600);
        let mut file = options.open(self.file("output")).map_err(|e| command.error(e))?;
        let mut child = command.start(&file)?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|e| command.error(e))? {
                break status;
            }
            if cancelled() {
                let _ = child.kill();
            }
            sleep(TICK);
        };
        let mut said = Vec::new();
        file.rewind()
            .and_then(|()| file.read_to_end(&mut said))
            .map_err(|e| command.error(e))?;
        Ok((status, jail_said(name, &String::from_utf8_lossy(&said))))
    }

    /// Removes the directory; the next start makes it again.
    fn remove(self) -> Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(SysError::new(format!("remove {}", self.path.display()), e))
            }
            _ => Ok(()),
        }
    }
}

/// See [`crate::System::start`].
pub(super) fn start(state: &Path, spec: &JailSpec, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<i32> {
    let attempt = || format!("start {}", spec.name);
    let before = kernel::find(&spec.name)?;
    if before.as_ref().is_some_and(|jail| !jail.dying) {
        return Err(SysError::new(attempt(), "it is running"));
    }
    cleanup(state, spec)?;
    let mut made = Vec::new();
    if let Err(error) = begin(state, spec, cancelled, &mut made) {
        // The first error is the one to tell; what could not be undone is in the hint.
        let undone = made
            .iter()
            .try_for_each(wire::take_away)
            .and(cleanup(state, spec));
        let error = SysError {
            attempt: attempt(),
            ..error
        };
        return Err(match undone {
            Err(left) => error.hint(format!("not all of it could be undone: {left}")),
            Ok(()) if before.is_some() => {
                error.hint("an earlier jail of this name is still dying; try again later")
            }
            Ok(()) => error,
        });
    }
    let found = kernel::find(&spec.name)?.filter(|jail| !jail.dying);
    found
        .map(|jail| jail.jid)
        .ok_or_else(|| SysError::new(attempt(), "it ended as soon as exec.start had ended"))
}

fn begin(
    state: &Path,
    spec: &JailSpec,
    cancelled: &dyn Fn() -> bool,
    made: &mut Vec<Invocation>,
) -> Result<()> {
    let run = Run::open(state, spec)?;
    let params = wire::prepare(spec, made)?;
    let file = run.write("jail.conf", &spec.name, &params)?;
    let command = conf::create(&file, &spec.name);
    let (status, said) = run.jail(&spec.name, &command, cancelled)?;
    if status.success() && !cancelled() {
        return Ok(());
    }
    let why = if cancelled() {
        "cancelled".to_owned()
    } else {
        said.unwrap_or_else(|| status.to_string())
    };
    let error = command.error(why);
    let log = spec.console_log.as_ref().filter(|log| log.exists());
    Err(log.map_or(error.clone(), |log| {
        error.hint(format!("what it said is in {}", log.display()))
    }))
}

/// See [`crate::System::stop`].
pub(super) fn stop(state: &Path, spec: &JailSpec, how: StopOptions) -> Result<()> {
    if ours(spec)? {
        let run = Run::open(state, spec)?;
        let started = run.params(spec)?;
        let mut own_stop = true;
        if vnet::is_vnet(&started) {
            own_stop = false;
            take_network(&run, spec, &started, how.force);
        }
        let first = remove_jail(&run, spec, &bsd_stop::params(&started, how, own_stop));
        // A failing exec.stop makes jail(8) leave the jail as it is.
        if ours(spec)? {
            let kill = StopOptions {
                force: true,
                timeout: None,
            };
            let second = remove_jail(&run, spec, &bsd_stop::params(&started, kill, false));
            if ours(spec)? {
                return first.and(second).and(Err(SysError::new(
                    format!("stop {}", spec.name),
                    "it is still running",
                )));
            }
        }
    }
    cleanup(state, spec)
}

/// Runs `jail -r` with a file of its own: the one of the start stays as it is until nothing of the jail is left.
fn remove_jail(run: &Run, spec: &JailSpec, params: &Params) -> Result<()> {
    let file = run.write("stop.conf", &spec.name, params)?;
    let command = conf::remove(&file, &spec.name);
    match run.jail(&spec.name, &command, &|| false)? {
        (status, _) if status.success() => Ok(()),
        (status, said) => Err(command.error(said.unwrap_or_else(|| status.to_string()))),
    }
}

/// What comes before the removal of a jail with its own network. A failure of one does not stop the next.
fn take_network(run: &Run, spec: &JailSpec, started: &Params, force: bool) {
    let log = spec.console_log.clone().unwrap_or_else(|| run.file("output"));
    let Ok(log) = File::options().append(true).create(true).mode(0o600).open(log) else {
        return;
    };
    for command in vnet::before_removal(&spec.name, started, force) {
        let _ = command.start(&log).map(|mut child| child.wait());
    }
}

/// Whether the jail runs. A jail of this name at another place is not touched.
fn ours(spec: &JailSpec) -> Result<bool> {
    let Some(jail) = kernel::find(&spec.name)?.filter(|jail| !jail.dying) else {
        return Ok(false);
    };
    if Path::new(&jail.path) == spec.path || Path::new(&jail.path) == resolved(&spec.path) {
        return Ok(true);
    }
    let why = format!(
        "the running jail of this name is in {}, not in {}",
        jail.path,
        spec.path.display()
    );
    Err(SysError::new(format!("stop {}", spec.name), why))
}

/// Links on the way to a jail are the host's own; the kernel keeps paths without them.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// See [`crate::System::cleanup`].
pub(super) fn cleanup(state: &Path, spec: &JailSpec) -> Result<()> {
    let run = Run::open(state, spec)?;
    let started = run.params(spec)?;
    if ours(spec)? {
        if vnet::is_vnet(&started) {
            take_network(&run, spec, &started, true);
        }
        let kill = StopOptions {
            force: true,
            timeout: None,
        };
        remove_jail(&run, spec, &bsd_stop::params(&started, kill, false))?;
    }
    if !run.stale {
        take_back(&started)?;
    }
    unmount_leftovers(&resolved(&spec.path), &started)?;
    run.remove()
}

/// Takes back interfaces and addresses that jail(8) left on the host.
fn take_back(started: &Params) -> Result<()> {
    let interfaces = kernel::interfaces()?;
    if let Some(pair) = vnet::pair_of(started).filter(|p| interfaces.iter().any(|i| i.name == p.host_end())) {
        wire::take_away(&vnet::destroy_pair(&pair))?;
    }
    bsd_stop::leftover_addresses(started, &interfaces)
        .iter()
        .try_for_each(wire::take_away)
}

fn unmount_leftovers(root: &Path, started: &Params) -> Result<()> {
    for mounted in mounts::leftovers(root, started, &kernel::mounts()?) {
        let mut done = kernel::unmount(mounted);
        for _ in 0..TRIES {
            if !done.as_ref().is_err_and(|e| e.kind() == ErrorKind::ResourceBusy) {
                break;
            }
            sleep(BETWEEN);
            done = kernel::unmount(mounted);
        }
        done.map_err(|e| SysError::new(format!("unmount {}", mounted.on.display()), e))?;
    }
    Ok(())
}
