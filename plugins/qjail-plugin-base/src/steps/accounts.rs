//! Users and groups of a template made from the running host: the system's own, and nobody's password.

use std::collections::BTreeSet;

use qjail_fs::Root;
use qjail_passwd::{
    GroupFile, Layout, User, UserFile, group_line, passwd_line, shadow_line_locked, valid_name,
};
use qjail_plugin_api::PluginError;

use super::keep::write;
use super::layout::System;
use crate::bases::rel;

/// Numbers from here on are people's (login.defs(5), pw.conf(5)).
const PEOPLE: u32 = 1000;

/// The largest file of users.
const LIMIT: u64 = 16 << 20;

/// Names of the user and group of nobody, whatever their numbers.
const NOBODY: [&str; 2] = ["nobody", "nogroup"];

/// Writes the files of users and groups.
pub(super) fn write_accounts(host: &Root, template: &Root, system: System) -> Result<(), PluginError> {
    let users = users(&read(host, "etc/passwd")?);
    let names: BTreeSet<&str> = users.iter().map(|u| u.name.as_str()).collect();
    let groups = groups(&read(host, "etc/group")?, &names);
    let text = |line: &dyn Fn(&User) -> String| users.iter().map(line).collect::<String>();
    // The names are checked: a line that can not be made is left out.
    write(
        template,
        "etc/passwd",
        text(&|u| passwd_line(u).unwrap_or_default()).as_bytes(),
        0o644,
    )?;
    write(template, "etc/group", groups.concat().as_bytes(), 0o644)?;
    match system {
        System::FreeBsd => write(
            template,
            "etc/master.passwd",
            text(&master_line).as_bytes(),
            0o600,
        ),
        System::Linux => {
            let shadow = text(&|u| shadow_line_locked(&u.name).unwrap_or_default());
            write(template, "etc/shadow", shadow.as_bytes(), 0o600)?;
            let locked = |line: &String| line.split(':').next().map(|name| format!("{name}:*::\n"));
            let gshadow: String = groups.iter().filter_map(locked).collect();
            write(template, "etc/gshadow", gshadow.as_bytes(), 0o600)
        }
    }
}

fn read(host: &Root, path: &str) -> Result<Vec<u8>, PluginError> {
    host.read(&rel(path)?, LIMIT).map_err(PluginError::new)
}

fn is_ours(name: &str, id: u32) -> bool {
    valid_name(name) && (id < PEOPLE || NOBODY.contains(&name))
}

/// Root first, then the system's accounts.
fn users(passwd: &[u8]) -> Vec<User> {
    let root = User {
        name: "root".to_owned(),
        uid: 0,
        gid: 0,
        gecos: "root".to_owned(),
        home: "/root".to_owned(),
        shell: "/bin/sh".to_owned(),
    };
    let file = UserFile::parse(passwd, Layout::Passwd);
    let shell = file.users().find(|u| u.name == "root").map(|u| u.shell.clone());
    let root = User {
        shell: shell
            .filter(|s| s.starts_with('/'))
            .unwrap_or_else(|| root.shell.clone()),
        ..root
    };
    let mut seen = BTreeSet::from(["root".to_owned()]);
    let others = file
        .users()
        .filter(|u| u.uid != 0 && is_ours(&u.name, u.uid) && seen.insert(u.name.clone()));
    let plain = |u: &User| User {
        gecos: String::new(),
        ..u.clone()
    };
    let others: Vec<User> = others.map(plain).filter(|u| passwd_line(u).is_ok()).collect();
    std::iter::once(root).chain(others).collect()
}

fn groups(group: &[u8], users: &BTreeSet<&str>) -> Vec<String> {
    let file = GroupFile::parse(group);
    let mut seen = BTreeSet::new();
    file.groups()
        .filter(|g| is_ours(&g.name, g.gid) && seen.insert(g.name.clone()))
        .filter_map(|g| {
            let members: Vec<&str> = g
                .members
                .iter()
                .map(String::as_str)
                .filter(|m| users.contains(m))
                .collect();
            group_line(&g.name, g.gid, &members).ok()
        })
        .collect()
}

/// master.passwd(5): class, change and expire stand between the group and the comment.
fn master_line(user: &User) -> String {
    format!(
        "{}:*:{}:{}::0:0:{}:{}:{}\n",
        user.name, user.uid, user.gid, user.gecos, user.home, user.shell
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const PASSWD: &str = "root:x:0:0:Charlie &:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\nsshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n\
        alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n+::::::\n";
    const GROUP: &str =
        "root:x:0:\nsudo:x:27:alice\nwww-data:x:33:alice,sshd\nalice:x:1000:\nnogroup:x:65534:\n";

    fn made(dir: &Path, system: System) -> Root {
        std::fs::create_dir_all(dir.join("host/etc")).unwrap();
        std::fs::create_dir_all(dir.join("template/etc")).unwrap();
        std::fs::write(dir.join("host/etc/passwd"), PASSWD).unwrap();
        std::fs::write(dir.join("host/etc/group"), GROUP).unwrap();
        let template = Root::open(&dir.join("template")).unwrap();
        write_accounts(&Root::open(&dir.join("host")).unwrap(), &template, system).unwrap();
        template
    }

    fn text(root: &Root, path: &str) -> String {
        root.read_to_string(&rel(path).unwrap(), LIMIT).unwrap()
    }

    #[test]
    fn people_and_passwords_stay_with_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let template = made(dir.path(), System::Linux);
        let passwd = "root:x:0:0:root:/root:/bin/bash\nsshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n\
            nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(text(&template, "etc/passwd"), passwd);
        assert_eq!(
            text(&template, "etc/group"),
            "root:x:0:\nsudo:x:27:\nwww-data:x:33:sshd\nnogroup:x:65534:\n"
        );
        assert_eq!(
            text(&template, "etc/shadow"),
            "root:*:::::::\nsshd:*:::::::\nnobody:*:::::::\n"
        );
        assert_eq!(
            text(&template, "etc/gshadow"),
            "root:*::\nsudo:*::\nwww-data:*::\nnogroup:*::\n"
        );
        let mode = template
            .metadata(&rel("etc/shadow").unwrap())
            .unwrap()
            .unwrap()
            .mode;
        assert_eq!(mode, 0o600);
    }

    #[test]
    fn freebsd_has_master_passwd() {
        let dir = tempfile::tempdir().unwrap();
        let template = made(dir.path(), System::FreeBsd);
        assert!(text(&template, "etc/master.passwd").starts_with("root:*:0:0::0:0:root:/root:/bin/bash\n"));
    }
}
