//! One request and its answer, on a thread of its own, so that the caller can cancel while a name lookup, a handshake
//! or a silent server keeps the thread waiting. Dropping the [`Exchange`] abandons the answer; the thread ends at its
//! next message or time-out.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ureq::http::{HeaderMap, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy, Timeout};

use crate::options::Options;
use crate::{MirrorError, url};

const CHUNK: usize = 64 * 1024;
/// Chunks under way between the network and the disk.
const QUEUE: usize = 16;
const MAX_REDIRECTS: u32 = 8;

/// Why an exchange failed, and whether the same server deserves another try.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: MirrorError,
    pub(crate) again: bool,
}

impl Failure {
    pub(crate) fn last(error: MirrorError) -> Self {
        Failure { error, again: false }
    }

    pub(crate) fn passing(error: MirrorError) -> Self {
        Failure { error, again: true }
    }
}

/// What the thread reports, in this order: one head, chunks, the end; or a failure at any point.
pub(crate) enum Message {
    Head(Head),
    Chunk(Vec<u8>),
    End,
    Failed(Failure),
    /// The body ended before its announced length.
    CutOff,
}

/// What the headers of an answer say.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes in this answer.
    pub(crate) length: Option<u64>,
    pub(crate) range: Option<ContentRange>,
    pub(crate) html: bool,
    pub(crate) validator: Option<String>,
}

/// `Content-Range` (RFC 9110, 14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// First byte; none in a 416 answer.
    pub(crate) start: Option<u64>,
    /// Size of the whole; none when the server does not know.
    pub(crate) total: Option<u64>,
}

/// The part to ask for.
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    pub(crate) from: u64,
    /// For `If-Range`.
    pub(crate) validator: Option<String>,
}

/// A request under way.
pub(crate) struct Exchange(Receiver<Message>);

impl Exchange {
    /// Asks for `url`, from the middle when `resume` says so.
    pub(crate) fn start(url: &str, resume: Option<Resume>, options: &Options) -> io::Result<Exchange> {
        let (sender, receiver) = sync_channel(QUEUE);
        let (url, options) = (url.to_owned(), options.clone());
        thread::Builder::new()
            .name("qjail-fetch".to_owned())
            .spawn(move || {
                if let Err(failure) = talk(&url, resume.as_ref(), &options, &sender) {
                    // No receiver: the caller has given up, nobody is left to tell.
                    let _ = sender.send(Message::Failed(failure));
                }
            })?;
        Ok(Exchange(receiver))
    }

    /// The next message, or nothing after `patience`.
    pub(crate) fn next(&self, patience: Duration) -> Option<Message> {
        match self.0.recv_timeout(patience) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                let error = MirrorError::Protocol("the download thread ended early".to_owned());
                Some(Message::Failed(Failure::last(error)))
            }
        }
    }
}

fn talk(
    url: &str,
    resume: Option<&Resume>,
    options: &Options,
    out: &SyncSender<Message>,
) -> Result<(), Failure> {
    match url::scheme(url).as_deref() {
        Some("http" | "https") => talk_http(url, resume, options, out),
        Some("file") => talk_file(url, out),
        Some("ftp") => Err(Failure::last(MirrorError::Ftp)),
        Some(other) => Err(unusable(&format!("`{other}:` is not http, https or file"))),
        None => Err(unusable("it does not begin with https://, http:// or file://")),
    }
}

fn unusable(why: &str) -> Failure {
    Failure::last(MirrorError::Url(why.to_owned()))
}

fn talk_file(url: &str, out: &SyncSender<Message>) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::last(MirrorError::File(e.to_string()));
    let path = url::file_path(url).ok_or_else(|| unusable("a file URL is file:///absolute/path"))?;
    // Checked before opening: opening a FIFO would wait for a writer.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(Failure::last(MirrorError::File("not a regular file".to_owned())));
    }
    let file = File::open(&path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let head = Head {
        status: 200,
        length: Some(length),
        ..Head::default()
    };
    if out.send(Message::Head(head)).is_ok() {
        pump(file, out, failed)?;
    }
    Ok(())
}

fn talk_http(
    url: &str,
    resume: Option<&Resume>,
    options: &Options,
    out: &SyncSender<Message>,
) -> Result<(), Failure> {
    let uri: Uri = url
        .parse()
        .map_err(|e: ureq::http::uri::InvalidUri| unusable(&e.to_string()))?;
    let agent = agent(url, options)?;
    // Compression of the transfer would take Content-Length and Range away, and archives are compressed already.
    let mut request = agent.get(uri).header("Accept-Encoding", "identity");
    if let Some(resume) = resume {
        request = request.header("Range", format!("bytes={}-", resume.from));
        if let Some(validator) = &resume.validator {
            request = request.header("If-Range", validator);
        }
    }
    let failed = |e| failure(e, options);
    let answer = request.call().map_err(failed)?;
    let head = head(&answer);
    let wanted = matches!(head.status, 200 | 206);
    if out.send(Message::Head(head)).is_ok() && wanted {
        pump(answer.into_body().into_reader(), out, |e| failed(e.into()))?;
    }
    Ok(())
}

/// Sends the body on, piece by piece. An early end is told apart, because the part that came is good.
fn pump(
    mut body: impl Read,
    out: &SyncSender<Message>,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    loop {
        let mut chunk = vec![0; CHUNK];
        let message = match body.read(&mut chunk) {
            Ok(0) => Message::End,
            Ok(n) => {
                chunk.truncate(n);
                Message::Chunk(chunk)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) if is_cut(&e) => Message::CutOff,
            Err(e) => return Err(failed(e)),
        };
        let more = matches!(message, Message::Chunk(_));
        if out.send(message).is_err() || !more {
            return Ok(());
        }
    }
}

fn is_cut(e: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        e.kind(),
        UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe
    )
}

fn agent(url: &str, options: &Options) -> Result<Agent, Failure> {
    let proxy = match options.proxies.choose(url) {
        None => None,
        Some(proxy) => Some(Proxy::new(proxy).map_err(|e| {
            Failure::last(MirrorError::Proxy(format!(
                "`{}` cannot be used: {e}",
                url::shown(proxy)
            )))
        })?),
    };
    let roots = match &options.ca_pem {
        None => RootCerts::WebPki,
        Some(pem) => roots(pem).map_err(|e| Failure::last(MirrorError::Tls(e)))?,
    };
    let config = Agent::config_builder()
        .user_agent(concat!("qjail/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(MAX_REDIRECTS)
        .https_only(url::scheme(url).as_deref() == Some("https"))
        .proxy(proxy)
        .tls_config(TlsConfig::builder().root_certs(roots).build())
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_recv_response(Some(options.read_timeout))
        .timeout_per_read(Some(options.read_timeout))
        .build();
    Ok(config.new_agent())
}

fn roots(pem: &[u8]) -> Result<RootCerts, String> {
    let items: Vec<_> = parse_pem(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("certificate file: {e}"))?;
    let certs: Vec<_> = items
        .into_iter()
        .filter_map(|item| {
            if let PemItem::Certificate(cert) = item {
                Some(cert)
            } else {
                None
            }
        })
        .collect();
    if certs.is_empty() {
        return Err("the certificate file holds no certificate".to_owned());
    }
    Ok(RootCerts::new_with_certs(&certs))
}

fn head(answer: &Response<Body>) -> Head {
    let headers = answer.headers();
    let mime = text(headers, "content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    Head {
        status: answer.status().as_u16(),
        length: text(headers, "content-length").and_then(|v| v.trim().parse().ok()),
        range: text(headers, "content-range").and_then(content_range),
        html: mime.starts_with("text/html") || mime.starts_with("application/xhtml"),
        validator: validator(headers),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What `If-Range` may carry: a strong ETag (RFC 9110, 13.1.5), else the date of the last change.
fn validator(headers: &HeaderMap) -> Option<String> {
    let strong = text(headers, "etag").filter(|tag| tag.starts_with('"'));
    strong
        .or_else(|| text(headers, "last-modified"))
        .map(str::to_owned)
}

fn content_range(value: &str) -> Option<ContentRange> {
    let (range, total) = value.trim().strip_prefix("bytes ")?.trim().split_once('/')?;
    let start = match range {
        "*" => None,
        range => Some(range.split_once('-')?.0.trim().parse().ok()?),
    };
    Some(ContentRange {
        start,
        total: total.trim().parse().ok(),
    })
}

fn failure(error: ureq::Error, options: &Options) -> Failure {
    use ureq::Error as E;
    match error {
        E::Timeout(at) => timed_out(at, options),
        E::HostNotFound => Failure::last(MirrorError::HostNotFound),
        E::RequireHttpsOnly(_) => Failure::last(MirrorError::Downgrade),
        E::TooManyRedirects => Failure::last(MirrorError::Redirects),
        E::BadUri(why) => unusable(&why),
        E::InvalidProxyUrl => Failure::last(MirrorError::Proxy("its URL cannot be used".to_owned())),
        E::ConnectProxyFailed(why) => Failure::last(MirrorError::Proxy(why)),
        E::Tls(why) => Failure::last(MirrorError::Tls(why.to_owned())),
        E::Rustls(why) => Failure::last(MirrorError::Tls(why.to_string())),
        E::ConnectionFailed => Failure::last(MirrorError::Connect("no address answered".to_owned())),
        E::Io(e) => io_failure(&e),
        other => Failure::last(MirrorError::Protocol(other.to_string())),
    }
}

fn io_failure(e: &io::Error) -> Failure {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, InvalidData, NetworkUnreachable};
    match e.kind() {
        // rustls wraps its errors so (certificate refused, not TLS at all).
        InvalidData => Failure::last(MirrorError::Tls(e.to_string())),
        ConnectionRefused | HostUnreachable | NetworkUnreachable => {
            Failure::last(MirrorError::Connect(e.to_string()))
        }
        _ if is_cut(e) => Failure::passing(MirrorError::Truncated { got: 0, total: None }),
        _ => Failure::passing(MirrorError::Connect(e.to_string())),
    }
}

fn timed_out(at: Timeout, options: &Options) -> Failure {
    match at {
        Timeout::Resolve => Failure::last(MirrorError::TimedOut {
            what: "looking up the host name",
            after: options.connect_timeout,
        }),
        Timeout::Connect => Failure::last(MirrorError::TimedOut {
            what: "connecting",
            after: options.connect_timeout,
        }),
        _ => Failure::passing(MirrorError::TimedOut {
            what: "waiting for data",
            after: options.read_timeout,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        let range = |start, total| Some(ContentRange { start, total });
        let table = [
            ("bytes 5-9/10", range(Some(5), Some(10))),
            ("bytes 5-9/*", range(Some(5), None)),
            ("bytes */10", range(None, Some(10))),
            ("items 5-9/10", None),
            ("bytes x-9/10", None),
            ("bytes 5/10", None),
            ("", None),
        ];
        for (text, want) in table {
            assert_eq!(content_range(text), want, "{text}");
        }
    }

    #[test]
    fn validators_are_strong() {
        let headers = |etag: &'static str| {
            let mut map = HeaderMap::new();
            map.insert("etag", etag.parse().unwrap());
            map.insert("last-modified", "Thu, 12 May 2022 00:00:00 GMT".parse().unwrap());
            map
        };
        assert_eq!(validator(&headers("\"abc\"")).as_deref(), Some("\"abc\""));
        assert_eq!(
            validator(&headers("W/\"abc\"")).as_deref(),
            Some("Thu, 12 May 2022 00:00:00 GMT")
        );
    }
}
