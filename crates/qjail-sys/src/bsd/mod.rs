//! What FreeBSD is told, as data: command lines, the text of jail.conf(5), and what is made of the answers.
//!
//! Nothing here calls the kernel by itself, so that it compiles and is tested on every system: command lines
//! and files are compared with `golden/freebsd`, parsers read what FreeBSD 13.2 said (`fixtures/freebsd-13.2`).
//! [`engine`] decides what is done when, on whatever [`host::Host`] it is given: `crate::freebsd` is the machine that the
//! program runs on, `crate::rehearsal` one in memory. [`command`], [`child`], [`login_class`] and [`relay`] do
//! act, in ways that both systems share.

pub(crate) mod bridge;
pub(crate) mod child;
pub(crate) mod command;
pub(crate) mod conf;
pub(crate) mod engine;
pub(crate) mod enter;
pub(crate) mod exec;
pub(crate) mod host;
pub(crate) mod ifconfig;
pub(crate) mod image;
pub(crate) mod jailparam;
pub(crate) mod lasting;
pub(crate) mod life;
pub(crate) mod login_class;
pub(crate) mod modules;
pub(crate) mod mounts;
pub(crate) mod needs;
pub(crate) mod network;
pub(crate) mod params;
pub(crate) mod prepare;
pub(crate) mod rc;
pub(crate) mod relay;
pub(crate) mod run_dir;
pub(crate) mod stop;
pub(crate) mod usage;
pub(crate) mod vnet;

#[cfg(test)]
mod golden;
