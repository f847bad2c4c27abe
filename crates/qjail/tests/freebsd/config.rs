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
