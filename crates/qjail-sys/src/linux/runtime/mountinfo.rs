//! The table of mounts that this process sees, see proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// The number of the file system's device, `MAJOR:MINOR`.
    pub(crate) device: String,
    pub(crate) at: PathBuf,
    /// The kind of file system.
    pub(crate) kind: String,
    /// The options of the file system itself, not of this mount.
    pub(crate) options: Vec<String>,
}

/// The mounts of now; later ones may cover earlier ones.
pub(crate) fn read() -> io::Result<Vec<Mounted>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// The lines that are well formed.
pub(super) fn parse(table: &[u8]) -> Vec<Mounted> {
    table.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Mounted> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let dash = fields.iter().position(|field| *field == b"-")?;
    let options = fields.get(dash + 3)?.split(|byte| *byte == b',').map(text);
    Some(Mounted {
        device: text(fields.get(2)?),
        at: OsString::from_vec(unescape(fields.get(4)?)).into(),
        kind: text(fields.get(dash + 1)?),
        options: options.collect(),
    })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

/// Blanks and backslashes are written as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_says() {
        let table = b"30 22 0:25 / /sys/fs/cgroup/cpu\\040set rw,relatime shared:9 - cgroup cgroup rw,cpuset\n\ngarbage\n";
        let expected = Mounted {
            device: "0:25".to_owned(),
            at: "/sys/fs/cgroup/cpu set".into(),
            kind: "cgroup".to_owned(),
            options: vec!["rw".to_owned(), "cpuset".to_owned()],
        };
        assert_eq!(parse(table), [expected]);
    }

    #[test]
    fn odd_escapes_stay() {
        assert_eq!(unescape(br"/a\b\04"), br"/a\b\04");
        assert_eq!(unescape(br"/a\040b\134c"), b"/a b\\c");
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(read().unwrap().iter().any(|m| m.at.as_os_str() == "/"));
    }
}
