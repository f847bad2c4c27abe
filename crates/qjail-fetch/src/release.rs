//! Where the files of a FreeBSD release lie. The scheme is that of the project's release tree
//! (`releases/<machine>/<machine_arch>/<X.Y-RELEASE>/<file>`), which mirrors keep below a prefix of their own.

/// Servers asked when the user names none.
pub const DEFAULT_MIRRORS: [&str; 2] = [
    "https://download.freebsd.org",
    "https://ftp.freebsd.org/pub/FreeBSD",
];

/// Where releases go after their end of life; asked after [`DEFAULT_MIRRORS`].
pub const ARCHIVE_MIRRORS: [&str; 1] = ["https://ftp-archive.freebsd.org/pub/FreeBSD-Archive/old-releases"];

/// Directories below which releases lie, as the last fixed part of a path.
const TREES: [&str; 3] = ["releases", "snapshots", "old-releases"];

/// Prefixes that mirrors keep the project's tree under; tried in turn when only a host is known.
const USUAL_PREFIXES: [&str; 3] = ["", "freebsd", "pub/FreeBSD"];

/// A platform by its two names (`uname -m`, `uname -p` on FreeBSD): they differ everywhere but on amd64 and i386.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform<'a> {
    /// `amd64`, `arm64`, `arm`, `powerpc`, `riscv`.
    pub machine: &'a str,
    /// `amd64`, `aarch64`, `armv7`, `powerpc64le`, `riscv64`.
    pub machine_arch: &'a str,
}

/// The URL of `file` of `release` (`15.0-RELEASE`) on `mirror`: the first of [`release_urls`].
#[must_use]
pub fn release_url(mirror: &str, platform: Platform<'_>, release: &str, file: &str) -> String {
    release_url_below(&with_scheme(mirror), platform, release, file, prefixes(mirror)[0])
}

/// The URLs where `file` of `release` may lie on `mirror`, the most likely first. A mirror is
/// * a host name: the usual prefixes are offered, as the host does not say its own;
/// * a URL of a tree that holds `releases` (`https://mirrors.ustc.edu.cn/freebsd`);
/// * a URL that ends in `releases`, `releases/amd64`, …: the rest is added;
/// * a URL that ends in the release's directory: only the file is added.
///
/// Without a scheme https is meant. Snapshots (`-STABLE`, `-CURRENT`, …) lie below `snapshots`.
#[must_use]
pub fn release_urls(mirror: &str, platform: Platform<'_>, release: &str, file: &str) -> Vec<String> {
    let base = with_scheme(mirror);
    prefixes(mirror)
        .iter()
        .map(|prefix| release_url_below(&base, platform, release, file, prefix))
        .collect()
}

/// The URLs to try when the user names no mirror: the project's servers, then (for releases) its archive.
#[must_use]
pub fn default_release_urls(platform: Platform<'_>, release: &str, file: &str) -> Vec<String> {
    let archive: &[&str] = if is_snapshot(release) {
        &[]
    } else {
        &ARCHIVE_MIRRORS
    };
    DEFAULT_MIRRORS
        .iter()
        .chain(archive)
        .map(|m| release_url(m, platform, release, file))
        .collect()
}

fn with_scheme(mirror: &str) -> String {
    let mirror = mirror.trim().trim_end_matches('/');
    if mirror.contains("://") {
        mirror.to_owned()
    } else {
        format!("https://{mirror}")
    }
}

/// The prefixes worth a try: for a URL with a path only the path itself.
fn prefixes(mirror: &str) -> &'static [&'static str] {
    let base = with_scheme(mirror);
    let rest = base.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    match host {
        _ if rest.contains('/') => &[""],
        "download.freebsd.org" => &[""],
        "ftp-archive.freebsd.org" => &["pub/FreeBSD-Archive/old-releases"],
        _ if host.starts_with("ftp") && host.ends_with(".freebsd.org") => &["pub/FreeBSD"],
        _ => &USUAL_PREFIXES,
    }
}

fn release_url_below(base: &str, platform: Platform<'_>, release: &str, file: &str, prefix: &str) -> String {
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.extend(prefix.split('/').filter(|p| !p.is_empty()));
    let tree = if is_snapshot(release) {
        "snapshots"
    } else {
        "releases"
    };
    let wanted = [platform.machine, platform.machine_arch, release];
    parts.extend(missing(&parts, tree, &wanted));
    parts.push(file);
    parts.join("/")
}

/// What is missing between the path `have` and the release's directory.
fn missing<'a>(have: &[&str], tree: &'a str, wanted: &[&'a str; 3]) -> Vec<&'a str> {
    if have.last() == Some(&wanted[2]) {
        return Vec::new();
    }
    // The parts before the third are scheme, nothing, and host.
    let below = have
        .iter()
        .rposition(|part| TREES.contains(part))
        .filter(|at| *at > 2)
        .map(|at| &have[at + 1..]);
    match below {
        Some(below) if wanted.starts_with(below) => wanted[below.len()..].to_vec(),
        _ => [&[tree], wanted.as_slice()].concat(),
    }
}

/// Whether the project publishes it below `snapshots`: everything but releases, betas and release candidates.
fn is_snapshot(release: &str) -> bool {
    let branch = release.split('-').nth(1).unwrap_or_default();
    matches!(branch, "STABLE" | "CURRENT" | "PRERELEASE") || branch.starts_with("ALPHA")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AMD64: Platform<'_> = Platform {
        machine: "amd64",
        machine_arch: "amd64",
    };
    const ARM64: Platform<'_> = Platform {
        machine: "arm64",
        machine_arch: "aarch64",
    };

    #[test]
    fn table() {
        let rel = "15.0-RELEASE";
        let table = [
            (
                "https://download.freebsd.org",
                "https://download.freebsd.org/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "download.freebsd.org",
                "https://download.freebsd.org/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "https://download.freebsd.org/ftp/",
                "https://download.freebsd.org/ftp/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "https://mirrors.ustc.edu.cn/freebsd",
                "https://mirrors.ustc.edu.cn/freebsd/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "https://mirrors.ustc.edu.cn/freebsd/releases//",
                "https://mirrors.ustc.edu.cn/freebsd/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "http://m/releases/arm64",
                "http://m/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "http://m/releases/arm64/aarch64",
                "http://m/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "http://m/releases/arm64/15.0-RELEASE/",
                "http://m/releases/arm64/15.0-RELEASE/base.txz",
            ),
            ("http://m/x/15.0-RELEASE", "http://m/x/15.0-RELEASE/base.txz"),
            (
                "http://m/x/14.3-RELEASE",
                "http://m/x/14.3-RELEASE/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "http://releases",
                "http://releases/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "ftp.freebsd.org",
                "https://ftp.freebsd.org/pub/FreeBSD/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "http://ftp2.de.freebsd.org",
                "http://ftp2.de.freebsd.org/pub/FreeBSD/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "ftp-archive.freebsd.org",
                "https://ftp-archive.freebsd.org/pub/FreeBSD-Archive/old-releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                "file:///srv/mirror",
                "file:///srv/mirror/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
            (
                " http://m:8080/ ",
                "http://m:8080/releases/arm64/aarch64/15.0-RELEASE/base.txz",
            ),
        ];
        for (mirror, want) in table {
            assert_eq!(release_url(mirror, ARM64, rel, "base.txz"), want, "{mirror}");
        }
    }

    #[test]
    fn a_bare_host_is_tried_under_the_usual_prefixes() {
        let urls = release_urls("mirror.example:8080", AMD64, "14.3-RELEASE", "MANIFEST");
        assert_eq!(
            urls,
            [
                "https://mirror.example:8080/releases/amd64/amd64/14.3-RELEASE/MANIFEST",
                "https://mirror.example:8080/freebsd/releases/amd64/amd64/14.3-RELEASE/MANIFEST",
                "https://mirror.example:8080/pub/FreeBSD/releases/amd64/amd64/14.3-RELEASE/MANIFEST",
            ]
        );
        assert_eq!(
            release_urls("https://m/freebsd", AMD64, "14.3-RELEASE", "MANIFEST").len(),
            1
        );
    }

    #[test]
    fn snapshots_and_archive() {
        for release in ["15.0-STABLE", "16.0-CURRENT", "15.0-ALPHA2", "15.1-PRERELEASE"] {
            let urls = default_release_urls(AMD64, release, "base.txz");
            assert_eq!(
                urls[0],
                format!("https://download.freebsd.org/snapshots/amd64/amd64/{release}/base.txz")
            );
            assert!(urls.iter().all(|u| !u.contains("archive")), "{urls:?}");
        }
        for release in ["12.4-RELEASE", "15.0-BETA1", "15.0-RC2"] {
            let urls = default_release_urls(AMD64, release, "base.txz");
            assert!(urls[0].contains("/releases/"), "{urls:?}");
            assert_eq!(
                urls.last().unwrap(),
                &format!(
                    "https://ftp-archive.freebsd.org/pub/FreeBSD-Archive/old-releases/amd64/amd64/{release}/base.txz"
                )
            );
        }
    }

    proptest! {
        /// The directory of any answer, given as the mirror, leads to the same file; so does every shorter form of it.
        #[test]
        fn an_answer_is_a_fixed_point(
            host in "[a-z]{1,8}(\\.[a-z]{2,5}){0,2}", prefix in "(/[a-z]{1,6}){0,3}",
            release in "1[0-9]\\.[0-9]-(RELEASE|STABLE|RC1)", cut in 0_usize..4,
        ) {
            let first = release_url(&format!("https://{host}{prefix}"), ARM64, &release, "base.txz");
            let mut shorter: Vec<&str> = first.split('/').collect();
            shorter.truncate(shorter.len() - 1 - cut);
            prop_assert_eq!(release_url(&shorter.join("/"), ARM64, &release, "base.txz"), first);
        }
    }
}
