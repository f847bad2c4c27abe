//! `log` and `logmsg`: the log of commands.

use qjail_plugin_api::{ArgSpec, CommandSpec, ValueKind};

use super::command;

pub(super) fn log() -> CommandSpec {
    let args = vec![
        ArgSpec::option("lines", Some('n'), "N", "Show the last N lines [default: 20]")
            .of(ValueKind::Number)
            .conflicts(&["on", "off"]),
        ArgSpec::flag(
            "on",
            None,
            "From now on, log every command that changes something or enters a jail",
        ),
        ArgSpec::flag("off", None, "Log nothing from now on; the file stays").conflicts(&["on"]),
    ];
    command(
        "log",
        "Show the log of commands, or switch it on or off",
        args,
        &[
            (
                "log --on",
                "log commands to /var/log/qjail.log: when, who, what, and how it ended",
            ),
            ("log -n 5", "the last five lines"),
        ],
    )
}

pub(super) fn logmsg() -> CommandSpec {
    let args = vec![
        ArgSpec::positional("text", "TEXT", "What to write")
            .multiple()
            .required(),
    ];
    command(
        "logmsg",
        "Write a line of your own to the log of commands",
        args,
        &[("logmsg moved web to the new disk", "one line, with time and user")],
    )
}
