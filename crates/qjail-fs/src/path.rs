//! Relative paths that cannot leave the directory they start from.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A checked path relative to a [`crate::Root`]: no leading `/`, no `..`, no NUL byte. `.` and doubled slashes are dropped.
///
/// Bytes of any kind are kept: names need not be UTF-8. [`RelPath::root`] names the root itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(OsString);

/// Why a text is no [`RelPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing at all.
    #[error("the path is empty")]
    Empty,
    /// It starts at the system's root.
    #[error("the path {0:?} is absolute; a relative one is needed")]
    Absolute(OsString),
    /// It climbs.
    #[error("the path {0:?} contains `..`")]
    DotDot(OsString),
    /// It holds a NUL byte.
    #[error("the path {0:?} contains a NUL byte")]
    Nul(OsString),
}

impl RelPath {
    /// Checks a path; `.` alone is the root itself.
    ///
    /// # Errors
    /// [`PathError`], when it is empty, absolute, climbs, or holds a NUL byte.
    pub fn new(path: impl AsRef<OsStr>) -> Result<RelPath, PathError> {
        let path = path.as_ref();
        let bytes = path.as_bytes();
        match bytes.first() {
            None => return Err(PathError::Empty),
            Some(b'/') => return Err(PathError::Absolute(path.to_owned())),
            Some(_) => {}
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul(path.to_owned()));
        }
        let parts: Vec<&[u8]> = bytes
            .split(|b| *b == b'/')
            .filter(|c| !c.is_empty() && *c != b".")
            .collect();
        if parts.contains(&b"..".as_slice()) {
            return Err(PathError::DotDot(path.to_owned()));
        }
        Ok(RelPath(OsString::from_vec(parts.join(&b'/'))))
    }

    /// The root itself.
    #[must_use]
    pub fn root() -> RelPath {
        RelPath(OsString::new())
    }

    /// Whether this names the root itself.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// This path and `below` after it.
    ///
    /// # Errors
    /// As [`RelPath::new`] of `below`.
    pub fn join(&self, below: impl AsRef<OsStr>) -> Result<RelPath, PathError> {
        Ok(self.join_path(&RelPath::new(below)?))
    }

    /// This path and another after it.
    #[must_use]
    pub fn join_path(&self, below: &RelPath) -> RelPath {
        self.push(&below.0)
    }

    // `name` comes from the kernel or from a checked path.
    pub(crate) fn push(&self, name: &OsStr) -> RelPath {
        if self.is_root() {
            return RelPath(name.to_owned());
        }
        let mut joined = self.0.clone();
        if !name.is_empty() {
            joined.push("/");
            joined.push(name);
        }
        RelPath(joined)
    }

    /// The components, none of them empty; no components for the root itself.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &OsStr> {
        self.0
            .as_bytes()
            .split(|b| *b == b'/')
            .filter(|c| !c.is_empty())
            .map(OsStr::from_bytes)
    }

    /// The directory that holds this name (the root itself for a single name); `None` for the root itself.
    #[must_use]
    pub fn parent(&self) -> Option<RelPath> {
        let bytes = self.0.as_bytes();
        if bytes.is_empty() {
            return None;
        }
        let end = bytes.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(RelPath(OsStr::from_bytes(&bytes[..end]).to_owned()))
    }

    /// The last component; `None` for the root itself.
    #[must_use]
    pub fn file_name(&self) -> Option<&OsStr> {
        self.components().next_back()
    }

    /// The path as a string of the system: empty for the root itself.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            f.write_str(".")
        } else {
            write!(f, "{}", self.0.display())
        }
    }
}

impl std::str::FromStr for RelPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        RelPath::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::new(text).unwrap()
    }

    #[test]
    fn what_leaves_the_root_is_refused() {
        assert_eq!(RelPath::new(""), Err(PathError::Empty));
        for bad in ["/", "/etc", "//etc"] {
            assert_eq!(RelPath::new(bad), Err(PathError::Absolute(bad.into())));
        }
        for bad in ["..", "../x", "a/..", "a/../b", "./..", "a/b/../../.."] {
            assert_eq!(RelPath::new(bad), Err(PathError::DotDot(bad.into())));
        }
        assert_eq!(RelPath::new("a\0b"), Err(PathError::Nul("a\0b".into())));
        assert!(path("a").join("..").is_err() && path("a").join("/b").is_err());
    }

    #[test]
    fn spellings_of_one_path_are_equal() {
        for same in ["a/b", "./a/b", "a//b", "a/./b/", "a/b/."] {
            assert_eq!(path(same), path("a/b"));
        }
        assert_eq!(path("./"), RelPath::root());
        assert_eq!(path("...").to_string(), "...");
    }

    #[test]
    fn a_path_comes_apart_and_together() {
        let p = path("usr/local/etc");
        assert_eq!(p.components().collect::<Vec<_>>(), ["usr", "local", "etc"]);
        assert_eq!(p.parent(), Some(path("usr/local")));
        assert_eq!(p.file_name(), Some(OsStr::new("etc")));
        assert_eq!(path("a").parent(), Some(RelPath::root()));
        assert_eq!(RelPath::root().parent(), None);
        assert_eq!(RelPath::root().file_name(), None);
        assert_eq!(RelPath::root().join("a").unwrap(), path("a"));
        assert_eq!(path("a").join("b/c").unwrap(), path("a/b/c"));
        assert_eq!(path("a").join(".").unwrap(), path("a"));
        assert_eq!(RelPath::root().to_string(), ".");
    }

    #[test]
    fn names_need_not_be_text() {
        let p = RelPath::new(OsStr::from_bytes(b"a/\xff\xfe")).unwrap();
        assert_eq!(p.file_name().unwrap().as_bytes(), b"\xff\xfe");
    }
}
