//! The few questions asked of a URL (RFC 3986) before ureq gets it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Its scheme in lower case, when it has one and an authority follows.
pub(crate) fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    let ok = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (!scheme.is_empty() && scheme.chars().all(ok)).then(|| scheme.to_ascii_lowercase())
}

/// What lies between `://` and the path.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}

/// The host in lower case, without user and port.
pub(crate) fn host(url: &str) -> Option<String> {
    let authority = authority(url)?;
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    let host = match host_port.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => host_port.split(':').next()?,
    };
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// The URL as it may be shown or stored: user and password left out, no control characters.
pub(crate) fn shown(url: &str) -> String {
    let clean: String = url
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    let Some(start) = clean.find("://").map(|at| at + 3) else {
        return clean;
    };
    let end = clean[start..]
        .find(['/', '?', '#'])
        .map_or(clean.len(), |at| start + at);
    match clean[start..end].rfind('@') {
        Some(at) => format!("{}{}", &clean[..start], &clean[start + at + 1..]),
        None => clean,
    }
}

/// The path of a `file:` URL (RFC 8089): an empty host or `localhost`, an absolute path, `%XX` decoded.
pub(crate) fn file_path(url: &str) -> Option<PathBuf> {
    let host = authority(url)?;
    let path = &url[url.find("://")? + 3 + host.len()..];
    let local = host.is_empty() || host.eq_ignore_ascii_case("localhost");
    (local && path.starts_with('/')).then_some(())?;
    Some(PathBuf::from(OsString::from_vec(percent_decoded(
        path.as_bytes(),
    )?)))
}

fn percent_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let hex = |byte: Option<&u8>| char::from(*byte?).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            out.push(hex(tail.first())? << 4 | hex(tail.get(1))?);
            rest = &tail[2..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    (!out.contains(&0)).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        assert_eq!(scheme("HTTP://a/b").as_deref(), Some("http"));
        assert_eq!(scheme("ftp.freebsd.org"), None);
        assert_eq!(scheme("a b://c"), None);
        assert_eq!(
            host("http://u:p@Host.Example:80/x@y").as_deref(),
            Some("host.example")
        );
        assert_eq!(host("http://[::1]:8080/").as_deref(), Some("::1"));
        assert_eq!(host("http:///x"), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown("https://me:s3@cret@h/x?y=a@b"), "https://h/x?y=a@b");
        assert_eq!(shown("https://h/x\n\u{1b}[2J"), "https://h/x??[2J");
        assert_eq!(shown("h/x@y"), "h/x@y");
    }

    #[test]
    fn file_urls() {
        assert_eq!(file_path("file:///a/b%20c%C3%A9"), Some(PathBuf::from("/a/b cé")));
        assert_eq!(file_path("file://localhost/a"), Some(PathBuf::from("/a")));
        for bad in [
            "file://server/a",
            "file://",
            "file:///a%2",
            "file:///a%zz",
            "file:///a%00b",
        ] {
            assert_eq!(file_path(bad), None, "{bad}");
        }
    }
}
