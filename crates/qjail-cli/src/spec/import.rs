//! The options of `import`.

use qjail_plugin_api::{ArgSpec, CommandSpec, ValueKind};

use super::command;

/// What `--from` takes.
pub(crate) const QJAIL: &str = "qjail";
pub(crate) const JAIL_CONF: &str = "jail.conf";

const ABOUT: &str = "Takes over jails that another program made. It first shows what each would become, what is not taken \
over and why, and asks; where nobody is there to be asked, it wants --yes. The files of the other program are read as \
text, never run, and left as they are. A jail's root stays where it is, and must be in the directory of jails under the \
jail's name; an image stays too, and gets a second name. A user for ssh that was to be made at the next start is made now. A jail that can not be taken over is passed over, the others are done. --from qjail takes the jails of all \
zones, or of the one given with -z.";

pub(super) fn import() -> CommandSpec {
    let mut from = ArgSpec::option("from", None, "KIND", "Whose files they are").required();
    from.choices = [QJAIL, JAIL_CONF].map(str::to_owned).to_vec();
    let args = vec![
        from,
        ArgSpec::positional(
            "path",
            "PATH",
            "The directory of qjail 5's control files [default: /usr/local/etc], or the jail.conf(5)",
        )
        .of(ValueKind::Path),
        ArgSpec::positional("names", "NAME", "Only these jails").multiple(),
    ];
    let spec = command(
        "import",
        "Take over jails of qjail 5 or of a jail.conf(5)",
        args,
        &[
            (
                "import --from qjail --dry-run",
                "show what would become of the jails of qjail 5",
            ),
            (
                "import --from qjail /usr/local/etc jail1",
                "take over one of them",
            ),
            (
                "import --from jail.conf /etc/jail.conf",
                "take over the jails of that file and of what it includes",
            ),
        ],
    );
    CommandSpec {
        long_about: ABOUT.to_owned(),
        ..spec
    }
}
