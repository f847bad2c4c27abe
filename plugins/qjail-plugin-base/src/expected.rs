//! What the archive must be: the SHA-256 from the command line, from MANIFESTs, or from both, which must then agree.

use std::ops::ControlFlow;
use std::path::Path;

use qjail_fetch::{Digest, Expect, FetchError, Manifest, MirrorError, Options, Proxies, fetch_small};
use qjail_plugin_api::{CommandRequest, Host, PluginError};

use crate::source::{Source, Wanted, pick, reason};

/// No MANIFEST is larger.
const LIMIT: usize = 1 << 20;

/// Where the package `freebsd-release-manifests` puts MANIFESTs, which pkg(8) has verified.
const TRUSTED: &str = "/usr/local/share/freebsd/MANIFESTS";

/// The archive, as exactly as it is known before it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// The URLs of the archive; empty for a file of the host.
    pub(crate) urls: Vec<String>,
    /// Its SHA-256.
    pub(crate) sha256: Option<Digest>,
}

/// A digest and who says so.
#[derive(Debug)]
struct Word {
    sha256: Digest,
    from: String,
}

/// Collects what is known of the archive; fetches the MANIFEST of a server.
pub(crate) fn known(
    host: &Host<'_>,
    request: &CommandRequest,
    wanted: &Wanted,
) -> Result<Known, PluginError> {
    let mut words = Vec::new();
    if let Some(hex) = request.options.text("sha256") {
        let sha256 = hex
            .parse()
            .map_err(|e| PluginError::with_code("usage", format!("--sha256: {e}")))?;
        words.push(Word {
            sha256,
            from: "--sha256".to_owned(),
        });
    }
    let (urls, file) = match &wanted.source {
        Source::Host => (Vec::new(), String::new()),
        Source::File { path, in_dir, .. } => {
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            words.extend(beside_file(path, &file, *in_dir)?);
            (Vec::new(), file)
        }
        Source::Url { urls } => {
            let file = file_of(urls.first().map_or("", String::as_str));
            words.extend(beside_url(host, urls, &file)?);
            (urls.clone(), file)
        }
        Source::Release { dirs } => in_release(host, dirs, &mut words)?,
    };
    if let Some(path) = request.options.text("manifest") {
        words.push(in_manifest(&read_manifest(Path::new(path))?, &file, path)?);
    }
    words.extend(trusted(Path::new(TRUSTED), wanted, &file)?);
    Ok(Known {
        urls,
        sha256: agreed(&words, &file)?,
    })
}

fn agreed(words: &[Word], file: &str) -> Result<Option<Digest>, PluginError> {
    let Some(first) = words.first() else {
        return Ok(None);
    };
    match words.iter().find(|w| w.sha256 != first.sha256) {
        None => Ok(Some(first.sha256)),
        Some(other) => {
            let message = format!(
                "{} and {} disagree about the sha256 of {file}: nothing is installed",
                first.from, other.from
            );
            Err(PluginError::new(message)
                .hint("one of the two is of another release, or has been tampered with"))
        }
    }
}

fn in_manifest(manifest: &Manifest, file: &str, from: &str) -> Result<Word, PluginError> {
    let entry = manifest.entry(file).ok_or_else(|| {
        let files = manifest
            .entries()
            .iter()
            .map(|e| e.file.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        PluginError::new(format!("{from} does not list {file}")).hint(format!("it lists {files}"))
    })?;
    Ok(Word {
        sha256: entry.sha256,
        from: from.to_owned(),
    })
}

fn parse(bytes: &[u8], from: &str) -> Result<Manifest, PluginError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PluginError::new(format!("{from} is no text")))?;
    Manifest::parse(text).map_err(|e| PluginError::new(format!("{from}: {e}")))
}

fn read_manifest(path: &Path) -> Result<Manifest, PluginError> {
    let bytes = std::fs::read(path)
        .map_err(|e| PluginError::new(format!("read {}: {}", path.display(), reason(&e))))?;
    parse(&bytes, &path.display().to_string())
}

/// A MANIFEST that lies beside a file: of a directory that was named it counts in any case, of an archive that was named
/// only when it is one and lists the archive.
fn beside_file(path: &Path, file: &str, in_dir: bool) -> Result<Option<Word>, PluginError> {
    let beside = path.with_file_name("MANIFEST");
    if !beside.is_file() {
        return Ok(None);
    }
    let from = beside.display().to_string();
    if in_dir {
        return in_manifest(&read_manifest(&beside)?, file, &from).map(Some);
    }
    let entry = read_manifest(&beside)
        .ok()
        .and_then(|m| m.entry(file).map(|e| e.sha256));
    Ok(entry.map(|sha256| Word { sha256, from }))
}

/// What pkg(8) verified of the release: `dir` has a MANIFEST of each.
fn trusted(dir: &Path, wanted: &Wanted, file: &str) -> Result<Option<Word>, PluginError> {
    let (Some(release), Some(arch)) = (&wanted.release, &wanted.platform) else {
        return Ok(None);
    };
    let path = dir.join(format!("{}-{}-{release}", arch.machine, arch.machine_arch));
    if !path.is_file() {
        return Ok(None);
    }
    in_manifest(&read_manifest(&path)?, file, &path.display().to_string()).map(Some)
}

/// The MANIFEST in the directory of an archive on a server. Where there is none, nothing is known.
fn beside_url(host: &Host<'_>, urls: &[String], file: &str) -> Result<Option<Word>, PluginError> {
    let beside: Vec<String> = urls.iter().map(|u| format!("{}/MANIFEST", dir_of(u))).collect();
    match fetch_small(&beside, LIMIT, Expect::Manifest, &quick_options(), &mut |_| {
        go_on(host)
    }) {
        Ok((bytes, url)) => in_manifest(&parse(&bytes, &url)?, file, &url).map(Some),
        Err(FetchError::Mirrors(failures)) if failures.iter().all(|f| is_absent(&f.error)) => Ok(None),
        Err(e) => Err(failed(&e)),
    }
}

fn is_absent(error: &MirrorError) -> bool {
    matches!(error, MirrorError::Status(404 | 410) | MirrorError::File(_))
}

/// The MANIFEST of a release and the archive it lists; the server that answered comes first.
fn in_release(
    host: &Host<'_>,
    dirs: &[String],
    words: &mut Vec<Word>,
) -> Result<(Vec<String>, String), PluginError> {
    let manifests: Vec<String> = dirs.iter().map(|d| format!("{d}/MANIFEST")).collect();
    let (bytes, url) = fetch_small(&manifests, LIMIT, Expect::Manifest, &quick_options(), &mut |_| go_on(host))
        .map_err(|e| failed(&e).hint("a release's directory holds a MANIFEST; see -h for another mirror, --release for another release"))?;
    let manifest = parse(&bytes, &url)?;
    let file = pick(manifest.entries().iter().map(|e| e.file.as_str()))
        .ok_or_else(|| PluginError::new(format!("{url} lists no base.txz")).hint("name the archive itself"))?
        .to_owned();
    words.push(in_manifest(&manifest, &file, &url)?);
    let mut urls: Vec<String> = dirs.iter().map(|d| format!("{d}/{file}")).collect();
    if let Some(answered) = manifests.iter().position(|m| *m == url) {
        urls.rotate_left(answered);
    }
    Ok((urls, file))
}

/// How to talk to servers; proxies are those of the environment, as for fetch(1) and curl(1).
pub(crate) fn options() -> Options {
    Options {
        proxies: Proxies::from_variables(|name| std::env::var(name).ok()),
        ..Options::default()
    }
}

/// The same for the few bytes that planning needs: a plugin that does not answer for half a minute is given up.
fn quick_options() -> Options {
    let seconds = std::time::Duration::from_secs(6);
    Options {
        connect_timeout: seconds,
        read_timeout: seconds,
        attempts: 1,
        ..options()
    }
}

/// Goes on unless the user has had enough.
pub(crate) fn go_on(host: &Host<'_>) -> ControlFlow<()> {
    if host.cancelled() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// A failed download as the plugin's error.
pub(crate) fn failed(error: &FetchError) -> PluginError {
    match error {
        FetchError::Cancelled { .. } => PluginError::with_code("cancelled", error),
        _ => PluginError::new(error),
    }
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn dir_of(url: &str) -> &str {
    let path = without_query(url);
    path.rsplit_once('/').map_or(path, |(dir, _)| dir)
}

/// The last part of a URL's path.
pub(crate) fn file_of(url: &str) -> String {
    without_query(url)
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "ac0c933cc02ee8af4da793f551e4a9a15cdcf0e67851290b1e8c19dd6d30bba8";
    const B: &str = "d63d5c5bd01a1e2d8b990102abd5077a26e8232bb1d02234deaed420e71f1343";

    fn word(hex: &str, from: &str) -> Word {
        Word {
            sha256: hex.parse().unwrap(),
            from: from.to_owned(),
        }
    }

    #[test]
    fn all_must_agree() {
        assert_eq!(agreed(&[], "base.txz").unwrap(), None);
        let same = agreed(&[word(A, "--sha256"), word(A, "MANIFEST")], "base.txz").unwrap();
        assert_eq!(same.unwrap().to_string(), A);
        let error = agreed(&[word(A, "--sha256"), word(B, "/x/MANIFEST")], "base.txz").unwrap_err();
        assert!(
            error
                .message
                .starts_with("--sha256 and /x/MANIFEST disagree about the sha256 of base.txz"),
            "{error}"
        );
    }

    #[test]
    fn what_pkg_has_verified_has_a_say() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = Wanted {
            source: Source::Release { dirs: Vec::new() },
            release: Some("15.0-RELEASE".parse().unwrap()),
            arch: "aarch64".to_owned(),
            platform: qjail_model::Arch::find("aarch64"),
        };
        let found = || trusted(dir.path(), &wanted, "base.txz");
        assert!(found().unwrap().is_none(), "the package is not installed");
        let path = dir.path().join("arm64-aarch64-15.0-RELEASE");
        let line = |file: &str| format!("{file}\t{A}\t30174\tbase\t\"Base system (MANDATORY)\"\ton\n");
        std::fs::write(&path, line("base.txz")).unwrap();
        let said = found().unwrap().unwrap();
        let error = agreed(&[word(B, "http://h/MANIFEST"), said], "base.txz").unwrap_err();
        assert!(error.message.contains("disagree"), "{error}");
        std::fs::write(&path, line("kernel.txz")).unwrap();
        assert!(found().unwrap_err().message.ends_with("does not list base.txz"));
        let unknown = Wanted {
            release: None,
            ..wanted.clone()
        };
        assert!(trusted(dir.path(), &unknown, "base.txz").unwrap().is_none());
    }

    #[test]
    fn parts_of_urls() {
        assert_eq!(dir_of("http://h/a/b.txz?x=/y"), "http://h/a");
        assert_eq!(file_of("http://h/a/b.txz?x=/y"), "b.txz");
    }
}
