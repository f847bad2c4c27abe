//! Lines for new files. Every field is checked, so that no value can add a field or a line.

use crate::User;

/// Longest name: what useradd(8) of Linux and pw(8) of FreeBSD (MAXLOGNAME less one) both take.
const LONGEST_NAME: usize = 32;

/// Why no line is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The name breaks the rules.
    #[error(
        "`{0}` cannot be a user or group name: 1 to 32 of A-Z a-z 0-9 . _ -, no hyphen first, not digits or dots alone"
    )]
    Name(String),
    /// A field would break the line.
    #[error("the {field} of {name} must not contain a colon or a control character")]
    Field {
        /// `comment`, `home directory`, `shell`.
        field: &'static str,
        /// Whose.
        name: String,
    },
    /// A path that is none.
    #[error("the {field} of {name} must be an absolute path")]
    Relative {
        /// `home directory`, `shell`.
        field: &'static str,
        /// Whose.
        name: String,
    },
    /// The number that means "none" to the kernel.
    #[error("{id} cannot be the number of {name}")]
    Id {
        /// The number.
        id: u32,
        /// Whose.
        name: String,
    },
}

/// Whether `name` is a portable user name (POSIX.1-2017, 3.437) of at most 32 characters. Names of digits only are
/// refused too, as everyone would take them for numbers, and names of dots only, as they become directories.
#[must_use]
pub fn valid_name(name: &str) -> bool {
    let portable = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(portable)
        && !name.starts_with('-')
        && !name.bytes().all(|b| b.is_ascii_digit())
        && !name.bytes().all(|b| b == b'.')
}

fn checked_name(name: &str) -> Result<&str, LineError> {
    if valid_name(name) {
        Ok(name)
    } else {
        Err(LineError::Name(name.to_owned()))
    }
}

fn checked_id(id: u32, name: &str) -> Result<u32, LineError> {
    if id == u32::MAX {
        Err(LineError::Id {
            id,
            name: name.to_owned(),
        })
    } else {
        Ok(id)
    }
}

fn checked_field<'a>(value: &'a str, field: &'static str, name: &str) -> Result<&'a str, LineError> {
    let breaks = value.contains(|c: char| c == ':' || c.is_control());
    if breaks {
        Err(LineError::Field {
            field,
            name: name.to_owned(),
        })
    } else {
        Ok(value)
    }
}

fn checked_path<'a>(value: &'a str, field: &'static str, name: &str) -> Result<&'a str, LineError> {
    let value = checked_field(value, field, name)?;
    if value.starts_with('/') {
        Ok(value)
    } else {
        Err(LineError::Relative {
            field,
            name: name.to_owned(),
        })
    }
}

/// A line of Linux's `passwd`, with its line end; the password is in `shadow`.
///
/// # Errors
/// A name, number or field that such a line cannot hold. Home and a shell that is not empty must be absolute paths.
pub fn passwd_line(user: &User) -> Result<String, LineError> {
    let name = checked_name(&user.name)?;
    let (uid, gid) = (checked_id(user.uid, name)?, checked_id(user.gid, name)?);
    let gecos = checked_field(&user.gecos, "comment", name)?;
    let home = checked_path(&user.home, "home directory", name)?;
    let shell = if user.shell.is_empty() {
        ""
    } else {
        checked_path(&user.shell, "shell", name)?
    };
    Ok(format!("{name}:x:{uid}:{gid}:{gecos}:{home}:{shell}\n"))
}

/// A line of `group`, with its line end and no password.
///
/// # Errors
/// A name or number that such a line cannot hold.
pub fn group_line(name: &str, gid: u32, members: &[&str]) -> Result<String, LineError> {
    let name = checked_name(name)?;
    let gid = checked_id(gid, name)?;
    let members = members
        .iter()
        .map(|m| checked_name(m))
        .collect::<Result<Vec<_>, _>>()?
        .join(",");
    Ok(format!("{name}:x:{gid}:{members}\n"))
}

/// A line of Linux's `shadow` for a user whom no password lets in, with its line end. The password is `*`, not `!`: sshd
/// takes the latter for a locked account and refuses keys as well. Empty dates mean no ageing (shadow(5)).
///
/// # Errors
/// A name that such a line cannot hold.
pub fn shadow_line_locked(name: &str) -> Result<String, LineError> {
    checked_name(name).map(|name| format!("{name}:*:::::::\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupFile, Layout, UserFile};
    use proptest::prelude::*;

    fn root() -> User {
        User {
            name: "root".into(),
            uid: 0,
            gid: 0,
            gecos: "Charlie Root".into(),
            home: "/root".into(),
            shell: "/bin/sh".into(),
        }
    }

    #[test]
    fn lines() {
        assert_eq!(
            passwd_line(&root()).unwrap(),
            "root:x:0:0:Charlie Root:/root:/bin/sh\n"
        );
        assert_eq!(
            group_line("wheel", 0, &["root", "me"]).unwrap(),
            "wheel:x:0:root,me\n"
        );
        assert_eq!(shadow_line_locked("root").unwrap(), "root:*:::::::\n");
        assert_eq!(shadow_line_locked("root").unwrap().matches(':').count(), 8);
    }

    #[test]
    fn nothing_can_be_injected() {
        for bad in [
            "",
            "-r",
            "a:b",
            "a\nb",
            "a b",
            "a,b",
            "é",
            "12",
            ".",
            "..",
            "a/b",
            "root\0",
            &"a".repeat(33),
        ] {
            assert!(!valid_name(bad), "{bad:?}");
            assert!(
                passwd_line(&User {
                    name: bad.into(),
                    ..root()
                })
                .is_err()
            );
            assert!(shadow_line_locked(bad).is_err());
            assert!(group_line(bad, 1, &[]).is_err());
            assert!(group_line("g", 1, &["me", bad]).is_err());
        }
        for good in ["root", "_dhcp", "a.b-c", "Z", "0day", &"a".repeat(32)] {
            assert!(valid_name(good), "{good:?}");
        }
        let bad_users = [
            (
                User {
                    gecos: "x:0:0".into(),
                    ..root()
                },
                "the comment of root must not contain",
            ),
            (
                User {
                    gecos: "x\nevil:x:0:0::/:".into(),
                    ..root()
                },
                "the comment of root must not contain",
            ),
            (
                User {
                    home: "/a\r".into(),
                    ..root()
                },
                "the home directory of root must not contain",
            ),
            (
                User {
                    home: "root".into(),
                    ..root()
                },
                "the home directory of root must be an absolute path",
            ),
            (
                User {
                    shell: "sh".into(),
                    ..root()
                },
                "the shell of root must be an absolute path",
            ),
            (
                User {
                    uid: u32::MAX,
                    ..root()
                },
                "4294967295 cannot be the number of root",
            ),
        ];
        for (user, want) in bad_users {
            let error = passwd_line(&user).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    proptest! {
        /// Whatever is accepted is read back as one entry with the same values.
        #[test]
        fn what_is_made_is_read_back(
            name in "[a-z0-9._:-]{1,8}", uid: u32, gid: u32, gecos in "\\PC{0,10}|[ -~\n]{0,6}", home in "/[a-z:\n]{0,5}",
            member in "[a-z:,\n]{1,5}",
        ) {
            let user = User { name, uid, gid, gecos, home, shell: String::new() };
            if let Ok(line) = passwd_line(&user) {
                let file = UserFile::parse(line.as_bytes(), Layout::Passwd);
                prop_assert_eq!(file.users().collect::<Vec<_>>(), [&user]);
                prop_assert!(file.problems().is_empty());
            }
            if let Ok(line) = group_line(&user.name, gid, &[&member]) {
                let file = GroupFile::parse(line.as_bytes());
                prop_assert_eq!(&file.groups().next().unwrap().members, &[member]);
                prop_assert_eq!(file.groups().count(), 1);
            }
        }
    }
}
