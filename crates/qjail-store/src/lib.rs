//! The files outside jails that hold qjail's state: directories, definitions, settings, locks, journal, log.
//!
//! * [`Layout`] knows where everything lies; [`Definitions`] and [`Settings`] are the files that people read and edit;
//! * [`Lock`] keeps two commands off the same thing; [`Journal`] lets a later command end what was cut off;
//! * [`append_log`] and the functions of time write what the log and the definitions show.
//!
//! Every file is replaced whole or not at all, every error names the file.
//!
//! # Limits
//! It does not know plans, steps or plugins: the journal holds whatever it is given. It does not look below a jail's
//! root, starts no process and asks no kernel what runs. Locks are advisory (flock(2)) and hold on local file systems.
#![forbid(unsafe_code)]

mod definitions;
mod error;
mod file;
mod journal;
mod layout;
mod lock;
mod log;
mod settings;
mod time;

pub use definitions::{DefinitionFileError, Definitions};
pub use error::{Error, Result};
pub use journal::{Journal, Pending};
pub use layout::{Layout, Os};
pub use lock::{Holder, Lock, Wait, base_lock, jail_lock};
pub use log::{LogLine, append_log, read_log};
pub use settings::Settings;
pub use time::{format_time, now, parse_time, stamp};
