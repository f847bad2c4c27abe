//! What a caller may set about the network.

use std::time::Duration;

use crate::url;

/// What the answer should be; it decides the words of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// A base archive: a web page in its place is refused.
    #[default]
    Archive,
    /// A MANIFEST: a web page in its place is refused.
    Manifest,
    /// Anything, a web page too.
    Any,
}

impl Expect {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Expect::Archive => "an archive",
            Expect::Manifest => "a MANIFEST",
            Expect::Any => "a file",
        }
    }

    pub(crate) fn refuses_pages(self) -> bool {
        self != Expect::Any
    }
}

/// How to talk to servers. [`Options::default`] suits an interactive download.
#[derive(Debug, Clone)]
pub struct Options {
    /// For the name lookup, and again for connecting with the TLS handshake.
    pub connect_timeout: Duration,
    /// For the first byte of an answer and between any two reads of its body.
    pub read_timeout: Duration,
    /// Tries per mirror without real progress (1 MiB) before the next mirror's turn; at least one is made.
    pub attempts: u32,
    /// Wait before the second try; doubled before each further one, at most 30 s.
    pub backoff: Duration,
    /// Proxies.
    pub proxies: Proxies,
    /// PEM text of the certificate authorities to trust *instead of* the built-in (Mozilla's) list; for sites whose
    /// proxy opens https.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(30),
            attempts: 4,
            backoff: Duration::from_secs(1),
            proxies: Proxies::default(),
            ca_pem: None,
        }
    }
}

/// Proxies by the scheme of the URL asked for. The one that fits the first URL also carries its redirects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// Hosts asked directly: a name stands for itself and its subdomains, `*` for all.
    pub no_proxy: Vec<String>,
}

impl Proxies {
    /// Reads the customary variables (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`; the upper-case forms of
    /// all but the first, which a CGI server lets a client set) through `lookup`, commonly
    /// `|name| std::env::var(name).ok()`.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names
                .iter()
                .filter_map(|n| lookup(n))
                .find(|v| !v.trim().is_empty())
        };
        let all = first(&["all_proxy", "ALL_PROXY"]);
        Proxies {
            http: first(&["http_proxy"]).or_else(|| all.clone()),
            https: first(&["https_proxy", "HTTPS_PROXY"]).or(all),
            no_proxy: first(&["no_proxy", "NO_PROXY"])
                .map(|list| {
                    list.split(',')
                        .map(|e| e.trim().to_owned())
                        .filter(|e| !e.is_empty())
                        .collect()
                })
                .unwrap_or_default(),
        }
    }

    /// The proxy for `url`.
    pub(crate) fn choose(&self, url: &str) -> Option<&str> {
        let (scheme, host) = (url::scheme(url)?, url::host(url)?);
        let proxy = if scheme == "https" {
            &self.https
        } else {
            &self.http
        };
        (!self.no_proxy.iter().any(|entry| covers(entry, &host)))
            .then_some(proxy.as_deref())
            .flatten()
    }
}

fn covers(entry: &str, host: &str) -> bool {
    let entry = entry
        .trim_start_matches("*.")
        .trim_start_matches('.')
        .to_ascii_lowercase();
    entry == "*" || host == entry || host.strip_suffix(&entry).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_by_scheme_and_host() {
        let vars = [
            ("http_proxy", "http://p:1"),
            ("HTTPS_PROXY", "http://p:2"),
            ("no_proxy", "localhost, .lan,*.org"),
        ];
        let proxies = Proxies::from_variables(|n| vars.iter().find(|v| v.0 == n).map(|v| v.1.to_owned()));
        let table = [
            ("http://a.example/x", Some("http://p:1")),
            ("HTTPS://a.example/x", Some("http://p:2")),
            ("http://localhost:80/x", None),
            ("http://build.lan/", None),
            ("http://notlan/", Some("http://p:1")),
            ("https://freebsd.org/", None),
        ];
        for (url, want) in table {
            assert_eq!(proxies.choose(url), want, "{url}");
        }
    }

    #[test]
    fn variables_that_do_not_count() {
        // HTTP_PROXY is not read: in a CGI it is the client's `Proxy:` header.
        let proxies = Proxies::from_variables(|n| match n {
            "HTTP_PROXY" => Some("http://evil".to_owned()),
            "https_proxy" => Some(" ".to_owned()),
            "all_proxy" => None,
            _ => None,
        });
        assert_eq!(proxies, Proxies::default());
        let all = Proxies::from_variables(|n| (n == "ALL_PROXY").then(|| "http://p".to_owned()));
        assert_eq!(
            (all.http.as_deref(), all.https.as_deref()),
            (Some("http://p"), Some("http://p"))
        );
    }
}
