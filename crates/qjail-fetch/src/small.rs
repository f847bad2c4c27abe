//! A short text from one of several mirrors to memory.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::error::{FetchError, MirrorError, MirrorFailure};
use crate::exchange::{Exchange, Head, Message};
use crate::fetch::{Event, begins_like_a_page};
use crate::options::{Expect, Options};
use crate::url;

const TICK: Duration = Duration::from_millis(100);

/// Fetches at most `limit` bytes: a MANIFEST. Each URL is tried once. Also says which URL answered, without user and
/// password, as the archive should then come from the same place first.
///
/// # Errors
/// [`FetchError::NoUrls`], [`FetchError::Cancelled`] when `events` broke off, or [`FetchError::Mirrors`].
pub fn fetch_small(
    urls: &[String],
    limit: usize,
    expect: Expect,
    options: &Options,
    events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
) -> Result<(Vec<u8>, String), FetchError> {
    if urls.is_empty() {
        return Err(FetchError::NoUrls);
    }
    let mut failures = Vec::new();
    for url in urls {
        let shown = url::shown(url);
        let exchange = Exchange::start(url, None, options).map_err(|source| FetchError::Local {
            action: "start a thread for",
            path: shown.clone().into(),
            source,
        })?;
        let mut body = Body {
            bytes: Vec::new(),
            limit,
            expect,
        };
        match body.receive(&exchange, &shown, events)? {
            Ok(()) => return Ok((body.bytes, shown)),
            Err(error) => {
                let flow = events(Event::MirrorFailed {
                    url: &shown,
                    error: &error,
                });
                failures.push(MirrorFailure { url: shown, error });
                stop_on(flow)?;
            }
        }
    }
    Err(FetchError::Mirrors(failures))
}

fn stop_on(flow: ControlFlow<()>) -> Result<(), FetchError> {
    if flow.is_break() {
        Err(FetchError::Cancelled { kept: 0 })
    } else {
        Ok(())
    }
}

struct Body {
    bytes: Vec<u8>,
    limit: usize,
    expect: Expect,
}

impl Body {
    fn receive(
        &mut self,
        exchange: &Exchange,
        shown: &str,
        events: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<Result<(), MirrorError>, FetchError> {
        loop {
            stop_on(events(Event::Connecting { url: shown }))?;
            let step = match exchange.next(TICK) {
                None => Ok(()),
                Some(Message::Head(head)) => self.accept(&head),
                Some(Message::Chunk(chunk)) => self.add(&chunk),
                Some(Message::End) => return Ok(Ok(())),
                Some(Message::CutOff) => Err(MirrorError::Truncated {
                    got: self.bytes.len() as u64,
                    total: None,
                }),
                Some(Message::Failed(failure)) => Err(failure.error),
            };
            if let Err(error) = step {
                return Ok(Err(error));
            }
        }
    }

    fn accept(&self, head: &Head) -> Result<(), MirrorError> {
        let limit = self.limit as u64;
        match head {
            Head { status, .. } if *status != 200 => Err(MirrorError::Status(*status)),
            Head { html: true, .. } if self.expect.refuses_pages() => Err(self.web_page()),
            Head {
                length: Some(length), ..
            } if *length > limit => Err(MirrorError::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    fn add(&mut self, chunk: &[u8]) -> Result<(), MirrorError> {
        self.bytes.extend_from_slice(chunk);
        if self.bytes.len() > self.limit {
            Err(MirrorError::TooLarge {
                limit: self.limit as u64,
            })
        } else if self.expect.refuses_pages() && begins_like_a_page(&self.bytes) {
            Err(self.web_page())
        } else {
            Ok(())
        }
    }

    fn web_page(&self) -> MirrorError {
        MirrorError::WebPage {
            expected: self.expect.noun(),
        }
    }
}
