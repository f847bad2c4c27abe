//! The host with real shared objects: the evil plugin in all its moods, objects made by a C compiler, files that must not be
//! loaded. Each case runs in a process of its own, so that what is printed, and whether the process survives, can be seen.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod lives;
mod objects;
mod ordering;
mod place;
mod support;
mod trust;
