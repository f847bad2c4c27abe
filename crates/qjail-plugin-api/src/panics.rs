//! Panics of plugins and of the host's services, turned into data.

use crate::PluginError;

/// Runs `f` and turns a panic into a [`PluginError`] with code `panic`, its message, and its place in the source as the cause.
/// The panic is not printed; see [`qjail_plugin_abi::catch`] for how that works and what it asks of the program.
///
/// # Errors
/// The error of `f`, or its panic.
pub fn contain<T>(f: impl FnOnce() -> Result<T, PluginError>) -> Result<T, PluginError> {
    qjail_plugin_abi::catch(f).unwrap_or_else(|panic| {
        let causes = panic.place.into_iter().collect();
        Err(PluginError {
            causes,
            ..PluginError::with_code("panic", panic.message)
        })
    })
}
