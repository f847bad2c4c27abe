//! What the jail's root can not do to the kernel, to processes and to networks, tried from inside.

use std::fs;
use std::path::Path;

use crate::runtime::Ipc;

use crate::Test;
use crate::fixture::Jail;

pub(crate) const ALL: &[Test] = &[
    ("namespaces_are_the_jails_own", namespaces),
    ("capabilities_are_dockers_less_net_raw", capabilities),
    ("dangerous_calls_are_refused", system_calls),
    (
        "other_architectures_do_not_get_around_the_filter",
        other_architectures,
    ),
    ("system_v_ipc_follows_its_parameters", system_v),
    ("root_configures_a_stack_of_its_own_and_no_other", own_stack),
    ("process_1_shows_nothing_and_cannot_be_hurt", process_one),
];

fn namespaces() {
    let jail = Jail::started();
    let pid = jail.pid().unwrap();
    for kind in ["pid", "mnt", "uts", "ipc", "net", "cgroup"] {
        let inside = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_ne!(
            inside,
            fs::read_link(format!("/proc/self/ns/{kind}")).unwrap(),
            "{kind}"
        );
        let entered = jail.sh(&format!("readlink /proc/self/ns/{kind}"));
        assert_eq!(Path::new(&entered), inside, "exec joins {kind}");
    }
    assert_eq!(jail.sh("hostname"), "j1.example");
    assert_eq!(
        jail.sh("ls / | tr '\\n' ' '"),
        "bin dev etc lib lib64 proc root run sbin sys tmp usr var"
    );
    assert_eq!(
        jail.sh("cut -d: -f3 /proc/self/cgroup | sort -u"),
        "/",
        "the groups are the jail's own"
    );
}

fn capabilities() {
    let sets = "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t' | tr '\\n' ' '";
    let text = |caps| {
        format!(
            "CapInh:0000000000000000 CapPrm:{caps} CapEff:{caps} CapBnd:{caps} CapAmb:0000000000000000 NoNewPrivs:0 Seccomp:2"
        )
    };
    let log = format!("{sets} > /tmp/start");
    let jail = Jail::with(|s| s.exec_start = vec![log.clone()]);
    jail.start().unwrap();
    assert_eq!(jail.sh(sets), text("00000000a80405fb"));
    assert_eq!(jail.sh("cat /tmp/start"), text("00000000a80405fb"));
    let raw = Jail::with(|s| s.isolation.raw_sockets = true);
    raw.start().unwrap();
    assert_eq!(raw.sh(sets), text("00000000a80425fb"));
    let socket = "perl -MSocket -e 'print socket(S, PF_INET, SOCK_RAW, 1) ? \"made\" : $!'";
    assert_eq!(raw.sh(socket), "made");
    assert_eq!(jail.sh(socket), "Operation not permitted");
}

/// The error of a call made by perl in the jail, 0 for success.
fn call(jail: &Jail, number: i64, arguments: &str) -> i32 {
    let script =
        format!("my @a = ({arguments}); $! = 0; my $r = syscall({number}, @a); print $r == -1 ? $!+0 : 0");
    let out = jail.exec(&["perl", "-e", &script]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.parse()
        .unwrap_or_else(|_| panic!("{number}({arguments}): {out:?}"))
}

fn system_calls() {
    let jail = Jail::started();
    let refused = [
        (libc::SYS_mount, "'x', '/tmp', 'tmpfs', 0, 0"),
        (libc::SYS_umount2, "'/proc', 2"),
        (libc::SYS_pivot_root, "'/', '/'"),
        (libc::SYS_open_tree, "-100, '/', 1"),
        (libc::SYS_fsopen, "'tmpfs', 0"),
        (libc::SYS_unshare, "0x10000000"),
        (libc::SYS_unshare, "0x20000"),
        (libc::SYS_setns, "0, 0"),
        (libc::SYS_clone, "0x10000011, 0, 0, 0, 0"),
        (libc::SYS_keyctl, "0, -3"),
        (libc::SYS_add_key, "'user', 'a', 'b', 1, -3"),
        (libc::SYS_bpf, "0, 0, 0"),
        (libc::SYS_perf_event_open, "0, 0, 0, 0, 0"),
        (libc::SYS_userfaultfd, "0"),
        (libc::SYS_io_uring_setup, "1, 0"),
        (libc::SYS_open_by_handle_at, "0, 0, 0"),
        (libc::SYS_kexec_load, "0, 0, 0, 0"),
        (libc::SYS_init_module, "0, 0, ''"),
        (libc::SYS_finit_module, "0, '', 0"),
        (libc::SYS_reboot, "0, 0, 0, 0"),
        (libc::SYS_swapon, "'/tmp/x', 0"),
        (libc::SYS_settimeofday, "0, 0"),
        (libc::SYS_syslog, "2, 0, 0"),
        (libc::SYS_quotactl, "0, 0, 0, 0"),
        (libc::SYS_ioctl, "0, 0x5412, 'a'"),
        (libc::SYS_ioctl, "0, 0x541c, 'a'"),
        (libc::SYS_ioctl, "0, 0x100005412, 'a'"),
        (libc::SYS_personality, "0x40000"),
        (libc::SYS_socket, "40, 1, 0"),
        (libc::SYS_sethostname, "'x', 1"),
    ];
    for (number, arguments) in refused {
        assert_eq!(
            call(&jail, number, arguments),
            libc::EPERM,
            "{number}({arguments})"
        );
    }
    assert_eq!(call(&jail, libc::SYS_clone3, "0, 0"), libc::ENOSYS);
    assert_eq!(call(&jail, libc::SYS_personality, "0xffffffff"), 0);
    assert_eq!(
        call(&jail, libc::SYS_unshare, "0x200"),
        0,
        "unsharing what is no namespace"
    );
    let fork =
        "perl -e 'my $child = fork() // die $!; exit unless $child; wait == $child and print \"forked\"'";
    assert_eq!(jail.sh(fork), "forked");
    assert_eq!(jail.exec(&["unshare", "-U", "true"]).status.code(), Some(1));
}

/// A program that makes one call and ends with 0 if it returned anything but -ENOSYS.
#[cfg(target_arch = "x86_64")]
fn tiny_program(code: &[u8]) -> Vec<u8> {
    let entry: u64 = 0x40_0078;
    let size = 0x78 + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [entry, 0x40, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0");
    for word in [0, 0x40_0000, 0x40_0000, size, size, 0x1000] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.extend(code);
    elf
}

#[cfg(target_arch = "x86_64")]
fn other_architectures() {
    use std::os::unix::fs::PermissionsExt;
    let jail = Jail::started();
    let run = |name: &str, code: &[u8]| {
        let path = jail.root().join("tmp").join(name);
        fs::write(&path, tiny_program(code)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        jail.exec(&[&format!("/tmp/{name}")]).status.code()
    };
    // exit(3) by the machine's own way: the program itself is good.
    assert_eq!(run("native", b"\xb8\x3c\0\0\0\xbf\x03\0\0\0\x0f\x05"), Some(3));
    // exit(3) by the 32 bit gate: killed by the filter (SIGSYS), or by a kernel without that gate (SIGSEGV).
    let gate = run(
        "gate",
        b"\xb8\x01\0\0\0\xbb\x03\0\0\0\xcd\x80\xb8\x3c\0\0\0\xbf\0\0\0\0\x0f\x05",
    );
    assert!(matches!(gate, Some(159 | 139)), "{gate:?}");
    // getpid of x32 (bit 30), then exit(-result): 38 is ENOSYS.
    let x32 = run(
        "x32",
        b"\xb8\x27\0\0\x40\x0f\x05\xf7\xd8\x89\xc7\xb8\x3c\0\0\0\x0f\x05",
    );
    assert_eq!(x32, Some(libc::ENOSYS));
}

#[cfg(not(target_arch = "x86_64"))]
fn other_architectures() {}

fn system_v() {
    let make = "1234, 4096, 0x3ff";
    let jail = Jail::started();
    for (number, arguments) in [
        (libc::SYS_shmget, make),
        (libc::SYS_semget, "1234, 1, 0x3ff"),
        (libc::SYS_msgget, "1234, 0x3ff"),
    ] {
        assert_eq!(call(&jail, number, arguments), libc::ENOSYS, "{number}");
    }
    let own = Jail::with(|s| s.isolation.sysvshm = Ipc::New);
    own.start().unwrap();
    assert_eq!(call(&own, libc::SYS_shmget, make), 0);
    assert_eq!(call(&own, libc::SYS_semget, "1234, 1, 0x3ff"), libc::ENOSYS);
    let key = 0x714a_0000 + std::process::id() as i32;
    let id = unsafe { libc::shmget(key, 4096, libc::IPC_CREAT | libc::IPC_EXCL | 0o600) };
    assert!(id >= 0);
    let find = format!("{key}, 0, 0");
    let unseen = call(&own, libc::SYS_shmget, &find);
    let shared = Jail::with(|s| s.isolation.sysvshm = Ipc::Inherit);
    shared.start().unwrap();
    let seen = call(&shared, libc::SYS_shmget, &find);
    // The host's POSIX message queues are in that namespace too.
    assert_eq!(call(&shared, libc::SYS_mq_open, "0, 0, 0, 0"), libc::ENOSYS);
    unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
    assert_eq!(unseen, libc::ENOENT);
    assert_eq!(seen, 0);
}

/// A bridge of the host, which a jail must not get at.
struct Victim(String);

impl Victim {
    fn new() -> Victim {
        let victim = Victim(format!("qjv{}", std::process::id()));
        assert!(ip(&["link", "add", &victim.0, "type", "bridge"]));
        victim
    }

    fn is_there(&self) -> bool {
        Path::new("/sys/class/net").join(&self.0).exists()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        ip(&["link", "delete", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    std::process::Command::new("ip")
        .args(arguments)
        .status()
        .unwrap()
        .success()
}

/// Has netlink remove an interface of the network namespace that is number 0 here, which is what the other end of the
/// first veth(4) is in: the error number.
const REMOVE_OUTSIDE: &str = r#"
socket(S, 16, 3, 0) or die "socket: $!";
bind(S, pack("SSLL", 16, 0, 0, 0)) or die "bind: $!";
my $name = "$ARGV[0]\0"; $name .= "\0" x (-length($name) % 4);
my $body = pack("CCSlLL", 0, 0, 0, 0, 0, 0) . pack("SS", 4 + length("$ARGV[0]\0"), 3) . $name . pack("SSl", 8, 46, 0);
send(S, pack("LSSLL", 16 + length($body), 17, 5, 1, 0) . $body, 0) or die "send: $!";
recv(S, my $answer, 4096, 0);
print -unpack("l", substr($answer, 16, 4));
"#;

fn own_stack() {
    let jail = Jail::with(|s| {
        s.isolation.vnet = true;
        s.exec_start = vec!["ip link set lo up && readlink /proc/self/ns/user > /tmp/start".into()];
    });
    let end = format!("qjs{}", std::process::id());
    let wire = &mut |pid: i32| {
        let made = ip(&[
            "link",
            "add",
            &end,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &pid.to_string(),
        ]);
        made.then_some(()).ok_or_else(|| "no veth".to_owned())
    };
    jail.runtime.start(&jail.spec, &|| false, wire).unwrap();
    let users = jail.sh("readlink /proc/self/ns/user");
    assert_eq!(jail.sh("cat /tmp/start"), users, "exec is where exec.start was");
    assert_ne!(Path::new(&users), fs::read_link("/proc/self/ns/user").unwrap());
    assert_eq!(
        jail.sh("grep ^CapBnd /proc/self/status"),
        "CapBnd:\t00000000a80435fb"
    );
    let shown = jail.sh("ip address add 10.9.8.7/24 dev eth0 && ip -4 address show eth0");
    assert!(shown.contains("inet 10.9.8.7/24"), "{shown}");
    // Everybody has the number they have outside.
    assert_eq!(
        jail.sh("touch /tmp/x; chown 4711:1234 /tmp/x; stat -c %u:%g /tmp/x"),
        "4711:1234"
    );
    let x = jail.root().join("tmp/x");
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(x).unwrap()),
        4711
    );

    let victim = Victim::new();
    fs::write(jail.root().join("tmp/remove.pl"), REMOVE_OUTSIDE).unwrap();
    let netnsid = jail.sh("ip link show eth0");
    assert!(
        netnsid.contains("link-netnsid 0"),
        "the attack needs it: {netnsid}"
    );
    assert_eq!(
        jail.sh(&format!("perl /tmp/remove.pl {}", victim.0)),
        libc::EACCES.to_string()
    );
    assert!(victim.is_there());
    // Packet filters and IPsec are left out.
    for protocol in [12, 6] {
        let socket = format!("perl -e 'print socket(S, 16, 3, {protocol}) ? \"made\" : $!'");
        assert_eq!(jail.sh(&socket), "Operation not permitted", "{protocol}");
    }
    // AF_KEY, and the tables of iptables, arptables, ebtables, IPVS and ip6tables as socket options.
    assert_eq!(call(&jail, libc::SYS_socket, "15, 3, 2"), libc::EPERM);
    let option = |family: i32, level: i32, number: i32| {
        jail.sh(&format!(
            "perl -e 'socket(S, {family}, 3, 255) or die $!; print setsockopt(S, {level}, {number}, pack(\"l\", 1)) ? \"set\" : $!'"
        ))
    };
    for (family, level, number) in [(2, 0, 64), (2, 0, 96), (2, 0, 128), (2, 0, 1154), (10, 41, 64)] {
        let said = option(family, level, number);
        assert_eq!(said, "Operation not permitted", "{level} {number}");
    }
    // Other options go through: IP_TTL and IPV6_TCLASS.
    assert_eq!(
        (option(2, 0, 2), option(10, 41, 67)),
        ("set".into(), "set".into())
    );
    jail.stop();
    jail.nothing_is_left();

    let plain = Jail::started();
    assert!(
        plain
            .sh("ip address add 10.9.8.7/24 dev lo")
            .contains("Operation not permitted")
    );
    assert_eq!(
        Path::new(&plain.sh("readlink /proc/self/ns/user")),
        fs::read_link("/proc/self/ns/user").unwrap()
    );
}

fn process_one() {
    let jail = Jail::started();
    let denied = "Permission denied";
    for line in [
        "readlink /proc/1/exe",
        "readlink /proc/1/cwd",
        "readlink /proc/1/root",
        "readlink /proc/1/fd/0",
    ] {
        assert_eq!(jail.exec(&["sh", "-c", line]).status.code(), Some(1), "{line}");
    }
    for line in [
        "cat /proc/1/environ",
        "cat /proc/1/exe",
        "cat /proc/1/mem",
        "cat /proc/1/maps",
        "ls /proc/1/root/",
        "cat /proc/1/fd/*",
    ] {
        assert!(jail.sh(line).contains(denied), "{line}: {}", jail.sh(line));
    }
    assert_eq!(call(&jail, libc::SYS_ptrace, "16, 1, 0, 0"), libc::EPERM);
    let before = jail.pid();
    jail.sh("for s in 1 2 3 9 10 11 15 19 20 37; do kill -$s 1; done; kill -9 -1; true");
    assert_eq!(jail.sh("echo alive"), "alive");
    assert_eq!(jail.pid(), before);
    let pid = before.unwrap();
    // Even who gets hold of process 1's program file, as root of the host does here, has no way to write to it.
    let program = format!("/proc/{pid}/exe");
    let mode = fs::metadata(&program).unwrap().permissions();
    assert_eq!(
        fs::set_permissions(&program, mode).unwrap_err().raw_os_error(),
        Some(libc::EROFS)
    );
    fs::OpenOptions::new().write(true).open(&program).unwrap_err();
    assert!(fs::read(&program).unwrap().starts_with(b"\x7fELF"));
    let mut files = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
        files.push(
            fs::read_link(entry.path())
                .unwrap()
                .to_string_lossy()
                .into_owned(),
        );
    }
    files.sort();
    let run = jail.run_dir().join("j1/alive").display().to_string();
    let known = |f: &String| {
        *f == run
            || f == "/dev/null"
            || f.starts_with("anon_inode:")
            || f.starts_with('/') && f.contains("console.log")
    };
    assert!(files.iter().all(known), "{files:?}");
    assert!(!files.iter().any(|f| Path::new(f).is_dir()), "{files:?}");
}
