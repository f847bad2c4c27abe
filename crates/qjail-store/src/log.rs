//! The log of commands, in the form of qjail 5.x: `YYYYmmddHHMM.SS*user*text`, in UTC.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::{Error, Result, stamp};

/// Appends one line to the log at `path`, which is made (mode 0600) where it does not exist. `now` is in seconds since
/// 1970. Control characters are written as `?`, so that a text never looks like further lines; so is `*` in `user`.
///
/// # Errors
/// [`Error::Io`] with the file.
pub fn append_log(path: &Path, now: u64, user: &str, text: &str) -> Result<()> {
    let user: String = user
        .chars()
        .map(|c| if c == '*' { '?' } else { plain(c) })
        .collect();
    let text: String = text.chars().map(plain).collect();
    let line = format!("{}*{user}*{text}\n", stamp(now));
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        // One write: lines of parallel commands do not mix.
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .map_err(Error::io("write", path))
}

fn plain(c: char) -> char {
    if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        '?'
    } else {
        c
    }
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
            "202611232051.07*root*start jail1\n202611232051.08*a?b*x?202611232051.07*root*forged??[2J\n"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
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
