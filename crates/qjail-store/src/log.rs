//! The log of commands, in the form of qjail 5.x: `YYYYmmddHHMM.SS*user*text`, in UTC.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::{Error, Result, stamp};

/// How much of the end of the log is read at most, in bytes.
const READ: u64 = 16 << 20;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When, as [`stamp`] writes it; empty where the line is not of that form.
    pub time: String,
    /// Who; empty where the line is not of that form.
    pub user: String,
    /// What; the whole line where it is not of that form.
    pub text: String,
}

/// Appends one line to the log at `path`, which is made (mode 0600) where it does not exist. `now` is in seconds since
/// 1970. Control characters are escaped, so that a text never looks like further lines; `*` in `user` becomes `?`. A link
/// in the file's place is not followed.
///
/// # Errors
/// [`Error::Io`] with the file.
pub fn append_log(path: &Path, now: u64, user: &str, text: &str) -> Result<()> {
    let user = plain(user).replace('*', "?");
    let line = format!("{}*{user}*{}\n", stamp(now), plain(text));
    // One write: lines of parallel commands do not mix.
    open(path, OFlags::APPEND | OFlags::CREATE | OFlags::WRONLY)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(Error::io("write", path))
}

/// The lines of the log at `path`, the oldest first; none where there is no file. Of a file larger than 16 MiB only the
/// end is read.
///
/// # Errors
/// [`Error::Io`] with the file.
pub fn read_log(path: &Path) -> Result<Vec<LogLine>> {
    match open(path, OFlags::RDONLY).and_then(end_of) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(parse).collect()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

/// No link is followed, and nobody is waited for where there is a FIFO.
fn open(path: &Path, how: OFlags) -> std::io::Result<File> {
    let how = how | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, how, Mode::RUSR | Mode::WUSR)?))
}

fn end_of(mut file: File) -> std::io::Result<Vec<u8>> {
    let skip = file.metadata()?.len().saturating_sub(READ);
    file.seek(SeekFrom::Start(skip))?;
    let mut bytes = Vec::new();
    file.take(READ).read_to_end(&mut bytes)?;
    if skip > 0 {
        let first = bytes
            .iter()
            .position(|b| *b == b'\n')
            .map_or(bytes.len(), |at| at + 1);
        bytes.drain(..first);
    }
    Ok(bytes)
}

fn parse(line: &str) -> LogLine {
    let mut parts = line.splitn(3, '*');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(time), Some(user), Some(text)) => LogLine {
            time: time.to_owned(),
            user: user.to_owned(),
            text: text.to_owned(),
        },
        _ => LogLine {
            time: String::new(),
            user: String::new(),
            text: line.to_owned(),
        },
    }
}

fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_line_each() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qjail.log");
        append_log(&path, 1_795_467_067, "root", "start jail1").unwrap();
        append_log(
            &path,
            1_795_467_068,
            "a*b",
            "x\n202611232051.07*root*forged\r\u{1b}[2J",
        )
        .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "202611232051.07*root*start jail1\n202611232051.08*a?b*x\\n202611232051.07*root*forged\\r\\u{1b}[2J\n"
        );
        let lines = read_log(&path).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (
                lines[0].time.as_str(),
                lines[0].user.as_str(),
                lines[0].text.as_str()
            ),
            ("202611232051.07", "root", "start jail1")
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("qjail.log"), dir.path().join("passwd"));
        std::fs::write(&target, "x").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        append_log(&link, 0, "root", "x").unwrap_err();
        read_log(&link).unwrap_err();
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "x");
    }

    #[test]
    fn error_names_the_file() {
        let e = append_log(Path::new("/nonexistent/qjail.log"), 0, "root", "x").unwrap_err();
        assert_eq!(
            e.to_string(),
            "write /nonexistent/qjail.log: No such file or directory"
        );
    }
}
