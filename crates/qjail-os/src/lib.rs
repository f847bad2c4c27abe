//! What Linux and FreeBSD spell differently about files, on borrowed descriptors.
//!
//! Copying data the cheapest way, file flags, extended attributes, device numbers, which mount a file is on, flushing a file system, a sealed
//! copy of the running program, loading a shared object by its descriptor. This crate and `qjail-sys` are the only places
//! where the operating system's name may stand in the code.
//!
//! # Limits
//! It holds no policy: it does not walk paths, decide what may be followed or retry. Every function that takes a name
//! takes one path component, and does not follow it when it is a link. What a system lacks ends in
//! [`std::io::ErrorKind::Unsupported`].
#![allow(unsafe_code)]

mod attributes;
mod copy;
mod fflags;
mod flush;
mod info;
mod library;
mod memory;
mod node;
mod program;

pub use attributes::{get_xattr, list_xattrs, set_xattr};
pub use copy::{CopyWays, copy_data};
pub use fflags::{
    FileFlagError, format_file_flags, parse_file_flags, set_file_flags, set_file_flags_at,
    supports_file_flags,
};
pub use flush::{flush_file_system, flush_names};
pub use info::{FileInfo, MountId, info, info_at, mount_id, same_mount};
pub use library::{STATIC_PROGRAM, load_library};
pub use memory::physical_memory;
pub use node::{chmod_at, exchange, is_root, mknodat, rename_no_replace};
pub use program::sealed_memfd_copy_of_self;
