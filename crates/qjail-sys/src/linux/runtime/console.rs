//! The log of a jail's console: a file of the host that does not grow beyond [`LIMIT`], whatever the jail writes.
//!
//! Process 1 and commands of the host write to it at the same time, hence the lock. Process 1 can open no file of the
//! host, so that nothing is rotated: the file is shortened in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::spec::{Attempt, Failure};

/// The most bytes that the log holds: the output of hundreds of starts, and nothing to a disk with a thousand jails.
const LIMIT: u64 = 1 << 20;
/// What is kept of it when it is full: the newest half, so that a jail that writes without end has each byte moved once.
const KEPT: u64 = LIMIT / 2;
const DROPPED: &[u8] = b"qjail: older output was dropped here, the log is bounded\n";
const MISSING: &[u8] = b"\nqjail: output is missing here, the log could not be written\n";

/// Opens a console's log, made with mode 0600; a link in its place is not followed.
pub(super) fn open(path: &Path) -> Result<OwnedFd, Failure> {
    let mut how = OpenOptions::new();
    how.read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    let attempt = || format!("open the console log {}", path.display());
    let file = how.open(path).attempt(attempt)?;
    if !file.metadata().attempt(attempt)?.is_file() {
        return Err(Failure::new(attempt(), "it is not a plain file"));
    }
    Ok(file.into())
}

/// The open log.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    /// What was to be written last is not there, or only in part.
    missing: bool,
}

impl From<OwnedFd> for Log {
    fn from(file: OwnedFd) -> Log {
        Log {
            file: file.into(),
            missing: false,
        }
    }
}

impl Log {
    /// Appends output. A log that can not be written keeps no jail from running: a later line tells.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let note = if self.missing { MISSING } else { b"" };
        self.missing = self.locked(&[note, bytes].concat()).is_err();
    }

    fn locked(&mut self, bytes: &[u8]) -> io::Result<()> {
        lock(&self.file, FlockOperation::LockExclusive)?;
        let written = self.write(bytes);
        lock(&self.file, FlockOperation::Unlock)?;
        written
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.file.seek(SeekFrom::End(0))?;
        if length + bytes.len() as u64 > LIMIT {
            let length = shorten(&self.file, length)?;
            self.file.seek(SeekFrom::Start(length))?;
        }
        self.file.write_all(bytes)
    }
}

fn lock(file: &impl AsFd, operation: FlockOperation) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| flock(file, operation))?)
}

/// Moves the newest whole lines to the front, behind a line that says so, and returns the new length. Cut off at any
/// instant it leaves the newest part at the end.
fn shorten(log: &File, length: u64) -> io::Result<u64> {
    let mut buffer = [0; 16 << 10];
    let mut from = length.saturating_sub(KEPT);
    let read = log.read_at(&mut buffer, from)?;
    let line = buffer[..read].iter().position(|&byte| byte == b'\n');
    from += line.map_or(0, |end| end as u64 + 1);
    log.write_all_at(DROPPED, 0)?;
    let mut to = DROPPED.len() as u64;
    loop {
        let read = log.read_at(&mut buffer, from)?;
        if read == 0 {
            break;
        }
        log.write_all_at(&buffer[..read], to)?;
        from += read as u64;
        to += read as u64;
    }
    log.set_len(to)?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn it_is_private_and_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        open(&log).unwrap();
        assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        symlink(&log, dir.path().join("link")).unwrap();
        open(&dir.path().join("link")).unwrap_err();
        open(dir.path()).unwrap_err();
        open(Path::new("/dev/null")).unwrap_err();
    }

    #[test]
    fn the_newest_lines_stay_and_a_line_tells_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::from(open(&path).unwrap());
        for number in 0..300_000 {
            log.append(format!("line {number}\n").as_bytes());
            if number % 1000 == 0 {
                assert!(path.metadata().unwrap().len() <= LIMIT);
            }
        }
        let text = fs::read_to_string(&path).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(format!("{first}\n").as_bytes(), DROPPED);
        let lines: Vec<&str> = rest.lines().collect();
        assert!(rest.len() as u64 >= KEPT - 100, "{}", rest.len());
        for (line, number) in lines.iter().rev().zip((0..300_000).rev()) {
            assert_eq!(*line, format!("line {number}"));
        }
    }

    #[test]
    fn one_endless_line_and_a_log_of_older_times_are_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, vec![b'x'; 5 << 20]).unwrap();
        let mut log = Log::from(open(&path).unwrap());
        log.append(&[b'y'; 4096]);
        let now = fs::read(&path).unwrap();
        assert_eq!(now.len() as u64, DROPPED.len() as u64 + KEPT + 4096);
        assert!(now.starts_with(DROPPED) && now.ends_with(b"yy"));
    }

    #[test]
    fn two_writers_do_not_write_over_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let path = &path;
                scope.spawn(move || {
                    let mut log = Log::from(open(path).unwrap());
                    (0..20_000).for_each(|number| log.append(format!("{writer} {number}\n").as_bytes()));
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 40_000);
        for writer in 0..2 {
            let own = text.lines().filter_map(|l| l.strip_prefix(&format!("{writer} ")));
            assert!(own.eq((0..20_000).map(|n| n.to_string())), "{writer}");
        }
    }

    #[test]
    fn what_could_not_be_written_is_told_when_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "one\n").unwrap();
        let mut log = Log::from(OwnedFd::from(File::open(&path).unwrap()));
        log.append(b"two\n");
        log.file = open(&path).unwrap().into();
        log.append(b"three\n");
        log.append(b"four\n");
        let missing = String::from_utf8_lossy(MISSING);
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("one\n{missing}three\nfour\n")
        );
    }
}
