//! Every parameter of jail(8) of FreeBSD 13.2 to 15.x, in the order of the names. `13.2` means: not later than that.

use super::{Kind, Known};
use crate::Family;

macro_rules! table {
    ($($name:literal $kind:expr, $since:literal: $about:literal;)*) => {
        &[$(Known { name: $name, kind: $kind, since: $since, about: $about }),*]
    };
}

const SWITCH: Kind = Kind::Switch;
const TEXT: Kind = Kind::Text;
const LIST: Kind = Kind::List;
const SECONDS: Kind = Kind::Seconds;
const MODE: Kind = Kind::Word(&["disable", "new", "inherit"]);
const NETWORK: Kind = Kind::Word(&["new", "inherit", "disable"]);
const NUMBER: Kind = Kind::Integer {
    min: 0,
    max: i32::MAX as i64,
};

pub(super) const TABLE: &[Known] = table! {
    "allow.adjtime" SWITCH, "15.0":
        "Its root may slew the clock of the whole host, as ntpd(8) does.";
    "allow.chflags" SWITCH, "13.2":
        "Its root may set and clear the system flags of files (schg, sunlnk, …). Off, they are flags like any user's.";
    "allow.dying" SWITCH, "13.2":
        "A jail of that name which is still dying may be replaced. Without effect on later systems, which always allow it.";
    "allow.extattr" SWITCH, "15.0":
        "Its root may work on extended attributes of the system's name space.";
    "allow.mlock" SWITCH, "13.2":
        "Programs may keep memory from being paged out (mlock(2)). What they keep is taken from all of the host.";
    "allow.mount" SWITCH, "13.2":
        "Its root may mount and unmount file systems of kinds that are marked as fit for jails. Each kind has a switch of its \
         own beside this one, and enforce_statfs must be below 2.";
    "allow.mount.devfs" SWITCH, "13.2":
        "Its root may mount devfs. Needs allow.mount; what is in it is decided by devfs_ruleset.";
    "allow.mount.fdescfs" SWITCH, "13.2": "Its root may mount fdescfs. Needs allow.mount.";
    "allow.mount.fusefs" SWITCH, "13.2":
        "Its root may mount file systems that are programs (FUSE). Needs allow.mount and the module fusefs.";
    "allow.mount.linprocfs" SWITCH, "13.2":
        "Its root may mount Linux' /proc. Needs allow.mount and the module linprocfs.";
    "allow.mount.linsysfs" SWITCH, "13.2":
        "Its root may mount Linux' /sys. Needs allow.mount and the module linsysfs.";
    "allow.mount.nullfs" SWITCH, "13.2":
        "Its root may show one of its directories in another place. Needs allow.mount. Without the fix of \
         FreeBSD-SA-26:02 this is a way out of the jail.";
    "allow.mount.procfs" SWITCH, "13.2": "Its root may mount procfs. Needs allow.mount.";
    "allow.mount.tmpfs" SWITCH, "13.2":
        "Its root may mount file systems in memory. Needs allow.mount; limit their size, they take the host's memory.";
    "allow.mount.zfs" SWITCH, "13.2":
        "Its root may mount the ZFS datasets that were given to the jail. Needs allow.mount and, for datasets below its root, \
         enforce_statfs below 2.";
    "allow.nfsd" SWITCH, "14.0":
        "It may be an NFS server. Needs a network stack of its own (vnet), and its root must be a file system of its own.";
    "allow.quotas" SWITCH, "13.2":
        "Its root may change quotas of the file systems it sees, those that it shares with others included.";
    "allow.raw_sockets" SWITCH, "13.2":
        "Programs may send packets that they make themselves: ping(8) and traceroute(8) need it. They can then also pretend.";
    "allow.read_msgbuf" SWITCH, "13.2":
        "Users may read the kernel's messages (dmesg(8)).";
    "allow.reserved_ports" SWITCH, "13.2":
        "Its root may open ports below 1024. On unless switched off.";
    "allow.routing" SWITCH, "15.0":
        "Its root may change the routing table that it shares with the host, without a network stack of its own.";
    "allow.set_hostname" SWITCH, "13.2":
        "Its root may change its host name. On unless switched off.";
    "allow.setaudit" SWITCH, "15.0":
        "Its root may set the state of audit sessions (setaudit(2)).";
    "allow.settime" SWITCH, "15.0":
        "Its root may set the clock of the whole host; allow.adjtime is part of it.";
    "allow.socket_af" SWITCH, "13.2":
        "Programs may use families of addresses beside IPv4, IPv6, local sockets and routing, which are not made for jails.";
    "allow.suser" SWITCH, "13.2":
        "Its root has the rights of root, as security.bsd.suser_enabled has for the host. On unless switched off.";
    "allow.sysvipc" SWITCH, "13.2":
        "Shared memory, semaphores and message queues of System V are those of the host. Outdated: give sysvshm, sysvsem \
         and sysvmsg.";
    "allow.unprivileged_parent_tampering" SWITCH, "15.0":
        "A user of the host may signal and trace processes of the jail that have the same user number.";
    "allow.unprivileged_proc_debug" SWITCH, "13.2":
        "Users may trace their own processes (ptrace(2)). On unless switched off.";
    "allow.vmm" SWITCH, "13.2":
        "It may run virtual machines with bhyve(8). Needs the module vmm; devices in it can reach the host's memory.";
    "allow.vmm_ppt" SWITCH, "15.0":
        "Its virtual machines may have devices of the host's PCI bus. Needs the module vmm.";
    "children.cur" Kind::Fixed("the kernel counts them"), "13.2": "How many jails it has below it now.";
    "children.max" NUMBER, "13.2":
        "How many jails may be made inside it, and inside those. 0 unless set: none.";
    "command" Kind::Fixed("use exec.start"), "13.2": "The program of a jail that is made on the command line of jail(8).";
    "cpuset.id" TEXT, "13.2":
        "The processors that it may use: numbers and ranges, `0,2-3`. As in qjail 5.x it is a list; the number of the set, \
         which jail(8) shows by this name, can not be chosen.";
    "depend" LIST, "13.2":
        "Jails that must have been started before it. qjail starts them in this order and stops them in the reverse.";
    "devfs_ruleset" NUMBER, "13.2":
        "The number of the rules, see devfs.rules(5), for the devices in its /dev. qjail sets 4, which hides all that \
         is not harmless; 5 is for jails with a network stack of their own.";
    "dying" Kind::Fixed("the kernel tells it"), "13.2": "Whether it has no process left and waits for its last resources.";
    "enforce_statfs" Kind::Integer { min: 0, max: 2 }, "13.2":
        "How much it learns of mounts. 2: only of the one its root is on; 1: of those below its root; 0: of all.";
    "env" LIST, "15.0":
        "Text `KEY=VALUE`, a line each, that programs in the jail can read (sysctl security.jail.env).";
    "exec.clean" SWITCH, "13.2":
        "Commands in it start with an empty environment but for HOME, SHELL, TERM and USER. qjail switches it on.";
    "exec.consolelog" Kind::Fixed("it is /var/log/qjail.NAME.console.log"), "13.2":
        "The file of the host that takes what exec.start and exec.stop print. qjail sets it to /var/log/qjail.NAME.console.log.";
    "exec.created" LIST, "13.2":
        "Commands of the host to run when the jail has been made and before anything runs in it.";
    "exec.fib" NUMBER, "13.2":
        "The routing table, see setfib(1), of commands that are run for it and in it. 0 is the host's usual one.";
    "exec.jail_user" TEXT, "13.2": "The user as whom commands run in it: root unless set.";
    "exec.poststart" LIST, "13.2": "Commands of the host to run when it has started.";
    "exec.poststop" LIST, "13.2": "Commands of the host to run when it is gone.";
    "exec.prepare" LIST, "13.2":
        "Commands of the host to run before all else of a start, when its directories may not be mounted yet.";
    "exec.prestart" LIST, "13.2": "Commands of the host to run before it is made.";
    "exec.prestop" LIST, "13.2": "Commands of the host to run before it is stopped.";
    "exec.release" LIST, "13.2": "Commands of the host to run last of all, when all mounts are gone: the opposite of exec.prepare.";
    "exec.start" LIST, "13.2": "Commands to run in it at its start: `/bin/sh /etc/rc` unless set.";
    "exec.stop" LIST, "13.2": "Commands to run in it before it is stopped: `/bin/sh /etc/rc.shutdown jail` unless set.";
    "exec.system_jail_user" SWITCH, "13.2": "exec.jail_user is looked up among the host's users instead of the jail's.";
    "exec.system_user" TEXT, "13.2": "The user as whom commands of the host are run: root unless set.";
    "exec.timeout" SECONDS, "13.2": "How long each command may take; 0, as unless set, for as long as it wants.";
    "host" Kind::Word(&["new", "inherit"]), "13.2":
        "Whether host name, domain, UUID and host id are its own or those of the host.";
    "host.domainname" TEXT, "13.2": "Its NIS domain.";
    "host.hostid" Kind::Integer { min: 0, max: u32::MAX as i64 }, "13.2": "Its host id, see gethostid(3).";
    "host.hostname" Kind::HostName, "13.2": "Its host name: the name of the jail unless set.";
    "host.hostuuid" TEXT, "13.2": "Its UUID, which kern.hostuuid shows in it.";
    "interface" TEXT, "13.2":
        "The interface of the host that gets its addresses while it runs, unless an address names another one.";
    "ip4" NETWORK, "13.2":
        "Whether it has IPv4 addresses of its own (new, those of ip4.addr), all of the host's (inherit), or none (disable).";
    "ip4.addr" Kind::Addresses(Family::V4), "13.2": "Its IPv4 addresses, each [IF|]ADDR[/LEN], separated by commas.";
    "ip4.saddrsel" SWITCH, "13.2":
        "The kernel chooses the sender's address of a connection as for the host; off, it is always the first one.";
    "ip6" NETWORK, "13.2":
        "Whether it has IPv6 addresses of its own (new, those of ip6.addr), all of the host's (inherit), or none (disable).";
    "ip6.addr" Kind::Addresses(Family::V6), "13.2": "Its IPv6 addresses, each [IF|]ADDR[/LEN], separated by commas.";
    "ip6.saddrsel" SWITCH, "13.2":
        "The kernel chooses the sender's address of a connection as for the host; off, it is always the first one.";
    "ip_hostname" Kind::Fixed("use ip4.addr and ip6.addr"), "13.2":
        "Addresses are looked up by the host name when the jail is made.";
    "jid" Kind::Fixed("the kernel gives the number"), "13.2": "Its number while it runs.";
    "linux" Kind::Word(&["new", "inherit", "disable"]), "13.2":
        "Whether what Linux programs are told of their system is its own (new) or the host's. Needs the module linux.";
    "linux.osname" TEXT, "13.2": "The name of the system that Linux programs are told.";
    "linux.osrelease" TEXT, "13.2": "The version of the kernel that Linux programs are told.";
    "linux.oss_version" Kind::Integer { min: 0, max: i32::MAX as i64 }, "13.2":
        "The version of the Open Sound System that Linux programs are told.";
    "meta" LIST, "15.0":
        "Text `KEY=VALUE`, a line each, that the host keeps with the jail and programs in it can not read.";
    "mount" LIST, "13.2": "A line of fstab(5) to mount at each start; its paths are the host's, the second below the jail's directory.";
    "mount.devfs" SWITCH, "13.2": "It has /dev, with what devfs_ruleset leaves. qjail switches it on.";
    "mount.fdescfs" SWITCH, "13.2": "It has fdescfs on /dev/fd.";
    "mount.fstab" Kind::Fixed("the mounts of a jail are kept by qjail"), "13.2":
        "A file in the format of fstab(5) with what to mount before the jail is made.";
    "mount.procfs" SWITCH, "13.2": "It has procfs on /proc.";
    "name" Kind::Fixed("the jail's name is its own: qjail config --rename"), "13.2": "Its name.";
    "osreldate" NUMBER, "13.2":
        "The number of the version that kern.osreldate tells in it; for a base that is older than the host.";
    "osrelease" TEXT, "13.2":
        "The version that uname(1) tells in it; for a base that is older than the host.";
    "parent" Kind::Fixed("the kernel tells it"), "13.2": "The number of the jail that it is in.";
    "path" Kind::Fixed("qjail sets it: the jail's directory"), "13.2": "Its root directory.";
    "persist" SWITCH, "13.2": "It stays when its last process has ended.";
    "securelevel" Kind::Integer { min: -1, max: 3 }, "13.2":
        "Its security level, see security(7); never below the host's. It can be raised from inside, and not lowered.";
    "stop.timeout" SECONDS, "13.2":
        "How long its processes may take to end when it is stopped, before they are killed: 10 unless set; 0 kills at once.";
    "sysvmsg" MODE, "13.2":
        "Message queues of System V: none (disable, as unless set), of its own (new), or shared with the host and all that \
         inherit (inherit).";
    "sysvsem" MODE, "13.2":
        "Semaphores of System V: none (disable, as unless set), of its own (new), or shared with the host and all that \
         inherit (inherit).";
    "sysvshm" MODE, "13.2":
        "Shared memory of System V: none (disable, as unless set), of its own (new), or shared with the host and all that \
         inherit (inherit). PostgreSQL needs new.";
    "vnet" Kind::Word(&["new", "inherit"]), "13.2":
        "Whether it has a network stack of its own, with interfaces, routes and firewall, or shares the host's.";
    "vnet.interface" LIST, "13.2":
        "Interfaces of the host that belong to it while it runs. Needs vnet.";
    "zfs.dataset" LIST, "15.0": "ZFS datasets that are given to it before exec.start runs.";
    "zfs.mount_snapshot" Kind::Integer { min: 0, max: 1 }, "13.2":
        "Whether its root may look into snapshots below .zfs/snapshot: 1 for yes. Needs the module zfs.";
};
