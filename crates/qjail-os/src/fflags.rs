//! FreeBSD's file flags (chflags(2)) and their names in archives (`SCHILY.fflags`, the names of chflags(1)).

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;

// sys/stat.h of FreeBSD; the names that strtofflags(3) reads, the one it writes first.
const NAMES: &[(u32, &[&str])] = &[
    (0x0001_0000, &["arch", "archived"]),
    (0x0002_0000, &["schg", "schange", "simmutable"]),
    (0x0004_0000, &["sappnd", "sappend"]),
    (0x0010_0000, &["sunlnk", "sunlink"]),
    (0x0020_0000, &["snapshot"]),
    (0x0000_0001, &["nodump"]),
    (0x0000_0002, &["uchg", "uchange", "uimmutable"]),
    (0x0000_0004, &["uappnd", "uappend"]),
    (0x0000_0008, &["opaque"]),
    (0x0000_0010, &["uunlnk", "uunlink"]),
    (0x0000_0080, &["usystem", "system"]),
    (0x0000_0100, &["usparse", "sparse"]),
    (0x0000_0200, &["uoffline", "offline"]),
    (0x0000_0400, &["ureparse", "reparse"]),
    (0x0000_0800, &["uarch", "uarchive"]),
    (0x0000_1000, &["urdonly", "rdonly", "readonly"]),
    (0x0000_8000, &["uhidden", "hidden"]),
];

/// A word in a list of file flags that names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFlagError {
    /// The unknown word.
    pub word: String,
}

impl fmt::Display for FileFlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no file flag is called {:?}", self.word)
    }
}

impl std::error::Error for FileFlagError {}

/// Reads a list such as `schg,uarch` into the bits of chflags(2); an empty list is 0.
///
/// As in strtofflags(3), `no` before a name takes the flag away, and `dump` is the opposite of `nodump`.
///
/// # Errors
/// The first word that is no flag's name.
pub fn parse_file_flags(list: &str) -> Result<u32, FileFlagError> {
    let mut bits = 0;
    for word in list.split([',', ' ', '\t']).filter(|w| !w.is_empty()) {
        let (set, flag) = one_flag(word).ok_or_else(|| FileFlagError {
            word: word.to_owned(),
        })?;
        bits = if set { bits | flag } else { bits & !flag };
    }
    Ok(bits)
}

fn one_flag(word: &str) -> Option<(bool, u32)> {
    let find = |name: &str| {
        NAMES
            .iter()
            .find(|(_, names)| names.contains(&name))
            .map(|(bit, _)| *bit)
    };
    if word == "dump" {
        return find("nodump").map(|bit| (false, bit));
    }
    match find(word) {
        Some(bit) => Some((true, bit)),
        None => find(word.strip_prefix("no")?).map(|bit| (false, bit)),
    }
}

/// Writes flags as a list that [`parse_file_flags`] reads; bits without a name are left out.
#[must_use]
pub fn format_file_flags(bits: u32) -> String {
    let names: Vec<&str> = NAMES
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, names)| names[0])
        .collect();
    names.join(",")
}

/// Whether this system has file flags at all: true on FreeBSD.
#[must_use]
pub fn supports_file_flags() -> bool {
    sys::SUPPORTED
}

/// Sets the flags of an open file; what [`crate::FileInfo::flags`] shows.
///
/// # Errors
/// On Linux `Unsupported` unless `bits` is 0.
pub fn set_file_flags(fd: BorrowedFd<'_>, bits: u32) -> io::Result<()> {
    sys::set(fd, bits)
}

/// Sets the flags of `name` in `dir`, of a link itself too.
///
/// # Errors
/// On Linux `Unsupported` unless `bits` is 0.
pub fn set_file_flags_at(dir: BorrowedFd<'_>, name: &OsStr, bits: u32) -> io::Result<()> {
    sys::set_at(dir, name, bits)
}

#[cfg(target_os = "linux")]
mod sys {
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) const SUPPORTED: bool = false;

    pub(super) fn set(_: BorrowedFd<'_>, bits: u32) -> io::Result<()> {
        only_none(bits)
    }

    pub(super) fn set_at(_: BorrowedFd<'_>, _: &OsStr, bits: u32) -> io::Result<()> {
        only_none(bits)
    }

    fn only_none(bits: u32) -> io::Result<()> {
        match bits {
            0 => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system has no file flags",
            )),
        }
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use std::ffi::{CString, OsStr, c_char, c_int, c_ulong};
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::os::unix::ffi::OsStrExt;

    pub(super) const SUPPORTED: bool = true;

    // chflags(2); not in the libc crate.
    unsafe extern "C" {
        fn fchflags(fd: c_int, flags: c_ulong) -> c_int;
        fn chflagsat(fd: c_int, path: *const c_char, flags: c_ulong, atflag: c_int) -> c_int;
    }

    pub(super) fn set(fd: BorrowedFd<'_>, bits: u32) -> io::Result<()> {
        // SAFETY: an open descriptor and a number.
        check(unsafe { fchflags(fd.as_raw_fd(), c_ulong::from(bits)) })
    }

    pub(super) fn set_at(dir: BorrowedFd<'_>, name: &OsStr, bits: u32) -> io::Result<()> {
        let name = CString::new(name.as_bytes())?;
        // SAFETY: an open descriptor, a valid C string and numbers.
        check(unsafe {
            chflagsat(
                dir.as_raw_fd(),
                name.as_ptr(),
                c_ulong::from(bits),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        })
    }

    fn check(result: c_int) -> io::Result<()> {
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_chflags_reads_them() {
        assert_eq!(parse_file_flags(""), Ok(0));
        assert_eq!(parse_file_flags("schg"), Ok(0x20000));
        assert_eq!(parse_file_flags("schg,uarch"), Ok(0x20800));
        assert_eq!(parse_file_flags("sunlink, nodump"), Ok(0x10_0001));
        assert_eq!(parse_file_flags("nodump,dump"), Ok(0));
        assert_eq!(parse_file_flags("schg,noschg"), Ok(0));
        assert_eq!(
            parse_file_flags("schg,bogus"),
            Err(FileFlagError { word: "bogus".into() })
        );
        assert_eq!(parse_file_flags("no"), Err(FileFlagError { word: "no".into() }));
    }

    #[test]
    fn every_flag_comes_back_from_its_own_name() {
        for (bit, names) in NAMES {
            assert_eq!(parse_file_flags(&format_file_flags(*bit)), Ok(*bit));
            for name in *names {
                assert_eq!(parse_file_flags(name), Ok(*bit), "{name}");
            }
        }
        let all: u32 = NAMES.iter().map(|(bit, _)| bit).sum();
        assert_eq!(parse_file_flags(&format_file_flags(all)), Ok(all));
        assert_eq!(format_file_flags(0), "");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_has_no_flags_to_set() {
        use std::os::fd::AsFd;
        let file = tempfile::tempfile().unwrap();
        set_file_flags(file.as_fd(), 0).unwrap();
        assert_eq!(
            set_file_flags(file.as_fd(), 1).unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
    }
}
