//! One file from one of several mirrors to its place on disk.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{FetchError, MirrorError, MirrorFailure};
use crate::exchange::{Exchange, Failure, Head, Message};
use crate::options::{Expect, Options};
use crate::part::{Origin, Part};
use crate::{Digest, hash_file, url};

/// How often the caller hears of a download at least: its chance to cancel.
const TICK: Duration = Duration::from_millis(100);
/// Progress that earns a mirror its full number of tries again.
const REAL_PROGRESS: u64 = 1 << 20;
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// What to fetch and where to.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// `https://`, `http://` or `file://` URLs of one and the same file, tried in this order.
    pub urls: &'a [String],
    /// The final file; replaced only by a complete, verified download. `NAME.part` and `NAME.part.info` beside it hold
    /// an unfinished one. Its directory must exist and belong to the caller.
    pub to: &'a Path,
    /// What should come.
    pub expect: Expect,
    /// Its sha256, when known. A file at `to` that has it already is not fetched again.
    pub sha256: Option<Digest>,
    /// Its size in bytes, when known.
    pub size: Option<u64>,
    /// Most bytes to accept.
    pub max_size: Option<u64>,
    /// How to talk to servers.
    pub options: &'a Options,
}

/// News of a download.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Bytes already on disk are hashed again before the download goes on.
    Checking {
        /// Bytes hashed.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// A server is asked; also repeated while it has not answered.
    Connecting {
        /// Which, without user and password.
        url: &'a str,
    },
    /// Bytes came, or nothing came for a while.
    Progress {
        /// From where.
        url: &'a str,
        /// Bytes on disk.
        done: u64,
        /// Of how many, when the server says.
        total: Option<u64>,
    },
    /// The same server will be asked again.
    Retrying {
        /// Which.
        url: &'a str,
        /// What went wrong.
        error: &'a MirrorError,
        /// How long is waited first.
        wait: Duration,
    },
    /// This URL is given up; the next one, if any, is tried.
    MirrorFailed {
        /// Which.
        url: &'a str,
        /// Why.
        error: &'a MirrorError,
    },
}

/// A finished download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its sha256, verified when the request had one.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// The URL that completed it, without user and password; none when the destination held it already.
    pub url: Option<String>,
}

/// Fetches one file. `events` is called at least ten times a second and may break off; what has arrived then stays for
/// the next call with the same destination.
///
/// # Errors
/// [`FetchError`]; the destination is untouched.
pub fn fetch(
    request: &Request<'_>,
    events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<Fetched, FetchError> {
    if request.urls.is_empty() {
        return Err(FetchError::NoUrls);
    }
    if let Some(present) = already_there(request) {
        return Ok(present);
    }
    let part = Part::open(request.to, &mut |done, total| {
        events(Event::Checking { done, total })
    })?;
    let mut job = Job {
        request,
        events,
        part,
    };
    match job.first_good_mirror() {
        Ok(fetched) => job.part.publish().map(|()| fetched),
        Err(e) => {
            job.part.leave();
            Err(e)
        }
    }
}

fn already_there(request: &Request<'_>) -> Option<Fetched> {
    let expected = request.sha256?;
    request
        .to
        .symlink_metadata()
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    let (sha256, size) = hash_file(request.to).ok()?;
    (sha256 == expected).then_some(Fetched {
        sha256,
        size,
        url: None,
    })
}

/// Why an attempt ended without the file.
enum Stop {
    /// This mirror failed.
    Mirror(Failure),
    /// What was on disk does not go with what the server has: once more from the start.
    Afresh(MirrorError),
    /// No mirror can help.
    Fatal(FetchError),
}

impl From<FetchError> for Stop {
    fn from(e: FetchError) -> Self {
        Stop::Fatal(e)
    }
}

fn last(error: MirrorError) -> Stop {
    Stop::Mirror(Failure::last(error))
}

struct Job<'r, 'e> {
    request: &'r Request<'r>,
    events: &'e mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    part: Part,
}

impl Job<'_, '_> {
    fn first_good_mirror(&mut self) -> Result<Fetched, FetchError> {
        let mut failures = Vec::new();
        for url in self.request.urls {
            let shown = url::shown(url);
            match self.mirror(url, &shown)? {
                Ok(fetched) => return Ok(fetched),
                Err(error) => {
                    self.tell(Event::MirrorFailed {
                        url: &shown,
                        error: &error,
                    })?;
                    failures.push(MirrorFailure { url: shown, error });
                }
            }
        }
        Err(FetchError::Mirrors(failures))
    }

    /// All tries at one mirror: the file, why this mirror is given up, or why everything is.
    fn mirror(&mut self, url: &str, shown: &str) -> Result<Result<Fetched, MirrorError>, FetchError> {
        let options = self.request.options;
        let (mut tries, mut wait, mut may_restart) = (options.attempts.max(1), options.backoff, true);
        loop {
            let before = self.part.len();
            let error = match self.attempt(url, shown) {
                Ok(fetched) => return Ok(Ok(fetched)),
                Err(Stop::Fatal(e)) => return Err(e),
                Err(Stop::Mirror(Failure { error, again: true })) => error,
                Err(Stop::Mirror(Failure { error, again: false })) => return Ok(Err(error)),
                Err(Stop::Afresh(error)) => {
                    self.part.reset()?;
                    if !std::mem::take(&mut may_restart) {
                        return Ok(Err(error));
                    }
                    continue;
                }
            };
            if self.part.len() >= before.saturating_add(REAL_PROGRESS) {
                (tries, wait) = (options.attempts.max(1), options.backoff);
            }
            tries -= 1;
            if tries == 0 {
                return Ok(Err(error));
            }
            self.tell(Event::Retrying {
                url: shown,
                error: &error,
                wait,
            })?;
            self.pause(shown, wait)?;
            wait = wait.saturating_mul(2).min(LONGEST_BACKOFF);
        }
    }

    /// One request and its answer.
    fn attempt(&mut self, url: &str, shown: &str) -> Result<Fetched, Stop> {
        let resume = self.part.resume(url, self.request.sha256.is_some());
        let resumed = resume.is_some();
        let exchange =
            Exchange::start(url, resume, self.request.options).map_err(|source| FetchError::Local {
                action: "start a thread for",
                path: shown.into(),
                source,
            })?;
        let head = self.await_head(&exchange, shown)?;
        if !self.accept(&head, resumed, shown)? {
            return self.verify(shown, resumed);
        }
        self.receive(&exchange, shown)?;
        self.verify(shown, resumed)
    }

    fn await_head(&mut self, exchange: &Exchange, shown: &str) -> Result<Head, Stop> {
        loop {
            self.tell(Event::Connecting { url: shown })?;
            match exchange.next(TICK) {
                None => {}
                Some(Message::Head(head)) => return Ok(head),
                Some(Message::Failed(failure)) => return Err(Stop::Mirror(failure)),
                Some(Message::Chunk(_) | Message::End | Message::CutOff) => {
                    return Err(last(MirrorError::Protocol("a body without a head".to_owned())));
                }
            }
        }
    }

    /// Decides on the answer's head and makes the part ready for its body. False: there is no body to wait for, the
    /// part is complete.
    fn accept(&mut self, head: &Head, resumed: bool, shown: &str) -> Result<bool, Stop> {
        match head.status {
            200 => {}
            206 | 416 if resumed => return self.accept_partial(head),
            status @ (408 | 429 | 500 | 502..=504) => {
                return Err(Stop::Mirror(Failure::passing(MirrorError::Status(status))));
            }
            status => return Err(last(MirrorError::Status(status))),
        }
        if head.html && self.request.expect.refuses_pages() {
            return Err(last(self.web_page()));
        }
        self.check_size(head.length)?;
        // Whatever was there is replaced, so its room counts as free.
        self.part.begin(Origin {
            url: shown.to_owned(),
            validator: head.validator.clone(),
            total: head.length,
        })?;
        self.part.check_space(head.length.unwrap_or(0))?;
        Ok(true)
    }

    fn accept_partial(&mut self, head: &Head) -> Result<bool, Stop> {
        let (have, range) = (self.part.len(), head.range);
        let same_size = range.is_some_and(|r| r.total.is_some() && r.total == self.part.total());
        let misfit = || {
            Stop::Afresh(MirrorError::Protocol(
                "the server sent another part than asked for".to_owned(),
            ))
        };
        if head.status == 416 {
            let complete = same_size && self.part.total() == Some(have);
            return if complete { Ok(false) } else { Err(misfit()) };
        }
        if !same_size || range.and_then(|r| r.start) != Some(have) {
            return Err(misfit());
        }
        self.check_size(self.part.total())?;
        self.part.check_space(self.part.total().unwrap_or(have) - have)?;
        Ok(true)
    }

    fn web_page(&self) -> MirrorError {
        MirrorError::WebPage {
            expected: self.request.expect.noun(),
        }
    }

    fn check_size(&self, total: Option<u64>) -> Result<(), Stop> {
        let Some(got) = total else { return Ok(()) };
        match (self.request.size, self.request.max_size) {
            (Some(expected), _) if got != expected => Err(last(MirrorError::WrongSize { expected, got })),
            (_, Some(limit)) if got > limit => Err(last(MirrorError::TooLarge { limit })),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, exchange: &Exchange, shown: &str) -> Result<(), Stop> {
        loop {
            let (done, total) = (self.part.len(), self.part.total());
            self.tell(Event::Progress {
                url: shown,
                done,
                total,
            })?;
            match exchange.next(TICK) {
                None => {}
                Some(Message::Chunk(bytes)) => self.store(&bytes)?,
                Some(Message::End) => return Ok(()),
                Some(Message::CutOff) => {
                    return Err(Stop::Mirror(Failure::passing(MirrorError::Truncated {
                        got: done,
                        total,
                    })));
                }
                Some(Message::Failed(failure)) => return Err(Stop::Mirror(failure)),
                Some(Message::Head(_)) => return Err(last(MirrorError::Protocol("two heads".to_owned()))),
            }
        }
    }

    fn store(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        if self.part.len() == 0 && self.request.expect.refuses_pages() && begins_like_a_page(bytes) {
            return Err(last(self.web_page()));
        }
        let len = self.part.len() + bytes.len() as u64;
        let limits = [self.request.max_size, self.request.size];
        if let Some(limit) = limits.into_iter().flatten().filter(|limit| len > *limit).min() {
            self.part.reset()?;
            return Err(last(MirrorError::TooLarge { limit }));
        }
        Ok(self.part.write(bytes)?)
    }

    /// Checks the finished part. A wrong one is emptied; when it was begun by an earlier answer, the mistake may lie
    /// there, and this server gets another chance from the start.
    fn verify(&mut self, shown: &str, resumed: bool) -> Result<Fetched, Stop> {
        let (got, sha256) = (self.part.len(), self.part.digest());
        let total = self.request.size.or(self.part.total());
        if total.is_some_and(|total| got < total) {
            return Err(Stop::Mirror(Failure::passing(MirrorError::Truncated {
                got,
                total,
            })));
        }
        match self.request.sha256 {
            Some(expected) if expected != sha256 => {
                let error = MirrorError::WrongHash {
                    expected,
                    got: sha256,
                };
                self.part.reset()?;
                Err(if resumed { Stop::Afresh(error) } else { last(error) })
            }
            _ => Ok(Fetched {
                sha256,
                size: got,
                url: Some(shown.to_owned()),
            }),
        }
    }

    fn tell(&mut self, event: Event<'_>) -> Result<(), FetchError> {
        match (self.events)(event) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(FetchError::Cancelled {
                kept: self.part.len(),
            }),
        }
    }

    fn pause(&mut self, shown: &str, wait: Duration) -> Result<(), FetchError> {
        let end = Instant::now() + wait;
        while let Some(left) = end
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            std::thread::sleep(left.min(TICK));
            let (done, total) = (self.part.len(), self.part.total());
            self.tell(Event::Progress {
                url: shown,
                done,
                total,
            })?;
        }
        Ok(())
    }
}

/// Whether the first bytes are those of HTML or XML: neither a compressed nor a plain archive begins so.
pub(crate) fn begins_like_a_page(bytes: &[u8]) -> bool {
    bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .trim_ascii_start()
        .starts_with(b"<")
}
