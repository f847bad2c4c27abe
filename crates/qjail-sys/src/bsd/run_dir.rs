//! The files of a running jail: what it was started with, and what jail(8) said.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use qjail_fs::{RelPath, Root, WriteOptions};
use qjail_model::Params;

use super::command::{Invocation, jail_said};
use super::host::Host;
use super::{conf, lasting, vnet};
use crate::{JailSpec, Result, SysError};

/// The files of one jail's run: `STATE/run/NAME`.
pub(super) struct Run {
    directory: Root,
    path: PathBuf,
    /// Written before the system was started: what it names is gone.
    pub(super) stale: bool,
    started: Option<Params>,
}

impl Run {
    /// Opens, and makes where it is missing, the directory of a jail.
    pub(super) fn open(host: &dyn Host, state: &Path, spec: &JailSpec) -> Result<Self> {
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
        run.read(host, &spec.name)?;
        Ok(run)
    }

    fn read(&mut self, host: &dyn Host, name: &str) -> Result<()> {
        let Ok(written) = fs::metadata(self.file("jail.conf")) else {
            return Ok(());
        };
        self.stale = host.boot_time().is_some_and(|boot| written.mtime() < boot);
        let fail = |e: qjail_fs::Error| SysError::new(format!("read the jail.conf of {name}"), e);
        let file = RelPath::new("jail.conf").map_err(|e| SysError::new("read jail.conf", e))?;
        let text = self.directory.read_to_string(&file, 1 << 20).map_err(fail)?;
        // A file that can not be read is as good as none: a jail that runs can be stopped.
        self.started = conf::parse(name, &text).ok();
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a jail.conf(5) and tells its path.
    pub(super) fn write(&self, file: &str, name: &str, params: &Params) -> Result<String> {
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

    /// What the jail was started with: by qjail, or by jail(8) and the lasting file. Without both nothing that was
    /// added to the host is known.
    pub(super) fn params(&self, state: &Path, spec: &JailSpec) -> Result<Params> {
        let lasting = || lasting::read(state, &spec.name);
        let started = self.started.clone().or_else(lasting);
        started.map_or_else(|| vnet::without_addresses(spec), Ok)
    }

    /// Runs jail(8) and gives how it ended and what it said. `cancelled` ends it.
    pub(super) fn jail(
        &self,
        host: &dyn Host,
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
        let status = host.run_into(command, &mut file, cancelled)?;
        let mut said = Vec::new();
        file.rewind()
            .and_then(|()| file.read_to_end(&mut said))
            .map_err(|e| command.error(e))?;
        Ok((status, jail_said(name, &String::from_utf8_lossy(&said))))
    }

    /// Removes the directory; the next start makes it again.
    pub(super) fn remove(self) -> Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(SysError::new(format!("remove {}", self.path.display()), e))
            }
            _ => Ok(()),
        }
    }
}
