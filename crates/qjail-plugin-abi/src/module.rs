//! The root module, the one thing that abi_stable checks for us.
#![allow(non_camel_case_types, non_local_definitions)]

use abi_stable::StableAbi;
use abi_stable::abi_stability::PrefixStableAbi;
use abi_stable::library::RootModule;
use abi_stable::sabi_types::VersionStrings;

use crate::{Bytes, OwnedBytes, RawHost, Reply};

/// What a plugin exports. Exactly these two functions, for ever.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RawPlugin_Ref)))]
#[sabi(missing_field(panic))]
pub(crate) struct RawPlugin {
    /// The manifest, or an error.
    pub(crate) describe: extern "C" fn() -> Reply,
    /// The answer of an operation.
    #[sabi(last_prefix_field)]
    pub(crate) call: for<'a> extern "C" fn(&'a RawHost<'a>, Bytes<'a>, Bytes<'a>) -> Reply,
}

impl RootModule for RawPlugin_Ref {
    abi_stable::declare_root_module_statics! {RawPlugin_Ref}
    const BASE_NAME: &'static str = "qjail_plugin";
    const NAME: &'static str = "qjail_plugin";
    // The ABI's version, not the crate's: the two change for different reasons.
    const VERSION_STRINGS: VersionStrings = VersionStrings::new("1.0.0");
}

/// The layout of all that crosses the boundary, as text without places in the source: what the golden test compares.
#[must_use]
pub fn layout_text() -> String {
    let layouts = [
        <RawPlugin_Prefix as PrefixStableAbi>::LAYOUT,
        <RawHost<'static> as StableAbi>::LAYOUT,
        <Reply as StableAbi>::LAYOUT,
        <OwnedBytes as StableAbi>::LAYOUT,
        <Bytes<'static> as StableAbi>::LAYOUT,
    ];
    let printed: String = layouts.iter().map(ToString::to_string).collect();
    let lines = printed
        .lines()
        .map(str::trim_end)
        .filter(|l| !l.trim_start().starts_with("line:"));
    lines.map(|l| format!("{l}\n")).collect()
}
