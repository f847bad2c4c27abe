//! Questions about users and groups together.

use crate::{Group, GroupFile, User, UserFile};

/// The users and groups of one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Users {
    users: UserFile,
    groups: GroupFile,
}

impl Users {
    /// Puts the two files together.
    #[must_use]
    pub fn new(users: UserFile, groups: GroupFile) -> Self {
        Users { users, groups }
    }

    /// The user with this name.
    #[must_use]
    pub fn user_by_name(&self, name: &str) -> Option<&User> {
        self.users.users().find(|u| u.name == name)
    }

    /// The first user with this number, as getpwuid(3) answers (`root`, not `toor`).
    #[must_use]
    pub fn user_by_uid(&self, uid: u32) -> Option<&User> {
        self.users.users().find(|u| u.uid == uid)
    }

    /// The group with this name.
    #[must_use]
    pub fn group_by_name(&self, name: &str) -> Option<&Group> {
        self.groups.groups().find(|g| g.name == name)
    }

    /// The first group with this number.
    #[must_use]
    pub fn group_by_gid(&self, gid: u32) -> Option<&Group> {
        self.groups.groups().find(|g| g.gid == gid)
    }

    /// The numbers of the groups that list this user as a member, each once, in the order of the file; without the
    /// login group unless it lists the user too.
    #[must_use]
    pub fn groups_of(&self, name: &str) -> Vec<u32> {
        let mut gids = Vec::new();
        for group in self
            .groups
            .groups()
            .filter(|g| g.members.iter().any(|m| m == name))
        {
            if !gids.contains(&group.gid) {
                gids.push(group.gid);
            }
        }
        gids
    }

    /// The file of users.
    #[must_use]
    pub fn user_file(&self) -> &UserFile {
        &self.users
    }

    /// The file of groups.
    #[must_use]
    pub fn group_file(&self) -> &GroupFile {
        &self.groups
    }
}

#[cfg(test)]
mod tests {
    use crate::{GroupFile, Layout, UserFile, Users};

    #[test]
    fn look_ups() {
        let users = b"root:*:0:0::0:0::/root:/bin/sh\ntoor:*:0:0::0:0::/root:\nme:*:1001:1001::0:0::/home/me:/bin/sh\n";
        let groups = b"wheel:*:0:root,me\noperator:*:5:root\nme:*:1001:\nalias:*:5:root,root\n";
        let all = Users::new(
            UserFile::parse(users, Layout::MasterPasswd),
            GroupFile::parse(groups),
        );
        assert_eq!(all.user_by_uid(0).unwrap().name, "root");
        assert_eq!(all.user_by_name("toor").unwrap().uid, 0);
        assert_eq!(all.user_by_name("nobody"), None);
        assert_eq!(all.group_by_gid(5).unwrap().name, "operator");
        assert_eq!(all.group_by_name("alias").unwrap().gid, 5);
        assert_eq!(all.groups_of("root"), [0, 5]);
        assert_eq!(all.groups_of("me"), [0]);
        assert!(all.groups_of("r").is_empty());
    }
}
