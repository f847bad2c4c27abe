//! A jail that runs is stopped for a change, and has to be started again even when the command is killed in between: the
//! intention is in a journal of its own from before the stop until after the start.

use qjail_model::JailName;
use qjail_store::{Journal, Lock};

use crate::Result;
use crate::action::Action;
use crate::engine::Engine;
use crate::places::Places;
use crate::transaction::Plan;

/// The intention to start a jail again. Dropped without [`Again::done`] it is for a later command, as after a crash.
pub(crate) struct Again {
    journal: Journal,
    _lock: Option<Lock>,
}

impl Again {
    /// The jail runs, or has to be started by the user.
    pub(crate) fn done(self) -> Result<()> {
        Ok(self.journal.finish()?)
    }
}

impl Engine {
    /// Notes that the jail is to be started again, whichever of `names` it has by then: the first that exists.
    pub(crate) fn intend_start(&self, names: &[&JailName], places: &Places) -> Result<Again> {
        let of = names.first().map(ToString::to_string).unwrap_or_default();
        let lock = format!("restart.{of}");
        let plan = Plan {
            title: format!("restart {of}"),
            lock: lock.clone(),
            places: places.clone(),
            image: None,
            steps: Vec::new(),
            commit: Vec::new(),
            cleanup: vec![Action::StartAgain {
                names: names.iter().map(ToString::to_string).collect(),
            }],
            warnings: Vec::new(),
            notes: Vec::new(),
        };
        let held = self.lock(&lock)?;
        let mut journal = Journal::begin(&self.layout.journal_dir(), &lock, &plan)?;
        journal.commit()?;
        Ok(Again { journal, _lock: held })
    }

    /// Starts the first of `names` that is a jail's. A failed start is a warning: the user has to look at it.
    ///
    /// # Errors
    /// The user interrupted it: it is for a later command then.
    pub(crate) fn start_again(&self, names: &[String]) -> Result<()> {
        let jails = names.iter().filter_map(|name| JailName::new(name).ok());
        if let Some(name) = jails.into_iter().find(|name| self.definitions().exists(name))
            && let Err(e) = self.start(&name)
        {
            if self.cancelled() {
                return Err(e);
            }
            self.warn(&e.to_string());
        }
        Ok(())
    }
}
