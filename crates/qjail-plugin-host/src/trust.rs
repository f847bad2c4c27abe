//! Whether a file may become part of the program.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// Links followed on the way to a directory.
const LINK_LIMIT: usize = 16;

/// Which content a file had. Whoever changes the content changes at least `ctime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId {
    dev: u64,
    ino: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl FileId {
    pub(crate) fn of(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// A file that may be loaded, by this descriptor and no other.
#[derive(Debug)]
pub(crate) struct TrustedFile {
    pub(crate) file: File,
    pub(crate) id: FileId,
}

/// A directory in which, and above which, only trusted users can put something.
#[derive(Debug)]
pub(crate) struct TrustedDir {
    dir: File,
    path: PathBuf,
}

/// Opens and checks one file.
pub(crate) fn open(path: &Path) -> Result<TrustedFile, Refusal> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Refusal::new(format!("{} is no file", path.display())));
    };
    TrustedDir::open(dir)?.file(name)
}

impl TrustedDir {
    /// Walks from `/` to `path`, checking each directory on the way, those behind symbolic links too.
    pub(crate) fn open(path: &Path) -> Result<Self, Refusal> {
        if !path.is_absolute() {
            let message = format!(
                "plugins are taken from absolute paths only, not from {}",
                path.display()
            );
            return Err(Refusal::new(message).hint("write the path from / down"));
        }
        let mut here = Self::root()?;
        let mut todo = parts(path);
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            match here.link_target(&name)? {
                None => here = here.descend(&name)?,
                Some(_) if links == LINK_LIMIT => {
                    return Err(Refusal::new(format!(
                        "{} leads through too many links",
                        path.display()
                    )));
                }
                Some(target) => {
                    links += 1;
                    if target.is_absolute() {
                        here = Self::root()?;
                    }
                    for part in parts(&target).into_iter().rev() {
                        todo.push_front(part);
                    }
                }
            }
        }
        Ok(here)
    }

    fn root() -> Result<Self, Refusal> {
        let path = PathBuf::from("/");
        let dir = openat(CWD, "/", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let dir = File::from(dir.map_err(|e| cannot("open", &path, e))?);
        judge(&path, &metadata(&path, &dir)?, false)?;
        Ok(Self { dir, path })
    }

    /// Where a link points; none for anything else. The link was made by someone trusted: its directory is checked.
    fn link_target(&self, name: &OsStr) -> Result<Option<PathBuf>, Refusal> {
        let path = self.path.join(name);
        let stat =
            statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| cannot("look at", &path, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            return Ok(None);
        }
        let target =
            readlinkat(&self.dir, name, Vec::new()).map_err(|e| cannot("read the link", &path, e))?;
        Ok(Some(PathBuf::from(OsString::from_vec(target.into_bytes()))))
    }

    fn descend(self, name: &OsStr) -> Result<Self, Refusal> {
        let mut path = self.path.join(name);
        if name == ".." {
            path = self.path.parent().unwrap_or(&self.path).to_path_buf();
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(&self.dir, name, flags, Mode::empty()).map_err(|e| cannot("open", &path, e))?;
        let dir = File::from(dir);
        judge(&path, &metadata(&path, &dir)?, false)?;
        Ok(Self { dir, path })
    }

    /// Opens and checks a file of this directory.
    pub(crate) fn file(&self, name: &OsStr) -> Result<TrustedFile, Refusal> {
        let path = self.path.join(name);
        // Not blocking: a named pipe must not keep us waiting before it is refused.
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match openat(&self.dir, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            // FreeBSD says EMLINK.
            Err(Errno::LOOP | Errno::MLINK) => {
                let message = format!("{} is a symbolic link", path.display());
                return Err(Refusal::new(message).hint("copy the file into the plugin directory instead"));
            }
            Err(e) => return Err(cannot("open", &path, e)),
        };
        let meta = metadata(&path, &file)?;
        judge(&path, &meta, true)?;
        Ok(TrustedFile {
            id: FileId::of(&meta),
            file,
        })
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir))
        .map(|c| c.as_os_str().to_owned())
        .collect()
}

fn metadata(path: &Path, file: &File) -> Result<Metadata, Refusal> {
    file.metadata().map_err(|e| cannot("look at", path, e))
}

fn cannot(what: &str, path: &Path, why: impl Into<io::Error>) -> Refusal {
    Refusal::new(format!("can not {what} {}: {}", path.display(), why.into()))
}

/// Whether a user is root, or the user who runs the program and gains nothing from code of his own.
pub(crate) fn is_trusted_user(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

fn judge(path: &Path, meta: &Metadata, is_file: bool) -> Result<(), Refusal> {
    let shown = path.display();
    let mode = meta.mode() & 0o7777;
    if is_file && !meta.is_file() {
        return Err(Refusal::new(format!("{shown} is no regular file")));
    }
    if !is_trusted_user(meta.uid()) {
        let message = format!("{shown} belongs to user {}, not to root", meta.uid());
        return Err(Refusal::new(message).hint(format!("chown root {shown}, if you trust its content")));
    }
    if mode & 0o022 != 0 {
        let message = format!("{shown} can be written by others than root (mode {mode:04o})");
        let hint = if is_file || mode & 0o1000 == 0 {
            format!("chmod go-w {shown}, if you trust its content")
        } else {
            "move the plugins to a directory that only root can write".to_owned()
        };
        return Err(Refusal::new(message).hint(hint));
    }
    if is_file && mode & 0o6000 != 0 {
        let message = format!("{shown} is setuid or setgid (mode {mode:04o})");
        return Err(Refusal::new(message).hint(format!("chmod u-s,g-s {shown}")));
    }
    Ok(())
}
