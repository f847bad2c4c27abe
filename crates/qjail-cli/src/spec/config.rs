//! The options of `config` that are the core's own; plugins add theirs.

use qjail_plugin_api::{ArgSpec, CommandSpec, ValueKind};

use super::{command, jails};

/// Switches: id of on, letter, id of off, letter, what it is about.
pub(crate) const SWITCHES: [(&str, char, &str, char, &str); 7] = [
    (
        "manual",
        'm',
        "no-manual",
        'M',
        "leave it out when the host boots",
    ),
    ("norun", 'r', "no-norun", 'R', "never start it"),
    (
        "raw-sockets",
        'k',
        "no-raw-sockets",
        'K',
        "raw sockets, which ping(8) needs",
    ),
    ("nullfs", 'l', "no-nullfs", 'L', "let its root mount nullfs"),
    ("tmpfs", 't', "no-tmpfs", 'T', "let its root mount tmpfs"),
    ("zfs", 'x', "no-zfs", 'X', "let its root mount ZFS"),
    ("quotas", 'q', "no-quotas", 'Q', "let its root manage quotas"),
];

const ABOUT: &str = "Changes what qjail keeps of a jail. Several options in one call are checked together and applied as \
one change: all of them or none. A jail that runs is passed over, unless --restart is given: then it is stopped, changed \
and started again; one that does not run stays stopped. What is set takes effect at the next start.";

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
    for (on, letter, off, capital, about) in SWITCHES {
        args.push(ArgSpec::flag(on, Some(letter), &sentence(about)).conflicts(&[off]));
        args.push(ArgSpec::flag(
            off,
            Some(capital),
            &format!("Not any more: {about}"),
        ));
    }
    args.extend(values());
    args
}

fn values() -> Vec<ArgSpec> {
    let mut securelevel = ArgSpec::option(
        "securelevel",
        Some('s'),
        "N",
        "Its security level, see security(7)",
    );
    securelevel.choices = ["-1", "0", "1", "2", "3"].map(str::to_owned).to_vec();
    vec![
        ArgSpec::option(
            "devfs-ruleset",
            Some('b'),
            "RULESET",
            "The number of the rules for its devices, see devfs.rules(5)",
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
            "The number of its routing table, see setfib(1)",
        )
        .of(ValueKind::Number),
        securelevel,
        ArgSpec::option(
            "cpuset",
            Some('p'),
            "LIST|null",
            "The processors that it may use, such as 0,2-3; null for all",
        ),
        ArgSpec::option("param", None, "KEY=VALUE", "Set a parameter of jail(8)").multiple(),
        ArgSpec::option("unset", None, "KEY", "Give a parameter back its default").multiple(),
        ArgSpec::flag(
            "restart",
            None,
            "Stop it where it runs, and start it again when it is changed",
        ),
    ]
}

/// The first letter in upper case.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|c| c.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
