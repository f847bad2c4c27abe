//! A system in memory, for the tests of other crates: the contract of the real ones, without a kernel.
//!
//! It keeps jails, interfaces, addresses and rc.conf(5), writes down every call that changes something, and fails where
//! a test asks for it ([`Fake::fail_at`], [`Fake::fail_on`]). It does not look at files: the paths of a [`JailSpec`] need
//! not exist. A call that fails has changed nothing.

mod network;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use qjail_model::{Limits, Network, Params};

use crate::{
    ExecSpec, HostInfo, Interface, InterfaceChange, JailSpec, Missing, Need, RcChange, Result, Running,
    StopOptions, SysError, System, Usage, image, params,
};

/// The system in memory. All its methods may be called from several threads.
#[derive(Debug)]
pub struct Fake {
    os: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    host: HostInfo,
    missing: Vec<Missing>,
    jails: BTreeMap<String, Jail>,
    interfaces: BTreeMap<String, network::Link>,
    rc: BTreeMap<String, String>,
    calls: Vec<String>,
    fail_at: Option<usize>,
    fail_on: Vec<String>,
    exec_status: i32,
    /// What is mounted where.
    images: BTreeMap<PathBuf, PathBuf>,
    last_jid: i32,
}

#[derive(Debug)]
struct Jail {
    jid: i32,
    spec: JailSpec,
    /// Addresses that the start put on interfaces of the host (FreeBSD).
    aliases: Vec<(String, Network)>,
}

impl Fake {
    /// A fresh system of the kind `os` (`freebsd` or `linux`): one network card with the default route, a loopback
    /// interface, nothing else.
    #[must_use]
    pub fn new(os: &'static str) -> Self {
        let host = HostInfo {
            os: os.to_owned(),
            release: if os == "freebsd" {
                "15.0-RELEASE"
            } else {
                "Debian GNU/Linux 13 (trixie)"
            }
            .to_owned(),
            machine: if os == "freebsd" { "amd64" } else { "x86_64" }.to_owned(),
            machine_arch: if os == "freebsd" { "amd64" } else { "x86_64" }.to_owned(),
            kernel: if os == "freebsd" { "15.0-RELEASE" } else { "6.12.0" }.to_owned(),
        };
        let state = State {
            host,
            interfaces: network::fresh(os),
            ..State::default()
        };
        Self {
            os,
            state: Mutex::new(state),
        }
    }

    /// Every call that changes something or runs a command, in order, failed ones included: `start jail1`,
    /// `stop jail1 force`, `cleanup jail1`, `exec jail1: id -u`, `ensure_interface lo1 192.168.1.1/28`,
    /// `remove_interface lo1 192.168.1.1/28 whole`, `rc_conf cloned_interfaces+=lo1`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Lets the call that is the `n`th in [`Fake::calls`], from 1, fail.
    pub fn fail_at(&self, n: usize) {
        self.lock().fail_at = Some(n);
    }

    /// Lets every call fail whose line in [`Fake::calls`] begins with these words: `start jail1`, `stop`.
    pub fn fail_on(&self, call: &str) {
        self.lock().fail_on.push(call.to_owned());
    }

    /// No call fails any more.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.fail_at = None;
        state.fail_on.clear();
    }

    /// What [`System::host`] tells.
    pub fn set_host(&self, host: HostInfo) {
        self.lock().host = host;
    }

    /// What [`System::missing`] tells, for every need.
    pub fn set_missing(&self, missing: Vec<Missing>) {
        self.lock().missing = missing;
    }

    /// The status of every command that [`System::exec`] runs from now on; 0 in a fresh system.
    pub fn set_exec_status(&self, status: i32) {
        self.lock().exec_status = status;
    }

    /// Adds an interface that an administrator made; [`System::remove_interface`] leaves it.
    pub fn add_interface(&self, interface: Interface) {
        self.lock()
            .interfaces
            .insert(interface.name.clone(), network::Link::of_admin(interface));
    }

    /// The mounted images: where, and of which file.
    #[must_use]
    pub fn images(&self) -> BTreeMap<PathBuf, PathBuf> {
        self.lock().images.clone()
    }

    /// What a running jail was started with.
    #[must_use]
    pub fn jail(&self, name: &str) -> Option<JailSpec> {
        self.lock().jails.get(name).map(|j| j.spec.clone())
    }

    /// Ends a jail as a crash would: it does not run any more, its addresses stay on the host's interfaces.
    pub fn crash(&self, name: &str) {
        self.lock().jails.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a call down, and fails where a test wants it.
    fn call(&self, line: String) -> Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let fails = state.fail_at == Some(state.calls.len() + 1)
            || state.fail_on.iter().any(|f| begins_with_words(&line, f));
        state.calls.push(line.clone());
        if fails {
            Err(SysError::new(line, "a test wants this to fail"))
        } else {
            Ok(state)
        }
    }

    fn no_rc_conf(&self, attempt: &str, variable: &str) -> Result<()> {
        if self.os == "freebsd" {
            return Ok(());
        }
        Err(SysError::new(
            format!("{attempt} {variable} of rc.conf"),
            params::NO_RC_CONF,
        ))
    }
}

/// Whether `line` is `words`, or goes on after them with another word.
fn begins_with_words(line: &str, words: &str) -> bool {
    line.strip_prefix(words)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
}

impl System for Fake {
    fn os(&self) -> &'static str {
        self.os
    }

    fn host(&self) -> Result<HostInfo> {
        Ok(self.lock().host.clone())
    }

    fn missing(&self, _: Need) -> Vec<Missing> {
        self.lock().missing.clone()
    }

    fn refused_params(&self, params: &Params) -> Vec<(String, String)> {
        if self.os == "linux" {
            params::refused_by_linux(params)
        } else {
            Vec::new()
        }
    }

    fn refused_limits(&self, _: &Limits) -> Vec<(String, Missing)> {
        Vec::new()
    }

    fn usage(&self, _: &str) -> Result<Usage> {
        Ok(Usage::default())
    }

    fn running(&self) -> Result<BTreeMap<String, Running>> {
        let state = self.lock();
        Ok(state
            .jails
            .iter()
            .map(|(n, j)| {
                (
                    n.clone(),
                    Running {
                        jid: j.jid,
                        dying: false,
                        path: None,
                    },
                )
            })
            .collect())
    }

    fn start(&self, spec: &JailSpec, cancelled: &(dyn Fn() -> bool + Sync)) -> Result<i32> {
        let attempt = format!("start {}", spec.name);
        let refused = self.refused_params(&spec.params);
        let mut state = self.call(attempt.clone())?;
        if cancelled() {
            return Err(SysError::new(attempt, "cancelled"));
        }
        if state.jails.contains_key(&spec.name) {
            return Err(SysError::new(attempt, "it is running"));
        }
        if let Some((param, why)) = refused.first() {
            return Err(SysError::new(attempt, format!("{param}: {why}")));
        }
        let aliases = network::give_addresses(&mut state, self.os, spec)?;
        state.last_jid += 1;
        let jid = state.last_jid;
        state.jails.insert(
            spec.name.clone(),
            Jail {
                jid,
                spec: spec.clone(),
                aliases,
            },
        );
        Ok(jid)
    }

    fn stop(&self, spec: &JailSpec, how: StopOptions, _: &(dyn Fn() -> bool + Sync)) -> Result<()> {
        let force = if how.force { " force" } else { "" };
        let mut state = self.call(format!("stop {}{force}", spec.name))?;
        network::end(&mut state, self.os, spec);
        Ok(())
    }

    fn cleanup(&self, spec: &JailSpec) -> Result<()> {
        let mut state = self.call(format!("cleanup {}", spec.name))?;
        network::end(&mut state, self.os, spec);
        Ok(())
    }

    fn exec(&self, name: &str, spec: &ExecSpec) -> Result<i32> {
        let state = self.call(format!("exec {name}: {}", spec.argv.join(" ")))?;
        if !state.jails.contains_key(name) {
            return Err(SysError::new(
                format!("run a command in {name}"),
                "it is not running",
            ));
        }
        Ok(state.exec_status)
    }

    fn exec_logged(&self, name: &str, spec: &ExecSpec, _: &Path, _: Duration) -> Result<i32> {
        self.exec(name, spec)
    }

    fn make_image(&self, file: &Path, bytes: u64) -> Result<()> {
        let _state = self.call(format!("make_image {} {bytes}", file.display()))?;
        image::make_sparse(file, bytes)
    }

    fn attach_image(&self, file: &Path, at: &Path) -> Result<()> {
        let attempt = format!("attach_image {} {}", file.display(), at.display());
        let mut state = self.call(attempt.clone())?;
        match state.images.get(at) {
            Some(other) if other != file => Err(SysError::new(attempt, "something else is mounted there")),
            _ if !(file.is_file() && at.is_dir()) => Err(SysError::new(attempt, "no such file or directory")),
            _ => {
                state.images.insert(at.to_owned(), file.to_owned());
                Ok(())
            }
        }
    }

    fn detach_image(&self, file: &Path, at: &Path) -> Result<()> {
        let mut state = self.call(format!("detach_image {} {}", file.display(), at.display()))?;
        if state.images.get(at).is_some_and(|f| f == file) {
            state.images.remove(at);
        }
        Ok(())
    }

    fn image_device(&self, file: &Path) -> Result<Option<String>> {
        let state = self.lock();
        let at = state.images.values().position(|f| f == file);
        Ok(at.map(|number| format!("loop{number}")))
    }

    fn interfaces(&self) -> Result<Vec<Interface>> {
        Ok(self
            .lock()
            .interfaces
            .values()
            .map(|l| l.interface.clone())
            .collect())
    }

    fn ensure_interface(&self, name: &str, addresses: &[Network]) -> Result<InterfaceChange> {
        let mut state = self.call(line("ensure_interface", name, addresses, ""))?;
        network::ensure(&mut state, name, addresses)
    }

    fn remove_interface(&self, name: &str, addresses: &[Network], whole: bool) -> Result<()> {
        let whole_word = if whole { " whole" } else { "" };
        let mut state = self.call(line("remove_interface", name, addresses, whole_word))?;
        network::remove(&mut state, name, addresses, whole)
    }

    fn rc_value(&self, variable: &str) -> Result<Option<String>> {
        self.no_rc_conf("read", variable)?;
        Ok(self.lock().rc.get(variable).cloned())
    }

    fn rc_conf(&self, variable: &str, change: &RcChange) -> Result<()> {
        self.no_rc_conf("change", variable)?;
        let mut state = self.call(format!("rc_conf {}", describe(variable, change)))?;
        let words: Vec<String> = state
            .rc
            .get(variable)
            .into_iter()
            .flat_map(|v| v.split_whitespace().map(str::to_owned))
            .collect();
        let joined = |words: Vec<String>| words.join(" ");
        let new = match change {
            RcChange::Set(value) => Some(value.clone()),
            RcChange::Add(word) if words.contains(word) => Some(joined(words)),
            RcChange::Add(word) => Some(joined([words, vec![word.clone()]].concat())),
            RcChange::Remove(word) => state
                .rc
                .contains_key(variable)
                .then(|| joined(words.into_iter().filter(|w| w != word).collect())),
            RcChange::Unset => None,
        };
        match new {
            Some(value) => state.rc.insert(variable.to_owned(), value),
            None => state.rc.remove(variable),
        };
        Ok(())
    }
}

fn line(call: &str, name: &str, addresses: &[Network], end: &str) -> String {
    let addresses: String = addresses.iter().map(|a| format!(" {a}")).collect();
    format!("{call} {name}{addresses}{end}")
}

/// As sysrc(8) is written.
fn describe(variable: &str, change: &RcChange) -> String {
    match change {
        RcChange::Set(value) => format!("{variable}={value}"),
        RcChange::Add(word) => format!("{variable}+={word}"),
        RcChange::Remove(word) => format!("{variable}-={word}"),
        RcChange::Unset => format!("-x {variable}"),
    }
}

#[cfg(test)]
mod tests;
