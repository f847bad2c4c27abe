//! How far long work is, and whether the user wants it to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use qjail_plugin_api::{Host, PluginError, Progress};

/// Time between two looks at the user.
const BEAT: Duration = Duration::from_millis(100);

/// Tells the user how far a piece of work is, ten times a second at most.
pub(super) struct Watch<'h, 'p> {
    host: &'h Host<'p>,
    about: String,
    last: Option<Instant>,
}

impl<'h, 'p> Watch<'h, 'p> {
    pub(super) fn new(host: &'h Host<'p>, about: String) -> Self {
        Self {
            host,
            about,
            last: None,
        }
    }

    /// Shows the numbers; true when the user has had enough.
    pub(super) fn bytes(&mut self, done: u64, total: Option<u64>) -> bool {
        if self.last.is_some_and(|l| l.elapsed() < BEAT) {
            return false;
        }
        self.last = Some(Instant::now());
        self.host.progress(&Progress {
            about: self.about.clone(),
            done,
            total,
            bytes: true,
        });
        self.host.cancelled()
    }
}

/// Runs `work` in a thread of its own, for work that asks whether it is cancelled from several threads: the host answers
/// on this one only. The thread has ended when this returns.
pub(super) fn watched<T: Send>(
    host: &Host<'_>,
    work: impl FnOnce(&(dyn Fn() -> bool + Sync)) -> Result<T, PluginError> + Send,
) -> Result<T, PluginError> {
    let stop = AtomicBool::new(false);
    let asked = || stop.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let (done, waits) = channel::<()>();
        let worker = scope.spawn(move || {
            let result = work(&asked);
            drop(done);
            result
        });
        while waits.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            if host.cancelled() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
