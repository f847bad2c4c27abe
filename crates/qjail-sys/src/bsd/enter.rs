//! What is run in a jail for an [`ExecSpec`], and what its failures mean.

use qjail_passwd::Identity;

use crate::{ExecSpec, Result, SysError};

/// login(1), of the jail.
const LOGIN: &str = "/usr/bin/login";
/// The path of login.conf(5)'s class `default`.
const PATH: &str = "/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin";
const SHELL: &str = "/bin/sh";

/// A process in a jail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Enter {
    /// Found through `PATH` of `env` below the jail's root where it has no `/`.
    pub(crate) program: String,
    /// What the program is called, where that is not its name.
    pub(crate) arg0: Option<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// The first that exists is the working directory.
    pub(crate) dirs: Vec<String>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// Plans `exec` and `console`.
///
/// # Errors
/// No command, and no login.
pub(crate) fn plan(name: &str, who: Identity, spec: &ExecSpec) -> Result<Enter> {
    match (spec.argv.split_first(), spec.login) {
        (None, false) => Err(SysError::new(
            format!("run a command in {name}"),
            "no command is given",
        )),
        (None, true) => Ok(login(who, spec)),
        (Some((program, args)), _) => {
            let (env, dirs) = (environment(&who, spec), directories(&who, spec));
            let (uid, gid, groups) = (who.uid, who.gid, who.groups);
            let (program, args) = (program.clone(), args.to_vec());
            Ok(Enter {
                program,
                arg0: None,
                args,
                env,
                dirs,
                uid,
                gid,
                groups,
            })
        }
    }
}

/// login(1) knows the login class, messages and accounting of the jail; it needs a name, and asks for no password. A
/// user with another group, a number without a name or another directory gets the shell at once.
fn login(who: Identity, spec: &ExecSpec) -> Enter {
    let by_name = spec.user.as_deref().is_none_or(|u| !u.contains(':')) && spec.dir.is_none();
    if let Some(user) = who.user.as_ref().filter(|_| by_name) {
        let args = ["-p", "-f", &user.name].map(str::to_owned).to_vec();
        let dirs = vec!["/".to_owned()];
        let env = spec.env.clone();
        return Enter {
            program: LOGIN.to_owned(),
            arg0: None,
            args,
            env,
            dirs,
            uid: 0,
            gid: 0,
            groups: Vec::new(),
        };
    }
    let shell = shell(&who).to_owned();
    let arg0 = Some(format!("-{}", shell.rsplit('/').next().unwrap_or(&shell)));
    let (env, dirs) = (environment(&who, spec), directories(&who, spec));
    Enter {
        program: shell,
        arg0,
        args: Vec::new(),
        env,
        dirs,
        uid: who.uid,
        gid: who.gid,
        groups: who.groups,
    }
}

fn shell(who: &Identity) -> &str {
    who.user
        .as_ref()
        .map(|u| u.shell.as_str())
        .filter(|s| !s.is_empty())
        .unwrap_or(SHELL)
}

fn home(who: &Identity) -> &str {
    who.user
        .as_ref()
        .map(|u| u.home.as_str())
        .filter(|h| h.starts_with('/'))
        .unwrap_or("/")
}

/// What setusercontext(3) sets for the class `default`, less what needs the jail's login.conf(5).
fn environment(who: &Identity, spec: &ExecSpec) -> Vec<(String, String)> {
    let name = who
        .user
        .as_ref()
        .map_or_else(|| who.uid.to_string(), |u| u.name.clone());
    let mut env: Vec<(String, String)> = [
        ("PATH", PATH),
        ("HOME", home(who)),
        ("SHELL", shell(who)),
        ("USER", &name),
        ("LOGNAME", &name),
        ("BLOCKSIZE", "K"),
        ("LANG", "C.UTF-8"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into();
    if spec.login {
        env.push(("MAIL".to_owned(), format!("/var/mail/{name}")));
    }
    for (key, value) in &spec.env {
        env.retain(|(k, _)| k != key);
        env.push((key.clone(), value.clone()));
    }
    env
}

fn directories(who: &Identity, spec: &ExecSpec) -> Vec<String> {
    match (&spec.dir, spec.login) {
        (Some(dir), _) => vec![dir.clone()],
        (None, true) => vec![home(who).to_owned(), "/".to_owned()],
        (None, false) => vec!["/".to_owned()],
    }
}

/// A step between fork(2) and execve(2) in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Terminal = 1,
    Descriptors,
    Attach,
    Directory,
    Groups,
    Group,
    User,
}

impl Step {
    const ALL: [(Step, &'static str); 7] = [
        (Step::Terminal, "give it a terminal"),
        (Step::Descriptors, "close files of the host"),
        (Step::Attach, "enter the jail"),
        (Step::Directory, "change to its directory"),
        (Step::Groups, "set its groups"),
        (Step::Group, "set its group"),
        (Step::User, "set its user"),
    ];

    /// Only a number comes back from the child: the step beside the system's error.
    pub(crate) fn code(self, errno: i32) -> i32 {
        ((self as i32) << 16) | (errno & 0xffff)
    }
}

/// What became of a child that did not get as far as running the command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotRun {
    /// The exit status that a shell would give: 126 or 127.
    Status(i32),
    /// It could not be tried.
    Failed(SysError),
}

/// Reads the number that came back from the child.
pub(crate) fn not_run(name: &str, program: &str, code: i32) -> NotRun {
    let errno = code & 0xffff;
    let why = std::io::Error::from_raw_os_error(errno);
    if let Some((_, what)) = Step::ALL.iter().find(|(s, _)| *s as i32 == code >> 16) {
        return NotRun::Failed(SysError::new(format!("run {program} in {name}: {what}"), why));
    }
    match errno {
        libc::ENOENT => NotRun::Status(127),
        libc::EACCES | libc::ENOEXEC | libc::ENOTDIR | libc::EISDIR | libc::ELOOP | libc::EPERM => {
            NotRun::Status(126)
        }
        _ => NotRun::Failed(SysError::new(format!("run {program} in {name}"), why)),
    }
}

/// The exit status by the contract: the command's own, 128 + N when signal N ended it.
pub(crate) fn status(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qjail_passwd::{GroupFile, Layout, UserFile, Users};

    fn who(name: Option<&str>) -> Identity {
        let passwd = b"root:*:0:0::/root:/bin/csh\ntom:*:1001:1001::/home/tom:\n";
        let users = Users::new(
            UserFile::parse(passwd, Layout::Passwd),
            GroupFile::parse(b"ftp:*:14:tom\n"),
        );
        name.unwrap_or("root")
            .parse::<qjail_passwd::UserSpec>()
            .unwrap()
            .resolve(&users)
            .unwrap()
    }

    fn planned(user: Option<&str>, argv: &[&str], login: bool) -> Enter {
        let spec = ExecSpec {
            argv: argv.iter().map(|a| (*a).to_owned()).collect(),
            user: user.map(str::to_owned),
            env: vec![("TERM".into(), "xterm".into())],
            login,
            ..ExecSpec::default()
        };
        plan("jail1", who(user), &spec).unwrap()
    }

    #[test]
    fn a_console_is_a_login() {
        for (user, name) in [(None, "root"), (Some("tom"), "tom"), (Some("1001"), "tom")] {
            let login = planned(user, &[], true);
            assert_eq!(
                (login.program.as_str(), login.args),
                ("/usr/bin/login", vec!["-p".into(), "-f".into(), name.into()])
            );
            assert_eq!(
                (login.uid, login.env),
                (0, vec![("TERM".to_owned(), "xterm".to_owned())])
            );
        }
    }

    #[test]
    fn a_login_that_login_can_not_do() {
        for user in ["tom:14", "7:8"] {
            let shell = planned(Some(user), &[], true);
            assert_eq!(
                (shell.program.as_str(), shell.arg0.as_deref()),
                ("/bin/sh", Some("-sh")),
                "{user}"
            );
            assert_ne!(shell.uid, 0);
        }
        let spec = ExecSpec {
            login: true,
            dir: Some("/tmp".into()),
            ..ExecSpec::default()
        };
        let root = plan("jail1", who(None), &spec).unwrap();
        assert_eq!(
            (root.arg0.as_deref(), root.dirs),
            (Some("-csh"), vec!["/tmp".to_owned()])
        );
    }

    #[test]
    fn a_command_with_a_clean_environment() {
        let run = planned(Some("tom"), &["id", "-u"], false);
        assert_eq!((run.program.as_str(), run.args), ("id", vec!["-u".to_owned()]));
        assert_eq!(
            (run.uid, run.gid, run.groups, run.dirs),
            (1001, 1001, vec![14], vec!["/".to_owned()])
        );
        let env: Vec<String> = run.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let expected = [
            &format!("PATH={PATH}"),
            "HOME=/home/tom",
            "SHELL=/bin/sh",
            "USER=tom",
            "LOGNAME=tom",
            "BLOCKSIZE=K",
            "LANG=C.UTF-8",
            "TERM=xterm",
        ];
        assert_eq!(env, expected);
        let login = planned(Some("tom"), &["sh"], true);
        assert_eq!(login.dirs, ["/home/tom", "/"]);
        assert!(login.env.contains(&("MAIL".into(), "/var/mail/tom".into())));
        assert!(
            plan("jail1", who(None), &ExecSpec::default())
                .unwrap_err()
                .to_string()
                .contains("no command")
        );
    }

    #[test]
    fn failures() {
        let failed = |code| match not_run("jail1", "id", code) {
            NotRun::Failed(e) => e.to_string(),
            NotRun::Status(n) => n.to_string(),
        };
        assert_eq!(failed(libc::ENOENT), "127");
        for errno in [libc::EACCES, libc::ENOEXEC, libc::EPERM] {
            assert_eq!(failed(errno), "126");
        }
        assert!(failed(libc::ENOMEM).starts_with("run id in jail1: "));
        for (step, what) in Step::ALL {
            let text = failed(step.code(libc::EPERM));
            assert!(
                text.starts_with(&format!("run id in jail1: {what}: Operation not permitted")),
                "{text}"
            );
        }
    }

    #[test]
    fn statuses() {
        use std::process::Command;
        let run = |script: &str| status(Command::new("/bin/sh").args(["-c", script]).status().unwrap());
        assert_eq!((run("exit 7"), run("kill -9 $$"), run("exit 0")), (7, 137, 0));
    }
}
