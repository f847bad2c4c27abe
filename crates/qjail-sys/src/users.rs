//! Who a command runs as, looked up in the jail's own files, from outside.
//!
//! The files belong to the jail's root, who may have put anything there: they are read through `qjail-fs`, which follows
//! no link and waits for no FIFO, and of limited size. Nothing of the jail is executed for it.

use qjail_fs::{RelPath, Root};
use qjail_passwd::{GroupFile, Identity, Layout, UserFile, UserSpec, Users};

use crate::{Result, SysError};

/// Longer than the files of any jail with users of its own.
const LONGEST: u64 = 16 << 20;
const HINT: &str = "put a regular file in its place: the users of the jail are looked up in it";

/// The user that `wanted` means in the jail `name` with this root directory; root where none is wanted.
pub(crate) fn identity(name: &str, root: &Root, wanted: Option<&str>) -> Result<Identity> {
    let fail = |why: String| SysError::new(format!("look up the user in {name}"), why);
    let users = Users::new(
        UserFile::parse(&read(name, root, "etc/passwd")?, Layout::Passwd),
        GroupFile::parse(&read(name, root, "etc/group")?),
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

/// The bytes of one of the jail's files; none where it is missing.
pub(crate) fn read(name: &str, root: &Root, file: &str) -> Result<Vec<u8>> {
    let fail = |e: String| SysError::new(format!("read {file} of {name}"), e);
    let path = RelPath::new(file).map_err(|e| fail(e.to_string()))?;
    match root.read(&path, LONGEST) {
        Err(e) if e.is_not_found() => Ok(Vec::new()),
        done => done.map_err(|e| fail(e.kind().to_string()).hint(HINT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn who(dir: &TempDir, wanted: Option<&str>) -> Result<Identity> {
        identity("a", &Root::open(dir.path()).unwrap(), wanted)
    }

    #[test]
    fn users_of_the_jail() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(who(&dir, None).unwrap().uid, 0);
        fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd =
            "toor:*:0:0::/root:\nroot:*:0:0::/root:/bin/csh\nwww:*:80:80::/nonexistent:/usr/sbin/nologin\n";
        fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        fs::write(
            dir.path().join("etc/group"),
            "wheel:*:0:root\noperator:*:5:root\nwww:*:80:\n",
        )
        .unwrap();
        let root = who(&dir, None).unwrap();
        assert_eq!(
            (root.uid, root.gid, root.groups, root.user.unwrap().shell.as_str()),
            (0, 0, vec![5], "/bin/csh")
        );
        assert_eq!(who(&dir, Some("www")).unwrap().uid, 80);
        assert_eq!(who(&dir, Some("80:5")).unwrap().gid, 5);
        for bad in ["nobody", "-x", ""] {
            let e = who(&dir, Some(bad)).unwrap_err().to_string();
            assert!(e.starts_with("look up the user in a: "), "{e}");
        }
    }

    #[test]
    fn hostile_files_are_neither_followed_nor_waited_for() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("passwd"), "root:x:0:0::/:/evil\n").unwrap();
        let replace = |with: &dyn Fn(&std::path::Path)| {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join("etc")).unwrap();
            with(&dir.path().join("etc/passwd"));
            who(&dir, None).unwrap_err().to_string()
        };
        let link = replace(&|file| symlink(outside.path().join("passwd"), file).unwrap());
        assert!(
            link.starts_with("read etc/passwd of a: ") && link.contains("symbolic link"),
            "{link}"
        );
        let etc = replace(&|file| {
            let etc = file.parent().unwrap();
            fs::remove_dir(etc).unwrap();
            symlink(outside.path(), etc).unwrap();
        });
        assert!(etc.contains("symbolic link"), "{etc}");
        let fifo = replace(&|file| {
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(file)
                    .status()
                    .unwrap()
                    .success()
            );
        });
        assert!(fifo.contains("FIFO"), "{fifo}");
        let huge = replace(&|file| fs::File::create(file).unwrap().set_len(LONGEST + 1).unwrap());
        assert!(huge.contains("larger"), "{huge}");
        let directory = replace(&|file| fs::create_dir(file).unwrap());
        assert!(directory.contains("directory"), "{directory}");
    }
}
