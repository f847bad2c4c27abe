//! jail.conf(5) text: written from jail parameters, and read back with all that the format allows.
//!
//! * [`write()`] makes the file of one jail, which jail(8) and `service jail` use without qjail;
//! * [`read`] reads any jail.conf(5) (wildcards, variables, includes, nested jails) into parameters per jail;
//! * [`legacy`] reads the control files of qjail 5.x, which were shell scripts, without being a shell.
//!
//! # Limits
//! It opens no file: includes are given by the caller. It does not know which parameters jail(8) has, nor what their
//! values mean; a value that was written as a list of one is read as a text. Where releases of FreeBSD differ it follows
//! the manual page: parameters outside of jails take effect at the place where they stand, relative to the jails.
#![forbid(unsafe_code)]

pub mod legacy;
mod lexer;
mod parser;
mod reader;
mod writer;

pub use parser::Source;
pub use reader::{JailBlock, ReadError, no_includes, read};
pub use writer::{WriteError, write};
