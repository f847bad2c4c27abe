//! The host's side: from a loaded library to two functions that may be called.

use std::fmt;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi_stable::library::{AbiHeaderRef, LibHeader, RootModule};

use crate::magic::{self, Magic, MagicInfo};
use crate::module::RawPlugin_Ref;
use crate::{ABI_MAJOR, ABI_MINOR, Bytes, HEADER_PREFIX, Header, MAGIC_PREFIX, OwnedBytes, RawHost};

/// Why a loaded library can not be talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AbiError {
    /// It has no magic function for its crate's name, or that function returns something else.
    NotAPlugin {
        /// The symbol that was looked for.
        symbol: String,
    },
    /// It speaks another ABI.
    OtherMajor {
        /// The plugin's.
        plugin: u32,
    },
    /// It was built for another target.
    OtherTarget {
        /// The plugin's.
        plugin: String,
    },
    /// Its panics would end the program.
    DoesNotUnwind,
    /// It has the magic function but not the header.
    NoHeader {
        /// The symbol that was looked for.
        symbol: String,
    },
    /// The two sides do not lay out the functions alike.
    Layout {
        /// The first lines of abi_stable's own, long report.
        report: String,
    },
}

impl fmt::Display for AbiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAPlugin { symbol } => write!(f, "is no qjail plugin: it has no valid {symbol}"),
            Self::OtherMajor { plugin } => {
                write!(f, "speaks plugin ABI {plugin}, this qjail speaks {ABI_MAJOR}")
            }
            Self::OtherTarget { plugin } => {
                write!(f, "was built for {plugin}, this qjail for {}", crate::TARGET)
            }
            Self::DoesNotUnwind => write!(
                f,
                "was built with panic=abort, so that its panics would end qjail"
            ),
            Self::NoHeader { symbol } => write!(f, "is no whole qjail plugin: it lacks the symbol {symbol}"),
            Self::Layout { report } => {
                write!(f, "does not fit this qjail's plugin ABI {ABI_MAJOR}: {report}")
            }
        }
    }
}

impl std::error::Error for AbiError {}

/// A plugin in a loaded library, ready to be called. Copies are cheap; libraries are never unloaded.
#[derive(Clone, Copy)]
pub struct Library {
    module: RawPlugin_Ref,
}

impl Library {
    /// Asks the plugin for its manifest.
    ///
    /// # Errors
    /// The bytes of the error; empty when the plugin panicked and could not say so.
    pub fn describe(&self) -> Result<OwnedBytes, OwnedBytes> {
        (self.module.describe())().into_result()
    }

    /// Calls an operation of the plugin.
    ///
    /// # Errors
    /// As for [`Library::describe`].
    pub fn call(&self, host: &RawHost<'_>, op: &[u8], request: &[u8]) -> Result<OwnedBytes, OwnedBytes> {
        (self.module.call())(host, Bytes::new(op), Bytes::new(request)).into_result()
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Library")
    }
}

/// Checks a loaded library, from its magic to its layout, and returns what it was built as with what can be called.
///
/// # Errors
/// See [`AbiError`]; the magic is returned as far as it could be read.
///
/// # Safety
/// `symbol` must return addresses of symbols of a library that is never unloaded. The two symbols, where they exist, must be
/// what [`crate::export_raw!`] makes: a magic function and, after a magic block of this ABI, a header.
pub unsafe fn connect(
    crate_name: &str,
    symbol: &dyn Fn(&str) -> Option<*const ()>,
) -> (Option<MagicInfo>, Result<Library, AbiError>) {
    // SAFETY: promised by the caller.
    let Some(info) = (unsafe { find_magic(crate_name, symbol) }) else {
        return (
            None,
            Err(AbiError::NotAPlugin {
                symbol: format!("{MAGIC_PREFIX}{crate_name}"),
            }),
        );
    };
    // SAFETY: the magic is that of this ABI when the header is looked at, see `judge`.
    let library = judge(&info).and_then(|()| unsafe { find_module(crate_name, symbol, &info) });
    (Some(info), library)
}

unsafe fn find_magic(crate_name: &str, symbol: &dyn Fn(&str) -> Option<*const ()>) -> Option<MagicInfo> {
    let address = symbol(&format!("{MAGIC_PREFIX}{crate_name}"))?;
    // SAFETY: promised by the caller of `connect`: under this name is a function of this type.
    let function = unsafe { std::mem::transmute::<*const (), extern "C" fn() -> *const Magic>(address) };
    // SAFETY: such a function returns a block that lives as long as the library.
    unsafe { magic::read(function()) }
}

fn judge(info: &MagicInfo) -> Result<(), AbiError> {
    if info.abi_major != ABI_MAJOR {
        return Err(AbiError::OtherMajor {
            plugin: info.abi_major,
        });
    }
    if info.target != crate::TARGET {
        return Err(AbiError::OtherTarget {
            plugin: info.target.clone(),
        });
    }
    if !info.unwinds {
        return Err(AbiError::DoesNotUnwind);
    }
    Ok(())
}

unsafe fn find_module(
    crate_name: &str,
    symbol: &dyn Fn(&str) -> Option<*const ()>,
    info: &MagicInfo,
) -> Result<Library, AbiError> {
    let name = format!("{HEADER_PREFIX}{crate_name}");
    let Some(address) = symbol(&name) else {
        return Err(AbiError::NoHeader { symbol: name });
    };
    let report = |e: &dyn fmt::Display| AbiError::Layout {
        report: first_lines(&e.to_string()),
    };
    // SAFETY: a `Header` begins with the AbiHeader that every version of abi_stable has first; `upgrade` compares it
    // before it looks at the rest. Both types are thin pointers to it.
    let header = unsafe { std::mem::transmute::<*const Header, AbiHeaderRef>(address.cast::<Header>()) };
    let header = header.upgrade().map_err(|e| report(&e))?;
    let module = if info.abi_minor > ABI_MINOR {
        header.init_root_module::<RawPlugin_Ref>()
    } else {
        // abi_stable takes the first layout for the older one and refuses when the second has less. Here the plugin is the
        // older side, so it comes first.
        older_plugin_fits(header).map_err(|e| AbiError::Layout { report: e })?;
        // SAFETY: just checked.
        unsafe { header.init_root_module_with_unchecked_layout::<RawPlugin_Ref>() }
    };
    Ok(Library {
        module: module.map_err(|e| report(&e))?,
    })
}

fn older_plugin_fits(header: &'static LibHeader) -> Result<(), String> {
    let Some(plugin) = header.layout() else {
        return Err("it carries no layout".to_owned());
    };
    let ours = <RawPlugin_Ref as RootModule>::CONSTANTS.layout().into_option();
    let ours = ours.unwrap_or(<RawPlugin_Ref as StableAbi>::LAYOUT);
    check_layout_compatibility(plugin, ours).map_err(|e| first_lines(&e.to_string()))
}

/// The first two lines that say something: the whole report runs to a hundred.
fn first_lines(report: &str) -> String {
    let lines: Vec<&str> = report
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .take(2)
        .collect();
    lines.join(" ")
}
