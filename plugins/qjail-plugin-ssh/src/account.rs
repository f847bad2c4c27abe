//! The account: its lines in the files of both systems, its home directory and keys.

use qjail_fs::Kind;
use qjail_passwd::{
    Group, GroupFile, Layout, User, UserFile, field, group_line, master_line, passwd_line, shadow_line,
    with_field, with_line, with_member, without_entry, without_member, without_member_of,
};
use qjail_plugin_api::PluginError;

use crate::order::{On, Password};
use crate::tree::Tree;

/// The comment of an account that qjail has made, as qjail 5 writes it. Told apart by it when ssh is switched off.
pub(crate) const COMMENT: &str = "Jail";
/// Accounts below belong to the system (login.defs(5), pw.conf(5)).
const PEOPLE: u32 = 1000;
/// The account of nobody, on both systems.
const NOBODY: u32 = 65534;
/// A moment that is past, 12-12-12 as in qjail 5: FreeBSD wants the password changed at the next login.
const EXPIRED: u64 = 1_355_270_400;
/// The highest number that a group of the system gets on Linux (login.defs(5), SYS_GID_MAX).
const SYSTEM_GROUP_MAX: u32 = 999;
/// Whoever may become root, in the order of preference.
const ADMINS: [&str; 2] = ["sudo", WHEEL];
/// The group that su(1) of FreeBSD wants its users in.
const WHEEL: &str = "wheel";

/// Which files hold the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// `master.passwd` and `passwd`.
    FreeBsd,
    /// `passwd` and `shadow`.
    Linux,
}

/// Makes the account or brings it up to the order. Tells whether it is new.
pub(crate) fn ensure(tree: &mut Tree, order: &On, system: System) -> Result<bool, PluginError> {
    let users = users(tree, system)?;
    let there = users.iter().find(|u| u.name == order.user).cloned();
    let home_base = home_base(tree)?;
    let home = format!("{home_base}/{}", order.user);
    let new = there.is_none();
    let user = match there {
        Some(user) => {
            check_existing(&user)?;
            set_password(tree, order, &user, system)?;
            user
        }
        None => {
            let user = new_user(tree, order, &users, &home, system)?;
            add(tree, order, &user, system)?;
            user
        }
    };
    // Only where qjail would have put it is the directory its business.
    let at_home = user.home == format!("/home/{}", user.name);
    if at_home {
        make_home(tree, order, &user, &home_base)?;
    }
    if !order.keys.is_empty() {
        if !at_home {
            let message = format!("{} lives in {}, not in /home", user.name, user.home);
            return Err(PluginError::new(message).hint("name another user with --ssh-user"));
        }
        add_keys(tree, order, &user, &home)?;
    }
    Ok(new)
}

/// Removes an account that qjail has made; one whose comment was changed is somebody's own by now.
pub(crate) fn remove(tree: &mut Tree, name: &str, system: System) -> Result<(), PluginError> {
    let users = users(tree, system)?;
    let Some(user) = users.iter().find(|u| u.name == name && u.gecos == COMMENT) else {
        return Ok(());
    };
    if check_existing(user).is_err() {
        return Ok(());
    }
    let (files, groups): (&[&str], &[&str]) = match system {
        System::FreeBsd => (&["etc/master.passwd", "etc/passwd"], &["etc/group"]),
        System::Linux => (&["etc/passwd", "etc/shadow"], &["etc/group", "etc/gshadow"]),
    };
    for file in files {
        if let Some(text) = tree.read(file)? {
            tree.write(file, without_entry(&text, name))?;
        }
    }
    let own = group(tree, name)?.is_some_and(|g| g.gid == user.gid && g.members.is_empty());
    let shared = users.iter().any(|u| u.name != name && u.gid == user.gid);
    for file in groups {
        if let Some(text) = tree.read(file)? {
            let text = without_member(&text, name);
            let text = if own && !shared {
                without_entry(&text, name)
            } else {
                text
            };
            tree.write(file, text)?;
        }
    }
    Ok(())
}

/// Puts the user into the group whose members may become root, made where there is none; its name, and whether the user was
/// not in it before. Linux only.
pub(crate) fn admin_group(tree: &mut Tree, user: &str) -> Result<(String, bool), PluginError> {
    let text = tree.need("etc/group")?;
    let groups = GroupFile::parse(&text);
    let known = ADMINS
        .into_iter()
        .find(|name| groups.groups().any(|g| g.name == *name));
    let (name, text) = match known {
        Some(name) => (name, text),
        None => {
            let free = (1..=SYSTEM_GROUP_MAX)
                .rev()
                .find(|id| groups.groups().all(|g| g.gid != *id))
                .ok_or_else(|| PluginError::new("no number is free for the group wheel"))?;
            let line = group_line(WHEEL, free, &[]).map_err(PluginError::new)?;
            if let Some(shadow) = tree.read("etc/gshadow")? {
                tree.write("etc/gshadow", with_line(&shadow, "wheel:*::"))?;
            }
            (WHEEL, with_line(&text, &line))
        }
    };
    let with = with_member(&text, name, user)
        .ok_or_else(|| PluginError::new(format!("{user} can not be put into the group {name}")))?;
    let joins = with != text;
    tree.write("etc/group", with)?;
    if let Some(shadow) = tree.read("etc/gshadow")?
        && let Some(with) = with_member(&shadow, name, user)
    {
        tree.write("etc/gshadow", with)?;
    }
    Ok((name.to_owned(), joins))
}

/// Puts an account that was there before into the group wheel, unless it is in it; the group, where it was not. FreeBSD only.
pub(crate) fn join_wheel(tree: &mut Tree, user: &str) -> Result<Option<String>, PluginError> {
    let own = users(tree, System::FreeBsd)?
        .iter()
        .any(|u| u.name == user && u.gid == 0);
    let text = tree.need("etc/group")?;
    let with = with_member(&text, WHEEL, user)
        .ok_or_else(|| PluginError::new(format!("{user} can not be put into the group {WHEEL}")))?;
    if own || with == text {
        return Ok(None);
    }
    tree.write("etc/group", with)?;
    Ok(Some(WHEEL.to_owned()))
}

/// Takes the user out of a group.
pub(crate) fn leave_group(tree: &mut Tree, user: &str, group: &str) -> Result<(), PluginError> {
    for file in ["etc/group", "etc/gshadow"] {
        if let Some(text) = tree.read(file)? {
            tree.write(file, without_member_of(&text, group, user))?;
        }
    }
    Ok(())
}

/// The account of root as its password field tells: FreeBSD's su(1) asks for root's password.
pub(crate) fn root_has_no_login(tree: &mut Tree) -> Result<bool, PluginError> {
    let text = tree.need("etc/master.passwd")?;
    Ok(field(&text, "root", 1).is_none_or(|p| p.starts_with(['*', '!'])))
}

fn users(tree: &mut Tree, system: System) -> Result<Vec<User>, PluginError> {
    let (file, layout) = match system {
        System::FreeBsd => ("etc/master.passwd", Layout::MasterPasswd),
        System::Linux => ("etc/passwd", Layout::Passwd),
    };
    Ok(UserFile::parse(&tree.need(file)?, layout)
        .users()
        .cloned()
        .collect())
}

fn group(tree: &mut Tree, name: &str) -> Result<Option<Group>, PluginError> {
    let file = GroupFile::parse(&tree.need("etc/group")?);
    Ok(file.groups().find(|g| g.name == name).cloned())
}

fn check_existing(user: &User) -> Result<(), PluginError> {
    if user.uid < PEOPLE || user.uid == NOBODY {
        let message = format!("{} is an account of the base system", user.name);
        return Err(PluginError::new(message).hint("name another user with --ssh-user"));
    }
    Ok(())
}

fn new_user(
    tree: &mut Tree,
    order: &On,
    users: &[User],
    home: &str,
    system: System,
) -> Result<User, PluginError> {
    let groups = GroupFile::parse(&tree.need("etc/group")?);
    let free = |id: u32| users.iter().all(|u| u.uid != id) && groups.groups().all(|g| g.gid != id);
    let uid = match tree.owner(home)? {
        // What an account of this name left behind.
        Some(owner) if owner >= PEOPLE && owner != NOBODY && users.iter().all(|u| u.uid != owner) => owner,
        Some(_) => {
            let message = format!("{home} in the jail belongs to another user");
            return Err(PluginError::new(message).hint("move it away, or name another user with --ssh-user"));
        }
        None => {
            let first = if system == System::FreeBsd {
                PEOPLE + 1
            } else {
                PEOPLE
            };
            (first..NOBODY)
                .find(|id| free(*id))
                .ok_or_else(|| PluginError::new("no number is free for a user"))?
        }
    };
    let gid = match (system, group(tree, &order.user)?) {
        (System::FreeBsd, _) => 0,
        (System::Linux, Some(group)) => group.gid,
        (System::Linux, None) => uid,
    };
    let shell = users.iter().find(|u| u.uid == 0).map(|u| u.shell.clone());
    Ok(User {
        name: order.user.clone(),
        uid,
        gid,
        gecos: COMMENT.to_owned(),
        home: format!("/home/{}", order.user),
        shell: shell
            .filter(|s| s.starts_with('/'))
            .unwrap_or_else(|| "/bin/sh".to_owned()),
    })
}

fn add(tree: &mut Tree, order: &On, user: &User, system: System) -> Result<(), PluginError> {
    match system {
        System::FreeBsd => {
            let (hash, change) = match &order.password {
                Password::First(hash) => (hash.as_str(), EXPIRED),
                Password::Given(hash) => (hash.as_str(), 0),
                Password::None => ("*", 0),
            };
            let line = master_line(user, hash, change).map_err(PluginError::new)?;
            append(tree, "etc/master.passwd", &line)?;
            let line = passwd_line(user).map_err(PluginError::new)?;
            // The public file has a star there (passwd(5)).
            append(tree, "etc/passwd", &line.replacen(":x:", ":*:", 1))
        }
        System::Linux => {
            if group(tree, &user.name)?.is_none() {
                let line = group_line(&user.name, user.gid, &[]).map_err(PluginError::new)?;
                append(tree, "etc/group", &line)?;
                if tree.read("etc/gshadow")?.is_some() {
                    append(tree, "etc/gshadow", &format!("{}:!::", user.name))?;
                }
            }
            let line = passwd_line(user).map_err(PluginError::new)?;
            append(tree, "etc/passwd", &line)?;
            let (hash, changed) = match &order.password {
                Password::First(hash) => (hash.as_str(), 0),
                Password::Given(hash) => (hash.as_str(), order.day),
                Password::None => ("*", order.day),
            };
            let line = shadow_line(user, hash, changed).map_err(PluginError::new)?;
            let shadow = without_entry(&tree.need("etc/shadow")?, &user.name);
            tree.write("etc/shadow", with_line(&shadow, &line))
        }
    }
}

fn append(tree: &mut Tree, file: &str, line: &str) -> Result<(), PluginError> {
    let text = tree.need(file)?;
    tree.write(file, with_line(&text, line))
}

/// An account that is there gets another password only where one was asked for.
fn set_password(tree: &mut Tree, order: &On, user: &User, system: System) -> Result<(), PluginError> {
    let hash = match &order.password {
        Password::First(_) => return Ok(()),
        Password::Given(hash) => hash.as_str(),
        Password::None => "*",
    };
    let (file, change_at, change) = match system {
        System::FreeBsd => ("etc/master.passwd", 5, 0),
        System::Linux => ("etc/shadow", 2, order.day),
    };
    let text = tree.need(file)?;
    if field(&text, &user.name, 1).as_deref() == Some(hash) {
        return Ok(());
    }
    let changed = with_field(&text, &user.name, 1, hash)
        .and_then(|text| with_field(&text, &user.name, change_at, &change.to_string()));
    match changed {
        Some(text) => tree.write(file, text),
        None => Err(PluginError::new(format!("{} has no line in {file}", user.name))),
    }
}

/// Where home directories are: `home`, and on FreeBSD before 14 behind a link `usr/home`.
fn home_base(tree: &Tree) -> Result<String, PluginError> {
    if tree.kind("home")? == Some(Kind::Link) {
        let target = tree.link("home")?;
        if ["usr/home", "/usr/home"].contains(&target.as_str()) {
            return Ok("usr/home".to_owned());
        }
        return Err(
            PluginError::new(format!("home in the jail is a link to {target}"))
                .hint("make it a directory: qjail does not follow links of jails"),
        );
    }
    Ok("home".to_owned())
}

fn make_home(tree: &mut Tree, order: &On, user: &User, base: &str) -> Result<(), PluginError> {
    let (home, owner) = (format!("{base}/{}", user.name), (user.uid, user.gid));
    let new = tree.kind(&home)?.is_none();
    tree.make_dir(base, 0o755, (0, 0))?;
    tree.make_dir(&home, 0o700, owner)?;
    if new {
        for (name, content, mode) in skeleton(tree, &order.shared)? {
            tree.write_as(&format!("{home}/{name}"), content, mode, owner)?;
        }
    }
    Ok(())
}

/// The files that a new home directory gets: `/etc/skel` on Linux, `/usr/share/skel/dot.*` on FreeBSD.
fn skeleton(tree: &mut Tree, shared: &str) -> Result<Vec<(String, Vec<u8>, u32)>, PluginError> {
    let mut files = files_of(tree, "etc/skel")?;
    // In a thin jail it is behind a link into the base.
    if tree.kind("usr/share")? == Some(Kind::Dir) {
        files.extend(files_of(tree, "usr/share/skel")?);
    } else if let Ok(mut base) = Tree::open(shared) {
        files.extend(files_of(&mut base, "usr/share/skel")?);
    }
    Ok(files)
}

fn files_of(tree: &mut Tree, dir: &str) -> Result<Vec<(String, Vec<u8>, u32)>, PluginError> {
    let mut files = Vec::new();
    for (name, _) in tree.list(dir)?.into_iter().filter(|(_, k)| *k == Kind::File) {
        let path = format!("{dir}/{name}");
        let (content, mode) = (tree.need(&path)?, tree.mode(&path)?.unwrap_or(0o644));
        let name = name
            .strip_prefix("dot")
            .filter(|n| n.starts_with('.'))
            .map_or(name.clone(), str::to_owned);
        files.push((name, content, mode & 0o755));
    }
    Ok(files)
}

fn add_keys(tree: &mut Tree, order: &On, user: &User, home: &str) -> Result<(), PluginError> {
    let owner = (user.uid, user.gid);
    let dir = format!("{home}/.ssh");
    tree.make_dir(&dir, 0o700, owner)?;
    let file = format!("{dir}/authorized_keys");
    let old = tree.read(&file)?.unwrap_or_default();
    let known = String::from_utf8_lossy(&old).into_owned();
    let text = order
        .keys
        .iter()
        .filter(|key| !known.lines().any(|l| l == key.as_str()))
        .fold(old, |text, key| with_line(&text, key));
    tree.write_as(&file, text, 0o600, owner)
}
