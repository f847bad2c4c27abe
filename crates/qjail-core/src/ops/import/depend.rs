//! Which jails must run before another: only those that will be there, and never in a circle, as `config` has it.

use std::collections::BTreeMap;

use super::{Import, shown};
use crate::engine::Engine;
use crate::ops::contradict::waits_for;

/// Takes out of each jail's `depend` what can not be; says for each jail what that was.
pub(super) fn settle(engine: &Engine, jails: &mut [Import]) -> Vec<Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = engine
        .all()
        .into_iter()
        .map(|(name, definition)| (name.to_string(), definition.depend))
        .collect();
    for jail in jails.iter().filter(|j| j.faults.is_empty()) {
        all.insert(jail.name.clone(), jail.definition.depend.clone());
    }
    jails.iter_mut().map(|jail| one(&mut all, jail)).collect()
}

fn one(all: &mut BTreeMap<String, Vec<String>>, jail: &mut Import) -> Vec<String> {
    if !jail.faults.is_empty() {
        return Vec::new();
    }
    let name = jail.name.clone();
    let mut left_out = Vec::new();
    let mut kept: Vec<String> = Vec::new();
    for other in std::mem::take(&mut jail.definition.depend) {
        let why = if !all.contains_key(&other) {
            "there is no such jail, and none is taken over"
        } else if other == name {
            "a jail can not wait for itself"
        } else if waits_for(all, &other, &name) {
            "that one waits for this jail"
        } else {
            if !kept.contains(&other) {
                kept.push(other);
            }
            continue;
        };
        left_out.push(format!("depend = {} ({why})", shown(&other)));
        // The circle is open here: the others in it keep theirs.
        if let Some(depend) = all.get_mut(&name) {
            depend.retain(|d| *d != other);
        }
    }
    jail.definition.depend = kept;
    left_out
}
