//! Downloads from real servers on the loopback, good and bad.
#![expect(
    clippy::unwrap_used,
    reason = "only tests use it: a failure here is a failed test"
)]

mod place;
mod refuse;
mod resume;
mod server;
