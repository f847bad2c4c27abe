//! Who runs a command in a jail, and with which environment: looked up in the jail's own files, from outside.

use std::path::PathBuf;

use qjail_fs::Root;
use qjail_passwd::{Identity, User};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::runtime;
use crate::{ExecSpec, Result, SysError, users};

const PATH_OF_ROOT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PATH_OF_OTHERS: &str = "/usr/local/bin:/usr/bin:/bin";
const DEFAULT_SHELL: &str = "/bin/sh";

/// The root directory of a running jail, as its process 1 has it.
pub(super) fn root_of(name: &str, pid: i32) -> Result<Root> {
    Root::open(&PathBuf::from(format!("/proc/{pid}/root")))
        .map_err(|e| SysError::new(format!("enter {name}"), e))
}

/// What the runtime has to run for `spec`.
pub(super) fn command(name: &str, root: &Root, spec: &ExecSpec) -> Result<runtime::ExecSpec> {
    let who = users::identity(name, root, spec.user.as_deref())?;
    let user = who.user.as_ref();
    let shell = user
        .map(|u| u.shell.as_str())
        .filter(|s| !s.is_empty())
        .unwrap_or(DEFAULT_SHELL);
    let (argv, arg0) = match (spec.argv.is_empty(), spec.login) {
        (false, _) => (spec.argv.clone(), None),
        (true, true) => (vec![shell.to_owned()], Some(login_name(shell))),
        (true, false) => {
            return Err(SysError::new(
                format!("run a command in {name}"),
                "no command is given",
            ));
        }
    };
    Ok(runtime::ExecSpec {
        argv,
        arg0,
        env: environment(&who, shell, spec),
        cwd: directory(root, user, spec),
        uid: who.uid,
        gid: who.gid,
        groups: who.groups,
        tty: spec.tty,
    })
}

/// The name that tells a shell that it is a login's: `-sh`.
fn login_name(shell: &str) -> String {
    format!("-{}", shell.rsplit('/').next().unwrap_or(shell))
}

/// The clean environment of a login(1); what the caller asks for comes on top.
fn environment(who: &Identity, shell: &str, spec: &ExecSpec) -> Vec<(String, String)> {
    let user = who.user.as_ref();
    let name = user.map_or_else(|| who.uid.to_string(), |u| u.name.clone());
    let home = user
        .map(|u| u.home.as_str())
        .filter(|h| !h.is_empty())
        .unwrap_or("/");
    let path = if who.uid == 0 {
        PATH_OF_ROOT
    } else {
        PATH_OF_OTHERS
    };
    let mut env = vec![
        ("HOME".to_owned(), home.to_owned()),
        ("SHELL".to_owned(), shell.to_owned()),
        ("USER".to_owned(), name.clone()),
        ("LOGNAME".to_owned(), name.clone()),
        ("PATH".to_owned(), path.to_owned()),
    ];
    if spec.login {
        env.push(("MAIL".to_owned(), format!("/var/mail/{name}")));
    }
    for (key, value) in &spec.env {
        env.retain(|(k, _)| k != key);
        env.push((key.clone(), value.clone()));
    }
    env
}

/// The directory that is asked for; for a login the user's own where there is one.
fn directory(root: &Root, user: Option<&User>, spec: &ExecSpec) -> String {
    let home = || {
        user.map(|u| u.home.as_str())
            .filter(|home| spec.login && is_directory(root, home))
    };
    spec.dir.as_deref().or_else(home).unwrap_or("/").to_owned()
}

/// Whether the jail has that directory. Unlike everything else here this follows the jail's own links, as the command
/// will: the kernel keeps them below the root, and only whether it can be opened is of interest.
fn is_directory(root: &Root, path: &str) -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    path.starts_with('/') && openat2(root.as_fd(), path, flags, Mode::empty(), resolve).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    const PASSWD: &str =
        "root:x:0:0::/root:/bin/bash\nme:x:1001:1001::/home/me:\nlost:x:7:7::/gone:/bin/sh\n";
    const GROUP: &str = "root:x:0:root\nme:x:1001:\nwheel:x:10:me,root\n";

    fn jail() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for below in ["etc", "root", "usr/home/me"] {
            fs::create_dir_all(dir.path().join(below)).unwrap();
        }
        symlink("usr/home", dir.path().join("home")).unwrap();
        fs::write(dir.path().join("etc/passwd"), PASSWD).unwrap();
        fs::write(dir.path().join("etc/group"), GROUP).unwrap();
        dir
    }

    fn made(dir: &TempDir, spec: &ExecSpec) -> Result<runtime::ExecSpec> {
        command("jail1", &Root::open(dir.path()).unwrap(), spec)
    }

    fn variable(command: &runtime::ExecSpec, key: &str) -> Vec<String> {
        command
            .env
            .iter()
            .filter(|(k, _)| k == key)
            .map(|(_, v)| v.clone())
            .collect()
    }

    #[test]
    fn a_login_of_root() {
        let env = vec![
            ("TERM".to_owned(), "xterm".to_owned()),
            ("PATH".to_owned(), "/x".to_owned()),
        ];
        let login = made(
            &jail(),
            &ExecSpec {
                login: true,
                tty: true,
                env,
                ..ExecSpec::default()
            },
        )
        .unwrap();
        assert_eq!((login.uid, login.gid, login.groups.as_slice()), (0, 0, &[10][..]));
        assert_eq!(
            (login.argv.as_slice(), login.arg0.as_deref()),
            (&["/bin/bash".to_owned()][..], Some("-bash"))
        );
        assert_eq!(login.cwd, "/root");
        for (key, value) in [
            ("HOME", "/root"),
            ("SHELL", "/bin/bash"),
            ("USER", "root"),
            ("MAIL", "/var/mail/root"),
            ("PATH", "/x"),
        ] {
            assert_eq!(variable(&login, key), [value], "{key}");
        }
        assert_eq!(variable(&login, "TERM"), ["xterm"]);
    }

    #[test]
    fn a_command_of_another_user() {
        let argv = vec!["id".to_owned()];
        let spec = ExecSpec {
            user: Some("me".to_owned()),
            argv: argv.clone(),
            ..ExecSpec::default()
        };
        let run = made(&jail(), &spec).unwrap();
        assert_eq!((run.uid, run.gid, run.groups.as_slice()), (1001, 1001, &[10][..]));
        assert_eq!((run.argv, run.arg0, run.cwd.as_str()), (argv, None, "/"));
        assert_eq!(run.env.iter().find(|(k, _)| k == "SHELL").unwrap().1, "/bin/sh");
        // The home directory behind a link of the jail.
        let login = made(
            &jail(),
            &ExecSpec {
                login: true,
                ..spec.clone()
            },
        )
        .unwrap();
        assert_eq!(login.cwd, "/home/me");
        let lost = ExecSpec {
            user: Some("lost".to_owned()),
            login: true,
            ..ExecSpec::default()
        };
        assert_eq!(made(&jail(), &lost).unwrap().cwd, "/");
        let dir = ExecSpec {
            dir: Some("/tmp".to_owned()),
            login: true,
            ..spec
        };
        assert_eq!(made(&jail(), &dir).unwrap().cwd, "/tmp");
    }

    #[test]
    fn numbers_need_no_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = made(
            &dir,
            &ExecSpec {
                login: true,
                ..ExecSpec::default()
            },
        )
        .unwrap();
        assert_eq!(
            (root.uid, root.argv[0].as_str(), root.cwd.as_str()),
            (0, "/bin/sh", "/")
        );
        let number = ExecSpec {
            user: Some("5:6".to_owned()),
            argv: vec!["id".to_owned()],
            ..ExecSpec::default()
        };
        let number = made(&dir, &number).unwrap();
        assert_eq!(
            (number.uid, number.gid, variable(&number, "USER")),
            (5, 6, vec!["5".to_owned()])
        );
        let unknown = ExecSpec {
            user: Some("me".to_owned()),
            argv: vec!["id".to_owned()],
            ..ExecSpec::default()
        };
        let error = made(&dir, &unknown).unwrap_err().to_string();
        assert_eq!(error, "look up the user in jail1: no user `me` in the jail");
        assert!(
            made(&dir, &ExecSpec::default())
                .unwrap_err()
                .to_string()
                .contains("no command")
        );
    }
}
