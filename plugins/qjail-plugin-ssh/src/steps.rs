//! Runs and undoes the steps.

use std::path::Path;

use qjail_fs::{Root, never};
use qjail_plugin_api::serde_json;
use qjail_plugin_api::{Host, LogLevel, PluginError, StepRequest};
use serde::de::DeserializeOwned;

use crate::hooks::system;
use crate::order::{OFF, ON, Off, On};
use crate::setup;
use crate::tree::{Tree, rel};

/// Runs a step.
pub(crate) fn run(host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
    let mut tree = Tree::open(root(request)?)?;
    let system = system(&request.context.os);
    match request.op.as_str() {
        ON => {
            let order: On = data(request)?;
            let warnings = setup::on(&mut tree, &order, system)?.warnings;
            if order.fresh {
                warnings.iter().for_each(|w| host.log(LogLevel::Debug, w));
            }
        }
        OFF => setup::off(&mut tree, &data::<Off>(request)?, system)?,
        other => return Err(unknown(other)),
    }
    tree.save()
}

/// Undoes a step. The files are brought back by qjail, which has remembered them; what is left are new directories.
pub(crate) fn undo(request: &StepRequest) -> Result<(), PluginError> {
    match request.op.as_str() {
        ON => {
            let order: On = data(request)?;
            let root = match Root::open(Path::new(root(request)?)) {
                // Somebody took the jail's directory away: nothing is left to undo. Without the bases beside it the file system with
                // all jails is not mounted.
                Err(e)
                    if e.is_not_found() && Path::new(&request.context.jails_dir).join(".bases").is_dir() =>
                {
                    return Ok(());
                }
                root => root.map_err(PluginError::new)?,
            };
            order.made.iter().rev().try_for_each(|dir| {
                let dir = rel(dir)?;
                if root.metadata(&dir).map_err(PluginError::new)?.is_some() {
                    root.remove_tree(&dir, &never).map_err(PluginError::new)?;
                }
                Ok(())
            })
        }
        OFF => Ok(()),
        other => Err(unknown(other)),
    }
}

fn root(request: &StepRequest) -> Result<&str, PluginError> {
    let root = request.jail_root.as_deref();
    root.ok_or_else(|| PluginError::with_code("bad-document", "the step is about no jail"))
}

fn data<T: DeserializeOwned>(request: &StepRequest) -> Result<T, PluginError> {
    serde_json::from_value(request.data.clone())
        .map_err(|e| PluginError::with_code("bad-document", format!("step {}: {e}", request.op)))
}

fn unknown(op: &str) -> PluginError {
    PluginError::with_code("unknown-op", format!("the plugin ssh has no step {op}"))
}
