//! The magic block: the only thing that every ABI, past and future, agrees about.

use std::slice;

/// The ABI this crate speaks. Two sides with different majors can not talk to each other.
pub const ABI_MAJOR: u32 = 1;

/// Additions within the major; a frozen waist has none, so this is insurance.
pub const ABI_MINOR: u32 = 0;

/// The bytes after [`Magic::len`].
pub const MAGIC: [u8; 12] = *b"qjail plugin";

/// Set in [`Magic::flags`] when the plugin was built with `panic = "unwind"`, without which its panics can not be caught.
pub const FLAG_UNWIND: u32 = 1;

/// Longer texts in the block are cut when read.
const TEXT_LIMIT: usize = 256;

/// A text that lives as long as the library.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct RawStr {
    ptr: *const u8,
    len: usize,
}

// SAFETY: it points to a `&'static str`, which is never written.
unsafe impl Sync for RawStr {}

impl RawStr {
    /// A text of the program itself.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self {
            ptr: text.as_ptr(),
            len: text.len(),
        }
    }

    /// # Safety
    /// The block it stands in must have carried the right magic, so that the pointer is what it says.
    unsafe fn read(self) -> String {
        if self.ptr.is_null() {
            return String::new();
        }
        // SAFETY: promised by the caller; the length is cut to what a sane block has.
        let bytes = unsafe { slice::from_raw_parts(self.ptr, self.len.min(TEXT_LIMIT)) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

/// What a plugin was built as. `len` first and fields only ever appended, as PostgreSQL does it (`src/include/fmgr.h`).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Magic {
    /// The size of the block that the plugin has, in bytes.
    pub len: u32,
    /// [`MAGIC`].
    pub magic: [u8; 12],
    /// The plugin's [`ABI_MAJOR`].
    pub abi_major: u32,
    /// The plugin's [`ABI_MINOR`].
    pub abi_minor: u32,
    /// The version of the documents it was built with.
    pub api: RawStr,
    /// The compiler, for messages.
    pub rustc: RawStr,
    /// The target triple.
    pub target: RawStr,
    /// See [`FLAG_UNWIND`].
    pub flags: u32,
}

impl Magic {
    /// The block of a plugin that is built now, with this version of the documents.
    #[must_use]
    pub const fn of(api: &'static str) -> Self {
        Self {
            len: size_of::<Self>() as u32,
            magic: MAGIC,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            api: RawStr::new(api),
            rustc: RawStr::new(env!("QJAIL_ABI_RUSTC")),
            target: RawStr::new(crate::TARGET),
            flags: if cfg!(panic = "unwind") { FLAG_UNWIND } else { 0 },
        }
    }
}

/// A magic block that was read, with its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MagicInfo {
    /// The plugin's ABI major.
    pub abi_major: u32,
    /// The plugin's ABI minor.
    pub abi_minor: u32,
    /// The version of the documents it was built with; empty where the block is of another major.
    pub api: String,
    /// The compiler; empty where the block is of another major.
    pub rustc: String,
    /// The target triple; empty where the block is of another major.
    pub target: String,
    /// Whether its panics unwind.
    pub unwinds: bool,
}

/// Reads a block; none where it is no magic block of any ABI.
///
/// # Safety
/// `block` must be null or readable for the number of bytes that its first four bytes tell, and for four at least.
pub(crate) unsafe fn read(block: *const Magic) -> Option<MagicInfo> {
    // What stays the same in every major: length, magic, major, minor.
    const HEAD: u32 = 4 + 12 + 4 + 4;
    if block.is_null() || !block.is_aligned() {
        return None;
    }
    // SAFETY: four readable bytes are promised, the pointer is aligned and not null.
    let len = unsafe { (&raw const (*block).len).read() };
    if len < HEAD {
        return None;
    }
    // SAFETY: `len` bytes are promised, and they cover these fields.
    let (magic, abi_major, abi_minor) = unsafe {
        (
            (&raw const (*block).magic).read(),
            (&raw const (*block).abi_major).read(),
            (&raw const (*block).abi_minor).read(),
        )
    };
    if magic != MAGIC {
        return None;
    }
    let mut info = MagicInfo {
        abi_major,
        abi_minor,
        api: String::new(),
        rustc: String::new(),
        target: String::new(),
        unwinds: false,
    };
    if abi_major == ABI_MAJOR && len as usize >= size_of::<Magic>() {
        // SAFETY: the block says that it is as long as ours and of our major, whose fields are frozen.
        unsafe {
            let whole = block.read();
            info.api = whole.api.read();
            info.rustc = whole.rustc.read();
            info.target = whole.target.read();
            info.unwinds = whole.flags & FLAG_UNWIND != 0;
        }
    }
    Some(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(block: &Magic) -> Option<MagicInfo> {
        // SAFETY: a whole block, whose length never says more than it has in these tests.
        unsafe { read(block) }
    }

    #[test]
    fn a_block_of_our_own_tells_what_was_built() {
        let info = read_back(&Magic::of("1.2.3")).unwrap();
        assert_eq!((info.abi_major, info.abi_minor), (ABI_MAJOR, ABI_MINOR));
        assert_eq!(info.api, "1.2.3");
        assert!(info.rustc.starts_with("rustc 1."), "{}", info.rustc);
        assert!(info.target.contains('-'), "{}", info.target);
        assert!(info.unwinds);
    }

    #[test]
    fn the_head_is_where_every_abi_has_it() {
        use std::mem::offset_of;
        assert_eq!((offset_of!(Magic, len), offset_of!(Magic, magic)), (0, 4));
        assert_eq!(
            (offset_of!(Magic, abi_major), offset_of!(Magic, abi_minor)),
            (16, 20)
        );
    }

    #[test]
    fn other_majors_are_read_as_far_as_all_majors_agree() {
        let info = read_back(&Magic {
            len: 24,
            abi_major: 7,
            abi_minor: 3,
            ..Magic::of("9.0.0")
        })
        .unwrap();
        assert_eq!((info.abi_major, info.abi_minor), (7, 3));
        assert_eq!(info.api, "");
    }

    #[test]
    fn what_is_no_block_is_none() {
        assert!(
            read_back(&Magic {
                len: 23,
                ..Magic::of("1.0.0")
            })
            .is_none()
        );
        assert!(
            read_back(&Magic {
                magic: *b"PostgreSQL!!",
                ..Magic::of("1.0.0")
            })
            .is_none()
        );
        // SAFETY: null is allowed.
        assert!(unsafe { read(std::ptr::null()) }.is_none());
    }

    #[test]
    fn a_block_of_our_major_that_is_too_short_tells_no_texts() {
        let info = read_back(&Magic {
            len: 32,
            ..Magic::of("1.0.0")
        })
        .unwrap();
        assert_eq!(info.api, "");
        assert!(!info.unwinds);
    }
}
