//! Which directory is copied when, and by which thread.

use super::{CopyOptions, CopyStats, OnConflict, entry, error};
use crate::change::times;
use crate::error::{Error, ErrorKind, Result};
use crate::meta::{Entry, Kind};
use crate::path::RelPath;
use crate::queue::Queue;
use crate::root::{Root, open_subdir, read_dir};
use crate::write::permissions;
use qjail_os::{CopyWays, FileInfo, MountId};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::collections::{HashMap, HashSet, hash_map};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pairs of open directories that wait for their subdirectories; beyond it these are opened from the root again.
const OPEN_PAIRS: usize = 24;
/// Files of one directory that one thread copies in one go.
const CHUNK: usize = 64;

pub(super) type Outcome<T> = std::result::Result<T, ErrorKind>;

/// What failed on which side.
pub(super) enum Fault {
    Source(ErrorKind),
    Destination(ErrorKind),
}

/// One copy in progress; shared by the threads.
pub(super) struct Copy<'a> {
    from: &'a Root,
    to: &'a Root,
    options: &'a CopyOptions<'a>,
    skip: HashSet<&'a RelPath>,
    top: FileInfo,
    destination: FileInfo,
    open_pairs: Arc<AtomicUsize>,
    failed: Mutex<Option<Error>>,
    failing: AtomicBool,
    pub(super) ways: CopyWays,
    pub(super) attributes: AtomicBool,
    pub(super) owners: bool,
    stats: Mutex<CopyStats>,
    first_names: Mutex<HashMap<(u64, u64), RelPath>>,
    later: Mutex<Later>,
}

/// What can only be done when all files are there.
#[derive(Default)]
struct Later {
    links: Vec<(RelPath, RelPath, Option<FileInfo>)>,
    flags: Vec<(RelPath, u32)>,
}

enum Job {
    Dir {
        parent: Option<Arc<Pair>>,
        path: RelPath,
        made: bool,
    },
    Files {
        pair: Arc<Pair>,
        entries: Vec<Entry>,
    },
}

/// A directory and its copy.
pub(super) struct Pair {
    pub(super) path: RelPath,
    pub(super) from: OwnedFd,
    pub(super) to: OwnedFd,
    found: FileInfo,
    /// Whether the copy gets the original's owner, mode and times: not when it existed before.
    made: bool,
    /// Jobs that still change something in the copy.
    pending: AtomicUsize,
    open_pairs: Arc<AtomicUsize>,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.open_pairs.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Copy<'a> {
    pub(super) fn new(from: &'a Root, to: &'a Root, options: &'a CopyOptions<'a>) -> Result<Self> {
        let info =
            |root: &Root| qjail_os::info(root.as_fd()).map_err(|e| error(root, &RelPath::root(), e.into()));
        Ok(Copy {
            from,
            to,
            options,
            skip: options.skip.iter().collect(),
            top: info(from)?,
            destination: info(to)?,
            open_pairs: Arc::default(),
            failed: Mutex::default(),
            failing: AtomicBool::new(false),
            ways: CopyWays::new(),
            attributes: AtomicBool::new(true),
            owners: qjail_os::is_root(),
            stats: Mutex::default(),
            first_names: Mutex::default(),
            later: Mutex::default(),
        })
    }

    pub(super) fn run(self) -> Result<CopyStats> {
        let made = self.options.on_conflict == OnConflict::Fail;
        let queue = Queue::new(Job::Dir {
            parent: None,
            path: RelPath::root(),
            made,
        });
        let work = || queue.work(|job| self.perform(job, &queue));
        std::thread::scope(|scope| {
            for _ in 1..self.threads() {
                scope.spawn(work);
            }
            work();
        });
        if let Some(e) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(e);
        }
        self.finish()?;
        Ok(*self.lock_stats())
    }

    fn threads(&self) -> usize {
        match self.options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(4),
            n => n,
        }
    }

    fn perform(&self, job: Job, queue: &Queue<Job>) {
        if let Err(e) = self.try_job(job, queue) {
            self.failing.store(true, Ordering::Relaxed);
            self.failed
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(e);
            queue.stop();
        }
    }

    fn try_job(&self, job: Job, queue: &Queue<Job>) -> Result<()> {
        match job {
            Job::Files { pair, entries } => self.copy_files(&pair, &entries),
            Job::Dir { parent, path, made } => {
                let pair = self.open_pair(parent.as_deref(), &path, made)?;
                drop(parent);
                self.copy_dir(&Arc::new(pair), queue)
            }
        }
    }

    /// Opens a directory and its copy, which exists by now.
    fn open_pair(&self, parent: Option<&Pair>, path: &RelPath, made: bool) -> Result<Pair> {
        let (from, to) = match (parent, path.file_name()) {
            (Some(pair), Some(name)) => (
                open_subdir(pair.from.as_fd(), name),
                open_subdir(pair.to.as_fd(), name),
            ),
            _ => (self.from.walk(path), self.to.walk(path)),
        };
        let from = from.map_err(|k| error(self.from, path, k))?;
        let to = to.map_err(|k| error(self.to, path, k))?;
        let found = qjail_os::info(from.as_fd()).map_err(|e| error(self.from, path, e.into()))?;
        if (found.dev, found.ino) == (self.destination.dev, self.destination.ino) {
            return Err(error(self.to, &RelPath::root(), ErrorKind::InsideItself));
        }
        self.open_pairs.fetch_add(1, Ordering::Relaxed);
        Ok(Pair {
            path: path.clone(),
            from,
            to,
            found,
            made,
            pending: AtomicUsize::new(1),
            open_pairs: Arc::clone(&self.open_pairs),
        })
    }

    fn copy_dir(&self, pair: &Arc<Pair>, queue: &Queue<Job>) -> Result<()> {
        if pair.found.mount != self.top.mount {
            // The empty directory is needed for mounting there again.
            self.lock_stats().mounts_skipped += 1;
            return self.finish_dir(pair);
        }
        let entries = read_dir(pair.from.as_fd()).map_err(|e| error(self.from, &pair.path, e.into()))?;
        let (dirs, mut files): (Vec<Entry>, Vec<Entry>) = entries
            .into_iter()
            .filter(|e| self.skip.is_empty() || !self.skip.contains(&pair.path.push(&e.name)))
            .partition(|e| e.kind == Kind::Dir);
        let mut jobs = Vec::with_capacity(dirs.len());
        for entry in dirs {
            let path = pair.path.push(&entry.name);
            self.check_cancelled(|| path.clone())?;
            let made = self
                .make_dir(pair, &entry)
                .map_err(|k| error(self.to, &path, k))?;
            let keep = self.open_pairs.load(Ordering::Relaxed) < OPEN_PAIRS;
            jobs.push(Job::Dir {
                parent: keep.then(|| Arc::clone(pair)),
                path,
                made,
            });
        }
        while files.len() > CHUNK {
            let entries = files.split_off(files.len() - CHUNK);
            pair.pending.fetch_add(1, Ordering::Relaxed);
            jobs.push(Job::Files {
                pair: Arc::clone(pair),
                entries,
            });
        }
        queue.add(jobs);
        self.copy_files(pair, &files)
    }

    /// Makes the copy of a subdirectory; false when it existed.
    fn make_dir(&self, pair: &Pair, entry: &Entry) -> Outcome<bool> {
        match rustix::fs::mkdirat(&pair.to, &entry.name, permissions(0o700)) {
            Ok(()) => {
                self.lock_stats().dirs += 1;
                Ok(true)
            }
            Err(Errno::EXIST) if self.options.on_conflict == OnConflict::MergeReplace => Ok(false),
            Err(Errno::EXIST) => Err(ErrorKind::Exists),
            Err(e) => Err(e.into()),
        }
    }

    fn copy_files(&self, pair: &Arc<Pair>, entries: &[Entry]) -> Result<()> {
        let mut stats = CopyStats::default();
        for entry in entries {
            let path = || pair.path.push(&entry.name);
            if self.failing.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.check_cancelled(path)?;
            entry::copy(self, pair, entry, &mut stats).map_err(|fault| match fault {
                Fault::Source(kind) => error(self.from, &path(), kind),
                Fault::Destination(kind) => error(self.to, &path(), kind),
            })?;
        }
        self.lock_stats().add(&stats);
        if pair.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish_dir(pair)
        } else {
            Ok(())
        }
    }

    /// Gives a directory what its original has; nothing changes in it any more, but for further names of files.
    fn finish_dir(&self, pair: &Pair) -> Result<()> {
        if !pair.made {
            return Ok(());
        }
        let lost = entry::set_metadata(self, pair.from.as_fd(), pair.to.as_fd(), &pair.found);
        let lost = lost.map_err(|k| error(self.to, &pair.path, k))?;
        self.lock_stats().attributes_lost += u64::from(lost);
        if pair.found.flags != 0 {
            self.flags_later(pair.path.clone(), pair.found.flags);
        }
        Ok(())
    }

    /// Whether this file has been copied by another name, whose further name is then made at the end.
    pub(super) fn link_later(&self, pair: &Pair, entry: &Entry, found: &FileInfo) -> bool {
        let path = pair.path.push(&entry.name);
        let mut first_names = self.first_names.lock().unwrap_or_else(PoisonError::into_inner);
        match first_names.entry((found.dev, found.ino)) {
            hash_map::Entry::Vacant(free) => {
                free.insert(path);
                false
            }
            hash_map::Entry::Occupied(first) => {
                let dir = pair.made.then_some(pair.found);
                self.lock_later().links.push((first.get().clone(), path, dir));
                true
            }
        }
    }

    pub(super) fn flags_later(&self, path: RelPath, flags: u32) {
        self.lock_later().flags.push((path, flags));
    }

    pub(super) fn replaces(&self) -> bool {
        self.options.on_conflict == OnConflict::MergeReplace
    }

    pub(super) fn mount(&self) -> MountId {
        self.top.mount
    }

    /// Further names, then flags: a file that must not be changed gets no further name.
    fn finish(&self) -> Result<()> {
        let later = std::mem::take(&mut *self.lock_later());
        for (first, path, dir) in &later.links {
            self.check_cancelled(|| path.clone())?;
            self.link(first, path, dir.as_ref())
                .map_err(|k| error(self.to, path, k))?;
        }
        for (path, flags) in &later.flags {
            self.set_flags(path, *flags)
                .map_err(|k| error(self.to, path, k))?;
        }
        Ok(())
    }

    fn link(&self, first: &RelPath, path: &RelPath, dir: Option<&FileInfo>) -> Outcome<()> {
        let (from, old) = self.to.place(first)?;
        let (to, new) = self.to.place(path)?;
        let link = || {
            Ok(rustix::fs::linkat(
                from.as_fd(),
                old,
                to.as_fd(),
                new,
                AtFlags::empty(),
            )?)
        };
        entry::make_new(self, to.as_fd(), new, link)?;
        if let Some(dir) = dir {
            rustix::fs::futimens(&to, &times(dir.atime, dir.mtime))?;
        }
        self.lock_stats().hard_links += 1;
        Ok(())
    }

    fn set_flags(&self, path: &RelPath, flags: u32) -> Outcome<()> {
        if path.is_root() {
            return Ok(qjail_os::set_file_flags(self.to.as_fd(), flags)?);
        }
        let (dir, name) = self.to.place(path)?;
        Ok(qjail_os::set_file_flags_at(dir.as_fd(), name, flags)?)
    }

    fn check_cancelled(&self, path: impl FnOnce() -> RelPath) -> Result<()> {
        match (self.options.cancelled)() {
            true => Err(error(self.from, &path(), ErrorKind::Cancelled)),
            false => Ok(()),
        }
    }

    fn lock_stats(&self) -> MutexGuard<'_, CopyStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_later(&self) -> MutexGuard<'_, Later> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
