//! Messages and progress bars on standard error.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use qjail_core::Ui;
use qjail_plugin_api::{LogLevel, Progress};

/// What of the messages is shown, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tone {
    /// `-v`, `-vv`.
    pub(crate) verbose: u8,
    pub(crate) quiet: bool,
    pub(crate) json: bool,
    pub(crate) progress: bool,
    pub(crate) color: bool,
}

impl Tone {
    /// Whether standard error is a terminal that wants colour.
    pub(crate) fn wants_color(choice: Option<&str>) -> bool {
        match choice {
            Some("always") => true,
            Some("never") => false,
            _ => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }
}

/// The terminal, as the operations see it.
pub(crate) struct Terminal {
    tone: Tone,
    /// What has been warned of: several parts of a command may look at the same.
    warned: Mutex<BTreeSet<String>>,
    bar: Mutex<Option<(String, ProgressBar)>>,
}

impl Terminal {
    pub(crate) fn new(tone: Tone) -> Self {
        Self {
            tone,
            warned: Mutex::default(),
            bar: Mutex::default(),
        }
    }

    fn say(&self, line: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match &*bar {
            Some((_, bar)) => bar.suspend(|| eline(line)),
            None => eline(line),
        }
    }
}

/// One line on standard error; a closed one is no reason to fail.
pub(crate) fn eline(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

impl Ui for Terminal {
    fn log(&self, level: LogLevel, message: &str) {
        let shown = match level {
            LogLevel::Error => true,
            LogLevel::Warn => !self.tone.quiet,
            LogLevel::Info => self.tone.verbose >= 1,
            LogLevel::Debug => self.tone.verbose >= 2,
        };
        let repeated = || {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            !warned.insert(message.to_owned())
        };
        if !shown || (level == LogLevel::Warn && repeated()) {
            return;
        }
        if self.tone.json {
            let level = serde_json::to_value(level).unwrap_or_default();
            return self.say(&serde_json::json!({ "level": level, "message": message }).to_string());
        }
        match level {
            LogLevel::Error => self.say(&format!("qjail: {message}")),
            LogLevel::Warn => self.say(&format!("{} {message}", paint(self.tone.color, "33", "warning:"))),
            LogLevel::Info | LogLevel::Debug => self.say(&format!("  {message}")),
        }
    }

    fn progress(&self, progress: &Progress) {
        if !self.tone.progress {
            return;
        }
        let mut slot = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_none_or(|(about, _)| *about != progress.about) {
            if let Some((_, old)) = slot.take() {
                old.finish_and_clear();
            }
            *slot = Some((progress.about.clone(), bar(progress)));
        }
        if let Some((_, bar)) = &*slot {
            if let Some(total) = progress.total {
                bar.set_length(total);
            }
            bar.set_position(progress.done);
        }
    }

    fn progress_done(&self) {
        if let Some((_, bar)) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(progress: &Progress) -> ProgressBar {
    let template = match (progress.total.is_some(), progress.bytes) {
        (true, true) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        (true, false) => "{msg} [{bar:30}] {pos}/{len}",
        (false, true) => "{msg} {spinner} {bytes} {bytes_per_sec}",
        (false, false) => "{msg} {spinner} {pos}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = progress
        .total
        .map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(progress.about.clone());
    bar
}

/// `text` in a colour of SGR (ECMA-48), where colour is wanted.
pub(crate) fn paint(color: bool, code: &str, text: &str) -> String {
    if color {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
