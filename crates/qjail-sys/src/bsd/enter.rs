//! What is run in a jail for an [`ExecSpec`], and what its failures mean.

use qjail_passwd::{Identity, LoginClass, User};

use super::login_class::Bounds;
use crate::{ExecSpec, Result, SysError};

/// login(1), of the jail.
const LOGIN: &str = "/usr/bin/login";
/// `_PATH_STDPATH` of paths.h, where the class has no path.
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
    /// Limits, priority and umask.
    pub(crate) bounds: Bounds,
}

/// Plans `exec` and `console`; `class` is that of the user, and not asked for where login(1) sees to it.
///
/// # Errors
/// No command, and no login; those of `class`.
pub(crate) fn plan(
    name: &str,
    who: Identity,
    spec: &ExecSpec,
    class: impl FnOnce(&Identity) -> Result<LoginClass>,
) -> Result<Enter> {
    if let Some(user) = of_login(&who, spec) {
        return Ok(login(user, spec));
    }
    let class = class(&who)?;
    match (spec.argv.split_first(), spec.login) {
        (None, false) => Err(SysError::new(
            format!("run a command in {name}"),
            "no command is given",
        )),
        (None, true) => {
            let shell = shell(&who).to_owned();
            let arg0 = format!("-{}", shell.rsplit('/').next().unwrap_or(&shell));
            Ok(process(shell, Some(arg0), Vec::new(), who, spec, &class))
        }
        (Some((program, args)), _) => Ok(process(program.clone(), None, args.to_vec(), who, spec, &class)),
    }
}

fn process(
    program: String,
    arg0: Option<String>,
    args: Vec<String>,
    who: Identity,
    spec: &ExecSpec,
    class: &LoginClass,
) -> Enter {
    Enter {
        program,
        arg0,
        args,
        env: environment(&who, spec, class),
        dirs: directories(&who, spec),
        uid: who.uid,
        gid: who.gid,
        groups: who.groups,
        bounds: Bounds::of(class),
    }
}

/// The user that login(1) logs in. It needs a name: a user with another group, a number without a name or another directory gets the
/// shell at once.
fn of_login<'a>(who: &'a Identity, spec: &ExecSpec) -> Option<&'a User> {
    let by_name = spec.user.as_deref().is_none_or(|u| !u.contains(':')) && spec.dir.is_none();
    who.user
        .as_ref()
        .filter(|_| spec.login && spec.argv.is_empty() && by_name)
}

/// login(1) knows the login class, messages and accounting of the jail; it asks for no password.
fn login(user: &User, spec: &ExecSpec) -> Enter {
    Enter {
        program: LOGIN.to_owned(),
        arg0: None,
        args: ["-p", "-f", &user.name].map(str::to_owned).into(),
        env: spec.env.clone(),
        dirs: vec!["/".to_owned()],
        uid: 0,
        gid: 0,
        groups: Vec::new(),
        bounds: Bounds::default(),
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

/// What the class sets, as setusercontext(3) does it; then who the user is, then what the caller wants.
fn environment(who: &Identity, spec: &ExecSpec, class: &LoginClass) -> Vec<(String, String)> {
    let name = who
        .user
        .as_ref()
        .map_or_else(|| who.uid.to_string(), |u| u.name.clone());
    let mut env = vec![("PATH".to_owned(), PATH.to_owned())];
    if spec.login {
        set(&mut env, "MAIL", &format!("/var/mail/{name}"));
    }
    for (key, value) in class.environment(&name, home(who)) {
        set(&mut env, &key, &value);
    }
    let user = [
        ("HOME", home(who)),
        ("SHELL", shell(who)),
        ("USER", &name),
        ("LOGNAME", &name),
    ];
    let given = spec.env.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    for (key, value) in user.into_iter().chain(given) {
        set(&mut env, key, value);
    }
    env
}

fn set(env: &mut Vec<(String, String)>, key: &str, value: &str) {
    env.retain(|(k, _)| k != key);
    env.push((key.to_owned(), value.to_owned()));
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
    use qjail_passwd::{GroupFile, Layout, LoginConf, UserFile, Users};

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
        plan("jail1", who(user), &spec, |_| Ok(LoginClass::default())).unwrap()
    }

    fn small(_: &Identity) -> Result<LoginClass> {
        let conf = b"small:path=~/bin /bin:openfiles=50:umask=077:priority=4:mail@:lang=de_DE.UTF-8:setenv=HOME=/x,EDITOR=vi,TERM=dumb:\n";
        Ok(LoginConf::parse(conf).class("small", 1001))
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
        let root = plan("jail1", who(None), &spec, small).unwrap();
        assert_eq!(
            (root.arg0.as_deref(), root.dirs),
            (Some("-csh"), vec!["/tmp".to_owned()])
        );
        assert_eq!((root.bounds.nice, root.bounds.umask), (Some(4), Some(0o077)));
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
            "BLOCKSIZE=K",
            "LANG=C.UTF-8",
            "HOME=/home/tom",
            "SHELL=/bin/sh",
            "USER=tom",
            "LOGNAME=tom",
            "TERM=xterm",
        ];
        assert_eq!(env, expected);
        let login = planned(Some("tom"), &["sh"], true);
        assert_eq!(login.dirs, ["/home/tom", "/"]);
        assert!(login.env.contains(&("MAIL".into(), "/var/mail/tom".into())));
        assert!(
            plan("jail1", who(None), &ExecSpec::default(), small)
                .unwrap_err()
                .to_string()
                .contains("no command")
        );
    }

    #[test]
    fn a_class_stands_between_the_defaults_and_what_is_asked_for() {
        let spec = ExecSpec {
            argv: vec!["id".into()],
            env: vec![("TERM".into(), "xterm".into())],
            login: true,
            ..ExecSpec::default()
        };
        let run = plan("jail1", who(Some("tom")), &spec, small).unwrap();
        let env: Vec<String> = run.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let expected = [
            "MAIL=/var/mail/tom",
            "PATH=/home/tom/bin:/bin",
            "LANG=de_DE.UTF-8",
            "EDITOR=vi",
            "HOME=/home/tom",
            "SHELL=/bin/sh",
            "USER=tom",
            "LOGNAME=tom",
            "TERM=xterm",
        ];
        assert_eq!(env, expected);
        assert_eq!((run.bounds.nice, run.bounds.umask), (Some(4), Some(0o077)));
        assert_eq!(run.bounds.limits.len(), 1);
    }

    #[test]
    fn login_sees_to_the_class_itself() {
        let spec = ExecSpec {
            login: true,
            ..ExecSpec::default()
        };
        let broken = |_: &Identity| Err(SysError::new("read etc/login.conf of jail1", "no"));
        let login = plan("jail1", who(Some("tom")), &spec, broken).unwrap();
        assert_eq!((login.program.as_str(), login.bounds), (LOGIN, Bounds::default()));
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
