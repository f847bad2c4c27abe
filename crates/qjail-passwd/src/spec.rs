//! A user as `exec -u` takes it: `name`, `uid`, `name:group`, `uid:gid`, or a mixture.

use std::str::FromStr;

use crate::file::parse_id;
use crate::{User, Users};

/// Why a text is no user specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a user: write NAME, UID, NAME:GROUP or UID:GID")]
pub struct SpecError(String);

/// Why a specification means nobody in this jail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No such name, and it is no number.
    #[error("no user `{0}` in the jail")]
    NoUser(String),
    /// No such name, and it is no number.
    #[error("no group `{0}` in the jail")]
    NoGroup(String),
    /// A number that no user has, and no group given.
    #[error("no user has the number {uid} in the jail, so its group is not known; write {uid}:GID")]
    NoGroupOf {
        /// The number.
        uid: u32,
    },
}

/// A user and perhaps a group, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    user: String,
    group: Option<String>,
}

/// Who a process shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Supplementary groups, without `gid`; empty when the specification names a group.
    pub groups: Vec<u32>,
    /// The entry behind `uid`: name, home and shell for the environment. None for a number that no user has.
    pub user: Option<User>,
}

impl FromStr for UserSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let bad = |part: &str| {
            part.is_empty()
                || part.starts_with(['-', '+'])
                || part.contains(|c: char| c == ':' || c.is_control())
        };
        if bad(user) || group.is_some_and(bad) {
            return Err(SpecError(text.escape_debug().to_string()));
        }
        Ok(UserSpec {
            user: user.to_owned(),
            group: group.map(str::to_owned),
        })
    }
}

impl UserSpec {
    /// Looks the specification up. As with chown(1), a name of digits is looked for among the names first. A number
    /// need not belong to anybody.
    ///
    /// # Errors
    /// An unknown name, or a number that no user has without a group.
    pub fn resolve(&self, users: &Users) -> Result<Identity, ResolveError> {
        let (uid, entry) = self.user(users)?;
        let (gid, groups) = match (&self.group, entry) {
            (Some(group), _) => (gid_of(group, users)?, Vec::new()),
            (None, Some(user)) => {
                let groups = users
                    .groups_of(&user.name)
                    .into_iter()
                    .filter(|gid| *gid != user.gid);
                (user.gid, groups.collect())
            }
            (None, None) => return Err(ResolveError::NoGroupOf { uid }),
        };
        Ok(Identity {
            uid,
            gid,
            groups,
            user: entry.cloned(),
        })
    }

    fn user<'u>(&self, users: &'u Users) -> Result<(u32, Option<&'u User>), ResolveError> {
        if let Some(user) = users.user_by_name(&self.user) {
            return Ok((user.uid, Some(user)));
        }
        let uid = parse_id(&self.user).ok_or_else(|| ResolveError::NoUser(self.user.clone()))?;
        Ok((uid, users.user_by_uid(uid)))
    }
}

fn gid_of(group: &str, users: &Users) -> Result<u32, ResolveError> {
    match users.group_by_name(group) {
        Some(group) => Ok(group.gid),
        None => parse_id(group).ok_or_else(|| ResolveError::NoGroup(group.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GroupFile, Layout, UserFile};

    fn users() -> Users {
        let users = b"root:x:0:0::/root:/bin/sh\nwww:x:80:80::/srv:/bin/sh\n42:x:7:7::/:/bin/sh\n";
        let groups = b"root:x:0:\nwww:x:80:www\nlog:x:90:www,root\nssl:x:91:www\n";
        Users::new(UserFile::parse(users, Layout::Passwd), GroupFile::parse(groups))
    }

    #[test]
    fn who_is_meant() {
        let table = [
            ("root", 0, 0, vec![90], Some("root")),
            ("www", 80, 80, vec![90, 91], Some("www")),
            ("80", 80, 80, vec![90, 91], Some("www")),
            ("www:log", 80, 90, vec![], Some("www")),
            ("www:0", 80, 0, vec![], Some("www")),
            ("1234:5678", 1234, 5678, vec![], None),
            ("1234:log", 1234, 90, vec![], None),
            ("42", 7, 7, vec![], Some("42")),
        ];
        for (text, uid, gid, groups, name) in table {
            let who = text.parse::<UserSpec>().unwrap().resolve(&users()).unwrap();
            assert_eq!((who.uid, who.gid, who.groups), (uid, gid, groups), "{text}");
            assert_eq!(who.user.map(|u| u.name).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn unknown_ones_are_named() {
        let table = [
            ("nobody", "no user `nobody` in the jail"),
            ("nobody:www", "no user `nobody` in the jail"),
            ("www:staff", "no group `staff` in the jail"),
            (
                "1234",
                "no user has the number 1234 in the jail, so its group is not known; write 1234:GID",
            ),
            ("4294967295:0", "no user `4294967295` in the jail"),
            ("0:99999999999", "no group `99999999999` in the jail"),
        ];
        for (text, want) in table {
            assert_eq!(
                text.parse::<UserSpec>()
                    .unwrap()
                    .resolve(&users())
                    .unwrap_err()
                    .to_string(),
                want
            );
        }
    }

    #[test]
    fn malformed_ones_are_refused() {
        for bad in ["", ":", "www:", ":www", "a:b:c", "-1", "+www", "a\nb", "0:-1"] {
            let error = bad.parse::<UserSpec>().unwrap_err().to_string();
            assert!(error.contains("NAME:GROUP") && !error.contains('\n'), "{error}");
        }
    }
}
