//! Who a command runs as, looked up in the jail's own files, from outside and without following its links.

use std::path::Path;

use qjail_fs::{RelPath, Root};
use qjail_passwd::{GroupFile, Identity, Layout, UserFile, UserSpec, Users};

use crate::{Result, SysError};

/// Longer than the files of any jail with users of its own.
const LONGEST: u64 = 16 << 20;

/// The user that `wanted` means in the jail below `path`; root where none is wanted.
pub(crate) fn identity(name: &str, path: &Path, wanted: Option<&str>) -> Result<Identity> {
    let fail = |why: String| SysError::new(format!("look up the user in {name}"), why);
    let root = Root::open(path).map_err(|e| fail(e.to_string()))?;
    let users = Users::new(
        UserFile::parse(&read(&root, "etc/passwd").map_err(fail)?, Layout::Passwd),
        GroupFile::parse(&read(&root, "etc/group").map_err(fail)?),
    );
    let Some(wanted) = wanted else {
        return Ok(superuser(&users));
    };
    let spec: UserSpec = wanted.parse().map_err(|e| fail(format!("{e}")))?;
    spec.resolve(&users).map_err(|e| fail(e.to_string()))
}

/// Root, also in a jail whose files do not know it.
fn superuser(users: &Users) -> Identity {
    // toor(8) has the number 0 too, and another shell.
    let user = users
        .user_by_name("root")
        .filter(|u| u.uid == 0)
        .or_else(|| users.user_by_uid(0))
        .cloned();
    let groups = user
        .as_ref()
        .map(|u| users.groups_of(&u.name))
        .unwrap_or_default();
    let gid = user.as_ref().map_or(0, |u| u.gid);
    Identity {
        uid: 0,
        gid,
        groups: groups.into_iter().filter(|g| *g != gid).collect(),
        user,
    }
}

fn read(root: &Root, file: &str) -> std::result::Result<Vec<u8>, String> {
    let path = RelPath::new(file).map_err(|e| e.to_string())?;
    match root.read(&path, LONGEST) {
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        done => done.map_err(|e| e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn users_of_the_jail() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(identity("a", dir.path(), None).unwrap().uid, 0);
        fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd =
            "toor:*:0:0::/root:\nroot:*:0:0::/root:/bin/csh\nwww:*:80:80::/nonexistent:/usr/sbin/nologin\n";
        fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        fs::write(
            dir.path().join("etc/group"),
            "wheel:*:0:root\noperator:*:5:root\nwww:*:80:\n",
        )
        .unwrap();
        let root = identity("a", dir.path(), None).unwrap();
        assert_eq!(
            (root.uid, root.gid, root.groups, root.user.unwrap().shell.as_str()),
            (0, 0, vec![5], "/bin/csh")
        );
        assert_eq!(identity("a", dir.path(), Some("www")).unwrap().uid, 80);
        assert_eq!(identity("a", dir.path(), Some("80:5")).unwrap().gid, 5);
        for bad in ["nobody", "-x", ""] {
            let e = identity("a", dir.path(), Some(bad)).unwrap_err().to_string();
            assert!(e.starts_with("look up the user in a: "), "{e}");
        }
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("passwd"), "me:*:0:0::/:/bin/sh\n").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("etc")).unwrap();
        let e = identity("a", dir.path(), Some("me")).unwrap_err().to_string();
        assert!(e.contains("symbolic link"), "{e}");
    }
}
