//! The files: lines to entries and back, byte for byte.

/// The shape of a file of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `passwd`, seven fields (passwd(5) of Linux; FreeBSD derives the same from `master.passwd`).
    Passwd,
    /// FreeBSD's `master.passwd`, ten fields: class, change and expire follow the group (passwd(5)).
    MasterPasswd,
}

impl Layout {
    /// How many fields it has, and the index of the comment, which home and shell follow.
    fn shape(self) -> (usize, usize) {
        match self {
            Layout::Passwd => (7, 4),
            Layout::MasterPasswd => (10, 7),
        }
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Number.
    pub uid: u32,
    /// Number of the login group.
    pub gid: u32,
    /// Comment: full name and more. Bytes that are not UTF-8 are replaced here (not in the file).
    pub gecos: String,
    /// Home directory, inside the jail.
    pub home: String,
    /// Login shell, inside the jail; empty for the system's default, `/bin/sh`.
    pub shell: String,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Number.
    pub gid: u32,
    /// Names of its supplementary members.
    pub members: Vec<String>,
}

/// A line that is not as it should be. The file can be used all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The line is no entry: it is ignored.
    #[error("{found} fields instead of {expected}, the line is ignored")]
    Fields {
        /// Fields in the line.
        found: usize,
        /// Fields of such a line.
        expected: usize,
    },
    /// The name is empty: the line is ignored.
    #[error("no name, the line is ignored")]
    NoName,
    /// A number is none: the line is ignored.
    #[error("`{0}` is not a user or group number, the line is ignored")]
    Number(String),
    /// A field other than the comment is not UTF-8: the line is ignored.
    #[error("not UTF-8, the line is ignored")]
    Encoding,
    /// An earlier line has the name: this one is ignored.
    #[error("`{0}` is here a second time, the line is ignored")]
    Duplicate(String),
    /// A DOS line end: the entry is used, but the jail's own programs see the carriage return.
    #[error("the line ends in a carriage return")]
    CarriageReturn,
}

/// One line: its bytes with the line end, and the entry it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line<E> {
    raw: Vec<u8>,
    entry: Option<E>,
}

/// The lines of one file, and what is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lines<E> {
    lines: Vec<Line<E>>,
    problems: Vec<Problem>,
}

impl<E> Lines<E> {
    fn parse(
        bytes: &[u8],
        entry: impl Fn(&[u8]) -> Result<E, ProblemKind>,
        name: impl Fn(&E) -> &str,
    ) -> Lines<E> {
        let mut file = Lines {
            lines: Vec::new(),
            problems: Vec::new(),
        };
        let mut names = std::collections::BTreeSet::new();
        for (i, raw) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
            let mut problem = |kind| file.problems.push(Problem { line: i + 1, kind });
            let text = raw.strip_suffix(b"\n").unwrap_or(raw);
            let content = text.strip_suffix(b"\r").unwrap_or(text);
            let mut line = Line {
                raw: raw.to_vec(),
                entry: None,
            };
            if !is_aside(content) {
                match entry(content) {
                    Ok(e) if names.insert(name(&e).to_owned()) => line.entry = Some(e),
                    Ok(e) => problem(ProblemKind::Duplicate(name(&e).to_owned())),
                    Err(kind) => problem(kind),
                }
                if content.len() < text.len() {
                    problem(ProblemKind::CarriageReturn);
                }
            }
            file.lines.push(line);
        }
        file
    }

    fn entries(&self) -> impl Iterator<Item = &E> {
        self.lines.iter().filter_map(|line| line.entry.as_ref())
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.lines
            .iter()
            .flat_map(|line| line.raw.iter().copied())
            .collect()
    }
}

/// Comments, empty lines, and the `+` and `-` lines of NIS (nsswitch.conf(5), `compat`).
fn is_aside(content: &[u8]) -> bool {
    matches!(
        content.trim_ascii_start().first(),
        None | Some(b'#' | b'+' | b'-')
    )
}

fn fields(content: &[u8], expected: usize) -> Result<Vec<&[u8]>, ProblemKind> {
    let fields: Vec<&[u8]> = content.split(|b| *b == b':').collect();
    if fields.len() == expected {
        Ok(fields)
    } else {
        Err(ProblemKind::Fields {
            found: fields.len(),
            expected,
        })
    }
}

fn text(field: &[u8]) -> Result<String, ProblemKind> {
    std::str::from_utf8(field)
        .map(str::to_owned)
        .map_err(|_| ProblemKind::Encoding)
}

fn named(field: &[u8]) -> Result<String, ProblemKind> {
    text(field).and_then(|name| {
        if name.is_empty() {
            Err(ProblemKind::NoName)
        } else {
            Ok(name)
        }
    })
}

/// A user or group number in a field.
fn number(field: &[u8]) -> Result<u32, ProblemKind> {
    let digits = text(field)?;
    parse_id(&digits).ok_or(ProblemKind::Number(digits))
}

/// Decimal digits only; the highest number means "none" to chown(2) and its kin and is nobody's.
pub(crate) fn parse_id(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|id| *id != u32::MAX)
}

fn user(content: &[u8], layout: Layout) -> Result<User, ProblemKind> {
    let (count, gecos) = layout.shape();
    let fields = fields(content, count)?;
    Ok(User {
        name: named(fields[0])?,
        uid: number(fields[2])?,
        gid: number(fields[3])?,
        gecos: String::from_utf8_lossy(fields[gecos]).into_owned(),
        home: text(fields[gecos + 1])?,
        shell: text(fields[gecos + 2])?,
    })
}

fn group(content: &[u8]) -> Result<Group, ProblemKind> {
    let fields = fields(content, 4)?;
    let members = text(fields[3])?;
    Ok(Group {
        name: named(fields[0])?,
        gid: number(fields[2])?,
        members: members
            .split(',')
            .map(str::trim)
            .filter(|m| !m.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// A `passwd` or `master.passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFile(Lines<User>);

impl UserFile {
    /// Reads the bytes of such a file. Never fails: what is no entry is kept, and told by [`UserFile::problems`].
    #[must_use]
    pub fn parse(bytes: &[u8], layout: Layout) -> Self {
        UserFile(Lines::parse(bytes, |line| user(line, layout), |u| &u.name))
    }

    /// The users in their order.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.0.entries()
    }

    /// What is wrong, by line.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// The bytes of the file: those that were read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}

/// A `group` (group(5), the same on FreeBSD and Linux).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFile(Lines<Group>);

impl GroupFile {
    /// Reads the bytes of such a file. Never fails: what is no entry is kept, and told by [`GroupFile::problems`].
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        GroupFile(Lines::parse(bytes, group, |g| &g.name))
    }

    /// The groups in their order.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.0.entries()
    }

    /// What is wrong, by line.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// The bytes of the file: those that were read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_files() {
        let linux = UserFile::parse(
            b"root:x:0:0:root:/root:/bin/bash\nsync:x:4:65534::/bin:\n",
            Layout::Passwd,
        );
        let users: Vec<_> = linux.users().collect();
        assert_eq!(
            (users[0].name.as_str(), users[0].uid, users[0].shell.as_str()),
            ("root", 0, "/bin/bash")
        );
        assert_eq!(
            (users[1].gid, users[1].gecos.as_str(), users[1].shell.as_str()),
            (65534, "", "")
        );

        let bsd = b"# $FreeBSD$\n#\nroot::0:0::0:0:Charlie &:/root:/bin/sh\ntoor:*:0:0::0:0:Bourne-again Superuser:/root:\n";
        let bsd = UserFile::parse(bsd, Layout::MasterPasswd);
        let users: Vec<_> = bsd.users().collect();
        assert_eq!(users.len(), 2);
        assert_eq!(
            (
                users[0].gecos.as_str(),
                users[0].home.as_str(),
                users[0].shell.as_str()
            ),
            ("Charlie &", "/root", "/bin/sh")
        );
        assert!(bsd.problems().is_empty());

        let group = GroupFile::parse(b"wheel:*:0:root,jail1\nempty:*:5:\nodd:*:6:a, b,,\n");
        let members: Vec<_> = group.groups().map(|g| g.members.join("+")).collect();
        assert_eq!(members, ["root+jail1", "", "a+b"]);
    }

    #[test]
    fn problems_name_their_line_and_nothing_is_lost() {
        let text = b"a:x:1:1::/:/bin/sh\r\n\n# note\n+@nis::::::\n  \nb:x:1\n:x:2:2::/:\nc:x:-1:2::/:\nd:x:4294967295:2::/:\n\
            a:x:9:9::/:\n\xff:x:3:3::/:\ne:x:5:5:caf\xe9:/:/bin/sh";
        let file = UserFile::parse(text, Layout::Passwd);
        let problems: Vec<_> = file.problems().iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "line 1: the line ends in a carriage return",
                "line 6: 3 fields instead of 7, the line is ignored",
                "line 7: no name, the line is ignored",
                "line 8: `-1` is not a user or group number, the line is ignored",
                "line 9: `4294967295` is not a user or group number, the line is ignored",
                "line 10: `a` is here a second time, the line is ignored",
                "line 11: not UTF-8, the line is ignored",
            ]
        );
        let users: Vec<_> = file
            .users()
            .map(|u| (u.name.as_str(), u.uid, u.shell.as_str()))
            .collect();
        assert_eq!(users, [("a", 1, "/bin/sh"), ("e", 5, "/bin/sh")]);
        assert_eq!(file.to_bytes(), text);
        assert_eq!(
            UserFile::parse(b"r:*:0:0::/:/bin/sh\n", Layout::MasterPasswd)
                .problems()
                .len(),
            1
        );
    }

    /// Lines good and bad, so that a random file has some of each.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            "[a-z]{1,3}:x:[0-9]{1,3}:[0-9]{1,3}:[a-zé ]{0,5}:/[a-z]{0,3}:/bin/sh\r?\n?"
                .prop_map(String::into_bytes),
            "[a-z]{1,3}:\\*:[0-9]{1,3}:([a-c],?){0,3}\n".prop_map(String::into_bytes),
            "[ :#+\r\n,0-9a-c-]{0,12}\n?".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..12),
        ]
    }

    proptest! {
        #[test]
        fn printing_gives_the_same_bytes(lines in prop::collection::vec(line(), 0..20)) {
            let bytes = lines.concat();
            for layout in [Layout::Passwd, Layout::MasterPasswd] {
                prop_assert_eq!(&UserFile::parse(&bytes, layout).to_bytes(), &bytes);
            }
            prop_assert_eq!(&GroupFile::parse(&bytes).to_bytes(), &bytes);
        }
    }
}
