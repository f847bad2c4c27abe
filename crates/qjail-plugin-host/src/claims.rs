//! Conflicts between plugins, and between a plugin and the program.
//!
//! Nobody wins by having been found first. Between a built-in plugin and a file the file gives way; otherwise both do, and
//! each is told about the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use qjail_plugin_api::{ArgKind, ArgSpec, CommandSpec, Manifest};

use crate::{HostConfig, Refusal, negotiate, order};

/// A plugin that got so far.
pub(crate) struct Contender<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) built_in: bool,
}

/// Something that only one can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Command(String),
    Letter { command: String, letter: char },
    Long { command: String, long: String },
    Param(String),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(name) => write!(f, "the command `{name}`"),
            Self::Letter { command, letter } => write!(f, "the option -{letter} of `{command}`"),
            Self::Long { command, long } => write!(f, "the option --{long} of `{command}`"),
            Self::Param(name) => write!(f, "the jail parameter {name}"),
        }
    }
}

/// The name of an option after `--`; positional arguments have none.
fn long_names(arg: &ArgSpec) -> impl Iterator<Item = &str> {
    let own = (arg.kind != ArgKind::Positional).then(|| arg.long.as_deref().unwrap_or(&arg.id));
    own.into_iter().chain(arg.aliases.iter().map(String::as_str))
}

fn option_claims<'a>(command: &'a str, args: &'a [ArgSpec]) -> impl Iterator<Item = Claim> + 'a {
    args.iter().flat_map(move |arg| {
        let letter = arg.short.map(|letter| Claim::Letter {
            command: command.to_owned(),
            letter,
        });
        let longs = long_names(arg).map(move |l| Claim::Long {
            command: command.to_owned(),
            long: l.to_owned(),
        });
        letter.into_iter().chain(longs)
    })
}

fn claims_of(manifest: &Manifest) -> BTreeSet<Claim> {
    let commands = manifest.commands.iter().map(|c| Claim::Command(c.name.clone()));
    let options = manifest
        .extends
        .iter()
        .flat_map(|e| option_claims(&e.command, &e.args));
    let params = manifest.params.iter().map(|p| Claim::Param(p.clone()));
    commands.chain(options).chain(params).collect()
}

fn claims_of_core(config: &HostConfig) -> BTreeSet<Claim> {
    let of_command = |c: &CommandSpec| {
        let globals = config.globals.iter().flat_map(long_names);
        let globals = globals.map(|l| Claim::Long {
            command: c.name.clone(),
            long: l.to_owned(),
        });
        let name = [Claim::Command(c.name.clone())];
        name.into_iter()
            .chain(option_claims(&c.name, &c.args))
            .chain(globals)
            .collect::<Vec<_>>()
    };
    config.commands.iter().flat_map(of_command).collect()
}

/// Why each of the contenders is refused, if it is.
pub(crate) fn judge(contenders: &[Contender<'_>], config: &HostConfig) -> Vec<Option<Refusal>> {
    let mut court = Court {
        contenders,
        config,
        verdicts: vec![None; contenders.len()],
    };
    court.against_core();
    // Each round may take away what another one needed; every round but the last refuses someone, so it ends.
    while court.needs() || court.conflicts() || court.cycles() {}
    court.verdicts
}

struct Court<'a> {
    contenders: &'a [Contender<'a>],
    config: &'a HostConfig,
    verdicts: Vec<Option<Refusal>>,
}

impl<'a> Court<'a> {
    fn alive(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.contenders.len()).filter(|i| self.verdicts[*i].is_none())
    }

    fn manifest(&self, i: usize) -> &'a Manifest {
        self.contenders[i].manifest
    }

    fn refuse(&mut self, list: Vec<(usize, Refusal)>) -> bool {
        let any = !list.is_empty();
        for (i, refusal) in list {
            self.verdicts[i].get_or_insert(refusal);
        }
        any
    }

    fn against_core(&mut self) {
        let core = claims_of_core(self.config);
        let list = self.alive().filter_map(|i| {
            let claim = claims_of(self.manifest(i))
                .into_iter()
                .find(|c| core.contains(c))?;
            let message = format!(
                "plugin {} claims {claim}, which is qjail's own",
                self.manifest(i).name
            );
            Some((i, Refusal::new(message).hint("update the plugin")))
        });
        let list = list.collect();
        self.refuse(list);
    }

    fn needs(&mut self) -> bool {
        let provided: BTreeSet<&str> = self
            .alive()
            .flat_map(|i| self.manifest(i).provides.iter().map(String::as_str))
            .collect();
        let has = |need: &str| provided.contains(need) || self.config.capabilities.iter().any(|c| c == need);
        let list = self.alive().filter_map(|i| {
            let manifest = self.manifest(i);
            negotiate::missing(manifest, has).map(|need| (i, negotiate::lacks(manifest, need)))
        });
        let list = list.collect();
        self.refuse(list)
    }

    fn conflicts(&mut self) -> bool {
        let mut owners: BTreeMap<Claim, Vec<usize>> = BTreeMap::new();
        for i in self.alive() {
            for claim in claims_of(self.manifest(i)) {
                owners.entry(claim).or_default().push(i);
            }
        }
        let mut list = Vec::new();
        for (claim, owners) in owners.iter().filter(|(_, o)| o.len() > 1) {
            let names: Vec<&str> = owners.iter().map(|i| self.manifest(*i).name.as_str()).collect();
            let refusal = Refusal::new(format!("plugins {} both claim {claim}", names.join(" and ")))
                .hint("name one of them in `disable` below [plugins] in qjail.toml");
            list.extend(self.losers(owners).map(|i| (i, refusal.clone())));
        }
        self.refuse(list)
    }

    fn cycles(&mut self) -> bool {
        let alive: Vec<usize> = self.alive().collect();
        let manifests: Vec<&Manifest> = alive.iter().map(|i| self.manifest(*i)).collect();
        let Err(cycle) = order::sort(&manifests, |_| 0) else {
            return false;
        };
        let cycle: Vec<usize> = cycle.into_iter().map(|i| alive[i]).collect();
        let names: Vec<&str> = cycle.iter().map(|i| self.manifest(*i).name.as_str()).collect();
        let refusal = Refusal::new(format!(
            "plugins {} each want to run after the other",
            names.join(", ")
        ))
        .hint("name one of them in `disable` below [plugins] in qjail.toml");
        let list = self.losers(&cycle).map(|i| (i, refusal.clone())).collect();
        self.refuse(list)
    }

    /// The files among them, or all where there is no file to give way.
    fn losers<'s>(&'s self, among: &'s [usize]) -> impl Iterator<Item = usize> + 's {
        let files = among.iter().any(|i| !self.contenders[*i].built_in);
        let mixed = files && among.iter().any(|i| self.contenders[*i].built_in);
        among
            .iter()
            .copied()
            .filter(move |i| !mixed || !self.contenders[*i].built_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qjail_plugin_api::Extension;

    fn config() -> HostConfig {
        let list = CommandSpec {
            name: "list".to_owned(),
            ..CommandSpec::default()
        };
        let create = CommandSpec {
            name: "create".to_owned(),
            args: vec![ArgSpec::option("flavor", Some('f'), "NAME", "a flavor")],
            ..CommandSpec::default()
        };
        let globals = vec![
            ArgSpec::flag("json", None, "as data"),
            ArgSpec::flag("verbose", Some('v'), "say more"),
        ];
        HostConfig {
            commands: vec![list, create],
            globals,
            ..HostConfig::default()
        }
    }

    fn plugin(name: &str) -> Manifest {
        Manifest::new(name, "1.0.0", "a plugin")
    }

    fn adding(name: &str, arg: ArgSpec) -> Manifest {
        let extension = Extension {
            command: "create".to_owned(),
            heading: name.to_owned(),
            args: vec![arg],
        };
        Manifest {
            extends: vec![extension],
            ..plugin(name)
        }
    }

    fn owning(name: &str, command: &str) -> Manifest {
        let command = CommandSpec {
            name: command.to_owned(),
            ..CommandSpec::default()
        };
        Manifest {
            commands: vec![command],
            ..plugin(name)
        }
    }

    /// A line for each plugin: its refusal, or `ok`. Plugins whose name begins with `in-` are built in.
    fn verdicts(manifests: &[Manifest]) -> Vec<String> {
        let contenders: Vec<_> = manifests
            .iter()
            .map(|m| Contender {
                manifest: m,
                built_in: m.name.starts_with("in-"),
            })
            .collect();
        let verdicts = judge(&contenders, &config());
        verdicts
            .into_iter()
            .map(|v| v.map_or_else(|| "ok".to_owned(), |r| r.message))
            .collect()
    }

    #[test]
    fn what_is_the_programs_own_can_not_be_claimed() {
        let short = adding("a", ArgSpec::option("x", Some('f'), "X", "x"));
        let long = adding("b", ArgSpec::option("flavor", None, "X", "x"));
        let global = adding("c", ArgSpec::flag("json", None, "x"));
        let letter_of_a_global = adding("d", ArgSpec::flag("vvv", Some('v'), "x"));
        assert_eq!(
            verdicts(&[owning("e", "list"), short, long, global, letter_of_a_global]),
            [
                "plugin e claims the command `list`, which is qjail's own",
                "plugin a claims the option -f of `create`, which is qjail's own",
                "plugin b claims the option --flavor of `create`, which is qjail's own",
                "plugin c claims the option --json of `create`, which is qjail's own",
                "ok",
            ]
        );
    }

    #[test]
    fn two_owners_are_refused_by_the_names_of_both() {
        let a = adding("a", ArgSpec::option("x", Some('n'), "X", "x"));
        let b = adding("b", ArgSpec::option("y", Some('n'), "Y", "y"));
        let both = "plugins a and b both claim the option -n of `create`";
        assert_eq!(verdicts(&[a, b, plugin("c")]), [both, both, "ok"]);

        let p = Manifest {
            params: vec!["interface".to_owned()],
            ..plugin("p")
        };
        let q = Manifest {
            params: vec!["interface".to_owned()],
            ..plugin("q")
        };
        let both = "plugins p and q both claim the jail parameter interface";
        assert_eq!(verdicts(&[p, q]), [both, both]);
    }

    #[test]
    fn a_file_gives_way_to_what_is_built_in() {
        let both = "plugins a and in-b both claim the command `net`";
        assert_eq!(
            verdicts(&[owning("a", "net"), owning("in-b", "net")]),
            [both, "ok"]
        );
        let both = "plugins in-a and in-b both claim the command `net`";
        assert_eq!(
            verdicts(&[owning("in-a", "net"), owning("in-b", "net")]),
            [both, both]
        );
    }

    #[test]
    fn needs_are_met_by_the_host_or_by_plugins_that_are_used() {
        let need = |name: &str, what: &str| Manifest {
            needs: vec![what.to_owned()],
            ..plugin(name)
        };
        let giver = Manifest {
            provides: vec!["firewall/1".to_owned()],
            ..owning("giver", "fw")
        };
        assert_eq!(
            verdicts(&[need("a", "hooks/1"), need("b", "firewall/1"), giver.clone()]),
            ["ok", "ok", "ok"]
        );
        // When the giver falls in a conflict, so does who needs it.
        let rival = owning("rival", "fw");
        let both = "plugins giver and rival both claim the command `fw`";
        let lacks = "plugin b needs firewall/1, which neither this qjail nor another plugin has";
        assert_eq!(
            verdicts(&[need("b", "firewall/1"), giver, rival]),
            [lacks, both, both]
        );
    }

    #[test]
    fn a_cycle_is_refused_by_the_names_of_all() {
        let after = |name: &str, what: &str| Manifest {
            after: vec![what.to_owned()],
            ..plugin(name)
        };
        let cycle = "plugins a, b each want to run after the other";
        assert_eq!(
            verdicts(&[after("a", "b"), after("b", "a"), after("c", "a")]),
            [cycle, cycle, "ok"]
        );
    }
}
