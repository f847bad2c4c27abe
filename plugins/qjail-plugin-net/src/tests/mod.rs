//! The plugin as the host calls it, on both systems.

mod command;
mod config;
mod create;
mod start;

use qjail_plugin_api::model::{ParamValue, Params};
use qjail_plugin_api::{
    CommandReply, CommandRequest, Context, Event, HookRequest, Host, HostPort, Interface, JailInfo, LogLevel,
    Options, Plan, Plugin, PluginError, Point,
};
use serde_json::{Value, json};

use crate::Net;

/// A host with interfaces and jails, and the settings of the plugin.
struct World {
    os: &'static str,
    interfaces: Vec<Interface>,
    jails: Vec<JailInfo>,
    running: Vec<String>,
    settings: Value,
}

impl HostPort for World {
    fn log(&self, _level: LogLevel, _message: &str) {}

    fn call(&self, op: &str, _request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        let answer = match op {
            "interfaces/1" => json!(self.interfaces),
            "jails/1" => json!(self.jails),
            "running/1" => json!(self.running),
            _ => json!(null),
        };
        Ok(answer.to_string().into_bytes())
    }
}

fn interface(name: &str, addresses: &[&str], for_jails: bool) -> Interface {
    Interface {
        name: name.to_owned(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        up: true,
        default_route: name == "eth0" || name == "em0",
        gateways: Vec::new(),
        for_jails,
    }
}

fn jail(name: &str, params: &[(&str, &[&str])]) -> JailInfo {
    let mut all = Params::new();
    for (key, list) in params {
        all.set(
            *key,
            ParamValue::List(list.iter().map(|t| (*t).to_owned()).collect()),
        );
    }
    JailInfo {
        name: name.to_owned(),
        params: all,
        ..JailInfo::default()
    }
}

impl World {
    /// A card with the default route and a network `lo1` of qjail with one jail.
    fn linux() -> Self {
        Self {
            os: "linux",
            interfaces: vec![
                interface("lo", &["127.0.0.1/8"], false),
                interface("eth0", &["192.0.2.10/24"], false),
                interface("docker0", &["172.17.0.1/16"], true),
                interface("lo1", &["192.168.1.1/28", "fd00::1/64"], true),
            ],
            jails: vec![jail(
                "jail1",
                &[("interface", &["lo1"]), ("ip4.addr", &["192.168.1.2"])],
            )],
            running: Vec::new(),
            settings: json!({ "interfaces": { "lo1": { "addresses": ["192.168.1.1/28", "fd00::1/64"] } } }),
        }
    }

    fn freebsd() -> Self {
        let mut world = Self {
            os: "freebsd",
            ..Self::linux()
        };
        world.interfaces = vec![
            interface("lo0", &["127.0.0.1/8"], true),
            interface("em0", &["192.0.2.10/24"], true),
            interface("lo1", &["192.168.1.1/28"], true),
        ];
        world.settings = json!({ "interfaces": { "lo1": { "addresses": ["192.168.1.1/28"], "rc": ["ifconfig_lo1_alias0"] } } });
        world
    }

    fn context(&self) -> Context {
        Context {
            os: self.os.to_owned(),
            config_dir: "/etc/qjail".to_owned(),
            settings: self.settings.clone(),
            ..Context::default()
        }
    }

    fn hook(&self, event: Event, jail: JailInfo, options: &[(&str, Value)]) -> HookRequest {
        let values = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect();
        let context = self.context();
        HookRequest {
            event,
            point: Point::Pre,
            jail,
            options: Options { values },
            duplicate: false,
            several: false,
            new_name: None,
            context,
        }
    }

    /// Asks as the host does: resolve, validate, plan.
    fn ask(&self, mut request: HookRequest) -> Result<Plan, Vec<String>> {
        let host = Host::new(self);
        let resolved = Net.resolve(&host, &request).unwrap().values;
        for (key, value) in resolved {
            request.options.values.entry(key).or_insert(value);
        }
        let objections = Net.validate(&host, &request).unwrap();
        if objections.is_empty() {
            return Ok(Net.plan(&host, &request).unwrap());
        }
        Err(objections
            .into_iter()
            .map(|o| format!("{} | {}", o.message, o.hint.expect("a hint")))
            .collect())
    }

    fn create(&self, options: &[(&str, Value)]) -> Result<Plan, Vec<String>> {
        self.ask(self.hook(Event::Create, jail("new", &[]), options))
    }

    fn command(&self, words: &[&str], options: &[(&str, Value)]) -> Result<CommandReply, PluginError> {
        let values = options
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect();
        let command = words.iter().map(|w| (*w).to_owned()).collect();
        let request = CommandRequest {
            command,
            options: Options { values },
            context: self.context(),
        };
        Net.command(&Host::new(self), &request)
    }

    fn net_create(&self, name: &str, networks: &[&str]) -> Result<CommandReply, PluginError> {
        self.command(
            &["net", "create"],
            &[("interface", json!(name)), ("networks", json!(networks))],
        )
    }

    fn net_delete(&self, name: &str) -> Result<CommandReply, PluginError> {
        self.command(&["net", "delete"], &[("interface", json!(name))])
    }
}

fn list(plan: &Plan, key: &str) -> Vec<String> {
    plan.params
        .get(key)
        .cloned()
        .flatten()
        .map(|v| v.to_list())
        .unwrap_or_default()
}

fn refused(world: &World, options: &[(&str, Value)]) -> String {
    world.create(options).expect_err("refused").join("\n")
}
