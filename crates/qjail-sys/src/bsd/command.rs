//! Programs of the base system: a command line as data, and what came of it.

use std::fmt;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Result, SysError};

/// ifconfig(8).
pub(crate) const IFCONFIG: &str = "/sbin/ifconfig";
/// jail(8).
pub(crate) const JAIL: &str = "/usr/sbin/jail";
/// jexec(8).
pub(crate) const JEXEC: &str = "/usr/sbin/jexec";
/// route(8).
pub(crate) const ROUTE: &str = "/sbin/route";
/// sysrc(8).
pub(crate) const SYSRC: &str = "/usr/sbin/sysrc";

/// How often a running program is looked at.
const TICK: Duration = Duration::from_millis(20);

/// All that a program gets of the environment. `TERM` is there because jail(8) and jexec(8) copy it into a jail;
/// `LC_ALL` keeps messages in the words that the parsers know.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/sbin:/bin:/usr/sbin:/usr/bin"),
    ("HOME", "/root"),
    ("TERM", "dumb"),
    ("LC_ALL", "C"),
];

/// A program by its absolute path, and its arguments. Its standard input is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) program: &'static str,
    pub(crate) args: Vec<String>,
}

impl Invocation {
    pub(crate) fn new(program: &'static str, args: &[&str]) -> Self {
        Self {
            program,
            args: args.iter().map(|a| (*a).to_owned()).collect(),
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(ENVIRONMENT)
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    /// Runs it and waits.
    ///
    /// # Errors
    /// Only when it can not be started; how it ended is in [`Output`].
    pub(crate) fn run(&self) -> Result<Output> {
        let done = self.command().output().map_err(|e| self.error(e))?;
        Ok(Output {
            status: done.status,
            stdout: text(&done.stdout),
            stderr: text(&done.stderr),
        })
    }

    /// What it said where it succeeded; anything else is an error with its own message.
    pub(crate) fn answer(&self, output: Output) -> Result<String> {
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(self.error(output.why()))
        }
    }

    /// Runs it with both outputs going to `file`, until it ends or is `cancelled`. A pipe would stay open as long as a
    /// daemon that it started lives. It is in a process group of its own: Ctrl-C on the terminal is for this program, which
    /// decides what ends, and with it ends what it has started.
    pub(crate) fn run_into(&self, file: &File, cancelled: &dyn Fn() -> bool) -> Result<ExitStatus> {
        let out = || file.try_clone().map(Stdio::from).map_err(|e| self.error(e));
        let mut command = self.command();
        command.stdout(out()?).stderr(out()?).process_group(0);
        let mut child = command.spawn().map_err(|e| self.error(e))?;
        loop {
            if let Some(status) = child.try_wait().map_err(|e| self.error(e))? {
                return Ok(status);
            }
            if cancelled() {
                // It may have ended by itself: the next look tells.
                let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            }
            sleep(TICK);
        }
    }

    /// The error of this command line.
    pub(crate) fn error(&self, why: impl fmt::Display) -> SysError {
        SysError::new(format!("run {self}"), why)
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        self.args
            .iter()
            .try_for_each(|a| match a.is_empty() || a.contains(char::is_whitespace) {
                true => write!(f, " '{a}'"),
                false => write!(f, " {a}"),
            })
    }
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Why it failed: its own words where it has some.
    pub(crate) fn why(&self) -> String {
        said(&self.stderr).unwrap_or_else(|| self.status.to_string())
    }
}

/// The words of a program that failed: its lines joined, without the program's name in front.
pub(crate) fn said(output: &str) -> Option<String> {
    let line = |l: &str| {
        let l = l.trim();
        let short = l
            .split_once(": ")
            .filter(|(name, _)| ["ifconfig", "jail", "sysrc", "route"].contains(name));
        short.map_or(l, |(_, rest)| rest).to_owned()
    };
    let lines: Vec<String> = output.lines().map(line).filter(|l| !l.is_empty()).collect();
    (!lines.is_empty()).then(|| lines[lines.len().saturating_sub(8)..].join("; "))
}

/// What jail(8) says about a jail beside that it made or removed it.
pub(crate) fn jail_said(name: &str, output: &str) -> Option<String> {
    let news = [format!("{name}: created"), format!("{name}: removed")];
    let rest: Vec<&str> = output.lines().filter(|l| !news.iter().any(|n| n == l)).collect();
    said(&rest.join("\n"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    const SH: &str = "/bin/sh";

    fn sh(script: &str) -> Invocation {
        Invocation::new(SH, &["-c", script])
    }

    #[test]
    fn a_program_gets_a_clean_environment_and_no_input() {
        let output = sh("env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= | sort; pwd; cat");
        let output = output.answer(output.run().unwrap()).unwrap();
        assert_eq!(
            output,
            "HOME=/root\nLC_ALL=C\nPATH=/sbin:/bin:/usr/sbin:/usr/bin\nTERM=dumb\n/\n"
        );
    }

    #[test]
    fn a_failure_tells_the_command_and_its_words() {
        let fails = |script: &str| sh(script).answer(sh(script).run().unwrap()).unwrap_err();
        let e = fails("echo 'ifconfig: interface nosuch0 does not exist' >&2; exit 1");
        assert!(e.attempt.starts_with("run /bin/sh -c 'echo"), "{e}");
        assert_eq!(e.why, "interface nosuch0 does not exist");
        assert!(fails("exit 3").why.contains('3'));
        let e = Invocation::new("/nonexistent", &[]).run().unwrap_err();
        assert!(e.to_string().starts_with("run /nonexistent: "), "{e}");
    }

    #[test]
    fn output_to_a_file_does_not_wait_for_daemons() {
        let mut file = tempfile::tempfile().unwrap();
        let begun = std::time::Instant::now();
        let status = sh("echo one; echo two >&2; sleep 3 & exit 0")
            .run_into(&file, &|| false)
            .unwrap();
        assert!(status.success());
        assert!(begun.elapsed() < std::time::Duration::from_secs(2));
        let mut said = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut said).unwrap();
        assert_eq!(said, "one\ntwo\n");
    }

    #[test]
    fn a_program_is_ended_when_the_user_has_had_enough() {
        let file = tempfile::tempfile().unwrap();
        let begun = std::time::Instant::now();
        assert!(!sh("exec sleep 9").run_into(&file, &|| true).unwrap().success());
        assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn what_jail_says() {
        let fixture = include_str!("../../fixtures/freebsd-13.2/jail-no-interface.txt");
        let why =
            "interface nosuch0 does not exist; /sbin/ifconfig nosuch0 inet 192.168.9.3/28 alias: failed";
        assert_eq!(said(fixture).unwrap(), why);
        assert_eq!(
            said(include_str!("../../fixtures/freebsd-13.2/jail-not-found.txt")).unwrap(),
            "\"nosuch\" not found"
        );
        assert_eq!(said(" \n\n"), None);
        let removed = include_str!("../../fixtures/freebsd-13.2/jail-removed.txt");
        assert_eq!(jail_said("room-020", removed), None);
        assert_eq!(
            jail_said("room-020", &format!("{removed}{fixture}")).unwrap(),
            why
        );
        let exists = include_str!("../../fixtures/freebsd-13.2/jail-exists.txt");
        assert_eq!(
            jail_said("room-001", exists).unwrap(),
            "\"room-001\" already exists"
        );
        let unknown = include_str!("../../fixtures/freebsd-13.2/jail-unknown-parameter.txt");
        assert_eq!(
            jail_said("trap", unknown).unwrap(),
            "unknown parameter: nosuchparam"
        );
    }
}
