//! The plugin's side: the shims behind the two symbols.

use abi_stable::library::{CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::marker_type::ErasedPrefix;
use abi_stable::prefix_type::{PrefixRefTrait, PrefixTypeTrait};

use crate::module::{RawPlugin, RawPlugin_Ref};
use crate::{Bytes, RawHost, Reply, catch};

/// What stands behind an exported plugin.
pub trait RawExport: 'static {
    /// The manifest's bytes.
    ///
    /// # Errors
    /// The bytes of the error.
    fn describe() -> Result<Vec<u8>, Vec<u8>>;

    /// The answer to an operation.
    ///
    /// # Errors
    /// The bytes of the error.
    fn call(host: &RawHost<'_>, op: &[u8], request: &[u8]) -> Result<Vec<u8>, Vec<u8>>;
}

/// What the second symbol is.
#[repr(transparent)]
pub struct Header(pub(crate) LibHeader);

impl Header {
    /// The header of a plugin.
    #[must_use]
    pub const fn of<P: RawExport>() -> Self {
        // SAFETY: `construct` returns an erased `PrefixRef<RawPlugin_Prefix>`.
        Self(unsafe { LibHeader::from_constructor::<RawPlugin_Ref>(construct::<P>, CheckTypeLayout::Yes) })
    }
}

extern "C" fn construct<P: RawExport>() -> RootModuleResult {
    let module = RawPlugin {
        describe: describe::<P>,
        call: call::<P>,
    }
    .leak_into_prefix();
    // SAFETY: erases the type that `Header::of` promised.
    RootModuleResult::ROk(unsafe { module.to_prefix_ref().cast::<ErasedPrefix>() })
}

extern "C" fn describe<P: RawExport>() -> Reply {
    contained(P::describe)
}

extern "C" fn call<'a, P: RawExport>(host: &'a RawHost<'a>, op: Bytes<'a>, request: Bytes<'a>) -> Reply {
    contained(|| P::call(host, op.as_slice(), request.as_slice()))
}

/// The last net: nothing unwinds out of an `extern "C"` function, which would abort the program.
pub(crate) fn contained(f: impl FnOnce() -> Result<Vec<u8>, Vec<u8>>) -> Reply {
    catch(f).unwrap_or_else(|_| Err(Vec::new())).into()
}

/// Exports a plugin's two symbols, named after its crate. `qjail_plugin_api::export_plugin!` is what authors use.
#[macro_export]
macro_rules! export_raw {
    ($crate_name:ident, $api:expr, $export:ty) => {
        const _: () = {
            static MAGIC: $crate::Magic = $crate::Magic::of($api);

            #[unsafe(export_name = concat!("qjail_magic_", stringify!($crate_name)))]
            extern "C" fn magic() -> *const $crate::Magic {
                &raw const MAGIC
            }

            #[unsafe(export_name = concat!("qjail_abi1_", stringify!($crate_name)))]
            static HEADER: $crate::Header = $crate::Header::of::<$export>();
        };
    };
}
