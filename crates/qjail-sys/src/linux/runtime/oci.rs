//! The jail as `libcontainer` wants it described.

use std::path::{Path, PathBuf};

use libcontainer::oci_spec::OciSpecError;
use libcontainer::oci_spec::runtime::{
    LinuxBuilder, LinuxNamespaceBuilder, LinuxNamespaceType, Mount, MountBuilder, ProcessBuilder,
    RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use super::spec::{Ipc, Isolation, StartSpec};

/// What the Open Containers default hides.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What the Open Containers default makes read-only.
const READ_ONLY: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// The description of a jail whose control groups are called `group`.
///
/// Capabilities and the filter of system calls are not in it: process 1 sees to them itself, after it took the last
/// steps that need them.
/// Where `network` is given, the jail gets that network namespace and no new one.
pub(super) fn spec(jail: &StartSpec, group: &str, network: Option<PathBuf>) -> Result<Spec, OciSpecError> {
    let root = RootBuilder::default()
        .path(jail.path.clone())
        .readonly(false)
        .build()?;
    let user = UserBuilder::default().uid(0_u32).gid(0_u32).build()?;
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(user)
        .args(vec!["qjail".to_owned()])
        // Without this, libcontainer asks the C library for root's home in the jail's root, with all privileges: the
        // library would load what the jail's /etc/nsswitch.conf names.
        .env(vec!["HOME=/".to_owned()])
        .cwd("/")
        .no_new_privileges(false)
        .build()?;
    let mut process = process;
    process.set_capabilities(None).set_rlimits(None);
    let linux = LinuxBuilder::default()
        .namespaces(
            namespaces(jail.isolation)
                .into_iter()
                .map(|kind| {
                    let builder = LinuxNamespaceBuilder::default().typ(kind);
                    match &network {
                        Some(path) if kind == LinuxNamespaceType::Network => builder.path(path).build(),
                        _ => builder.build(),
                    }
                })
                .collect::<Result<Vec<_>, _>>()?,
        )
        .cgroups_path(Path::new("/qjail").join(group))
        .masked_paths(strings(MASKED))
        .readonly_paths(strings(READ_ONLY))
        .build()?;
    let mut linux = linux;
    linux.set_resources(None);
    SpecBuilder::default()
        .version("1.0.2")
        .root(root)
        .process(process)
        .hostname(jail.hostname.clone())
        .mounts(mounts(jail)?)
        .linux(linux)
        .build()
}

/// The namespace of control groups is made by process 1, once it is in them.
fn namespaces(isolation: Isolation) -> Vec<LinuxNamespaceType> {
    use LinuxNamespaceType::{Ipc, Mount, Network, Pid, Uts};
    let mut all = vec![Pid, Mount, Uts, Network];
    if !isolation.shares_ipc() {
        all.push(Ipc);
    }
    all
}

fn mounts(jail: &StartSpec) -> Result<Vec<Mount>, OciSpecError> {
    let mut all = vec![
        mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"])?,
        mount(
            "tmpfs",
            "tmpfs",
            "/dev",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        )?,
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        )?,
        mount(
            "tmpfs",
            "shm",
            "/dev/shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        )?,
        mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"])?,
        mount("tmpfs", "tmpfs", "/run", &["nosuid", "nodev", "mode=755"])?,
    ];
    if !jail.isolation.shares_ipc() {
        all.push(mount(
            "mqueue",
            "mqueue",
            "/dev/mqueue",
            &["nosuid", "noexec", "nodev"],
        )?);
    }
    for one in &jail.mounts {
        let options: &[&str] = if one.read_only {
            &["rbind", "rnodev", "rro"]
        } else {
            &["rbind", "rnodev"]
        };
        all.push(mount(
            "bind",
            one.source.as_path(),
            Path::new("/").join(&one.target),
            options,
        )?);
    }
    Ok(all)
}

fn mount(
    kind: &str,
    source: impl Into<PathBuf>,
    target: impl Into<PathBuf>,
    options: &[&str],
) -> Result<Mount, OciSpecError> {
    MountBuilder::default()
        .typ(kind)
        .source(source)
        .destination(target)
        .options(strings(options))
        .build()
}

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|one| (*one).to_owned()).collect()
}

/// Why the isolation cannot be had, if so: the three kinds of System V objects live in one namespace.
pub(super) fn impossible(isolation: Isolation) -> Option<String> {
    let both = isolation.shares_ipc() && isolation.sysv().contains(&Ipc::New);
    both.then(|| "sysvshm, sysvsem and sysvmsg cannot be `new` in part and `inherit` in part".to_owned())
}
