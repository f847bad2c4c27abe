//! A destination, and what a request to it needs.

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use qjail_fetch::{Digest, Event, Expect, FetchError, Fetched, MirrorError, Options, Request, fetch};

/// For [`crate::server::serve`]: the whole body.
pub(crate) const ALL: usize = usize::MAX;

/// Bytes that differ everywhere, beginning like an xz archive.
pub(crate) fn archive(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes = b"\xfd7zXZ\0".to_vec();
    bytes.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(len - 6),
    );
    bytes
}

/// A directory with a destination, and what a request to it needs.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) options: Options,
    pub(crate) sha256: Option<Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) max_size: Option<u64>,
}

impl Place {
    pub(crate) fn new() -> Place {
        let options = Options {
            backoff: Duration::from_millis(5),
            read_timeout: Duration::from_secs(10),
            ..Options::default()
        };
        Place {
            dir: tempfile::tempdir().unwrap(),
            options,
            sha256: None,
            size: None,
            max_size: None,
        }
    }

    pub(crate) fn expecting(body: &[u8]) -> Place {
        Place {
            sha256: Some(Digest::of(body)),
            ..Place::new()
        }
    }

    pub(crate) fn to(&self) -> PathBuf {
        self.dir.path().join("base.txz")
    }

    pub(crate) fn fetch_with(
        &self,
        urls: &[String],
        events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Fetched, FetchError> {
        let request = Request {
            urls,
            to: &self.to(),
            expect: Expect::Archive,
            sha256: self.sha256,
            size: self.size,
            max_size: self.max_size,
            options: &self.options,
        };
        fetch(&request, events)
    }

    pub(crate) fn fetch(&self, urls: &[String]) -> Result<Fetched, FetchError> {
        self.fetch_with(urls, &mut |_| ControlFlow::Continue(()))
    }

    /// Fetches until `bytes` have come, then cancels.
    pub(crate) fn cancel_after(&self, urls: &[String], bytes: u64) -> FetchError {
        self.fetch_with(urls, &mut |event| match event {
            Event::Progress { done, .. } if done >= bytes => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .unwrap_err()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn part_len(&self) -> u64 {
        fs::metadata(self.dir.path().join("base.txz.part")).unwrap().len()
    }

    #[track_caller]
    pub(crate) fn holds(&self, body: &[u8]) {
        assert!(fs::read(self.to()).unwrap() == body, "other bytes arrived");
        assert_eq!(self.names(), ["base.txz"]);
    }
}

pub(crate) fn only_error(result: Result<Fetched, FetchError>) -> MirrorError {
    match result.unwrap_err() {
        FetchError::Mirrors(mut failures) if failures.len() == 1 => failures.remove(0).error,
        other => panic!("{other}"),
    }
}
