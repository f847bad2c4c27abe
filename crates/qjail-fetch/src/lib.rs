//! Downloads: where a FreeBSD release lies, what its MANIFEST says, and one file fetched with resume, several mirrors
//! and its sha256 taken while it streams.
//!
//! [`fetch`] brings one file to its place or leaves that place untouched; [`fetch_small`] brings a short text to
//! memory. [`release_urls`] and [`default_release_urls`] say where to look, [`Manifest`] what to expect.
//!
//! # Limits
//! It does not verify signatures: FreeBSD's MANIFEST is unsigned, so a digest from the same server proves an intact
//! download, not an honest server (https and a digest given by the user do more). It does not speak ftp. It does not
//! read the environment: proxies and extra certificates are handed in through [`Options`]. An http proxy is asked to
//! `CONNECT` for plain http too. It does not honour `Retry-After`. A broken download without a known digest is
//! resumed only from the same URL and only when the server says that the file has not changed.
#![forbid(unsafe_code)]

mod digest;
mod error;
mod exchange;
mod fetch;
mod manifest;
mod options;
mod part;
mod release;
mod small;
mod url;

pub use digest::{Digest, DigestError, Hasher, HashingReader, hash_file};
pub use error::{FetchError, MirrorError, MirrorFailure};
pub use fetch::{Event, Fetched, Request, fetch};
pub use manifest::{Entry, Manifest, ManifestError, ManifestProblem};
pub use options::{Expect, Options, Proxies};
pub use release::{
    ARCHIVE_MIRRORS, DEFAULT_MIRRORS, Platform, default_release_urls, release_url, release_urls,
};
pub use small::fetch_small;
