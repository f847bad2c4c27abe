//! The life cycle of jails as transactions: gather a plan from core and plugins, show it or run it, journal it, undo it.
//!
//! [`Engine`] holds what a command works with (directories, system, plugins) and has a method for each operation. A
//! command resolves, validates and plans before anything is changed; then it is either shown (`dry_run`) or run as a
//! whole (module `transaction`).
//!
//! It parses no command line and prints nothing; it starts no process and calls no kernel (that is `qjail-sys`); it knows
//! no network, no base and no service (those are plugins).
#![forbid(unsafe_code)]

mod action;
mod engine;
mod error;
mod flavor;
mod gather;
mod ops;
mod places;
mod port;
mod runner;
mod transaction;

pub use action::{Action, ThickSource};
pub use engine::{Engine, Ui};
pub use error::{Error, Kind, Result};
pub use gather::PluginOptions;
pub use ops::archived::FromArchive;
pub use ops::change::{Change, What};
pub use ops::command::Answer;
pub use ops::config::{ConfigRequest, Configured};
pub use ops::create::{CreateRequest, names as create_names};
pub use ops::image::Image;
pub use ops::import::{Import, ImportRequest, ImportSource, Imports};
pub use ops::list::{ListRequest, Row};
pub use ops::many::{Job, Report};
pub use ops::run::{Outcome, StopRequest};
pub use ops::usage::Used;
pub use places::Places;
pub use transaction::Plan;

impl Engine {
    /// Warns, runs the plan unless it is only to be shown.
    fn perform(&self, plan: &Plan) -> Result<()> {
        for warning in &plan.warnings {
            self.warn(warning);
        }
        if self.dry_run {
            return Ok(());
        }
        let result = transaction::execute(self, plan);
        self.ui.progress_done();
        result
    }
}
