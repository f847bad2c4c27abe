//! Both lives of a plugin: built in, and exported from a shared object.

use serde::Serialize;
use serde::de::DeserializeOwned;

use qjail_plugin_abi::RawHost;

use crate::panics::contain;
use crate::{Host, HostPort, LogLevel, Plugin, PluginError};

#[cfg(not(panic = "unwind"))]
compile_error!(
    "qjail and its plugins need panic = \"unwind\": a plugin's panic is caught, and undo runs in destructors"
);

/// A plugin that is linked into the program; the program finds all of them in `inventory::iter::<Builtin>`.
///
/// A crate nobody names is not linked: the program says `use qjail_plugin_pf as _;`.
#[derive(Clone, Copy)]
pub struct Builtin {
    plugin: &'static dyn Plugin,
}

impl Builtin {
    /// A built-in plugin.
    #[must_use]
    pub const fn new(plugin: &'static dyn Plugin) -> Self {
        Self { plugin }
    }

    /// The plugin.
    #[must_use]
    pub fn plugin(&self) -> &'static dyn Plugin {
        self.plugin
    }
}

inventory::collect!(Builtin);

/// Makes a plugin out of a value: built in where its crate is linked, loadable where it is built as a shared object.
///
/// The first argument is the name of the crate (the exported symbols and the file `lib<crate>.so` bear it), the second a constant
/// expression of a type that implements [`Plugin`]. One plugin a crate.
///
/// ```
/// use qjail_plugin_api::{Manifest, Plugin, export_plugin};
///
/// struct Hello;
///
/// impl Plugin for Hello {
///     fn manifest(&self) -> Manifest {
///         Manifest::new("hello", "1.0.0", "says hello")
///     }
/// }
///
/// export_plugin!(qjail_plugin_hello, Hello);
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($crate_name:ident, $plugin:expr) => {
        const _: () = {
            $crate::inventory::submit! { $crate::Builtin::new(&$plugin) }

            struct Exported;

            impl $crate::abi::RawExport for Exported {
                fn describe() -> ::core::result::Result<::std::vec::Vec<u8>, ::std::vec::Vec<u8>> {
                    $crate::describe(&$plugin)
                }

                fn call(
                    host: &$crate::abi::RawHost<'_>,
                    op: &[u8],
                    request: &[u8],
                ) -> ::core::result::Result<::std::vec::Vec<u8>, ::std::vec::Vec<u8>> {
                    $crate::dispatch(&$plugin, &$crate::RawPort::new(host), op, request)
                }
            }

            $crate::abi::export_raw!($crate_name, $crate::API_VERSION, Exported);
        };
    };
}

/// The host on the plugin's side of the boundary.
pub struct RawPort<'a>(&'a RawHost<'a>);

impl<'a> RawPort<'a> {
    /// The host behind `raw`.
    #[must_use]
    pub fn new(raw: &'a RawHost<'a>) -> Self {
        Self(raw)
    }
}

impl HostPort for RawPort<'_> {
    fn log(&self, level: LogLevel, message: &str) {
        self.0.log(level_number(level), message.as_bytes());
    }

    fn call(&self, op: &str, request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        match self.0.call(op.as_bytes(), request) {
            Ok(answer) => Ok(answer.as_slice().to_vec()),
            Err(error) => Err(error.as_slice().to_vec()),
        }
    }
}

fn level_number(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 0,
        LogLevel::Warn => 1,
        LogLevel::Info => 2,
        LogLevel::Debug => 3,
    }
}

/// The [`LogLevel`] behind its number at the boundary; numbers of a later time are debugging.
#[must_use]
pub fn level_of(number: u8) -> LogLevel {
    match number {
        0 => LogLevel::Error,
        1 => LogLevel::Warn,
        2 => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

/// The manifest of a plugin as bytes.
///
/// # Errors
/// A serialised [`PluginError`] when it panics.
pub fn describe(plugin: &dyn Plugin) -> Result<Vec<u8>, Vec<u8>> {
    contain(|| to_bytes(&plugin.manifest())).map_err(|e| error_bytes(&e))
}

/// Answers one operation with bytes: `resolve/1`, `validate/1`, `plan/1`, `command/1`, `step/1` or `undo/1`.
///
/// # Errors
/// A serialised [`PluginError`]: the plugin's own, or one with code `panic` (it panicked), `unknown-op` (it is older than the
/// operation) or `bad-document` (the request is not what the operation takes).
pub fn dispatch(
    plugin: &dyn Plugin,
    port: &dyn HostPort,
    op: impl AsRef<[u8]>,
    request: &[u8],
) -> Result<Vec<u8>, Vec<u8>> {
    let host = Host::new(port);
    contain(|| answer(plugin, &host, op.as_ref(), request)).map_err(|e| error_bytes(&e))
}

fn answer(plugin: &dyn Plugin, host: &Host<'_>, op: &[u8], request: &[u8]) -> Result<Vec<u8>, PluginError> {
    match op {
        b"resolve/1" => to_bytes(&plugin.resolve(host, &read(request)?)?),
        b"validate/1" => to_bytes(&plugin.validate(host, &read(request)?)?),
        b"plan/1" => to_bytes(&plugin.plan(host, &read(request)?)?),
        b"command/1" => to_bytes(&plugin.command(host, &read(request)?)?),
        b"step/1" => to_bytes(&plugin.step(host, &read(request)?)?),
        b"undo/1" => to_bytes(&plugin.undo(host, &read(request)?)?),
        other => {
            let message = format!(
                "the plugin has no operation {}",
                String::from_utf8_lossy(other).escape_debug()
            );
            Err(PluginError::with_code("unknown-op", message))
        }
    }
}

fn read<T: DeserializeOwned>(request: &[u8]) -> Result<T, PluginError> {
    serde_json::from_slice(request).map_err(|e| bad_document("the request can not be read", &e))
}

fn to_bytes<T: Serialize>(answer: &T) -> Result<Vec<u8>, PluginError> {
    serde_json::to_vec(answer).map_err(|e| bad_document("the answer can not be written", &e))
}

fn bad_document(what: &str, why: &serde_json::Error) -> PluginError {
    PluginError::with_code("bad-document", format!("{what}: {why}"))
}

fn error_bytes(error: &PluginError) -> Vec<u8> {
    // Four texts can always be written; were it otherwise, an empty error still is an error.
    serde_json::to_vec(error).unwrap_or_default()
}
