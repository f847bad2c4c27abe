//! The commands and options of the core, in the same form in which plugins declare theirs.

mod boot;
pub(crate) mod config;
pub(crate) mod import;
mod log;
mod top;

use qjail_plugin_api::{ArgKind, ArgSpec, CommandSpec, Example, ValueKind};

/// Every command of the core.
#[must_use]
pub(crate) fn core_commands() -> Vec<CommandSpec> {
    let commands = vec![
        create(),
        list(),
        top::top(),
        many("start", "Start jails; without a name all of the zone", Vec::new()),
        many(
            "stop",
            "Stop jails; without a name all of the zone; Ctrl-C kills instead of waiting",
            stop_options(),
        ),
        many(
            "restart",
            "Stop jails where they run, and start them",
            stop_options(),
        ),
        boot::boot(),
        boot::shutdown(),
        console(),
        exec(),
        delete(),
        config::config(),
        import::import(),
        log::log(),
        log::logmsg(),
        plugins(),
        completions(),
        help(),
    ];
    commands
}

fn command(name: &str, about: &str, args: Vec<ArgSpec>, examples: &[(&str, &str)]) -> CommandSpec {
    let examples = examples
        .iter()
        .map(|(l, a)| Example {
            line: (*l).to_owned(),
            about: (*a).to_owned(),
        })
        .collect();
    CommandSpec {
        name: name.to_owned(),
        about: about.to_owned(),
        args,
        examples,
        ..CommandSpec::default()
    }
}

fn jails() -> ArgSpec {
    ArgSpec::positional(
        "jails",
        "NAME",
        "Jails; `prefix=` stands for every jail whose name begins so",
    )
    .multiple()
}

fn limit() -> ArgSpec {
    ArgSpec::option(
        "limit",
        None,
        "NAME=VALUE",
        "Limit what it uses: memory=512m, pids=200 (processes), cpu=50% (of one processor); none takes one away",
    )
    .multiple()
    .delimited(',')
}

fn jail() -> ArgSpec {
    ArgSpec::positional("jail", "NAME", "The jail")
        .of(ValueKind::Jail)
        .required()
}

fn create() -> CommandSpec {
    let args = vec![
        ArgSpec::positional(
            "jail",
            "NAME",
            "The new jail's name: letters, digits, `_` and `-`, at most 50",
        )
        .required(),
        ArgSpec::option(
            "flavor",
            Some('f'),
            "FLAVOR",
            "Files to put into it, from the directory flavors [default: default]",
        )
        .multiple(),
        ArgSpec::option(
            "duplicate",
            Some('d'),
            "N",
            "Make N jails NAME-001, …, with addresses counting up, names and addresses in use passed over; each jail is made wholly or not at all, and those made before one that fails stay",
        )
        .of(ValueKind::Number),
        ArgSpec::flag("thick", None, "Give it its own full copy of the base"),
        ArgSpec::option(
            "archive",
            Some('a'),
            "ARCHIVE",
            "Take its root from this archive: a jail's name (the newest), a file's name among the archives, or a path",
        ),
        ArgSpec::option(
            "archive-zone",
            Some('A'),
            "ZONE",
            "Look among the archives of this zone; `nozone` is the default zone",
        ),
        ArgSpec::option(
            "image",
            Some('i'),
            "SIZE",
            "Give it a file system of its own in a file of this size: 500m, 2g; the file grows as it fills",
        )
        .of(ValueKind::Size),
        config::param(),
        config::force_param(),
        limit(),
        ArgSpec::flag("start", None, "Start it when it is made"),
    ];
    command(
        "create",
        "Create a jail from the template",
        args,
        &[
            (
                "create -n lo1 -4 192.168.1.2 jail1",
                "a jail with an address on lo1",
            ),
            (
                "create -d 3 -n lo1 -4 auto web",
                "web-001 to web-003 with the next free addresses",
            ),
            (
                "create -i 2g jail3",
                "a jail with a file system of its own, which can fill nobody else's",
            ),
            (
                "create -a web -n lo1 -4 192.168.1.5 web2",
                "a jail with the files of the newest archive of web",
            ),
            ("create --dry-run jail2", "show what would be done"),
        ],
    )
}

fn list() -> CommandSpec {
    let columns = ArgSpec::option(
        "columns",
        Some('o'),
        "COL,…",
        "Show these columns: name, status, jid, interface, ip, zone, hostname, path, flavors, base, created, limits, cpu, mem, pids",
    )
    .delimited(',');
    let args = vec![
        jails(),
        columns,
        ArgSpec::flag("all-zones", None, "Of every zone, in a section each"),
        ArgSpec::flag("running", None, "Only running jails").conflicts(&["stopped"]),
        ArgSpec::flag("stopped", None, "Only stopped jails"),
    ];
    command(
        "list",
        "List jails",
        args,
        &[
            ("list", "all jails of the zone"),
            ("list web= -o name,ip", "two columns"),
        ],
    )
}

fn many(name: &str, about: &str, options: Vec<ArgSpec>) -> CommandSpec {
    let args = [vec![jails()], options].concat();
    let line = format!("{name} jail1 web=");
    command(
        name,
        about,
        args,
        &[(&line, "one jail and all whose names begin with web")],
    )
}

fn stop_options() -> Vec<ArgSpec> {
    vec![
        ArgSpec::flag("force", None, "Kill at once, without exec.stop"),
        ArgSpec::option(
            "timeout",
            None,
            "SECONDS",
            "Wait so long for exec.stop instead of stop.timeout",
        )
        .of(ValueKind::Number),
    ]
}

fn console() -> CommandSpec {
    let args = vec![
        jail(),
        ArgSpec::option("user", Some('u'), "USER", "Log in as USER instead of root"),
        ArgSpec::option("command", Some('c'), "CMD", "Run CMD through the jail's shell")
            .conflicts(&["login"]),
        ArgSpec::option("login", Some('e'), "PROG", "Run PROG instead of the user's shell"),
    ];
    command(
        "console",
        "Log in to a running jail, as root and without a password",
        args,
        &[
            ("console jail1", "a login shell"),
            ("console -c 'ps ax | wc -l' jail1", "one command line"),
        ],
    )
}

fn exec() -> CommandSpec {
    let args = vec![
        jail(),
        ArgSpec::positional("argv", "ARGV", "The program and its arguments")
            .multiple()
            .required(),
        ArgSpec::option(
            "user",
            Some('u'),
            "USER",
            "Run it as USER or USER:GROUP instead of root",
        ),
        ArgSpec::option("dir", Some('w'), "DIR", "Run it in this directory of the jail"),
        ArgSpec::flag("tty", Some('t'), "Give it a terminal"),
    ];
    command(
        "exec",
        "Run a program in a running jail, without a shell",
        args,
        &[(
            "exec jail1 -- id -u",
            "its output and exit status are those of id",
        )],
    )
}

fn delete() -> CommandSpec {
    let args = vec![
        ArgSpec {
            required: false,
            ..jails()
        }
        .conflicts(&["all"]),
        ArgSpec::flag(
            "all",
            Some('A'),
            "Every jail of the zone; asks first, or wants --yes",
        ),
    ];
    command(
        "delete",
        "Delete stopped jails",
        args,
        &[("delete jail1 jail2", "two jails")],
    )
}

fn plugins() -> CommandSpec {
    let file = ArgSpec::positional("file", "FILE", "The shared object")
        .of(ValueKind::Path)
        .required();
    let check = command(
        "check",
        "Say whether a shared object would be loaded, and why not",
        vec![file],
        &[],
    );
    CommandSpec {
        subcommands: vec![check],
        ..command(
            "plugins",
            "List the plugins: built in, loaded, refused",
            Vec::new(),
            &[],
        )
    }
}

fn completions() -> CommandSpec {
    let mut shell = ArgSpec::positional("shell", "SHELL", "The shell").required();
    shell.choices = ["bash", "zsh", "fish", "elvish"].map(str::to_owned).to_vec();
    command("completions", "Print completions for a shell", vec![shell], &[])
}

fn help() -> CommandSpec {
    let what = ArgSpec::positional(
        "command",
        "COMMAND",
        "The command; `manual` for all of them; `params [NAME]` for the parameters of jail(8)",
    )
    .multiple();
    command("help", "Explain a command", vec![what], &[])
}

/// The options that every command has.
#[must_use]
pub(crate) fn global_options() -> Vec<ArgSpec> {
    let mut color = ArgSpec::option("color", None, "WHEN", "Colour in messages");
    color.choices = ["auto", "always", "never"].map(str::to_owned).to_vec();
    vec![
        ArgSpec::option("zone", Some('z'), "ZONE", "Work in this zone"),
        ArgSpec::option("root", None, "DIR", "Keep everything below DIR [env: QJAIL_ROOT]")
            .of(ValueKind::Path),
        ArgSpec::flag("dry-run", None, "Show the plan, change nothing"),
        ArgSpec::flag("json", None, "Print data as JSON"),
        ArgSpec {
            kind: ArgKind::Count,
            ..ArgSpec::flag("verbose", Some('v'), "Say more; twice for debugging")
        },
        ArgSpec::flag("quiet", None, "Say nothing but errors"),
        color,
        ArgSpec::flag("no-progress", None, "Show no progress bars"),
        ArgSpec::flag("yes", None, "Answer yes to every question"),
        ArgSpec::option(
            "jobs",
            None,
            "N",
            "Start or stop N jails at once [default: number of processors]",
        )
        .of(ValueKind::Number),
    ]
}
