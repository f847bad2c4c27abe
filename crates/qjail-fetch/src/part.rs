//! The file under way: `NAME.part` beside the destination, locked, with a note `NAME.part.info` that says where its
//! bytes come from, so that a later run can go on. Published by rename.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::exchange::Resume;
use crate::{Digest, FetchError, Hasher, url};

/// First line of a note.
const MAGIC: &str = "qjail part 1";

/// Where the bytes of a part come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    /// Without user and password.
    pub(crate) url: String,
    pub(crate) validator: Option<String>,
    pub(crate) total: Option<u64>,
}

impl Origin {
    fn to_text(&self) -> String {
        let line =
            |key: &str, value: Option<String>| value.map(|v| format!("{key} {v}\n")).unwrap_or_default();
        let url = line("url", Some(self.url.clone()));
        let validator = line("validator", self.validator.clone());
        format!(
            "{MAGIC}\n{url}{validator}{}",
            line("total", self.total.map(|n| n.to_string()))
        )
    }

    fn parse(text: &str) -> Option<Origin> {
        let body = text.strip_prefix(MAGIC)?.strip_prefix('\n')?;
        let value = |key: &str| {
            body.lines()
                .find_map(|l| l.strip_prefix(key)?.strip_prefix(' '))
                .map(str::to_owned)
        };
        let total = match value("total") {
            Some(digits) => Some(digits.parse().ok()?),
            None => None,
        };
        Some(Origin {
            url: value("url")?,
            validator: value("validator"),
            total,
        })
    }
}

/// The part of one destination, held by this process alone.
pub(crate) struct Part {
    to: PathBuf,
    path: PathBuf,
    note: PathBuf,
    file: File,
    hasher: Hasher,
    len: u64,
    origin: Option<Origin>,
}

fn beside(to: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = to.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn local(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FetchError {
    let path = path.to_owned();
    move |source| FetchError::Local { action, path, source }
}

impl Part {
    /// Opens or makes the part of `to`. What an earlier run left is taken up when its note can be read; `progress`
    /// hears of the bytes hashed again, of how many.
    pub(crate) fn open(
        to: &Path,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<Part, FetchError> {
        let (path, note) = (beside(to, ".part"), beside(to, ".part.info"));
        let file = lock(to, &path)?;
        let size = file.metadata().map_err(local("read", &path))?.len();
        let origin = fs::read_to_string(&note)
            .ok()
            .and_then(|text| Origin::parse(&text));
        let usable = origin
            .as_ref()
            .is_some_and(|o| size > 0 && o.total.is_none_or(|total| size <= total));
        let mut part = Part {
            to: to.to_owned(),
            path,
            note,
            file,
            hasher: Hasher::default(),
            len: 0,
            origin,
        };
        if usable {
            part.rehash(size, progress)?;
        } else {
            part.reset()?;
        }
        Ok(part)
    }

    fn rehash(
        &mut self,
        size: u64,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<(), FetchError> {
        let mut buf = vec![0; 1 << 20];
        loop {
            let n = self.file.read(&mut buf).map_err(local("read", &self.path))?;
            self.hasher.update(&buf[..n]);
            self.len += n as u64;
            if n == 0 {
                return Ok(());
            }
            if progress(self.len, size).is_break() {
                return Err(FetchError::Cancelled { kept: size });
            }
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Size of the whole, when the server of the first bytes said it.
    pub(crate) fn total(&self) -> Option<u64> {
        self.origin.as_ref().and_then(|o| o.total)
    }

    /// The digest of the bytes so far.
    pub(crate) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    /// How to go on from `url`; nothing when the part is empty or may not be mixed with what `url` sends. `checked`:
    /// a digest will tell whether the result is right, so a same-sized file of another mirror may complete it.
    pub(crate) fn resume(&self, url: &str, checked: bool) -> Option<Resume> {
        let origin = self.origin.as_ref().filter(|_| self.len > 0)?;
        let validator = origin.validator.clone().filter(|_| origin.url == url::shown(url));
        let sure = validator.is_some() || (checked && origin.total.is_some());
        sure.then_some(Resume {
            from: self.len,
            validator,
        })
    }

    /// Empties the part.
    pub(crate) fn reset(&mut self) -> Result<(), FetchError> {
        (self.len, self.origin, self.hasher) = (0, None, Hasher::default());
        self.file.set_len(0).map_err(local("empty", &self.path))?;
        self.file
            .seek(SeekFrom::Start(0))
            .map_err(local("write", &self.path))?;
        remove(&self.note)
    }

    /// Starts over with bytes from `origin`.
    pub(crate) fn begin(&mut self, origin: Origin) -> Result<(), FetchError> {
        self.reset()?;
        // The note comes first: bytes without a note are never taken up.
        let written = fs::write(&self.note, origin.to_text());
        written.map_err(|e| self.write_error(e, origin.total))?;
        self.origin = Some(origin);
        Ok(())
    }

    /// Adds `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file
            .write_all(bytes)
            .map_err(|e| self.write_error(e, self.total()))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// A full disk is told with numbers, and the part is given back: what fills a disk must not stay.
    fn write_error(&self, e: io::Error, total: Option<u64>) -> FetchError {
        if e.kind() != io::ErrorKind::StorageFull {
            return local("write", &self.path)(e);
        }
        let free = self.free().unwrap_or(0);
        let needed = total.map(|t| t.saturating_sub(self.len));
        self.discard();
        FetchError::NoSpace {
            directory: self.directory().to_owned(),
            needed,
            free,
        }
    }

    fn directory(&self) -> &Path {
        self.to
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
    }

    /// Bytes free for this user.
    fn free(&self) -> Result<u64, FetchError> {
        let directory = self.directory();
        let space = rustix::fs::statvfs(directory)
            .map_err(|e| local("ask the free space of", directory)(e.into()))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// Refuses when `needed` more bytes do not fit. A part that cannot grow is removed.
    pub(crate) fn check_space(&self, needed: u64) -> Result<(), FetchError> {
        let free = self.free()?;
        if needed <= free {
            return Ok(());
        }
        self.discard();
        Err(FetchError::NoSpace {
            directory: self.directory().to_owned(),
            needed: Some(needed),
            free,
        })
    }

    /// Removes the part. Best effort: it is called where another error is already on its way.
    pub(crate) fn discard(&self) {
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.note);
    }

    /// Leaves the part for a later resume, or nothing when there is nothing to resume.
    pub(crate) fn leave(&self) {
        if self.len == 0 {
            self.discard();
        }
    }

    /// Puts the complete part in the destination's place, durably.
    pub(crate) fn publish(self) -> Result<(), FetchError> {
        let result = self
            .file
            .sync_all()
            .map_err(local("write", &self.path))
            .and_then(|()| fs::rename(&self.path, &self.to).map_err(local("put the download at", &self.to)));
        if let Err(e) = result {
            self.discard();
            return Err(e);
        }
        remove(&self.note)?;
        let directory = self.directory();
        File::open(directory)
            .and_then(|d| d.sync_all())
            .map_err(local("write", directory))
    }
}

fn remove(path: &Path) -> Result<(), FetchError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(local("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Opens `path` and locks it. Between the two another process may have published or removed the file that was opened,
/// so the lock counts only when the name still means that file.
fn lock(to: &Path, path: &Path) -> Result<File, FetchError> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let no_links = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = options
            .custom_flags(no_links)
            .open(path)
            .map_err(local("write", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { path: to.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(local("lock", path)(e)),
        }
        let held = file.metadata().map_err(local("read", path))?;
        if !held.is_file() {
            return Err(local("write", path)(io::Error::other("not a regular file")));
        }
        match fs::symlink_metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(file),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(_: u64, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn origin() -> Origin {
        Origin {
            url: "http://h/f".to_owned(),
            validator: Some("\"a b\"".to_owned()),
            total: Some(10),
        }
    }

    #[test]
    fn notes_round_trip_and_bad_ones_are_ignored() {
        for o in [
            origin(),
            Origin {
                validator: None,
                total: None,
                ..origin()
            },
        ] {
            assert_eq!(Origin::parse(&o.to_text()), Some(o));
        }
        for bad in [
            "",
            "qjail part 2\nurl x\n",
            "qjail part 1\n",
            "qjail part 1\nurl x\ntotal many\n",
        ] {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_part_is_taken_up_only_with_its_note() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("f");
        let mut part = Part::open(&to, &mut go).unwrap();
        part.begin(origin()).unwrap();
        part.write(b"hello").unwrap();
        drop(part);
        let part = Part::open(&to, &mut go).unwrap();
        assert_eq!((part.len(), part.digest()), (5, Digest::of(b"hello")));
        assert!(
            part.resume("http://h/f", false)
                .is_some_and(|r| r.validator.is_some())
        );
        assert!(part.resume("http://other/f", false).is_none());
        assert!(
            part.resume("http://other/f", true)
                .is_some_and(|r| r.validator.is_none())
        );
        drop(part);
        fs::remove_file(dir.path().join("f.part.info")).unwrap();
        assert_eq!(Part::open(&to, &mut go).unwrap().len(), 0);
        assert_eq!(fs::metadata(dir.path().join("f.part")).unwrap().len(), 0);
    }

    #[test]
    fn one_download_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("f");
        let first = Part::open(&to, &mut go).unwrap();
        let second = Part::open(&to, &mut go).map(|_| ()).unwrap_err();
        assert!(matches!(second, FetchError::Busy { .. }), "{second}");
        drop(first);
        Part::open(&to, &mut go).unwrap();
    }

    #[test]
    fn a_link_in_the_parts_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("f.part")).unwrap();
        assert!(Part::open(&dir.path().join("f"), &mut go).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
