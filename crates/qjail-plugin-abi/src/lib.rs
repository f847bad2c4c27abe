//! The frozen waist between qjail and a plugin in a shared object: bytes in, bytes out.
//!
//! A plugin exports two symbols named after its crate: a function that returns the [`Magic`] block (what was built, with
//! what) and a header whose root module has exactly two functions, *describe* and *call*. A call is lent a [`RawHost`],
//! which has exactly two functions again, *log* and *call*. [`connect`] checks all of it, from the cheapest question to
//! the dearest, before the first byte is believed.
//!
//! abi_stable stands behind this and appears in no public name, so that it could be replaced here alone. What evolves
//! (documents, operations, capabilities) evolves inside the bytes; a change of anything in this crate's layout is a new
//! [`ABI_MAJOR`].
//!
//! # Limits
//! It knows neither JSON nor files: who may be loaded is decided by qjail-plugin-host, what the bytes mean by
//! qjail-plugin-api. It can not protect the program from a shared object that means harm; loading one is trusting it.
#![allow(unsafe_code)]

mod bytes;
mod connect;
mod export;
mod host;
mod magic;
mod module;
mod panics;

pub use bytes::{Bytes, OwnedBytes, Reply};
pub use connect::{AbiError, Library, connect};
pub use export::{Header, RawExport};
pub use host::{RawHost, RawService};
pub use magic::{ABI_MAJOR, ABI_MINOR, FLAG_UNWIND, MAGIC, Magic, MagicInfo, RawStr};
pub use module::layout_text;
pub use panics::{Panic, catch};

/// What precedes the crate's name in the symbol of the magic function, in every ABI.
pub const MAGIC_PREFIX: &str = "qjail_magic_";

/// What precedes the crate's name in the symbol of the header of this [`ABI_MAJOR`].
pub const HEADER_PREFIX: &str = "qjail_abi1_";

/// The target triple of this build.
pub const TARGET: &str = env!("QJAIL_ABI_TARGET");
