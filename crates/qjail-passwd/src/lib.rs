//! Users, groups and login classes below a root, as text: `passwd`, `master.passwd`, `group`, `login.conf` and lines of `shadow`.
//!
//! [`UserFile`] and [`GroupFile`] read the bytes of those files and give the same bytes back; [`Users`] answers
//! questions about both together; [`UserSpec`] is what `exec -u` takes; [`LoginConf`] tells what a login class of FreeBSD
//! sets. Builders make new lines.
//!
//! # Limits
//! It does not read or write files: the caller does, through `qjail-fs`. It does not ask NIS, LDAP or nsswitch: `+`
//! lines are kept and ignored. It does not make password hashes. What is changed (`with_…`, `without_…`) is one entry or field; the rest
//! of the file stays byte for byte.
#![forbid(unsafe_code)]

mod build;
mod capability;
mod edit;
mod file;
mod login_class;
mod spec;
mod users;

pub use build::{LineError, group_line, passwd_line, shadow_line_locked, valid_name};
pub use edit::{
    field, master_line, shadow_line, with_field, with_line, with_member, without_entry, without_member,
    without_member_of,
};
pub use file::{Group, GroupFile, Layout, Problem, ProblemKind, User, UserFile};
pub use login_class::{Amount, Limit, LoginClass, LoginConf, Resource};
pub use spec::{Identity, ResolveError, SpecError, UserSpec};
pub use users::Users;
