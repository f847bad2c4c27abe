//! What jails use at the moment.

use qjail_plugin_api::{ArgSpec, CommandSpec};

use super::{command, jails};

pub(super) fn top() -> CommandSpec {
    let spec = command(
        "top",
        "Show what running jails use: processor, memory, processes",
        vec![
            jails(),
            ArgSpec::flag("all-zones", None, "The jails of every zone"),
            ArgSpec::flag("once", None, "Show it once, as where there is no terminal"),
        ],
        &[
            ("top", "drawn anew every two seconds until Ctrl-C"),
            ("top --once web=", "once, the jails whose names begin with web"),
        ],
    );
    CommandSpec {
        long_about: "Shows what each running jail uses, the busiest first, with its limits after a slash: percent of one \
                     processor, memory, processes (threads on Linux). On a terminal it is drawn anew every two seconds until \
                     Ctrl-C. FreeBSD tells it only while kern.racct.enable is 1."
            .to_owned(),
        ..spec
    }
}
