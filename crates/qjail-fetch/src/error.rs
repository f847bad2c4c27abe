//! What can go wrong, in words for the user.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Digest;

/// Why nothing was fetched. The destination is as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The caller's event function broke off. What had arrived is kept for a later resume, when there is anything.
    #[error("download cancelled after {}", Size(*.kept))]
    Cancelled {
        /// Bytes kept.
        kept: u64,
    },
    /// No URL was given.
    #[error("nothing to download: no URL given")]
    NoUrls,
    /// Something local failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Local {
        /// What was attempted, as a verb: `write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file does not fit, found beforehand or while writing; the partial download is removed.
    #[error("not enough space: {} needed, {} free on {}", Needed(*needed), Size(*free), directory.display())]
    NoSpace {
        /// Where the file should go.
        directory: PathBuf,
        /// Bytes still to come, when the server says.
        needed: Option<u64>,
        /// Bytes free for this user.
        free: u64,
    },
    /// Another process is fetching the same file.
    #[error("another download to {} is under way", path.display())]
    Busy {
        /// The destination.
        path: PathBuf,
    },
    /// Each URL failed, the reasons in the order of the URLs.
    #[error("cannot download {}", Failures(.0))]
    Mirrors(Vec<MirrorFailure>),
}

/// What went wrong at one URL.
#[derive(Debug)]
pub struct MirrorFailure {
    /// The URL, without user and password.
    pub url: String,
    /// Why.
    pub error: MirrorError,
}

/// Why one mirror failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// Not a URL that can be asked.
    #[error("not a usable URL: {0}")]
    Url(String),
    /// `ftp://`.
    #[error("ftp is not supported; the same files lie behind https://")]
    Ftp,
    /// An HTTP status other than success.
    #[error("the server answered {0}{reason}", reason = status_words(*.0))]
    Status(u16),
    /// A web page instead of the file: a log-in portal, an error page with status 200, a directory.
    #[error("the server answered with a web page, not {expected}")]
    WebPage {
        /// What was wanted, with its article.
        expected: &'static str,
    },
    /// Complete, but other bytes than promised.
    #[error("wrong sha256: expected {expected}, got {got}")]
    WrongHash {
        /// What the caller asked for.
        expected: Digest,
        /// What came.
        got: Digest,
    },
    /// Another size than promised.
    #[error("wrong size: expected {expected} bytes, the server has {got}")]
    WrongSize {
        /// What the caller asked for.
        expected: u64,
        /// What the server offers or sent.
        got: u64,
    },
    /// Larger than the caller allows.
    #[error("too large: more than the allowed {}", Size(*.limit))]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The connection ended too early, again and again.
    #[error("the connection broke off after {}{}", Size(*.got), Of(*.total))]
    Truncated {
        /// Bytes that had arrived.
        got: u64,
        /// Bytes of the whole, when the server says.
        total: Option<u64>,
    },
    /// The server was silent for too long.
    #[error("{what} timed out after {} s", after.as_secs_f32())]
    TimedOut {
        /// `connecting`, `waiting for data`, ….
        what: &'static str,
        /// The time-out.
        after: Duration,
    },
    /// No such host.
    #[error("the host name is not known")]
    HostNotFound,
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The certificate or the handshake was refused.
    #[error("no secure connection: {0}")]
    Tls(String),
    /// An https server sent us to plain http.
    #[error("the server redirects from https to plain http, which is refused")]
    Downgrade,
    /// Too many redirects.
    #[error("too many redirects")]
    Redirects,
    /// The proxy is unusable.
    #[error("proxy: {0}")]
    Proxy(String),
    /// A `file:` URL whose file cannot be read.
    #[error("cannot read it: {0}")]
    File(String),
    /// The answer breaks HTTP, or another failure of the exchange.
    #[error("{0}")]
    Protocol(String),
}

fn status_words(status: u16) -> &'static str {
    match status {
        401 | 403 => " (not allowed)",
        404 | 410 => " (no such file)",
        407 => " (the proxy wants a password)",
        429 => " (too many requests)",
        500..=599 => " (the server has a problem)",
        _ => "",
    }
}

/// A number of bytes for people: `180 MiB`, one decimal below ten.
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let (mut value, mut unit) = (self.0 as f64, "bytes");
        for next in units {
            if value < 1024.0 {
                break;
            }
            (value, unit) = (value / 1024.0, next);
        }
        let decimals = usize::from(unit != "bytes" && value < 9.95);
        write!(f, "{value:.decimals$} {unit}")
    }
}

struct Needed(Option<u64>);

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("more"),
            Some(n) => Size(n).fmt(f),
        }
    }
}

struct Of(Option<u64>);

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |n| write!(f, " of {}", Size(n)))
    }
}

struct Failures<'a>(&'a [MirrorFailure]);

impl fmt::Display for Failures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, failure) in self.0.iter().enumerate() {
            write!(
                f,
                "{}{}: {}",
                if i == 0 { "" } else { "; " },
                failure.url,
                failure.error
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let table = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (195_363_380, "186 MiB"),
            (3 << 30, "3.0 GiB"),
        ];
        for (n, want) in table {
            assert_eq!(Size(n).to_string(), want);
        }
    }

    #[test]
    fn messages_are_one_line() {
        let space = FetchError::NoSpace {
            directory: "/x".into(),
            needed: Some(200 << 20),
            free: 20 << 20,
        };
        assert_eq!(
            space.to_string(),
            "not enough space: 200 MiB needed, 20 MiB free on /x"
        );
        let failures = FetchError::Mirrors(vec![
            MirrorFailure {
                url: "http://a/b".into(),
                error: MirrorError::Status(404),
            },
            MirrorFailure {
                url: "http://c/b".into(),
                error: MirrorError::WebPage {
                    expected: "an archive",
                },
            },
        ]);
        assert_eq!(
            failures.to_string(),
            "cannot download http://a/b: the server answered 404 (no such file); \
             http://c/b: the server answered with a web page, not an archive"
        );
    }
}
