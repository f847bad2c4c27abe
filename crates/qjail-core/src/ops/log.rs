//! The log of commands: switched on and off, written to by hand, read.

use qjail_plugin_api::Step;
use qjail_store::LogLine;
use qjail_sys::Need;

use crate::action::Action;
use crate::engine::Engine;
use crate::transaction::Plan;
use crate::{Error, Result};

impl Engine {
    /// Switches the log of commands on or off; with `dry_run` says only that it would.
    ///
    /// # Errors
    /// No right to change settings; the settings can not be written, and are as before then.
    pub fn switch_log(&self, on: bool) -> Result<Plan> {
        self.require(Need::Files)?;
        let key = "log".to_owned();
        let _lock = self.lock(&key)?;
        let plan = Plan {
            title: format!("log --{}", if on { "on" } else { "off" }),
            lock: key,
            places: self.places(None, None),
            image: None,
            steps: vec![Action::Step {
                owner: "core".to_owned(),
                what: Step::SwitchLog { on },
            }],
            commit: Vec::new(),
            cleanup: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
        };
        self.perform(&plan)?;
        Ok(plan)
    }

    /// Whether commands are logged.
    ///
    /// # Errors
    /// The settings can not be read.
    pub fn log_is_on(&self) -> Result<bool> {
        Ok(self.settings()?.log())
    }

    /// Writes `text` of `user` to the log; with `dry_run` only checks that it could be.
    ///
    /// # Errors
    /// The log is off; the text is empty; the file can not be written.
    pub fn log_message(&self, user: &str, text: &str) -> Result<()> {
        if text.trim().is_empty() {
            return Err(Error::usage("logmsg: the text is empty"));
        }
        if !self.log_is_on()? {
            return Err(
                Error::new("the log is off: the text is not written").hint("qjail log --on switches it on")
            );
        }
        if self.dry_run {
            return Ok(());
        }
        let file = self.layout.log_file();
        Ok(qjail_store::append_log(&file, self.now, user, text)?)
    }

    /// The last `count` lines of the log, the oldest first; none where there is no log.
    ///
    /// # Errors
    /// The file can not be read.
    pub fn log_lines(&self, count: usize) -> Result<Vec<LogLine>> {
        let mut lines = qjail_store::read_log(&self.layout.log_file())?;
        Ok(lines.split_off(lines.len().saturating_sub(count)))
    }
}
