//! The step `fetch`: an archive from servers to the directory of downloads.

use std::ops::ControlFlow;
use std::path::Path;

use qjail_fetch::{Event, Expect, Request, fetch};
use qjail_plugin_api::{Context, Host, LogLevel, PluginError};

use super::watch::Watch;
use super::{NO_SPACE, open};
use crate::bases::rel;
use crate::expected::{failed, go_on, options};
use crate::plan::{DOWNLOADS, Fetch};

/// No base is larger.
const LARGEST: u64 = 64 << 30;

pub(super) fn run(host: &Host<'_>, context: &Context, data: &Fetch) -> Result<(), PluginError> {
    let state = open(&context.state_dir)?;
    state
        .make_dirs(&rel(DOWNLOADS)?, 0o700, None)
        .map_err(PluginError::new)?;
    let sha256 = data
        .sha256
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(PluginError::new)?;
    let options = options();
    let request = Request {
        urls: &data.urls,
        to: &Path::new(&context.state_dir).join(DOWNLOADS).join(&data.file),
        expect: Expect::Archive,
        sha256,
        size: None,
        max_size: Some(LARGEST),
        options: &options,
    };
    let name = data
        .urls
        .first()
        .map(|u| crate::expected::file_of(u))
        .unwrap_or_default();
    let mut watch = Watch::new(host, format!("download {name}"));
    let fetched = fetch(&request, &mut |event| told(host, &mut watch, &event));
    fetched.map(drop).map_err(|e| match e {
        qjail_fetch::FetchError::NoSpace { .. } => PluginError::new(&e).hint(NO_SPACE),
        other => {
            let error = failed(&other);
            if error.code == "cancelled" {
                error
            } else {
                error.hint("what has arrived is kept: the same command goes on from there")
            }
        }
    })
}

fn told(host: &Host<'_>, watch: &mut Watch<'_, '_>, event: &Event<'_>) -> ControlFlow<()> {
    match event {
        Event::Progress { done, total, .. } => {
            return if watch.bytes(*done, *total) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            };
        }
        Event::Retrying { url, error, wait } => {
            host.log(
                LogLevel::Info,
                &format!("{url}: {error}; again in {} s", wait.as_secs()),
            );
        }
        Event::MirrorFailed { url, error } => host.log(LogLevel::Info, &format!("{url}: {error}")),
        _ => {}
    }
    go_on(host)
}

/// Removes the complete file; what is left of a broken download stays for the next time.
pub(super) fn undo(context: &Context, data: &Fetch) -> Result<(), PluginError> {
    let state = open(&context.state_dir)?;
    if state
        .metadata(&rel(DOWNLOADS)?)
        .map_err(PluginError::new)?
        .is_some()
    {
        state
            .remove_file(&rel(&format!("{DOWNLOADS}/{}", data.file))?)
            .map_err(PluginError::new)?;
    }
    Ok(())
}
