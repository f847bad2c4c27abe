//! The calls that a jail may not make.
//!
//! What docker's default profile refuses in effect, as a list of refusals: the kernel's interfaces that reach beyond
//! namespaces (modules, kexec, bpf, io_uring, keys, …), making namespaces and mounts, and pushing characters into a
//! terminal. Everything else is left to capabilities and namespaces. `ptrace` and `process_vm_*` are allowed, as in
//! docker: they reach processes of the jail only.
//!
//! `clone3` answers ENOSYS, so that the C library falls back to `clone`, whose flags a filter can see. Calls of another
//! architecture end the process; those of x32 answer ENOSYS. So do the calls of a kind of System V objects that the jail
//! does not have, as in a jail of FreeBSD (shmget(2)), and POSIX message queues where the ipc namespace is the host's:
//! nobody asked for them.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::spec::{Ipc, Isolation};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS__sysctl,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// clone(2) flags that make a namespace. `CLONE_NEWTIME` is not among them: in clone(2) its bit belongs to a signal.
const NAMESPACES: &[i32] = &[
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];
const CLONE_NEWTIME: i32 = 0x80;

/// Values of personality(2) that docker allows: Linux, Linux with 32 bit addresses, uname of 2.6, both, and "tell".
const PERSONALITIES: &[u64] = &[0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Netlink protocols that a jail with a network stack of its own has no use for, and that NET_ADMIN would open: packet
/// filters (nftables) and IPsec policies, where most holes of recent years were.
const PACKET_RULES: &[i32] = &[libc::NETLINK_NETFILTER, libc::NETLINK_XFRM];

/// The older ways to the same: socket options by which iptables, arptables, ebtables and IPVS hand over their tables, as
/// level, first and last number (`IPT_SO_SET_REPLACE` and its like in linux/netfilter*/, `IP_VS_SO_SET_*` in linux/ip_vs.h).
const PACKET_TABLES: &[(i32, u64, u64)] = &[
    (libc::SOL_IP, 64, 129),
    (libc::SOL_IP, 1024, 0xffff_ffff),
    (libc::SOL_IPV6, 64, 65),
];

const SYSV_SHM: &[i64] = &[
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_shmdt,
];
const SYSV_SEM: &[i64] = &[
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semctl,
    libc::SYS_semtimedop,
];
const SYSV_MSG: &[i64] = &[
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
];
const POSIX_QUEUES: &[i64] = &[libc::SYS_mq_open, libc::SYS_mq_unlink];

/// The filters of a jail, to be installed one after the other.
///
/// # Errors
/// When this machine's architecture is none that filters can be made for.
pub(super) fn filters(isolation: Isolation) -> Result<Vec<BpfProgram>, BackendError> {
    let mut absent = compile(absent(isolation), libc::ENOSYS)?;
    if cfg!(target_arch = "x86_64") {
        absent.splice(0..0, refuse_x32());
    }
    Ok(vec![compile(refused(isolation)?, libc::EPERM)?, absent])
}

/// The calls that do not exist for the jail.
fn absent(isolation: Isolation) -> Rules {
    let kinds = isolation.sysv().into_iter().zip([SYSV_SHM, SYSV_SEM, SYSV_MSG]);
    let disabled = kinds
        .filter(|(ipc, _)| *ipc == Ipc::Disable)
        .map(|(_, calls)| calls);
    let queues = isolation.shares_ipc().then_some(POSIX_QUEUES);
    let calls = disabled.chain(queues).flatten().chain(&[libc::SYS_clone3]);
    calls.map(|call| (*call, Vec::new())).collect()
}

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, BackendError> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let machine = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine)?.try_into()
}

fn refused(isolation: Isolation) -> Result<Rules, BackendError> {
    let mut rules: Rules = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    let bits = |flags: &[i32]| {
        flags
            .iter()
            .map(|f| has_bit(0, *f))
            .collect::<Result<Vec<_>, _>>()
    };
    rules.insert(libc::SYS_clone, bits(NAMESPACES)?);
    rules.insert(libc::SYS_unshare, bits(&[NAMESPACES, &[CLONE_NEWTIME]].concat())?);
    rules.insert(
        libc::SYS_ioctl,
        vec![equals(1, libc::TIOCSTI)?, equals(1, libc::TIOCLINUX)?],
    );
    let mut sockets = vec![SeccompRule::new(vec![is(0, libc::AF_VSOCK)?])?];
    if isolation.vnet {
        for protocol in PACKET_RULES {
            let rule = vec![is(0, libc::AF_NETLINK)?, is(2, *protocol)?];
            sockets.push(SeccompRule::new(rule)?);
        }
        // IPsec by its older door.
        sockets.push(SeccompRule::new(vec![is(0, libc::AF_KEY)?])?);
        rules.insert(libc::SYS_setsockopt, packet_tables()?);
    }
    rules.insert(libc::SYS_socket, sockets);
    let odd = PERSONALITIES
        .iter()
        .map(|p| SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *p));
    rules.insert(
        libc::SYS_personality,
        vec![SeccompRule::new(odd.collect::<Result<_, _>>()?)?],
    );
    Ok(rules)
}

fn has_bit(argument: u8, bit: i32) -> Result<SeccompRule, BackendError> {
    let bit = u64::from(bit.cast_unsigned());
    let set = SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(bit),
        bit,
    )?;
    SeccompRule::new(vec![set])
}

/// The low half of the argument only: the kernel itself ignores the rest of these.
fn equals(argument: u8, value: u64) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        value,
    )?])
}

fn packet_tables() -> Result<Vec<SeccompRule>, BackendError> {
    let option = |op, number| SeccompCondition::new(2, SeccompCmpArgLen::Dword, op, number);
    let rule = |(level, first, last): &(i32, u64, u64)| {
        SeccompRule::new(vec![
            is(1, *level)?,
            option(SeccompCmpOp::Ge, *first)?,
            option(SeccompCmpOp::Le, *last)?,
        ])
    };
    PACKET_TABLES.iter().map(rule).collect()
}

fn is(argument: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    let value = u64::from(value.unsigned_abs());
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// x32 calls have the architecture of the machine and a bit of their own in the number; see seccomp(2).
fn refuse_x32() -> [seccompiler::sock_filter; 3] {
    const X32: u32 = 0x4000_0000;
    let statement = |code, k| seccompiler::sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let [load, jump, ret] = [
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JGE,
        libc::BPF_RET,
    ]
    .map(|code| u16::try_from(code).unwrap_or_default());
    let number = statement(load, 0);
    let is_x32 = seccompiler::sock_filter {
        code: jump,
        jt: 0,
        jf: 1,
        k: X32,
    };
    [
        number,
        is_x32,
        statement(ret, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_v_calls_are_absent_by_kind() {
        let with = |sysvshm, sysvsem| Isolation {
            sysvshm,
            sysvsem,
            ..Isolation::default()
        };
        let rules = absent(with(Ipc::New, Ipc::Disable));
        assert!(!rules.contains_key(&libc::SYS_shmget) && !rules.contains_key(&libc::SYS_mq_open));
        assert!(rules.contains_key(&libc::SYS_semop) && rules.contains_key(&libc::SYS_msgget));
        let rules = absent(with(Ipc::Disable, Ipc::Inherit));
        assert!(rules.contains_key(&libc::SYS_shmget) && rules.contains_key(&libc::SYS_mq_open));
        assert!(!rules.contains_key(&libc::SYS_semop));
    }

    #[test]
    fn both_filters_fit_into_the_kernel() {
        let filters = filters(Isolation::default()).unwrap();
        assert_eq!(filters.len(), 2);
        assert!(
            filters.iter().all(|f| f.len() < 1000),
            "{:?}",
            filters.iter().map(Vec::len).collect::<Vec<_>>()
        );
    }
}
