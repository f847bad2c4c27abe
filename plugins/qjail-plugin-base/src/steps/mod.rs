//! Runs and undoes the steps that only this plugin knows. All of them work in the new base's own directory.

mod accounts;
mod extract;
mod fetch;
mod freebsd_host;
mod keep;
mod layout;
mod links;
mod linux_host;
mod pkgbase;
mod split;
mod watch;

use std::path::Path;

use qjail_fs::{Root, never};
use qjail_plugin_api::{Context, Host, PluginError, StepRequest};
use serde::de::DeserializeOwned;

use crate::bases::rel;
use crate::plan::{Extract, Fetch, FromHost, Split, op, staged_record, staging};
use crate::record::{self, Record};

/// Runs a step.
pub(crate) fn run(host: &Host<'_>, request: &StepRequest) -> Result<(), PluginError> {
    let context = &request.context;
    match request.op.as_str() {
        op::FETCH => fetch::run(host, context, &data::<Fetch>(request)?),
        op::EXTRACT => extract::run(host, context, &data::<Extract>(request)?),
        op::SPLIT => split::run(host, context, &data::<Split>(request)?),
        op::FROM_HOST => {
            let data = data::<FromHost>(request)?;
            match context.os.as_str() {
                "freebsd" => freebsd_host::run(host, context, &data),
                _ => linux_host::run(host, context, &data),
            }
        }
        other => Err(PluginError::with_code(
            "unknown-op",
            format!("the plugin base has no step {other}"),
        )),
    }
}

/// Undoes a step.
pub(crate) fn undo(request: &StepRequest) -> Result<(), PluginError> {
    let context = &request.context;
    match request.op.as_str() {
        op::FETCH => fetch::undo(context, &data::<Fetch>(request)?),
        op::EXTRACT => clear(context, &data::<Extract>(request)?.id),
        op::FROM_HOST => clear(context, &data::<FromHost>(request)?.id),
        // What it moved is in the directory that undoing the step before it removes.
        op::SPLIT => Ok(()),
        other => Err(PluginError::with_code(
            "unknown-op",
            format!("the plugin base has no step {other}"),
        )),
    }
}

fn data<T: DeserializeOwned>(request: &StepRequest) -> Result<T, PluginError> {
    serde_json::from_value(request.data.clone())
        .map_err(|e| PluginError::with_code("bad-document", format!("step {}: {e}", request.op)))
}

/// Removes a base that was being made, whatever there is of it.
fn clear(context: &Context, id: &str) -> Result<(), PluginError> {
    if Path::new(&context.jails_dir).is_dir() {
        let jails = open(&context.jails_dir)?;
        if jails
            .metadata(&rel(crate::bases::DIR)?)
            .map_err(PluginError::new)?
            .is_some()
        {
            jails
                .remove_tree(&rel(&staging(id))?, &never)
                .map_err(PluginError::new)?;
        }
    }
    let state = open(&context.state_dir)?;
    let records = record::dir(context);
    if state
        .metadata(&rel(&records)?)
        .map_err(PluginError::new)?
        .is_some()
    {
        state
            .remove_file(&rel(&staged_record(&records, id))?)
            .map_err(PluginError::new)?;
    }
    Ok(())
}

/// The empty directory of a new base.
fn begin(context: &Context, id: &str) -> Result<Root, PluginError> {
    clear(context, id)?;
    let jails = open(&context.jails_dir)?;
    let path = rel(&staging(id))?;
    jails.make_dirs(&path, 0o755, None).map_err(PluginError::new)?;
    jails.open_dir(&path).map_err(PluginError::new)
}

/// The directory of a base that is being made.
fn resume(context: &Context, id: &str) -> Result<Root, PluginError> {
    open(&context.jails_dir)?
        .open_dir(&rel(&staging(id))?)
        .map_err(PluginError::new)
}

fn open(dir: &str) -> Result<Root, PluginError> {
    Root::open(Path::new(dir)).map_err(PluginError::new)
}

/// Writes the record of a base that is being made.
fn write_record(context: &Context, record: &Record) -> Result<(), PluginError> {
    let records = record::dir(context);
    let state = open(&context.state_dir)?;
    state
        .make_dirs(&rel(&records)?, 0o700, None)
        .map_err(PluginError::new)?;
    let options = qjail_fs::WriteOptions {
        mode: Some(0o600),
        ..qjail_fs::WriteOptions::default()
    };
    state
        .write(
            &rel(&staged_record(&records, &record.id))?,
            record.to_text()?.as_bytes(),
            &options,
        )
        .map_err(PluginError::new)?;
    Ok(())
}

/// The user has had enough.
fn cancelled() -> PluginError {
    PluginError::with_code("cancelled", "interrupted")
}

/// A failure of file work: `what` was attempted; a full disk gets a hint.
fn failed(what: &str, error: &qjail_fs::Error) -> PluginError {
    if error.is_cancelled() {
        return cancelled();
    }
    let told = PluginError::new(format!("{what}: {error}"));
    if error.is_no_space() {
        told.hint(NO_SPACE)
    } else {
        told
    }
}

/// What to do about a full disk.
const NO_SPACE: &str = "free some space and try again; nothing was changed";
