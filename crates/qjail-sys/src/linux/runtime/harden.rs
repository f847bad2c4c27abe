//! What every process of a jail has to do without: capabilities and system calls.

use rustix::thread::{CapabilitySet, CapabilitySets};

use super::raw;
use super::seccomp;
use super::spec::{Attempt, Failure, Isolation};

/// Docker's default set without `NET_RAW`.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The capabilities of a jail's root.
pub(super) fn capabilities(isolation: Isolation) -> CapabilitySet {
    if isolation.vnet {
        // Raw sockets too, as in FreeBSD (prison_priv_check(9)). Both count in the jail's own user namespace only.
        CAPABILITIES | CapabilitySet::NET_RAW | CapabilitySet::NET_ADMIN
    } else if isolation.raw_sockets {
        CAPABILITIES | CapabilitySet::NET_RAW
    } else {
        CAPABILITIES
    }
}

/// Installs the filter and gives up every capability that the jail does not have, for good.
pub(super) fn restrict(isolation: Isolation) -> Result<(), Failure> {
    let keep = capabilities(isolation);
    let filters =
        seccomp::filters(isolation).map_err(|e| Failure::new("make the filter of system calls", e))?;
    drop_bounding(keep)?;
    // Before the capabilities go: without no_new_privs, installing a filter takes CAP_SYS_ADMIN.
    for filter in &filters {
        raw::install_filter(filter).attempt(|| "install the filter of system calls".to_owned())?;
    }
    let has = rustix::thread::capabilities(None)
        .attempt(|| "read the capabilities".to_owned())?
        .permitted;
    let keep = keep & has;
    let sets = CapabilitySets {
        effective: keep,
        permitted: keep,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).attempt(|| "give up capabilities".to_owned())
}

/// Takes everything but `keep` out of the bounding set, including what this program has no name for.
fn drop_bounding(keep: CapabilitySet) -> Result<(), Failure> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(one) {
            Err(rustix::io::Errno::INVAL) => break,
            Ok(true) if !keep.contains(one) => {
                rustix::thread::remove_capability_from_bounding_set(one)
                    .attempt(|| format!("give up capability {number}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The kernel's hunt for memory passes over process 1: whoever uses up the jail's memory is ended, not the jail.
///
/// By the old file, for it does not lower the least value that processes without privileges may set, which children
/// inherit (`__set_oom_adj` of fs/proc/base.c). Without the file process 1 is merely the smallest of the jail.
pub(super) fn outlive_out_of_memory() {
    // Fails where a container has no SYS_RESOURCE of the host.
    let _ = std::fs::write("/proc/self/oom_adj", "-17");
}

/// In a child of process 1: it can be killed as any other.
pub(super) fn mortal_again() -> std::io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", "0")
}
