//! What the kernel has to give for jails.

use std::io;
use std::path::Path;

/// The sentences, each without its end. Asking changes nothing.
pub(super) fn missing() -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return vec!["jails take root's privileges".to_owned()];
    }
    let mut all = Vec::new();
    if !Path::new("/proc/self/fd").exists() {
        all.push("/proc is not mounted".to_owned());
    }
    for (file, what) in [
        ("pid", "process"),
        ("mnt", "mount"),
        ("uts", "host name"),
        ("ipc", "ipc"),
        ("net", "network"),
    ] {
        if all.is_empty() && !Path::new("/proc/self/ns").join(file).exists() {
            all.push(format!("the kernel has no {what} namespaces"));
        }
    }
    if let Err(error) = unshare() {
        all.push(format!(
            "namespaces cannot be made here: {}",
            super::spec::plain(&error)
        ));
    }
    if !Path::new("/proc/sys/kernel/seccomp").exists() {
        all.push("the kernel cannot filter system calls (seccomp)".to_owned());
    }
    if absent(libc::SYS_mount_setattr) || absent(libc::SYS_openat2) || absent(libc::SYS_pidfd_open) {
        all.push("the kernel is older than 5.12".to_owned());
    }
    all
}

/// Tries to make namespaces, in a thread that takes them with it.
fn unshare() -> io::Result<()> {
    let tried = std::thread::Builder::new()
        .spawn(super::raw::try_namespaces)?
        .join();
    tried.unwrap_or_else(|_| Err(io::Error::other("the attempt panicked")))
}

/// Whether the kernel does not know a call: it is made with arguments that no kernel accepts.
fn absent(call: libc::c_long) -> bool {
    super::raw::call_with_nonsense(call).raw_os_error() == Some(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_is_missing_where_tests_run_and_asking_changes_nothing() {
        let before = std::fs::read_link("/proc/self/ns/uts").unwrap();
        assert_eq!(super::missing(), Vec::<String>::new());
        assert_eq!(std::fs::read_link("/proc/self/ns/uts").unwrap(), before);
    }
}
