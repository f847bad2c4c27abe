//! What FreeBSD is told, as data: command lines, the text of jail.conf(5), and what is made of the answers.
//!
//! Nothing here asks the kernel or changes anything, so that it compiles and is tested on every system: command lines
//! and files are compared with `golden/freebsd`, parsers read what FreeBSD 13.2 said (`fixtures/freebsd-13.2`).
//! [`command`], [`child`] and [`relay`] do act, in ways that both systems share. `crate::freebsd` carries out what is decided here.

pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod conf;
pub(crate) mod enter;
pub(crate) mod ifconfig;
pub(crate) mod jailparam;
pub(crate) mod mounts;
pub(crate) mod needs;
pub(crate) mod network;
pub(crate) mod params;
pub(crate) mod rc;
pub(crate) mod relay;
pub(crate) mod stop;
pub(crate) mod users;
pub(crate) mod vnet;

#[cfg(test)]
mod golden;
