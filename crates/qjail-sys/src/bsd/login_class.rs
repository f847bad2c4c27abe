//! Login classes of a jail, see login.conf(5): read from outside, set in the child that has entered it.
//!
//! A child does as setusercontext(3) does for `jexec -U`, less the login name of the session (which is the caller's), the user's
//! `~/.login_conf`, MAC labels, CPU masks and real-time priorities.

use qjail_fs::{RelPath, Root};
use qjail_passwd::{Amount, Identity, Limit, LoginClass, LoginConf, Resource, field};

use crate::{Result, SysError, users};

const LOGIN_CONF: &str = "etc/login.conf";
/// passwd(5): the class is the fifth field of `master.passwd`.
const CLASS: usize = 4;

/// The class of a user in the jail `name` with this root directory. As secure_path(3) has it, a file counts that nobody but root can
/// have written; here another one is an error, so that no limit is lost unseen.
pub(super) fn read(name: &str, root: &Root, who: &Identity) -> Result<LoginClass> {
    let fail = |why: String| SysError::new(format!("read {LOGIN_CONF} of {name}"), why);
    let path = RelPath::new(LOGIN_CONF).map_err(|e| fail(e.to_string()))?;
    let Some(found) = root.metadata(&path).map_err(|e| fail(e.kind().to_string()))? else {
        return Ok(LoginClass::default());
    };
    let conf = users::read(name, root, LOGIN_CONF)?;
    let others = found.mode & 0o002 != 0 || (found.gid != 0 && found.mode & 0o020 != 0);
    if found.uid != 0 || others {
        return Err(fail("others than root may write to it".to_owned()).hint(format!(
            "qjail console {name}, and there: chown root:wheel /{LOGIN_CONF}; chmod 644 /{LOGIN_CONF}"
        )));
    }
    let accounts = users::read(name, root, "etc/master.passwd")?;
    let user = who.user.as_ref();
    let named = user.and_then(|u| field(&accounts, &u.name, CLASS));
    Ok(LoginConf::parse(&conf).class(&named.unwrap_or_default(), who.uid))
}

/// What of a class the kernel keeps with a process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) limits: Vec<Rlimit>,
    pub(crate) nice: Option<i32>,
    pub(crate) umask: Option<u16>,
}

/// A limit by the kernel's number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rlimit {
    pub(crate) resource: i32,
    pub(crate) soft: Option<Amount>,
    pub(crate) hard: Option<Amount>,
}

impl Bounds {
    pub(crate) fn of(class: &LoginClass) -> Self {
        let rlimit = |limit: &Limit| Rlimit {
            resource: number(limit.resource),
            soft: limit.soft,
            hard: limit.hard,
        };
        Self {
            limits: class.limits.iter().map(rlimit).collect(),
            nice: class.nice,
            umask: class.umask,
        }
    }

    /// Sets them for this process; only system calls are made. To be called as root, in the jail: what a jail may not
    /// have, such as a better priority, the kernel refuses there. Like setusercontext(3) it goes on then: only what asks for more than the
    /// process has can be refused, or a limit that the kernel does not know.
    pub(crate) fn set(&self) {
        if let Some(nice) = self.nice {
            // SAFETY: numbers only.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
        }
        for limit in &self.limits {
            limit.set();
        }
        if let Some(umask) = self.umask {
            // SAFETY: a number.
            unsafe { libc::umask(umask as _) };
        }
    }
}

impl Rlimit {
    pub(super) fn set(&self) {
        let mut now = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: a number, and the place for the answer.
        if unsafe { libc::getrlimit(self.resource as _, &mut now) } != 0 {
            return;
        }
        now.rlim_max = self.hard.map_or(now.rlim_max, value);
        // FreeBSD does so itself, Linux refuses.
        now.rlim_cur = self.soft.map_or(now.rlim_cur, value).min(now.rlim_max);
        // SAFETY: a number, and the limit, which is only read.
        unsafe { libc::setrlimit(self.resource as _, &now) };
    }
}

fn value(amount: Amount) -> libc::rlim_t {
    match amount {
        Amount::Unlimited => libc::RLIM_INFINITY,
        // Amounts are not above i64::MAX, and rlim_t has 64 bits.
        Amount::Exactly(number) => number as _,
    }
}

/// `RLIMIT_…` of FreeBSD's sys/resource.h; `PIPEBUF` from 15.0 on.
const fn number(resource: Resource) -> i32 {
    match resource {
        Resource::CpuTime => 0,
        Resource::FileSize => 1,
        Resource::DataSize => 2,
        Resource::StackSize => 3,
        Resource::CoreDumpSize => 4,
        Resource::MemoryUse => 5,
        Resource::MemoryLocked => 6,
        Resource::MaxProc => 7,
        Resource::OpenFiles => 8,
        Resource::SocketBuffers => 9,
        Resource::VirtualMemory => 10,
        Resource::PseudoTerminals => 11,
        Resource::SwapUse => 12,
        Resource::Kqueues => 13,
        Resource::SharedLocks => 14,
        Resource::PipeBuffers => 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::path::PathBuf;
    use tempfile::TempDir;

    const MASTER: &str =
        "root::0:0::0:0:Charlie &:/root:/bin/csh\ntom:*:1001:1001:small:0:0::/home/tom:/bin/sh\n";
    const CONF: &str = "default:openfiles=100:\nroot:openfiles=200:\nsmall:openfiles=50:\n";

    struct Jail(TempDir);

    impl Jail {
        fn new() -> Self {
            let jail = Self(tempfile::tempdir().unwrap());
            fs::create_dir(jail.path("etc")).unwrap();
            let passwd = "root:*:0:0::/root:/bin/csh\ntom:*:1001:1001::/home/tom:/bin/sh\n";
            fs::write(jail.path("etc/passwd"), passwd).unwrap();
            fs::write(jail.path("etc/master.passwd"), MASTER).unwrap();
            fs::write(jail.path(LOGIN_CONF), CONF).unwrap();
            jail
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn class(&self, user: &str) -> Result<LoginClass> {
            let root = Root::open(self.0.path()).unwrap();
            let who = users::identity("a", &root, Some(user)).unwrap();
            read("a", &root, &who)
        }

        fn files(&self, user: &str) -> Option<Amount> {
            self.class(user).unwrap().limits.first().and_then(|l| l.soft)
        }
    }

    #[test]
    fn the_class_that_master_passwd_names() {
        let jail = Jail::new();
        for (user, files) in [("tom", 50), ("root", 200), ("tom:0", 50), ("77:77", 100)] {
            assert_eq!(jail.files(user), Some(Amount::Exactly(files)), "{user}");
        }
        fs::remove_file(jail.path("etc/master.passwd")).unwrap();
        assert_eq!(jail.files("tom"), Some(Amount::Exactly(100)));
        fs::remove_file(jail.path(LOGIN_CONF)).unwrap();
        assert_eq!(jail.class("tom").unwrap(), LoginClass::default());
    }

    #[test]
    fn a_file_that_others_can_write_or_that_leads_elsewhere_is_told() {
        let refused = |change: &dyn Fn(&Jail, PathBuf)| {
            let jail = Jail::new();
            change(&jail, jail.path(LOGIN_CONF));
            jail.class("tom").unwrap_err().to_string()
        };
        let link = refused(&|jail, conf| {
            fs::rename(&conf, jail.path("conf")).unwrap();
            symlink("../conf", &conf).unwrap();
        });
        assert!(
            link.starts_with("read etc/login.conf of a: ") && link.contains("symbolic link"),
            "{link}"
        );
        let open = "read etc/login.conf of a: others than root may write to it";
        let mode =
            |mode| refused(&|_, conf| fs::set_permissions(conf, Permissions::from_mode(mode)).unwrap());
        assert_eq!(mode(0o646), open);
        assert_eq!(refused(&|_, conf| chown(conf, Some(1001), None).unwrap()), open);
        let group = |_: &Jail, conf: PathBuf| {
            chown(&conf, None, Some(5)).unwrap();
            fs::set_permissions(conf, Permissions::from_mode(0o664)).unwrap();
        };
        assert_eq!(refused(&group), open);
        let hint = {
            let jail = Jail::new();
            chown(jail.path(LOGIN_CONF), Some(1001), None).unwrap();
            jail.class("tom").unwrap_err().hint.unwrap()
        };
        assert!(hint.contains("chown root:wheel /etc/login.conf"), "{hint}");
        // Wheel may write, as in secure_path(3).
        let jail = Jail::new();
        fs::set_permissions(jail.path(LOGIN_CONF), Permissions::from_mode(0o664)).unwrap();
        assert!(jail.class("tom").is_ok());
    }

    #[test]
    fn numbers_of_the_kernel() {
        let conf =
            "default:cputime=1:filesize=1:memoryuse=1:vmemoryuse=1:umtxp=1:pipebuf=1:priority=3:umask=027:\n";
        let bounds = Bounds::of(&LoginConf::parse(conf.as_bytes()).class("", 1));
        let numbers: Vec<i32> = bounds.limits.iter().map(|l| l.resource).collect();
        assert_eq!(numbers, [0, 1, 5, 10, 14, 15]);
        assert_eq!((bounds.nice, bounds.umask), (Some(3), Some(0o27)));
    }
}
