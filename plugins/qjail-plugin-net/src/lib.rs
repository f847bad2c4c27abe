//! Networks for jails: `net create`, `net list`, `net delete`, the options `-n`, `-4` and `-6` of `create`, and `-c`, `-4`,
//! `-6`, `-v`, `-V` and `-w` of `config`.
//!
//! A network is an interface that qjail keeps: a bridge on Linux, a cloned interface on FreeBSD. It is written to
//! `[plugin.net.interfaces.NAME]` of `qjail.toml` and made again at a start when it is missing. Addresses of jails are
//! the parameters `interface`, `ip4.addr` and `ip6.addr` of jail(8); which system does what with them is not decided here.
//!
//! # Limits
//! It opens no socket and asks nobody on the wire whether an address is free: it knows the addresses of the host and of
//! every jail's definition. Routes, NAT and firewalls are not its business. Interfaces that qjail did not make are used
//! but never changed.
#![forbid(unsafe_code)]

mod choose;
mod command;
mod config;
mod create;
mod hosts;
mod row;
mod settings;
mod start;
#[cfg(test)]
mod tests;
mod world;

use qjail_plugin_api::{
    ArgSpec, CommandReply, CommandRequest, CommandSpec, Event, Example, Extension, HookRequest, HookSpec,
    Host, Manifest, Objection, Plan, Plugin, PluginError, Point, Resolved, ValueKind, export_plugin,
};

/// The plugin.
pub struct Net;

export_plugin!(qjail_plugin_net, Net);

impl Plugin for Net {
    fn manifest(&self) -> Manifest {
        let about = "Networks and addresses of jails";
        Manifest {
            commands: vec![net()],
            extends: vec![
                extension("create", create_options()),
                extension("config", config_options()),
            ],
            hooks: vec![
                HookSpec::new(Event::Create, Point::Pre),
                HookSpec::new(Event::Config, Point::Pre),
                HookSpec::new(Event::Start, Point::Pre),
            ],
            params: ["interface", "ip4.addr", "ip6.addr", "vnet", "devfs_ruleset"]
                .map(str::to_owned)
                .to_vec(),
            ..Manifest::new("net", env!("CARGO_PKG_VERSION"), about)
        }
    }

    fn resolve(&self, host: &Host<'_>, request: &HookRequest) -> Result<Resolved, PluginError> {
        match request.event {
            Event::Create => create::resolve(host, request),
            Event::Config => config::resolve(host, request),
            _ => Ok(Resolved::default()),
        }
    }

    fn validate(&self, host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
        match request.event {
            Event::Create => create::validate(host, request),
            Event::Config => config::validate(host, request),
            Event::Start => start::validate(host, request),
            _ => Ok(Vec::new()),
        }
    }

    fn plan(&self, host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
        match request.event {
            Event::Create => create::plan(host, request),
            Event::Config => config::plan(host, request),
            Event::Start => start::plan(host, request),
            _ => Ok(Plan::default()),
        }
    }

    fn command(&self, host: &Host<'_>, request: &CommandRequest) -> Result<CommandReply, PluginError> {
        match request.command.last().map(String::as_str) {
            Some("create") => command::create(host, request),
            Some("list") => command::list(host, request),
            Some("delete") => command::delete(host, request),
            _ => Err(PluginError::with_code(
                "usage",
                "net: give one of create, list, delete",
            )),
        }
    }
}

fn create_options() -> Vec<ArgSpec> {
    let interface = ArgSpec::option(
        "interface",
        Some('n'),
        "IF",
        "The interface of its addresses [default: FreeBSD: that of the default route; Linux: qjail's only network]",
    );
    let address = |id, letter, family| {
        let help = format!(
            "Its {family} addresses, each [IF|]ADDR[/LEN] or `auto` for a free one of a network of qjail"
        );
        ArgSpec::option(id, Some(letter), "ADDR,…", &help)
            .of(ValueKind::Address)
            .delimited(',')
    };
    vec![
        interface.of(ValueKind::Interface),
        address("ip4", '4', "IPv4"),
        address("ip6", '6', "IPv6"),
    ]
}

fn extension(command: &str, args: Vec<ArgSpec>) -> Extension {
    Extension {
        command: command.to_owned(),
        heading: "Network".to_owned(),
        args,
    }
}

fn config_options() -> Vec<ArgSpec> {
    let address = |id, letter, family| {
        let help = format!(
            "Its {family} addresses instead of those it has, each [IF|]ADDR[/LEN] or `auto`; `none` takes them away"
        );
        ArgSpec::option(id, Some(letter), "ADDR,…", &help)
            .of(ValueKind::Address)
            .delimited(',')
    };
    vec![
        ArgSpec::option(
            "interface",
            Some('c'),
            "IF",
            "The interface of its addresses, which move there",
        )
        .of(ValueKind::Interface),
        address("ip4", '4', "IPv4"),
        address("ip6", '6', "IPv6"),
        ArgSpec::flag("vnet", Some('v'), "A network stack of its own, which its root configures")
            .conflicts(&["no-vnet"]),
        ArgSpec::flag("no-vnet", Some('V'), "No network stack of its own"),
        ArgSpec::option(
            "vnet-interface",
            Some('w'),
            "IF",
            "With a network stack of its own: the bridge that it is on, or the interface that gets a bridge for it",
        )
        .of(ValueKind::Interface)
        .conflicts(&["interface", "no-vnet"]),
    ]
}

fn net() -> CommandSpec {
    let interface = |help: &str| {
        ArgSpec::positional("interface", "IF", help)
            .of(ValueKind::Interface)
            .required()
    };
    let networks = ArgSpec::positional("networks", "ADDR/LEN", "The host's own address in each network")
        .of(ValueKind::Network)
        .required()
        .multiple();
    CommandSpec {
        name: "net".to_owned(),
        about: "Networks for jails".to_owned(),
        long_about: "A network is an interface that qjail makes and keeps: a bridge on Linux, a cloned interface on \
                     FreeBSD (also after the next boot). Jails get addresses on it with `create -n IF -4 ADDR`."
            .to_owned(),
        subcommands: vec![
            CommandSpec {
                args: vec![interface("The new interface, such as lo1"), networks],
                examples: vec![
                    example("net create lo1 192.168.1.1/28", "room for 13 jails; the host is 192.168.1.1"),
                    example("net create lo2 10.7.0.1/24 fd00:7::1/64", "IPv4 and IPv6"),
                ],
                needs_root: true,
                ..subcommand("create", "Make a network for jails")
            },
            CommandSpec {
                examples: vec![example("net list", "the networks, whether they are up, and how many jails use them")],
                ..subcommand("list", "List the networks that qjail keeps")
            },
            CommandSpec {
                args: vec![interface("The network's interface")],
                examples: vec![example("net delete lo1", "take back what `net create lo1` did")],
                needs_root: true,
                ..subcommand("delete", "Remove a network that no jail uses")
            },
        ],
        ..CommandSpec::default()
    }
}

fn subcommand(name: &str, about: &str) -> CommandSpec {
    let lock = (name != "list").then(|| "net".to_owned());
    CommandSpec {
        name: name.to_owned(),
        about: about.to_owned(),
        lock,
        ..CommandSpec::default()
    }
}

fn example(line: &str, about: &str) -> Example {
    Example {
        line: line.to_owned(),
        about: about.to_owned(),
    }
}
