//! ssh that waits for the next start: what `create -c` of qjail 5 left to be done is done with the import, as `config -h` does it.

use std::collections::BTreeMap;

use qjail_model::{Definition, JailName};
use qjail_plugin_api::{Event, Options, Point};
use serde_json::json;

use super::draft::Draft;
use super::shown;
use crate::engine::Engine;
use crate::gather::Gathered;
use crate::ops::config::ConfigRequest;
use crate::{Error, Result};

/// The plugin, and the option of it that `config -h` is.
const SSH: &str = "ssh";

/// Whether the user for ssh is made with the jail; the draft is told, and why not.
pub(super) fn look(engine: &Engine, draft: &mut Draft, definition: &Definition) -> bool {
    let Some(name) = JailName::new(draft.name.as_str()).ok().filter(|_| draft.ssh) else {
        return false;
    };
    if !draft.faults.is_empty() {
        return false;
    }
    match ask(engine, &name, &mut definition.clone()) {
        Ok(_) => {
            draft.note(format!(
                "its user for ssh is made now, as qjail config -h {name} does it"
            ));
            true
        }
        Err(e) => {
            draft.note(not_made(&name, &e));
            false
        }
    }
}

/// What `config -h` would do. What the plugin wants in the definition is put there.
///
/// # Errors
/// Why it would do nothing.
pub(super) fn ask(engine: &Engine, name: &JailName, definition: &mut Definition) -> Result<Gathered> {
    if definition.image.is_some() {
        return Err(Error::new("its files are in an image"));
    }
    let hooks = engine.registry.hooks(Event::Config, Point::Post);
    if !hooks.iter().any(|plugin| plugin == SSH) {
        return Err(Error::new(format!("there is no plugin {SSH}")));
    }
    let values = BTreeMap::from([(SSH.to_owned(), json!(true))]);
    let request = ConfigRequest {
        options: BTreeMap::from([(SSH.to_owned(), Options { values })]),
        ..ConfigRequest::default()
    };
    let places = engine.places(definition.zone.as_ref(), Some(name.to_string()));
    engine.ask_config(name, definition, &request, &places, Vec::new())
}

/// What is left to do, and why.
pub(super) fn not_made(name: &JailName, why: &Error) -> String {
    let all = std::iter::once(why).chain(&why.more);
    let why: Vec<String> = all.map(|e| shown(&e.message)).collect();
    format!(
        "the user for ssh has not been made yet: qjail config -h {name} does it ({})",
        why.join("; ")
    )
}
