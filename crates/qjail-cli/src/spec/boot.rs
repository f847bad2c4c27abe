//! `boot` and `shutdown`, for the host's own start-up and shutdown.

use qjail_plugin_api::CommandSpec;

use super::command;

pub(super) fn boot() -> CommandSpec {
    command(
        "boot",
        "Start the jails of all zones, as when the host starts; manual and norun ones are passed over",
        Vec::new(),
        &[
            (
                "boot",
                "what rc.d and the systemd unit call; jails that run already are left alone",
            ),
            ("-z web boot", "only the jails of zone web"),
            (
                "boot --dry-run",
                "show what would be done at the next start of the host",
            ),
        ],
    )
}

pub(super) fn shutdown() -> CommandSpec {
    command(
        "shutdown",
        "Stop all running jails of all zones, as when the host goes down",
        Vec::new(),
        &[(
            "shutdown",
            "in the reverse order of boot, what depends on others first",
        )],
    )
}
