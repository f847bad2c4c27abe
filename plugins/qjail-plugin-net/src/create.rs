//! `create`: the interface and the addresses of a new jail.

use qjail_plugin_api::model::ParamValue;
use qjail_plugin_api::{HookRequest, Host, Objection, Plan, PluginError, Resolved};
use serde_json::Value;

use crate::choose::{Wish, choose};
use crate::world::{ADDRESS_PARAMS, World};

/// The interface, where addresses need one and none is given.
pub(crate) fn resolve(host: &Host<'_>, request: &HookRequest) -> Result<Resolved, PluginError> {
    let wish = Wish::of(request);
    if wish.interface.is_some() || !wish.needs_interface() {
        return Ok(Resolved::default());
    }
    let world = World::look(host, &request.context)?;
    let name = if world.freebsd {
        world
            .interfaces
            .iter()
            .find(|i| i.default_route)
            .map(|i| i.name.clone())
    } else {
        // The interface of the default route is no bridge: only qjail's own network can be meant.
        world
            .declared
            .keys()
            .next()
            .filter(|_| world.declared.len() == 1)
            .cloned()
    };
    let values = name.map(|n| ("interface".to_owned(), Value::String(n)));
    Ok(Resolved {
        values: values.into_iter().collect(),
    })
}

/// Everything that speaks against the interface and the addresses.
pub(crate) fn validate(host: &Host<'_>, request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
    Ok(choose(&World::look(host, &request.context)?, request)?.objections)
}

/// The parameters.
pub(crate) fn plan(host: &Host<'_>, request: &HookRequest) -> Result<Plan, PluginError> {
    let world = World::look(host, &request.context)?;
    let choice = choose(&world, request)?;
    let mut plan = Plan {
        warnings: choice.warnings.clone(),
        ..Plan::default()
    };
    if let Some(interface) = &choice.interface {
        plan.params
            .insert("interface".to_owned(), Some(ParamValue::from(interface.as_str())));
    }
    for (key, family) in ADDRESS_PARAMS {
        let list = choice.list(family);
        if !list.is_empty() {
            plan.params.insert(key.to_owned(), Some(ParamValue::List(list)));
        }
    }
    if choice.addresses.is_empty() {
        plan.notes.push(format!(
            "{} has no address: give -4 or -6 at create for one",
            request.jail.name
        ));
    }
    Ok(plan)
}
