//! What `config` changes in the jail.conf(5) of a jail.

use std::fs;

use super::Host;

/// What each option of `config` changes in the jail.conf(5) of a jail, and that its opposite takes it back.
#[test]
fn the_options_of_config() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let file = host.path("var/db/qjail/jail.conf.d/jail2.conf");
    let plain = fs::read_to_string(&file).unwrap();
    let mut golden = String::new();
    for (on, off) in [
        ("-b 70", "-B"),
        ("-f 2", "--unset exec.fib"),
        ("-k", "-K"),
        ("-l", "-L"),
        ("-t", "-T"),
        ("-x", "-X"),
        ("-l -t -x", "-L -T -X"),
        ("-q", "-Q"),
        ("-s 2", "--unset securelevel"),
        ("-s -1", "--unset securelevel"),
        ("-p 0,2-3", "-p null"),
        ("--param allow.noset_hostname", "--unset allow.set_hostname"),
        (
            "--param allow.mlock --param exec.timeout=90",
            "--unset allow.mlock --unset exec.timeout",
        ),
        (
            "--param exec.poststart=/bin/a --param exec.poststart=/bin/b",
            "--unset exec.poststart",
        ),
    ] {
        for (options, taken_back) in [(on, false), (off, true)] {
            let words: Vec<&str> = ["config"]
                .into_iter()
                .chain(options.split(' '))
                .chain(["jail2"])
                .collect();
            host.ok(&words);
            let now = fs::read_to_string(&file).unwrap();
            if taken_back {
                assert_eq!(now, plain, "{options}");
            } else {
                golden += &format!("# qjail config {options} jail2\n");
                golden += &difference(&plain, &now);
            }
        }
    }
    // A name can be forced upon qjail, not upon the kernel.
    for refused in [
        &["config", "--param", "frobnicate=1", "--force-param", "jail2"][..],
        &["config", "-s", "5", "jail2"],
    ] {
        host.fails(refused);
        assert_eq!(fs::read_to_string(&file).unwrap(), plain);
    }
    host.ok(&["config", "-n", "www", "jail2"]);
    assert!(!file.exists() && !host.path("usr/jails/jail2").exists());
    let renamed = fs::read_to_string(host.path("var/db/qjail/jail.conf.d/www.conf")).unwrap();
    golden += "# qjail config -n www jail2\n";
    golden += &difference(&plain, &renamed);
    host.ok(&["start", "www"]);
    host.ok(&["config", "-k", "--restart", "www"]);
    host.ok(&["stop", "www"]);
    host.text = golden;
    host.check("config-options.txt");
}

/// The lines that went and those that came.
fn difference(before: &str, after: &str) -> String {
    let only = |a: &str, b: &str, sign: char| -> String {
        let lines = a.lines().filter(|l| !b.lines().any(|x| x == *l));
        lines.map(|l| format!("{sign}{l}\n")).collect()
    };
    only(before, after, '-') + &only(after, before, '+')
}

/// The options that give a jail another network; each line goes on from the one before.
#[test]
fn the_network_options_of_config() {
    let mut host = Host::ready();
    host.ok(&["net", "create", "bridge1", "10.1.0.1/24"]);
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let file = host.path("var/db/qjail/jail.conf.d/jail2.conf");
    let now = || fs::read_to_string(&file).unwrap();
    let plain = now();
    let mut golden = String::new();
    for options in [
        "-4 192.168.1.4,192.168.1.5",
        "-6 fd00::2/64",
        "-4 none -6 none",
        "-c em0 -4 192.0.2.20",
        "-c lo1 -4 192.168.1.4",
        "-v -w em0 -4 192.0.2.20/24",
        "-w bridge1 -4 10.1.0.5/24",
        "-4 none",
        "-V -c lo1 -4 192.168.1.2",
        "-V",
        "-c lo1",
    ] {
        let before = now();
        let line: Vec<&str> = ["config"].into_iter().chain(options.split(' ')).collect();
        host.ok(&[&line[..], &["jail2"]].concat());
        golden += &format!("# qjail config {options} jail2\n");
        golden += &difference(&before, &now());
    }
    assert_eq!(now(), plain, "there and back again");
    for (options, says) in [
        ("-w em0", "jail2 has no network stack of its own"),
        ("-c nosuch0 -4 10.7.0.1", "there is no interface nosuch0"),
        ("-v -w nosuch0", "there is no interface nosuch0"),
        ("-4 192.0.2.10", "192.0.2.10"),
        ("-v -w lo1", "loopback"),
        ("-4 192.168.1.300", "192.168.1.300"),
    ] {
        let line: Vec<&str> = ["config"].into_iter().chain(options.split(' ')).collect();
        let said = host.fails(&[&line[..], &["jail2"]].concat());
        assert!(said.contains(says), "{options}: {said}");
        golden += &format!("# qjail config {options} jail2   (fails)\n{said}");
        assert_eq!(now(), plain, "{options}");
    }
    host.text = golden;
    host.check("config-network.txt");
}

#[test]
fn system_v_objects_of_the_host() {
    let mut host = Host::ready();
    host.ok(&[
        "create",
        "-n",
        "lo1",
        "-4",
        "192.168.1.2",
        "--sysvipc",
        "inherit",
        "jail2",
    ]);
    assert!(
        host.text
            .contains("! warning: jail2 will share all System V objects with the host")
    );
    let file = host.path("var/db/qjail/jail.conf.d/jail2.conf");
    let values = || -> Vec<String> {
        let text = fs::read_to_string(&file).unwrap();
        let of_kind = |l: &&str| l.trim().starts_with("sysv");
        text.lines()
            .filter(of_kind)
            .map(|l| l.trim().to_owned())
            .collect()
    };
    let all = |mode| ["sysvmsg", "sysvsem", "sysvshm"].map(|kind| format!("{kind} = \"{mode}\";"));
    assert_eq!(values(), all("inherit"));
    host.text.clear();
    host.ok(&["start", "jail2"]);
    assert!(host.text.contains("    | \tsysvshm = \"inherit\";\n"));
    host.ok(&["config", "-y", "--restart", "jail2"]);
    assert_eq!(values(), all("new"));
    host.ok(&["stop", "jail2"]);
    host.ok(&["config", "-Y", "jail2"]);
    assert!(values().is_empty());
}

/// Limits are rules of rctl(8), where the kernel counts.
#[test]
fn limits_need_an_account() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let limits = [
        "config",
        "--limit",
        "memory=512m",
        "--limit",
        "pids=100",
        "--limit",
        "cpu=50%",
        "jail2",
    ];
    let said = host.fails(&limits);
    assert!(said.contains("kern.racct.enable is 0"), "{said}");
    assert!(said.contains("hint: add kern.racct.enable=1 to /boot/loader.conf and reboot"));
    host.machine.sysctl("kern.racct.enable", "1");
    host.ok(&limits);
    host.text.clear();
    let before = host.state();
    host.ok(&["start", "jail2"]);
    host.ok(&["top", "--once"]);
    host.ok(&["stop", "jail2"]);
    host.check("limits.txt");
    assert_eq!(host.state(), before);
    host.machine.sysctl("kern.racct.enable", "0");
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.3", "--start", "jail3"]);
    host.text.clear();
    host.ok(&["top", "--once"]);
    assert!(!host.text.contains("rctl"), "nothing to ask: {}", host.text);
    host.ok(&["stop", "jail3"]);
    host.machine.sysctl("kern.racct.enable", "1");
    // A rule that the kernel refuses is a failed start.
    host.machine
        .fail("/usr/bin/rctl -a jail:jail2:maxproc", "rctl: Invalid argument");
    let said = host.fails(&["start", "jail2"]);
    assert!(said.contains("rctl: Invalid argument"), "{said}");
    assert_eq!(host.state(), before);
    // jail(8) runs no exec.poststop then, and rules outlive their jail. Those of the administrator are no business of ours.
    let foreign = "jail:jail2:openfiles:deny=500";
    let _ = host.machine.by_hand("/usr/bin/rctl", &["-a", foreign]);
    let before = host.state();
    assert!(before.contains(foreign));
    host.machine.mend();
    host.machine.fail("/bin/sh /etc/rc", "rc: no");
    host.fails(&["start", "jail2"]);
    assert_eq!(host.state(), before);
}

/// The administrator's own mounts come after the shared base, and go with the jail.
#[test]
fn mounts_of_the_administrator() {
    let mut host = Host::ready();
    host.ok(&["create", "-n", "lo1", "-4", "192.168.1.2", "jail2"]);
    let before = host.state();
    host.text.clear();
    let line = |place: &str| {
        format!(
            "mount=/data {}/{place} nullfs rw 0 0",
            host.path("usr/jails").display()
        )
    };
    let (good, outside) = (
        line("jail2/mnt"),
        [
            line("jail3/mnt"),
            line("jail2"),
            line("jail2/../x"),
            line("/jail2/mnt"),
            line("./jail2/mnt"),
            line("jail2//mnt"),
        ],
    );
    host.ok(&["config", "--param", &good, "jail2"]);
    host.ok(&["start", "jail2"]);
    host.ok(&["stop", "jail2"]);
    host.check("mount.txt");
    assert_eq!(host.state(), before);
    host.machine.fail("/bin/sh /etc/rc", "no");
    host.fails(&["start", "jail2"]);
    host.machine.mend();
    assert_eq!(host.state(), before);
    for bad in outside {
        let said = host.fails(&["config", "--param", &bad, "jail2"]);
        assert!(
            said.contains(" is not below ") && said.contains("hint: the second word"),
            "{said}"
        );
    }
    host.ok(&["config", "-n", "web", "jail2"]);
    host.text.clear();
    host.ok(&["start", "web"]);
    assert!(
        host.text.contains("/sbin/mount -t nullfs -o rw /data ") && host.text.contains("/web/mnt\n"),
        "{}",
        host.text
    );
    host.ok(&["stop", "web"]);
    host.ok(&["config", "-n", "jail2", "web"]);
    let said = host.fails(&["config", "--param", "mount=/data", "jail2"]);
    assert!(said.contains("it is no line of fstab(5)"), "{said}");
    let said = host.fails(&["config", "--param", "exec.consolelog=/etc/passwd", "jail2"]);
    assert!(said.contains("/var/log/qjail.NAME.console.log"), "{said}");
}
