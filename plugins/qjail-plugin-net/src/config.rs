//! `config`: other addresses, another interface, a network stack of the jail's own (vnet).

use qjail_plugin_api::model::{AddrSpec, ParamValue};
use qjail_plugin_api::{HookRequest, Host, JailInfo, Objection, Options, Plan, PluginError, Resolved};

use crate::choose::{AUTO, Choice, NONE, choose};
use crate::world::{ADDRESS_PARAMS, World, specs};
use crate::{create, hosts};

/// The rules for devices in a jail with a network stack of its own: `devfsrules_jail_vnet` of devfs.rules(5).
const VNET_RULESET: &str = "5";

/// The interface, where addresses need one and none is known.
pub(crate) fn resolve(host: &Host<'_>, request: &HookRequest) -> Result<Resolved, PluginError> {
    if request.options.is_empty() {
        return Ok(Resolved::default());
    }
    create::resolve(host, &as_wished(request))
}

/// Everything that speaks against the change.
pub(crate) fn validate(host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
    let wished = as_wished(request);
    let mut objections = against_vnet(request, &wished.jail);
    objections.extend(for_one_jail(request));
    if !objections.is_empty() {
        return Ok(objections);
    }
    if concerns_addresses(host, request, &wished)? {
        let world = World::look(host, &request.context)?;
        objections.extend(choose(&world, &wished)?.objections);
    }
    Ok(objections)
}

/// An address can not be that of several jails.
fn for_one_jail(request: &HookRequest) -> Option<Objection> {
    let given = [("-4", "ip4"), ("-6", "ip6")]
        .into_iter()
        .flat_map(|(option, id)| {
            let texts = request.options.list(id).into_iter();
            texts.map(move |text| (option, text))
        });
    let mut addresses = given.filter(|(_, text)| *text != NONE && *text != AUTO);
    let (option, text) = addresses.next().filter(|_| request.several)?;
    let message = format!(
        "{option} {text}: {}: several jails can not have one address",
        request.jail.name
    );
    Some(Objection::new(message).hint("name one jail, or give `auto`"))
}

/// The parameters, and the jail's hosts(5) on Linux.
pub(crate) fn plan(host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
    let wished = as_wished(request);
    let mut plan = Plan::default();
    vnet_params(request, &mut plan);
    if concerns_addresses(host, request, &wished)? {
        let world = World::look(host, &request.context)?;
        let choice = choose(&world, &wished)?;
        address_params(&world, request, &wished, &choice, &mut plan);
        hosts::follow(&world, request, &choice, &mut plan);
        plan.warnings.extend(choice.warnings);
    }
    Ok(plan)
}

/// The request as if the jail were made with what the options say: `none` for no address, the new interface for all that
/// named the old one.
fn as_wished(request: &HookRequest) -> HookRequest {
    let mut wished = request.clone();
    let options = &mut wished.options;
    if let Some(interface) = options.values.remove("vnet-interface") {
        options.values.insert("interface".to_owned(), interface);
    }
    let new = options.text("interface").map(str::to_owned);
    let old = request.jail.params.text("interface").map(str::to_owned);
    if let (Some(new), Some(old)) = (&new, &old) {
        move_addresses(&mut wished.jail, old, new);
    }
    for (id, (key, _)) in ["ip4", "ip6"].into_iter().zip(ADDRESS_PARAMS) {
        if takes_away(&wished.options, id) {
            wished.options.values.remove(id);
            wished.jail.params.unset(key);
        }
    }
    if wants_vnet(request) {
        wished.jail.params.set("vnet", "new");
    } else if request.options.is_on("no-vnet") {
        wished.jail.params.unset("vnet");
    }
    wished
}

fn takes_away(options: &Options, id: &str) -> bool {
    options.list(id) == [NONE]
}

/// Addresses that name the old interface are on the new one from now on.
fn move_addresses(jail: &mut JailInfo, old: &str, new: &str) {
    for (key, _) in ADDRESS_PARAMS {
        let list = jail.params.list(key);
        let moved: Vec<String> = list
            .iter()
            .map(|text| match text.split_once('|') {
                Some((interface, rest)) if interface == old => format!("{new}|{rest}"),
                _ => text.clone(),
            })
            .collect();
        if moved != list {
            jail.params.set(key, moved);
        }
    }
}

/// Whether addresses or interface change: by our options, or by `--param`. The host is not looked at for it.
fn concerns_addresses(
    host: &Host<'_>,
    request: &HookRequest,
    wished: &HookRequest,
) -> Result<bool, PluginError> {
    if !request.options.is_empty() {
        return Ok(true);
    }
    let now = host.jails()?.into_iter().find(|j| j.name == request.jail.name);
    Ok(now.is_some_and(|now| {
        specs(&now) != specs(&wished.jail)
            || now.params.get("interface") != wished.jail.params.get("interface")
    }))
}

fn is_freebsd(request: &HookRequest) -> bool {
    request.context.os == "freebsd"
}

fn wants_vnet(request: &HookRequest) -> bool {
    request.options.is_on("vnet")
}

fn against_vnet(request: &HookRequest, wished: &JailInfo) -> Vec<Objection> {
    let name = &request.jail.name;
    let vnet = crate::world::is_vnet(&wished.params);
    let mut objections = Vec::new();
    if let (Some(interface), false) = (request.options.text("vnet-interface"), vnet) {
        objections.push(
            Objection::new(format!(
                "--vnet-interface {interface}: {name} has no network stack of its own"
            ))
            .hint("add -v, which gives it one, or use --interface"),
        );
    }
    objections
}

fn vnet_params(request: &HookRequest, plan: &mut Plan) {
    let name = &request.jail.name;
    let params = &request.jail.params;
    let is = crate::world::is_vnet(params);
    if wants_vnet(request) {
        if is {
            return plan.notes.push(format!("Already set to vnet. {name}"));
        }
        plan.params
            .insert("vnet".to_owned(), Some(ParamValue::from("new")));
        // Linux has no rules for devices; a ruleset of the administrator's own stays.
        if is_freebsd(request) && params.text("devfs_ruleset").is_none_or(|r| r == "4") {
            plan.params
                .insert("devfs_ruleset".to_owned(), Some(ParamValue::from(VNET_RULESET)));
        }
        plan.notes.push(format!("Successfully enabled vnet for {name}"));
    } else if request.options.is_on("no-vnet") {
        if !is {
            return plan.notes.push(format!("Already set to no vnet. {name}"));
        }
        plan.params.insert("vnet".to_owned(), None);
        if params.text("devfs_ruleset") == Some(VNET_RULESET) {
            plan.params.insert("devfs_ruleset".to_owned(), None);
        }
        plan.notes.push(format!("Successfully disabled vnet for {name}"));
    }
}

fn address_params(
    world: &World,
    request: &HookRequest,
    wished: &HookRequest,
    choice: &Choice,
    plan: &mut Plan,
) {
    let name = &request.jail.name;
    let params = &request.jail.params;
    if let Some(interface) = &choice.interface {
        let asked = wished.options.text("interface").is_some();
        if params.text("interface") != Some(interface) {
            plan.params
                .insert("interface".to_owned(), Some(ParamValue::from(interface.as_str())));
            plan.notes.push(format!("Successful nic change for {name}"));
        } else if asked {
            plan.notes.push(format!("Already set to nic {interface}. {name}"));
        }
    }
    let mut changed = false;
    for (key, family) in ADDRESS_PARAMS {
        let list = choice.list(family);
        if list == params.list(key) {
            continue;
        }
        changed = true;
        let value = (!list.is_empty()).then_some(ParamValue::List(list));
        plan.params.insert(key.to_owned(), value);
    }
    let asked = ["ip4", "ip6"]
        .iter()
        .any(|id| request.options.values.contains_key(*id));
    let by_param = world
        .jails
        .iter()
        .find(|j| j.name == *name)
        .is_some_and(|now| specs(now) != specs(&request.jail));
    match (changed, asked) {
        (true, true) => plan.notes.push(format!("Successful ip change {name}")),
        (false, true) if !by_param => plan.notes.push(format!("Already set to these addresses. {name}")),
        _ => {}
    }
}

/// The addresses that the jail's definition has now.
pub(crate) fn addresses_now(world: &World, name: &str) -> Vec<AddrSpec> {
    let now = world.jails.iter().find(|j| j.name == name);
    now.map(|j| specs(j).into_iter().map(|(_, s)| s).collect())
        .unwrap_or_default()
}
