//! The trait that a plugin implements.

use crate::{
    CommandReply, CommandRequest, HookRequest, Host, Manifest, Objection, Plan, PluginError, Resolved,
    StepRequest,
};

/// A plugin. Every method may be called from any thread, and at most once at a time for one jail.
///
/// Nothing but [`Plugin::step`] and [`Plugin::undo`] may change anything.
pub trait Plugin: Sync {
    /// Name, version, commands, options and hooks. Must not depend on anything outside.
    fn manifest(&self) -> Manifest;

    /// Values for its options that were not given.
    ///
    /// # Errors
    /// When the value can not be found; the command ends.
    fn resolve(&self, host: &Host<'_>, request: &HookRequest) -> Result<Resolved, PluginError> {
        let _ = (host, request);
        Ok(Resolved::default())
    }

    /// Every reason not to begin.
    ///
    /// # Errors
    /// When the question itself can not be answered.
    fn validate(&self, host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        let _ = (host, request);
        Ok(Vec::new())
    }

    /// What it wants done for an event that it has a hook for.
    ///
    /// # Errors
    /// The command ends, nothing is changed.
    fn plan(&self, host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        let _ = (host, request);
        Ok(Plan::default())
    }

    /// Answers one of its own subcommands.
    ///
    /// # Errors
    /// The command ends, nothing is changed; code `usage` makes the exit status 2.
    fn command(&self, host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
        let _ = host;
        Err(PluginError::with_code(
            "unknown-op",
            format!("command {} is not implemented", request.command.join(" ")),
        ))
    }

    /// Runs a [`crate::Step::Plugin`]. Must be idempotent, and ask [`Host::cancelled`] now and then.
    ///
    /// # Errors
    /// The steps before it are undone, and so is this one.
    fn step(&self, host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        let _ = host;
        Err(PluginError::with_code(
            "unknown-op",
            format!("step {} is not implemented", request.op),
        ))
    }

    /// Undoes a [`crate::Step::Plugin`] that ran, ran in part or did not run at all.
    ///
    /// # Errors
    /// Are shown; the rest is undone all the same.
    fn undo(&self, host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
        let _ = (host, request);
        Ok(())
    }
}
