//! The values qjail speaks in: names, zones, selectors, addresses, sizes, releases, jail parameters and definitions.
//!
//! Everything here is a checked value with a parser and a printer that agree with each other.
//! It does no I/O, knows no operating system and starts nothing.
#![forbid(unsafe_code)]

mod address;
mod definition;
mod flavor;
pub mod known;
mod limits;
mod name;
mod nearest;
mod params;
mod release;
mod size;

pub use address::{AddrError, AddrSpec, Family, Network};
pub use definition::{Definition, DefinitionError};
pub use flavor::{Flavor, FlavorError, FlavorFile};
pub use limits::{LimitChange, LimitError, Limits, Percent};
pub use name::{JailName, NameError, RESERVED_NAMES, Selector, ZoneName};
pub use nearest::nearest;
pub use params::{ParamError, ParamValue, Params};
pub use release::{Arch, Release, ReleaseError};
pub use size::{Size, SizeError};
