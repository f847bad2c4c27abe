//! A stack of jobs that a few threads work off; jobs may add jobs.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    waiting: Vec<J>,
    running: usize,
    stopped: bool,
}

impl<J> Queue<J> {
    pub(crate) fn new(first: J) -> Self {
        let state = State {
            waiting: vec![first],
            running: 0,
            stopped: false,
        };
        Queue {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Adds jobs; the last one is taken first.
    pub(crate) fn add(&self, jobs: impl IntoIterator<Item = J>) {
        self.lock().waiting.extend(jobs);
        self.changed.notify_all();
    }

    /// Lets no further job be taken.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.waiting.clear();
        self.changed.notify_all();
    }

    /// Takes jobs until there are none and none can come any more.
    pub(crate) fn work(&self, run: impl Fn(J)) {
        while let Some(job) = self.take() {
            let done = Done(self);
            run(job);
            drop(done);
        }
    }

    fn take(&self) -> Option<J> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(job) = state.waiting.pop() {
                state.running += 1;
                return Some(job);
            }
            if state.running == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a job as done even when it panics, so that the other threads do not wait for ever.
struct Done<'a, J>(&'a Queue<J>);

impl<J> Drop for Done<'_, J> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.changed.notify_all();
    }
}
