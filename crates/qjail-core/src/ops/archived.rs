//! Where `create --archive` takes a jail's root from: an archive of ours or of qjail 5.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use qjail_archive::{ArchiveError, DecodeOptions, EntryInfo, EntryKind, ExtractOptions};
use qjail_fs::RelPath;
use qjail_model::{Definition, JailName, ZoneName};
use qjail_plugin_api::{Place, Progress};

use crate::engine::Engine;
use crate::places::{Places, rel};
use crate::{Error, Result};

/// The directory of a zone's archives, among its jails.
const ARCHIVES: &str = "archive";
/// The first entry of an archive of ours.
const DEFINITION: &str = "definition.toml";
/// Where the jail's root is in an archive of ours.
const ROOT: &str = "root";
/// The largest definition that is read.
const DEFINITION_LIMIT: u64 = 1 << 20;
/// The control files of qjail 5 come before the root: five. After so many entries without one there is none.
const ENTRIES_BEFORE_ROOT: u64 = 64;
/// What a default zone is called on the command line.
const NO_ZONE: &str = "nozone";

/// The archive that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromArchive {
    /// A jail's name, a file's name among the archives, or a path.
    pub archive: String,
    /// The zone whose archives are meant, or `nozone`; none is the command's own.
    pub zone: Option<String>,
}

/// What an archive holds, as far as that must be known before it is unpacked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Archived {
    /// The file.
    pub(crate) file: PathBuf,
    /// Where the jail's root is in it.
    pub(crate) under: RelPath,
    /// Whether the jail had the whole base in its root.
    pub(crate) thick: bool,
}

/// How much an archive holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Engine {
    /// Finds the archive and looks at how it begins. Nothing is written.
    pub(crate) fn archived(&self, wanted: &FromArchive) -> Result<Archived> {
        let file = self.archive_file(wanted)?;
        let definition = definition_in(&file)?;
        let under = match &definition {
            Some(_) => rel(ROOT)?,
            None => root_of_qjail_5(&file)?,
        };
        Ok(Archived {
            under,
            thick: definition.is_some_and(|d| d.thick),
            file,
        })
    }

    /// Reads the whole archive and adds up what its jail takes.
    pub(crate) fn held(&self, archived: &Archived) -> Result<Held> {
        let mut held = Held::default();
        let prefix = Path::new(archived.under.as_os_str());
        each(&archived.file, |entry| {
            if relative(&entry.path).starts_with(prefix) && entry.kind != EntryKind::Dir {
                held.files += 1;
                held.bytes = held.bytes.saturating_add(entry.size);
            }
            if self.cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(held)
    }

    fn archive_file(&self, wanted: &FromArchive) -> Result<PathBuf> {
        let archive = &wanted.archive;
        if archive.contains('/') {
            if wanted.zone.is_some() {
                return Err(Error::usage(
                    "--archive-zone: --archive is a path, which has no zone",
                ));
            }
            let path = std::path::absolute(archive).map_err(|e| Error::new(format!("{archive}: {e}")))?;
            return regular(path);
        }
        let zone = match wanted.zone.as_deref() {
            None => self.zone.clone(),
            Some(NO_ZONE) => None,
            Some(zone) => Some(self.known_zone(zone)?),
        };
        let places = self.places(zone.as_ref(), None);
        let names = archives(&places)?;
        if names.iter().any(|n| n == archive) {
            return regular(places.jails.join(ARCHIVES).join(archive));
        }
        let begin = format!("{archive}@");
        // The stamp in the name sorts by time.
        match names.iter().filter(|n| n.starts_with(&begin)).max() {
            Some(newest) => regular(places.jails.join(ARCHIVES).join(newest)),
            None => Err(no_archive(archive, &places, &names)),
        }
    }

    fn known_zone(&self, zone: &str) -> Result<ZoneName> {
        let zone = ZoneName::new(zone).map_err(|e| Error::usage(format!("--archive-zone: {e}")))?;
        if self.layout.jails_dir(Some(&zone)).is_dir() {
            return Ok(zone);
        }
        Err(Error::new("Error: Un-known zone.").hint(format!(
            "there is no zone {zone}; {NO_ZONE} is the default one, list --all-zones shows the jails of all"
        )))
    }

    /// Unpacks what is below `under` into the jail's root.
    pub(crate) fn unpack(&self, places: &Places, file: &Path, under: &str) -> Result<()> {
        let name = shown(file);
        let size = file.metadata().map(|m| m.len()).ok();
        let options = ExtractOptions {
            under: Some(rel(under)?),
            ..ExtractOptions::default()
        };
        let root = places.open(Place::Jail)?;
        let mut told = 0;
        let unpacked =
            qjail_archive::extract(open(file)?, &root, &options, &|| self.cancelled(), &mut |at| {
                if at.read.saturating_sub(told) > 1 << 20 {
                    told = at.read;
                    self.ui.progress(&Progress {
                        about: format!("unpack {name}"),
                        done: at.read,
                        total: size,
                        bytes: true,
                    });
                }
            });
        unpacked.map(drop).map_err(|e| refused(file, &e))
    }
}

/// The files among a zone's archives.
fn archives(places: &Places) -> Result<Vec<String>> {
    let jails = places.open(Place::Jails)?;
    let dir = rel(ARCHIVES)?;
    if jails.metadata(&dir)?.is_none() {
        return Ok(Vec::new());
    }
    let entries = jails.list(&dir)?.into_iter();
    Ok(entries.filter_map(|e| e.name.into_string().ok()).collect())
}

fn no_archive(archive: &str, places: &Places, names: &[String]) -> Error {
    let dir = places.jails.join(ARCHIVES);
    let error = Error::new(format!("there is no archive {archive} in {}", dir.display()));
    if names.is_empty() {
        return error.hint("it is empty; give the path of an archive, or another zone with -A ZONE");
    }
    error.hint(format!("there are: {}", names.join(", ")))
}

fn regular(path: PathBuf) -> Result<PathBuf> {
    let fail = |why: &str| {
        Err(Error::new(format!("{}: {why}", path.display()))
            .hint("--archive takes a jail's name, a file's name or a path"))
    };
    match path.metadata() {
        Ok(meta) if meta.is_file() => Ok(path),
        Ok(_) => fail("this is no file"),
        Err(e) => fail(&e.to_string()),
    }
}

fn open(file: &Path) -> Result<File> {
    File::open(file).map_err(|e| Error::new(format!("open {}: {e}", file.display())))
}

fn each(file: &Path, each: impl FnMut(EntryInfo) -> ControlFlow<()>) -> Result<u64> {
    qjail_archive::list(open(file)?, &DecodeOptions::default(), each).map_err(|e| refused(file, &e))
}

/// The definition that an archive of ours begins with.
fn definition_in(file: &Path) -> Result<Option<Definition>> {
    let found = qjail_archive::first_file(open(file)?, &DecodeOptions::default(), DEFINITION_LIMIT)
        .map_err(|e| refused(file, &e))?;
    let Some((_, content)) = found.filter(|(entry, _)| relative(&entry.path) == Path::new(DEFINITION)) else {
        return Ok(None);
    };
    let text =
        String::from_utf8(content).map_err(|e| Error::new(format!("{}: {DEFINITION}: {e}", shown(file))))?;
    let definition = Definition::parse(&text);
    definition.map(Some).map_err(|e| {
        Error::new(format!("{}: {DEFINITION}: {e}", shown(file)))
            .hint("the archive is damaged, or of a later qjail")
    })
}

/// `usr/jails/NAME` or `usr/jails.ZONE/NAME`, which the absolute names in an archive of qjail 5 begin with.
fn root_of_qjail_5(file: &Path) -> Result<RelPath> {
    let mut found = None;
    let mut seen = 0;
    each(file, |entry| {
        seen += 1;
        found = root_in(&entry.path);
        if found.is_some() || seen > ENTRIES_BEFORE_ROOT {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    let Some((root, name)) = found else {
        return Err(Error::new(format!("{}: this holds no jail", shown(file))).hint(
            "an archive of qjail begins with definition.toml, or has the jail's root below /usr/jails",
        ));
    };
    if let Err(e) = JailName::new(name.as_str()) {
        return Err(Error::new(format!("{}: this holds /{root}: {e}", shown(file)))
            .hint("only the archive of a jail can become a jail"));
    }
    rel(&root)
}

/// The root that an entry lies in, and the jail's name.
fn root_in(path: &Path) -> Option<(String, String)> {
    let mut words = relative(path).components().map(|c| match c {
        Component::Normal(word) => word.to_str(),
        _ => None,
    });
    let (usr, jails, name) = (words.next()??, words.next()??, words.next()??);
    let is_jails = jails == "jails" || jails.strip_prefix("jails.").is_some_and(|z| !z.is_empty());
    (usr == "usr" && is_jails).then(|| (format!("{usr}/{jails}/{name}"), name.to_owned()))
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn shown(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).display().to_string()
}

fn refused(file: &Path, error: &ArchiveError) -> Error {
    let told = Error::new(format!("{}: {error}", file.display()));
    match error {
        ArchiveError::Cancelled => Error::cancelled(),
        ArchiveError::NotArchive(_) | ArchiveError::Unsupported(_) => {
            told.hint("an archive is a tar file, plain or compressed by gzip, xz or zstd")
        }
        e if e.is_no_space() => told.hint("free some space and try again; nothing was changed"),
        _ => told.hint("the archive is damaged or hostile; nothing was changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_of_qjail_5() {
        for (path, root) in [
            ("/usr/jails/web/etc/rc.conf", Some("usr/jails/web")),
            ("usr/jails/web/", Some("usr/jails/web")),
            ("/usr/jails.dmz/web", Some("usr/jails.dmz/web")),
            ("/usr/jails./web", None),
            ("/usr/jails", None),
            ("/usr/local/etc/qjail.config/web", None),
            ("/usr/jails/../etc", None),
            ("etc/usr/jails/web", None),
        ] {
            assert_eq!(
                root_in(Path::new(path)).map(|(r, _)| r).as_deref(),
                root,
                "{path}"
            );
        }
    }
}
