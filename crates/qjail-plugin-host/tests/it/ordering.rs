//! Hooks and conflicts among built-in plugins.

use qjail_plugin_api::{Builtin, Event, HookSpec, Manifest, Plugin, Point};
use qjail_plugin_host::{HostConfig, Registry};

/// A plugin that is nothing but its manifest.
struct Paper(fn() -> Manifest);

impl Plugin for Paper {
    fn manifest(&self) -> Manifest {
        (self.0)()
    }
}

fn hooks(name: &str, order: i32, after: &[&str]) -> Manifest {
    let start = HookSpec {
        order,
        ..HookSpec::new(Event::Start, Point::Pre)
    };
    let stop = HookSpec {
        order,
        ..HookSpec::new(Event::Stop, Point::Pre)
    };
    let after = after.iter().map(|a| (*a).to_owned()).collect();
    Manifest {
        hooks: vec![start, stop],
        after,
        ..Manifest::new(name, "1.0.0", "a plugin")
    }
}

static NET: Builtin = Builtin::new(&Paper(|| hooks("net", 0, &[])));
static PF: Builtin = Builtin::new(&Paper(|| hooks("pf", -10, &["middle"])));
static MIDDLE: Builtin = Builtin::new(&Paper(|| {
    let manifest = hooks("middle", 0, &["net"]);
    Manifest {
        hooks: Vec::new(),
        ..manifest
    }
}));
static EARLY: Builtin = Builtin::new(&Paper(|| hooks("zeta", -5, &[])));
static TWIN: Builtin = Builtin::new(&Paper(|| hooks("net", 0, &[])));

fn registry(builtins: &[&'static Builtin]) -> Registry {
    Registry::discover(&HostConfig {
        builtins: builtins.to_vec(),
        os: "linux".to_owned(),
        ..HostConfig::default()
    })
}

#[test]
fn hooks_run_in_order_and_backwards_when_taking_down() {
    for builtins in [[&NET, &PF, &MIDDLE, &EARLY], [&EARLY, &MIDDLE, &PF, &NET]] {
        let registry = registry(&builtins);
        assert_eq!(registry.refused(), []);
        assert_eq!(registry.hooks(Event::Start, Point::Pre), ["zeta", "net", "pf"]);
        assert_eq!(registry.hooks(Event::Stop, Point::Pre), ["pf", "net", "zeta"]);
        assert!(registry.hooks(Event::Start, Point::Post).is_empty());
    }
}

#[test]
fn two_built_in_plugins_of_one_name_are_both_refused() {
    let registry = registry(&[&NET, &TWIN, &PF]);
    let refused: Vec<&str> = registry
        .refused()
        .iter()
        .map(|r| r.why.message.as_str())
        .collect();
    assert_eq!(
        refused,
        [
            "two plugins named net are built in",
            "two plugins named net are built in"
        ]
    );
    assert_eq!(registry.plugins().len(), 1);
}

#[test]
fn switches_work_on_built_in_plugins() {
    let builtins: Vec<&'static Builtin> = vec![&NET, &EARLY];
    let config = HostConfig {
        builtins,
        disable: vec!["net".to_owned()],
        ..HostConfig::default()
    };
    let registry = Registry::discover(&config);
    assert_eq!(
        registry
            .plugins()
            .iter()
            .map(qjail_plugin_host::Entry::name)
            .collect::<Vec<_>>(),
        ["zeta"]
    );
    assert_eq!(
        registry.refused()[0].why.message,
        "plugin net is disabled in qjail.toml"
    );
}
