//! Users and groups below a root, as text: `passwd`, `master.passwd`, `group` and lines of `shadow`.
//!
//! [`UserFile`] and [`GroupFile`] read the bytes of those files and give the same bytes back; [`Users`] answers
//! questions about both together; [`UserSpec`] is what `exec -u` takes. Builders make lines for a fresh template.
//!
//! # Limits
//! It does not read or write files: the caller does, through `qjail-fs`. It does not ask NIS, LDAP or nsswitch: `+`
//! lines are kept and ignored. It does not read password fields, make password hashes, or change existing entries.
#![forbid(unsafe_code)]

mod build;
mod file;
mod spec;
mod users;

pub use build::{LineError, group_line, passwd_line, shadow_line_locked, valid_name};
pub use file::{Group, GroupFile, Layout, Problem, ProblemKind, User, UserFile};
pub use spec::{Identity, ResolveError, SpecError, UserSpec};
pub use users::Users;
