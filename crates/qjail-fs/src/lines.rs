//! One line in a text file.

use crate::error::{ErrorKind, Result};
use crate::path::RelPath;
use crate::root::Root;
use crate::write::WriteOptions;

/// No configuration file is larger.
const LIMIT: u64 = 16 << 20;

impl Root {
    /// Sees to it that a text file has a line; returns whether the file had to change. A file that does not exist is made.
    ///
    /// With `key`, the last line that begins with it is replaced (in files where a later line wins, that is the one in force);
    /// without a match, or without `key`, the line is added at the end unless it is there already. Bytes that are no text
    /// stay as they are.
    ///
    /// # Errors
    /// As [`Root::read`] and [`Root::write`]; the line holds a line break; the file is larger than 16 MiB.
    pub fn ensure_line(&self, path: &RelPath, line: &str, key: Option<&str>) -> Result<bool> {
        if line.contains(['\n', '\0']) {
            return Err(self.error("change", path, ErrorKind::NotOneLine));
        }
        let text = match self.read(path, LIMIT) {
            // When it is the directory that is missing, writing says so.
            Err(e) if e.is_not_found() => Vec::new(),
            other => other?,
        };
        let Some(changed) = with_line(&text, line.as_bytes(), key.map(str::as_bytes)) else {
            return Ok(false);
        };
        self.write(path, &changed, &WriteOptions::default())?;
        Ok(true)
    }
}

/// The text with the line in it; `None` when it is as it should be.
fn with_line(text: &[u8], line: &[u8], key: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    // What follows the last line break is no line when it is empty.
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    let found = match key {
        Some(key) => lines.iter().rposition(|l| l.starts_with(key)),
        None => lines.iter().position(|l| *l == line),
    };
    match found {
        Some(i) if lines[i] == line => return None,
        Some(i) => lines[i] = line,
        None => lines.push(line),
    }
    let mut out = lines.join(&b'\n');
    out.push(b'\n');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::with_line;

    fn text(before: &str, line: &str, key: Option<&str>) -> Option<String> {
        with_line(before.as_bytes(), line.as_bytes(), key.map(str::as_bytes))
            .map(|t| String::from_utf8(t).unwrap())
    }

    #[test]
    fn a_line_is_added_once() {
        assert_eq!(text("", "a", None).unwrap(), "a\n");
        assert_eq!(text("x\n", "a", None).unwrap(), "x\na\n");
        assert_eq!(text("x", "a", None).unwrap(), "x\na\n");
        assert_eq!(text("x\na\n", "a", None), None);
        assert_eq!(text("a", "a", None), None);
        assert_eq!(text("\n\n", "a", None).unwrap(), "\n\na\n");
    }

    #[test]
    fn a_key_replaces_the_line_in_force() {
        assert_eq!(text("k=1\nx\n", "k=2", Some("k=")).unwrap(), "k=2\nx\n");
        assert_eq!(text("k=1\nk=2\nx\n", "k=3", Some("k=")).unwrap(), "k=1\nk=3\nx\n");
        assert_eq!(text("k=1\nk=3\n", "k=3", Some("k=")), None);
        assert_eq!(text("k=3\nk=1\n", "k=3", Some("k=")).unwrap(), "k=3\nk=3\n");
        assert_eq!(text("x\n", "k=2", Some("k=")).unwrap(), "x\nk=2\n");
    }

    #[test]
    fn other_bytes_survive() {
        assert_eq!(with_line(b"\xff\xfe\n", b"a", None).unwrap(), b"\xff\xfe\na\n");
    }
}
