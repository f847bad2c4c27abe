//! What can not be wanted: parameters that nobody knows, two values for one, jails that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use qjail_model::{AddrSpec, Definition, JailName, ParamValue, known};
use qjail_plugin_api::Options;

use crate::engine::Engine;
use crate::gather::Gathered;
use crate::ops::change::{Change, What};
use crate::ops::config::ConfigRequest;
use crate::{Error, Result};

impl Engine {
    /// Jails that it would wait for and that do not exist, or that wait for it themselves.
    pub(crate) fn against_depend(&self, name: &JailName, depend: &[String], change: &Change) -> Vec<Error> {
        if !matches!(change.what, What::Depend(_)) {
            return Vec::new();
        }
        let all: BTreeMap<String, Vec<String>> = self
            .all()
            .into_iter()
            .map(|(n, d)| (n.to_string(), d.depend))
            .collect();
        let refuse = |why: String| Error::new(format!("config {} {name}: {why}", change.option));
        let mut errors = Vec::new();
        for other in depend {
            if !all.contains_key(other) {
                errors.push(
                    refuse(format!("Error: Jail doesn't exist. {other}")).hint("qjail list shows the jails"),
                );
            } else if other == name.as_str() {
                errors.push(
                    refuse("a jail can not wait for itself".to_owned())
                        .hint("name the jails that must run before it"),
                );
            } else if waits_for(&all, other, name.as_str()) {
                errors.push(
                    refuse(format!("{other} depends on {name} already"))
                        .hint("two jails can not wait for each other"),
                );
            }
        }
        errors
    }
}

/// A name that neither jail(8) nor the jail's definition knows is a mistake.
pub(crate) fn against_unset(name: &JailName, change: &Change, old: &Definition) -> Option<Error> {
    let What::Param { key, value: None } = &change.what else {
        return None;
    };
    if known::find(key).is_some() || old.params.get(key).is_some() {
        return None;
    }
    let unknown = Error::usage(format!(
        "config {} {name}: there is no parameter {key}",
        change.option
    ));
    Some(match known::near(key) {
        Some(near) => unknown.hint(format!("there is {near}")),
        None => unknown.hint("qjail help params lists them"),
    })
}

/// Whether two values mean the same; an address has more than one spelling.
fn is_same(a: Option<&ParamValue>, b: Option<&ParamValue>) -> bool {
    let meant = |value: &ParamValue| -> Vec<String> {
        let plain = |text: &String| {
            text.parse::<AddrSpec>()
                .map_or_else(|_| text.clone(), |a| a.to_string())
        };
        value.to_list().iter().map(plain).collect()
    };
    a == b || a.map(meant) == b.map(meant)
}

/// Refuses a parameter that the core's options and those of a plugin give different values. `definition` has the core's.
pub(crate) fn check_contradictions(
    request: &ConfigRequest,
    definition: &Definition,
    gathered: &Gathered,
) -> Result<()> {
    // Without options of its own a plugin only follows what was changed.
    if request.options.values().all(Options::is_empty) {
        return Ok(());
    }
    let against = |change: &Change| {
        let differs = |key: &String| {
            gathered
                .params
                .get(key)
                .is_some_and(|v| !is_same(v.as_ref(), definition.params.get(key)))
        };
        let key = change.keys().into_iter().find(differs)?;
        Some(
            Error::usage(format!("{} and another option both change {key}", change.option))
                .hint("give one of them"),
        )
    };
    Error::all(request.changes.iter().filter_map(against).collect()).map_or(Ok(()), Err)
}

/// Whether `jail` depends on `on`, over others or at once.
pub(crate) fn waits_for(all: &BTreeMap<String, Vec<String>>, jail: &str, on: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![jail];
    while let Some(next) = open.pop() {
        if !seen.insert(next) {
            continue;
        }
        let depend = all.get(next).map(Vec::as_slice).unwrap_or_default();
        if depend.iter().any(|d| d == on) {
            return true;
        }
        open.extend(depend.iter().map(String::as_str));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_more_than_one_spelling() {
        let list = |texts: &[&str]| ParamValue::List(texts.iter().map(|t| (*t).to_owned()).collect());
        assert!(is_same(Some(&list(&["FD77::0007"])), Some(&"fd77::7".into())));
        assert!(!is_same(Some(&list(&["fd77::8"])), Some(&list(&["fd77::7"]))));
        assert!(is_same(Some(&"new".into()), Some(&"new".into())) && is_same(None, None));
        assert!(!is_same(Some(&"new".into()), None));
    }

    #[test]
    fn who_waits_for_whom() {
        let on = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let all = BTreeMap::from([
            ("a".to_owned(), on(&["b"])),
            ("b".to_owned(), on(&["c", "b"])),
            ("c".to_owned(), on(&[])),
        ]);
        assert!(waits_for(&all, "a", "c") && waits_for(&all, "b", "b"));
        assert!(!waits_for(&all, "c", "a") && !waits_for(&all, "nosuch", "a"));
    }
}
