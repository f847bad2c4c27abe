//! `create` and `start`: a base must be there, and each start mounts it.

use qjail_plugin_api::{Context, HookRequest, Mount, Objection, Plan, PluginError};

use crate::bases::{DIR, current, exists};
use crate::record::Record;

/// Where jails see the shared part.
const SHARED: &str = "sharedfs";

/// Why the jail's base can not be used.
pub(crate) fn validate(request: &HookRequest) -> Result<Vec<Objection>, PluginError> {
    let making = request.event == qjail_plugin_api::Event::Create;
    if request.jail.thick && !making {
        return Ok(Vec::new());
    }
    Ok(base_of(request)?.err().into_iter().collect())
}

/// The name of the jail's base.
fn base_of(request: &HookRequest) -> Result<Result<String, Objection>, PluginError> {
    let context = &request.context;
    if let Some(pinned) = &request.jail.base {
        if exists(context, pinned)? {
            return Ok(Ok(pinned.clone()));
        }
        let message = format!(
            "jail {} is pinned to base {pinned}, which does not exist",
            request.jail.name
        );
        return Ok(Err(
            Objection::new(message).hint("qjail bases shows those that do")
        ));
    }
    match current(context)? {
        None => Ok(Err(
            Objection::new("no base is installed in this zone").hint(install_hint(context))
        )),
        Some(id) if exists(context, &id)? => Ok(Ok(id)),
        Some(id) => Ok(Err(Objection::new(format!(
            "the current base {id} of this zone does not exist"
        ))
        .hint(install_hint(context)))),
    }
}

fn install_hint(context: &Context) -> String {
    let zone = context
        .zone
        .as_ref()
        .map(|z| format!("-z {z} "))
        .unwrap_or_default();
    let how = if context.os == "linux" {
        " --from-host, or qjail install FILE"
    } else {
        ""
    };
    format!("install one first: qjail {zone}install{how}")
}

/// The shared part read-only, and over it what comes from the running host.
pub(crate) fn plan_start(request: &HookRequest) -> Result<Plan, PluginError> {
    if request.jail.thick {
        return Ok(Plan::default());
    }
    let id = base_of(request)?.map_err(|o| PluginError {
        hint: o.hint,
        ..PluginError::new(o.message)
    })?;
    let context = &request.context;
    let shared = Mount {
        source: format!("{}/{DIR}/{id}/{SHARED}", context.jails_dir),
        target: SHARED.to_owned(),
        read_only: true,
    };
    let binds = Record::load(context, &id)?.map(|r| r.binds).unwrap_or_default();
    let of_host = binds.into_iter().map(|dir| Mount {
        source: format!("/{dir}"),
        target: format!("{SHARED}/{dir}"),
        read_only: true,
    });
    Ok(Plan {
        mounts: std::iter::once(shared).chain(of_host).collect(),
        ..Plan::default()
    })
}
