//! `log` and `logmsg`.

use qjail_core::Error;
use qjail_plugin_api::{LogLevel, Output};
use serde_json::json;

use super::{Call, number};
use crate::record;

/// How many lines are shown where the user does not say.
const LINES: u32 = 20;

impl Call<'_> {
    pub(super) fn log(&self) -> Result<u8, Error> {
        for on in [true, false] {
            let word = if on { "on" } else { "off" };
            if self.options.is_on(word) {
                self.engine.recover();
                let plan = self.engine.switch_log(on)?;
                if self.engine.dry_run {
                    self.style.plan(&plan);
                } else {
                    self.style.message(&format!("The log is {word}."), None);
                }
                return Ok(0);
            }
        }
        let count = number(&self.options, "lines").unwrap_or(LINES);
        let lines = self
            .engine
            .log_lines(usize::try_from(count).unwrap_or(usize::MAX))?;
        if !self.engine.log_is_on()? {
            let text = "the log is off; qjail log --on switches it on";
            self.engine.ui.log(LogLevel::Warn, text);
        }
        self.style.output(&Output {
            columns: Vec::new(),
            rows: lines
                .iter()
                .map(|l| {
                    vec![
                        format!("{} {} {}", l.time, l.user, l.text)
                            .trim_start()
                            .to_owned(),
                    ]
                })
                .collect(),
            data: lines
                .iter()
                .map(|l| json!({ "time": l.time, "user": l.user, "text": l.text }))
                .collect(),
        });
        Ok(0)
    }

    pub(super) fn logmsg(&self) -> Result<u8, Error> {
        let text = self.options.list("text").join(" ");
        self.engine.log_message(&record::user(), &text)?;
        Ok(0)
    }
}
