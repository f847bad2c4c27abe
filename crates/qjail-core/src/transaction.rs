//! Runs a plan so that it is done wholly or not at all, even when the program is killed.
//!
//! The journal is complete before the first change: it holds the plan. Each step's need for undo is recorded before
//! the step runs. Without a commit record the steps are undone in reverse; with one the clean-up is finished.

use std::time::Duration;

use qjail_plugin_api::{Place, Step};
use qjail_store::{Journal, Pending};
use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::engine::Engine;
use crate::ops::image::Image;
use crate::places::Places;
use crate::runner::{Runner, Undo};
use crate::{Error, Result};

/// What a command is going to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The command and its object: `create jail1`.
    pub title: String,
    /// The lock that protects what it changes.
    pub lock: String,
    /// Where it works.
    pub places: Places,
    /// The jail's own file system, if it is an image jail that exists: all of this needs it mounted.
    #[serde(default)]
    pub image: Option<Image>,
    /// Undone in reverse when one fails.
    pub steps: Vec<Action>,
    /// The steps that publish the result; undone too when one fails.
    pub commit: Vec<Action>,
    /// What follows the point of no return; finished by a later command if need be.
    pub cleanup: Vec<Action>,
    /// Shown before anything is changed.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Shown when all is done, and written nowhere: there may be a password in them.
    #[serde(default, skip_serializing)]
    pub notes: Vec<String>,
}

impl Plan {
    /// Every action in the order in which it runs.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().chain(&self.commit).chain(&self.cleanup)
    }

    fn undoable(&self) -> impl Iterator<Item = &Action> {
        self.steps.iter().chain(&self.commit)
    }
}

/// How long a start that lost its caller may take to notice.
const HALF_START_ENDS: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
enum Record {
    /// Action `index` is about to run.
    Begin { index: usize, undo: Undo },
}

/// Runs `plan`. The caller holds its lock.
///
/// # Errors
/// The first failure; everything has been undone then, or [`Error::more`] says what could not be.
pub(crate) fn execute(engine: &Engine, plan: &Plan) -> Result<()> {
    let mut journal = Journal::begin(&engine.layout.journal_dir(), &plan.lock, plan)?;
    let runner = Runner {
        engine,
        places: &plan.places,
    };
    let mut begun = Vec::new();
    match forward(&runner, plan, &mut journal, &mut begun) {
        Ok(()) => finish(&runner, plan, journal),
        Err(mut error) => {
            if engine.cancelled() {
                error = Error::cancelled();
            }
            let failures = backward(&runner, plan, &begun);
            if failures.is_empty() {
                error.more.extend(journal.finish().err().map(Error::from));
            } else {
                error.more.extend(failures);
                error
                    .more
                    .push(Error::new("the next qjail command tries again to undo the rest"));
            }
            Err(error.about(&plan.title))
        }
    }
}

fn forward(
    runner: &Runner<'_>,
    plan: &Plan,
    journal: &mut Journal,
    begun: &mut Vec<(usize, Undo)>,
) -> Result<()> {
    for (index, action) in plan.undoable().enumerate() {
        if runner.engine.cancelled() && begun_stop(plan, begun).is_none() {
            return Err(Error::cancelled());
        }
        runner.engine.log_action(action);
        let undo = runner.remember(action)?;
        journal.record(
            &Record::Begin {
                index,
                undo: undo.clone(),
            },
            undo.must_last() || changes_a_name(action),
        )?;
        begun.push((index, undo));
        runner.run(action)?;
    }
    // Once: with the record of the commit nobody undoes any more, and until then whatever is half there is undone.
    flush(plan)?;
    journal.commit()?;
    Ok(())
}

/// A name may be on disk before the record of its change: then nobody would know what to change back.
fn changes_a_name(action: &Action) -> bool {
    is_rename(action) || matches!(action, Action::MoveImage { .. } | Action::LinkImage { .. })
}

fn is_rename(action: &Action) -> bool {
    matches!(
        action,
        Action::Step {
            what: Step::Rename { .. },
            ..
        }
    )
}

/// Brings to disk what the plan has made, as far as its steps have not done so themselves.
fn flush(plan: &Plan) -> Result<()> {
    if plan.undoable().any(|action| leaves_files(plan, action)) {
        plan.places.open(Place::Jails)?.flush_file_system()?;
    } else if plan.undoable().any(is_rename) {
        plan.places.open(Place::Jails)?.flush_names()?;
    }
    Ok(())
}

/// Whether an action makes files that it does not flush one by one. What happens in a running jail is the jail's own.
fn leaves_files(plan: &Plan, action: &Action) -> bool {
    match action {
        Action::MergeFlavor { .. } | Action::Thicken { .. } => true,
        Action::LinkImage { .. } | Action::MoveImage { .. } => true,
        Action::Step { what, .. } => match what {
            Step::CopyTree { .. } => true,
            Step::Plugin { .. } => !plan.undoable().any(is_of_a_run),
            _ => false,
        },
        _ => false,
    }
}

fn is_of_a_run(action: &Action) -> bool {
    matches!(action, Action::StartJail { .. } | Action::StopJail { .. })
}

fn finish(runner: &Runner<'_>, plan: &Plan, journal: Journal) -> Result<()> {
    for action in &plan.cleanup {
        runner.engine.log_action(action);
        runner.run(action).map_err(|e| {
            e.about(&plan.title)
                .hint("the change itself is done; the next qjail command tries again to clean up")
        })?;
    }
    Ok(journal.finish()?)
}

fn backward(runner: &Runner<'_>, plan: &Plan, begun: &[(usize, Undo)]) -> Vec<Error> {
    let actions: Vec<&Action> = plan.undoable().collect();
    begun
        .iter()
        .rev()
        .filter_map(|(index, undo)| actions.get(*index).map(|action| (action, undo)))
        .filter_map(|(action, undo)| {
            runner
                .undo(action, undo)
                .err()
                .map(|e| e.about(format!("undo: {action}")))
        })
        .collect()
}

/// Brings a transaction that was cut off to its end: back, or forward where it was committed. The caller holds its lock.
///
/// # Errors
/// What could neither be undone nor finished; the journal stays.
pub(crate) fn recover(engine: &Engine, pending: Pending) -> Result<String> {
    let plan: Plan = serde_json::from_value(pending.header.clone()).map_err(|e| {
        Error::new(format!("journal {}: {e}", pending.path.display())).hint(
            "it was written by another version of qjail: run that one, or look at the file and remove it",
        )
    })?;
    let Some(image) = plan.image.clone() else {
        return bring_to_end(engine, &plan, pending);
    };
    // The machine may have been started anew since. Where the file or the directory has been moved, an undo mounts it.
    if !pending.committed && image.file.is_file() && image.at.is_dir() {
        engine.system.attach_image(&image.file, &image.at)?;
    }
    let ended = bring_to_end(engine, &plan, pending)?;
    if let Some(jail) = &plan.places.jail {
        engine.release_image(jail, &image)?;
    }
    Ok(ended)
}

fn bring_to_end(engine: &Engine, plan: &Plan, pending: Pending) -> Result<String> {
    let runner = Runner {
        engine,
        places: &plan.places,
    };
    if pending.committed {
        for action in &plan.cleanup {
            runner
                .run(action)
                .map_err(|e| e.about(format!("finish {}", plan.title)))?;
        }
        pending.finish()?;
        return Ok(format!("finished `{}`, which was interrupted", plan.title));
    }
    let begun = begun_of(&pending);
    if started(&runner, plan, &begun)? {
        pending.finish()?;
        return Ok(format!("finished `{}`, which was interrupted", plan.title));
    }
    if let Some(stop) = begun_stop(plan, &begun) {
        // Half stopped is neither the old state nor the new one, and its services do not come back: it is stopped.
        for action in plan.undoable().skip(stop).chain(&plan.cleanup) {
            runner
                .run(action)
                .map_err(|e| e.about(format!("finish {}", plan.title)))?;
        }
        pending.finish()?;
        return Ok(format!("finished `{}`, which was interrupted", plan.title));
    }
    let failures = backward(&runner, plan, &begun);
    if let Some(error) = Error::all(failures) {
        return Err(error.about(format!("undo of `{}`, which was interrupted", plan.title)));
    }
    pending.finish()?;
    Ok(format!("undid `{}`, which was interrupted", plan.title))
}

/// The place of the action that was stopping a jail, if it had begun: from there on it only goes forward.
fn begun_stop(plan: &Plan, begun: &[(usize, Undo)]) -> Option<usize> {
    let actions: Vec<&Action> = plan.undoable().collect();
    let is_stop = |index: &usize| matches!(actions.get(*index), Some(Action::StopJail { .. }));
    begun.iter().map(|(index, _)| *index).find(is_stop)
}

/// Whether only the record of the commit is missing: the last action was to start a jail, and it runs.
fn started(runner: &Runner<'_>, plan: &Plan, begun: &[(usize, Undo)]) -> Result<bool> {
    let count = plan.undoable().count();
    let all_begun = begun.last().is_some_and(|(index, _)| index + 1 == count);
    let Some(Action::StartJail { spec }) = plan.undoable().last().filter(|_| all_begun) else {
        return Ok(false);
    };
    let runs = || runner.engine.system.find(&spec.name);
    let Some(first) = runs()? else { return Ok(false) };
    // A jail whose start was cut off earlier ends by itself in a moment.
    std::thread::sleep(HALF_START_ENDS);
    Ok(runs()?.is_some_and(|second| second.jid == first.jid && !second.dying))
}

fn begun_of(pending: &Pending) -> Vec<(usize, Undo)> {
    pending
        .records
        .iter()
        .filter_map(|r| serde_json::from_value(r.clone()).ok())
        .map(|Record::Begin { index, undo }| (index, undo))
        .collect()
}
