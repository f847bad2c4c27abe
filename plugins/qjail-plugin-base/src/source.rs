//! Where the base is to come from: from the words of the command line to one archive, or the host.

use std::path::{Path, PathBuf};

use qjail_archive::{Looks, Undetected, detect};
use qjail_fetch::{Platform, default_release_urls, release_urls};
use qjail_model::{Arch, Release};
use qjail_plugin_api::{CommandRequest, Host, HostInfo, PluginError};

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The running system.
    Host,
    /// An archive on this host.
    File {
        /// Where it is.
        path: PathBuf,
        /// Whether it was found in a directory that was given: a MANIFEST beside it must then be a good one.
        in_dir: bool,
        /// Its size in bytes.
        size: u64,
        /// Whether it is compressed.
        compressed: bool,
    },
    /// One archive on servers.
    Url {
        /// Where it may lie.
        urls: Vec<String>,
    },
    /// The directory of a release on servers; the MANIFEST there tells the archive.
    Release {
        /// The directories, without a `/` at the end.
        dirs: Vec<String>,
    },
}

/// The source, and what the command line says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) source: Source,
    /// FreeBSD's release, where it is given or told by the place.
    pub(crate) release: Option<Release>,
    /// The architecture for the record.
    pub(crate) arch: String,
    /// FreeBSD's platform, for MANIFESTs of the host.
    pub(crate) platform: Option<Arch>,
}

/// Names of base archives in a directory or MANIFEST, the most wanted first.
const NAMES: [&str; 6] = [
    "base.txz",
    "base.tar.xz",
    "base.tar.zst",
    "base.tar.gz",
    "base.tgz",
    "base.tar",
];

/// Where FreeBSD's installation media keep the archives (bsdinstall(8)).
const ON_DISC: &str = "usr/freebsd-dist";

/// What the names of archives end in.
const ENDINGS: [&str; 8] = [
    ".txz",
    ".tar.xz",
    ".tgz",
    ".tar.gz",
    ".tzst",
    ".tar.zst",
    ".tar",
    ".tar.zstd",
];

/// Reads the command line. Looks at files, but at nothing on the network.
pub(crate) fn wanted(host: &Host<'_>, request: &CommandRequest) -> Result<Wanted, PluginError> {
    let options = &request.options;
    let info = host.info()?;
    let freebsd = request.context.os == "freebsd";
    let platform = platform(options.text("arch"), &info, freebsd)?;
    let arch = platform
        .as_ref()
        .map_or_else(|| info.machine.clone(), |p| p.machine_arch.to_owned());
    let release = options
        .text("release")
        .map(|r| r.parse::<Release>().map_err(usage))
        .transpose()?;
    let done = |source, release| {
        Ok(Wanted {
            source,
            release,
            arch: arch.clone(),
            platform: platform.clone(),
        })
    };
    if options.is_on("from-host") {
        return done(Source::Host, None);
    }
    if let Some(given) = options.text("source").or_else(|| options.text("from")) {
        let source = if given.contains("://") {
            of_url(given)?
        } else {
            of_path(given)?
        };
        let release = release.or_else(|| told_by(&source));
        return done(source, release);
    }
    if !freebsd {
        return Err(nothing_for_linux(request));
    }
    let release = match release {
        Some(release) => release,
        None => info.release.parse().map_err(|e| {
            PluginError::new(format!("which release to install is not known: {e}"))
                .hint("give --release, or an archive")
        })?,
    };
    let Some(p) = &platform else {
        let message = format!(
            "FreeBSD has no releases for {} ({})",
            info.machine, info.machine_arch
        );
        return Err(PluginError::new(message).hint("give --arch, or an archive"));
    };
    let urls = urls(&options.list("host"), p, &release, "MANIFEST");
    let dirs = urls
        .into_iter()
        .filter_map(|u| u.strip_suffix("/MANIFEST").map(str::to_owned))
        .collect();
    done(Source::Release { dirs }, Some(release))
}

fn usage(e: impl std::fmt::Display) -> PluginError {
    PluginError::with_code("usage", e)
}

fn nothing_for_linux(request: &CommandRequest) -> PluginError {
    let options = &request.options;
    let message = if options.text("release").is_some() || !options.list("host").is_empty() {
        "FreeBSD's releases do not run on Linux"
    } else {
        "which base to install is not said, and Linux has no release to take by itself"
    };
    PluginError::new(message)
        .hint("qjail install --from-host shares the running system, qjail install FILE takes an archive")
}

fn platform(given: Option<&str>, info: &HostInfo, freebsd: bool) -> Result<Option<Arch>, PluginError> {
    match given {
        Some(name) => Arch::find(name).map(Some).ok_or_else(|| {
            usage(format!("FreeBSD is not built for `{name}`"))
                .hint(format!("it is for {}", Arch::names().join(", ")))
        }),
        None if freebsd => Ok(Arch::find(&info.machine_arch).or_else(|| Arch::find(&info.machine))),
        None => Ok(None),
    }
}

fn urls(mirrors: &[&str], arch: &Arch, release: &Release, file: &str) -> Vec<String> {
    let platform = Platform {
        machine: arch.machine,
        machine_arch: arch.machine_arch,
    };
    let release = release.to_string();
    if mirrors.is_empty() {
        return default_release_urls(platform, &release, file);
    }
    mirrors
        .iter()
        .flat_map(|m| release_urls(m, platform, &release, file))
        .collect()
}

/// The release that a place is named after: `…/15.0-RELEASE/base.txz`.
fn told_by(source: &Source) -> Option<Release> {
    let place = match source {
        Source::Host => return None,
        Source::File { path, .. } => path.display().to_string(),
        Source::Url { urls } => urls.first()?.clone(),
        Source::Release { dirs } => dirs.first()?.clone(),
    };
    place.rsplit('/').find_map(|part| part.parse().ok())
}

fn of_url(url: &str) -> Result<Source, PluginError> {
    let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
    if !["http", "https", "file"].contains(&scheme.as_str()) {
        let message = format!("{scheme}:// is not supported");
        return Err(usage(message).hint("the same files lie behind https://; file:// names one of this host"));
    }
    let path = url.split(['?', '#']).next().unwrap_or(url);
    if is_archive_name(path) {
        return Ok(Source::Url {
            urls: vec![url.to_owned()],
        });
    }
    Ok(Source::Release {
        dirs: vec![url.trim_end_matches('/').to_owned()],
    })
}

fn is_archive_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ENDINGS.iter().any(|e| name.ends_with(e))
}

fn of_path(text: &str) -> Result<Source, PluginError> {
    let path = std::path::absolute(text).map_err(|e| PluginError::new(format!("{text}: {e}")))?;
    let meta = std::fs::metadata(&path).map_err(|e| {
        PluginError::new(format!("read {}: {}", path.display(), reason(&e)))
            .hint("name an archive, a directory, or a URL with https://")
    })?;
    if meta.is_dir() {
        return of_dir(&path);
    }
    if !meta.is_file() {
        let message = format!("{} is no file", path.display());
        return Err(PluginError::new(message).hint("name an archive or a directory"));
    }
    of_file(path, false)
}

fn of_dir(dir: &Path) -> Result<Source, PluginError> {
    let places = [dir.to_owned(), dir.join(ON_DISC)];
    let found = places
        .iter()
        .flat_map(|d| NAMES.iter().map(|n| d.join(n)))
        .find(|p| p.is_file());
    let path = found.ok_or_else(|| {
        PluginError::new(format!("there is no base.txz in {}", dir.display()))
            .hint("name the directory that holds base.txz or base.tar.*, or the archive itself")
    })?;
    of_file(path, true)
}

fn of_file(path: PathBuf, in_dir: bool) -> Result<Source, PluginError> {
    let fail = |e: &std::io::Error| PluginError::new(format!("read {}: {}", path.display(), reason(e)));
    let file = std::fs::File::open(&path).map_err(|e| fail(&e))?;
    let size = file.metadata().map_err(|e| fail(&e))?.len();
    let mut first = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, 512), &mut first).map_err(|e| fail(&e))?;
    let format = detect(&first).map_err(|why| not_an_archive(&path.display().to_string(), &why))?;
    Ok(Source::File {
        path,
        in_dir,
        size,
        compressed: format != qjail_archive::Format::Tar,
    })
}

/// The system's reason without the number that follows it.
pub(crate) fn reason(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// One line for something that is no archive that can be read.
pub(crate) fn not_an_archive(what: &str, why: &Undetected) -> PluginError {
    let hint = "a base is a tar archive, plain or compressed by xz, gzip or zstd";
    let message = match why {
        Undetected::NotArchive(Looks::Html) => format!("{what}: not an archive: looks like a web page"),
        Undetected::NotArchive(looks) => format!("{what}: not an archive: looks like {looks}"),
        Undetected::Unsupported(kind) => format!("{what}: this is {kind}, which is not supported"),
    };
    PluginError::new(message).hint(hint)
}

/// The archive to take among the files that a MANIFEST lists.
pub(crate) fn pick<'a>(files: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    NAMES.iter().find_map(|n| files.clone().find(|f| f == n))
}

/// A short name for the base: its release, or the archive's name without what is after it.
pub(crate) fn stem(wanted: &Wanted) -> String {
    if let Some(release) = &wanted.release {
        return release.to_string();
    }
    let last = |t: &str| {
        t.split(['?', '#'])
            .next()
            .unwrap_or(t)
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let name = match &wanted.source {
        Source::Host => return "host".to_owned(),
        Source::File { path, .. } => last(&path.display().to_string()),
        Source::Url { urls } => last(urls.first().map_or("", String::as_str)),
        Source::Release { dirs } => last(dirs.first().map_or("", String::as_str)),
    };
    let lower = name.to_ascii_lowercase();
    let ending = ENDINGS
        .iter()
        .filter(|e| lower.ends_with(*e))
        .map(|e| e.len())
        .max()
        .unwrap_or(0);
    name[..name.len() - ending].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(source: Source) -> Wanted {
        let release = told_by(&source);
        Wanted {
            source,
            release,
            arch: String::new(),
            platform: None,
        }
    }

    #[test]
    fn urls_are_files_or_directories() {
        let file = |u: &str| matches!(of_url(u), Ok(Source::Url { .. }));
        assert!(
            file("http://h/x/base.txz") && file("https://h/Debian.TAR.gz?x=1") && file("file:///a/b.tar")
        );
        assert!(!file("https://h/releases/amd64/15.0-RELEASE/") && !file("http://h"));
        let error = of_url("ftp://h/base.txz").unwrap_err();
        assert!(
            error.message.contains("ftp://") && error.code == "usage",
            "{error}"
        );
    }

    #[test]
    fn without_a_mirror_it_is_the_official_server_by_https() {
        let (arch, release) = (Arch::find("aarch64").unwrap(), "15.0-RELEASE".parse().unwrap());
        let all = urls(&[], &arch, &release, "MANIFEST");
        assert_eq!(
            all[0],
            "https://download.freebsd.org/releases/arm64/aarch64/15.0-RELEASE/MANIFEST"
        );
        assert!(all.iter().all(|u| u.starts_with("https://")), "{all:?}");
    }

    #[test]
    fn stems() {
        for (url, want) in [
            ("http://h/releases/amd64/15.0-RELEASE/base.txz", "15.0-RELEASE"),
            (
                "http://h/alpine-minirootfs-3.20.0-x86_64.tar.gz",
                "alpine-minirootfs-3.20.0-x86_64",
            ),
            ("http://h/14.3-RELEASE/", "14.3-RELEASE"),
            ("file:///tmp/debian.tar.zst?x", "debian"),
        ] {
            assert_eq!(stem(&plain(of_url(url).unwrap())), want);
        }
    }

    #[test]
    fn the_most_wanted_name_wins() {
        let files = ["src.txz", "base.tar.gz", "base.txz"];
        assert_eq!(pick(files.into_iter()), Some("base.txz"));
        assert_eq!(pick(["kernel.txz"].into_iter()), None);
    }
}
