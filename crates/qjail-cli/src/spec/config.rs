//! The options of `config` that are the core's own; plugins add theirs.

use qjail_plugin_api::{ArgSpec, CommandSpec, ValueKind};

use super::{command, jails, limit};

/// Switches: id and letter of on, id and letter of off, what each says.
pub(crate) const SWITCHES: [(&str, char, &str, char, &str, &str); 7] = [
    (
        "manual",
        'm',
        "no-manual",
        'M',
        "Leave it out at boot",
        "Start it at boot again",
    ),
    (
        "norun",
        'r',
        "no-norun",
        'R',
        "Never start it",
        "It may be started again",
    ),
    (
        "raw-sockets",
        'k',
        "no-raw-sockets",
        'K',
        "Allow raw sockets, which ping(8) needs",
        "No raw sockets",
    ),
    (
        "nullfs",
        'l',
        "no-nullfs",
        'L',
        "Its root may mount nullfs (FreeBSD)",
        "Its root may not mount nullfs",
    ),
    (
        "tmpfs",
        't',
        "no-tmpfs",
        'T',
        "Its root may mount tmpfs (FreeBSD)",
        "Its root may not mount tmpfs",
    ),
    (
        "zfs",
        'x',
        "no-zfs",
        'X',
        "Its root may mount ZFS (FreeBSD)",
        "Its root may not mount ZFS",
    ),
    (
        "quotas",
        'q',
        "no-quotas",
        'Q',
        "Its root may manage quotas (FreeBSD)",
        "Its root may not manage quotas",
    ),
];

const ABOUT: &str = "Changes what qjail keeps of a jail. Several options in one call are checked together and applied as \
one change: all of them or none. A jail that runs is passed over, unless --restart is given: then it is stopped, changed \
and started again, by the next command if this one is killed; one that does not run stays stopped. What is set takes effect at the next start.";

pub(super) fn config() -> CommandSpec {
    let spec = command(
        "config",
        "Change stopped jails",
        args(),
        &[
            ("config -d jail1", "show what is set, as TOML"),
            (
                "config -m -s 2 jail1 web=",
                "two changes of one jail and of all whose names begin with web",
            ),
            ("config -k --restart jail1", "ping(8) works inside, from now on"),
            ("config -n www jail1", "jail1 is called www"),
            ("config -A -R", "no jail of the zone is norun any more"),
            ("config -r jail1", "it is never started, until config -R"),
            (
                "config -l -t -x jail1",
                "FreeBSD: its root may mount nullfs, tmpfs and ZFS; -L, -T, -X take it back",
            ),
            (
                "config -b 70 -q -f 1 jail1",
                "FreeBSD: device rules 70, quotas, routing table 1",
            ),
            (
                "config -B -Q -f 0 -s -1 jail1",
                "the defaults of all of these again",
            ),
            (
                "config -p 0,2-3 jail1",
                "three processors; -p null for all of them",
            ),
            (
                "config --param depend=db,cache jail1",
                "start it after db and cache",
            ),
            (
                "config --param allow.mlock --unset exec.timeout jail1",
                "any parameter of jail(8)",
            ),
        ],
    );
    CommandSpec {
        long_about: ABOUT.to_owned(),
        ..spec
    }
}

fn args() -> Vec<ArgSpec> {
    let mut args = vec![
        jails().conflicts(&["all"]),
        ArgSpec::flag("all", Some('A'), "Every jail of the zone"),
        ArgSpec::flag("display", Some('d'), "Show the definition"),
        ArgSpec::option(
            "rename",
            Some('n'),
            "NEW",
            "Give it another name: directory, definition, console log, what other jails say of it; archives keep theirs",
        )
        .of(ValueKind::Jail)
        .conflicts(&["all"]),
    ];
    for (on, letter, off, capital, about_on, about_off) in SWITCHES {
        args.push(ArgSpec::flag(on, Some(letter), about_on).conflicts(&[off]));
        args.push(ArgSpec::flag(off, Some(capital), about_off));
    }
    args.extend(values());
    args
}

fn values() -> Vec<ArgSpec> {
    let mut securelevel = ArgSpec::option(
        "securelevel",
        Some('s'),
        "N",
        "Its security level, see security(7) (FreeBSD)",
    );
    securelevel.choices = ["-1", "0", "1", "2", "3"].map(str::to_owned).to_vec();
    vec![
        ArgSpec::option(
            "devfs-ruleset",
            Some('b'),
            "RULESET",
            "The number of the rules for its devices, see devfs.rules(5) (FreeBSD)",
        )
        .of(ValueKind::Number)
        .conflicts(&["no-devfs-ruleset"]),
        ArgSpec::flag(
            "no-devfs-ruleset",
            Some('B'),
            "The usual rules for devices again (4)",
        ),
        ArgSpec::option(
            "fib",
            Some('f'),
            "N",
            "The number of its routing table, see setfib(1) (FreeBSD)",
        )
        .of(ValueKind::Number),
        securelevel,
        ArgSpec::option(
            "cpuset",
            Some('p'),
            "LIST|null",
            "The processors that it may use, such as 0,2-3; null for all",
        ),
        param(),
        force_param(),
        ArgSpec::option("unset", None, "KEY", "Give a parameter back its default").multiple(),
        limit(),
        ArgSpec::flag(
            "restart",
            None,
            "Stop it where it runs, and start it again when it is changed",
        ),
    ]
}

/// `--param`, of `config` and `create`.
pub(super) fn param() -> ArgSpec {
    ArgSpec::option(
        "param",
        None,
        "KEY=VALUE",
        "Set a parameter of jail(8), see `qjail help params`; KEY alone switches on",
    )
    .multiple()
}

/// `--force-param`, beside it.
pub(super) fn force_param() -> ArgSpec {
    let mut arg = ArgSpec::flag(
        "force-param",
        None,
        "Take names of parameters that qjail does not know",
    );
    arg.requires = vec!["param".to_owned()];
    arg
}
