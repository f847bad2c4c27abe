//! Runs a plugin in a test, as qjail would: same checks, same bytes, a host that records.
//!
//! [`PluginTest`] holds the plugin, a host with the interfaces and jails that the test gives it, and a directory of its own
//! for everything the plugin is told about. Plans are compared with [`assert_json`]; the examples in the manifest
//! are run by [`PluginTest::check_examples`].
//!
//! # Limits
//! It runs [`qjail_plugin_api::Step::Plugin`] only: all other steps are the business of qjail, and a test of a plan is a
//! test of its text. Command lines are split at blanks, without quoting, and values are not checked against their kinds.
//! For tests only: what goes wrong panics.
#![forbid(unsafe_code)]

mod compare;
mod line;
mod recorder;
mod run;

pub use compare::assert_json;
pub use run::PluginTest;
