//! Bytes that cross the boundary.

use std::fmt;

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RVec};

/// Bytes lent for the length of a call.
#[repr(transparent)]
#[derive(Clone, Copy, StableAbi)]
pub struct Bytes<'a>(RSlice<'a, u8>);

impl<'a> Bytes<'a> {
    /// Lends `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(RSlice::from_slice(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &'a [u8] {
        self.0.as_slice()
    }
}

/// Bytes that are given away. They are freed by the allocator of the side that made them.
#[repr(transparent)]
#[derive(StableAbi)]
pub struct OwnedBytes(RVec<u8>);

impl OwnedBytes {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl From<Vec<u8>> for OwnedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(RVec::from(bytes))
    }
}

impl fmt::Debug for OwnedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The answer to a call: bytes, and whether they are the answer or an error.
///
/// A struct with a number, not an enum with data: the layout of those is the less trodden part of abi_stable.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Reply {
    status: u8,
    body: OwnedBytes,
}

impl Reply {
    const ANSWER: u8 = 0;
    const ERROR: u8 = 1;

    /// The answer, or the error; an empty error is a panic that even the plugin's own net missed.
    ///
    /// # Errors
    /// The bytes of the error.
    pub fn into_result(self) -> Result<OwnedBytes, OwnedBytes> {
        if self.status == Self::ANSWER {
            Ok(self.body)
        } else {
            Err(self.body)
        }
    }
}

impl From<Result<Vec<u8>, Vec<u8>>> for Reply {
    fn from(result: Result<Vec<u8>, Vec<u8>>) -> Self {
        match result {
            Ok(body) => Self {
                status: Self::ANSWER,
                body: body.into(),
            },
            Err(body) => Self {
                status: Self::ERROR,
                body: body.into(),
            },
        }
    }
}
