//! `boot` and `shutdown`: what the host's start-up and shutdown do with the jails of all zones.

use std::collections::BTreeSet;

use qjail_model::{Definition, JailName};
use qjail_sys::Need;

use crate::engine::Engine;
use crate::ops::many::Report;
use crate::ops::run::{Outcome, StopRequest};
use crate::{Error, Result};

/// The jails that `boot` and `shutdown` are about.
#[derive(Default)]
struct Defined {
    /// By name.
    jails: Vec<(JailName, Definition)>,
    /// What is wrong with definitions that can not be read.
    errors: Vec<Error>,
}

impl Engine {
    /// Starts every jail of every zone (of the command's zone where one was given) but manual and norun ones, which are
    /// reported as passed over. What the last power failure cut off is brought to its end first. A definition that
    /// can not be read is an error of its own, returned; it stops nothing else.
    pub fn boot(&self, report: Report<'_>) -> Vec<Error> {
        if let Err(error) = self.require(Need::Jails) {
            return vec![error];
        }
        self.recover();
        let Defined { jails, errors } = match self.defined() {
            Ok(defined) => defined,
            Err(e) => return vec![e],
        };
        let all: Vec<JailName> = jails.iter().map(|(name, _)| name.clone()).collect();
        let mut names = Vec::new();
        let mut passed_over = BTreeSet::new();
        for (name, definition) in jails {
            match passed_over_at_boot(&name, &definition) {
                None => names.push(name),
                Some(why) => {
                    report(&name, Ok(Outcome::Bypassed(why)));
                    passed_over.insert(name);
                }
            }
        }
        let running = self.running().unwrap_or_default();
        passed_over.retain(|name| !running.contains_key(name.as_str()));
        self.start_all(&names, &self.depends(&all), passed_over, false, report);
        errors
    }

    /// Stops every jail of every zone (of the command's zone where one was given) that runs, in the reverse order of
    /// [`Engine::boot`].
    pub fn shutdown(&self, report: Report<'_>) -> Vec<Error> {
        if let Err(error) = self.require(Need::Jails) {
            return vec![error];
        }
        self.recover();
        let running = match self.running() {
            Ok(running) => running,
            Err(e) => return vec![e],
        };
        // A broken definition is in nobody's way here, and stopping tells of it where its jail runs.
        let defined = match self.defined() {
            Ok(defined) => defined,
            Err(e) => return vec![e],
        };
        let mut names: Vec<JailName> = defined.jails.into_iter().map(|(name, _)| name).collect();
        names.retain(|name| running.contains_key(name.as_str()));
        if self.zone.is_none() {
            names.extend(self.running_undefined());
        }
        self.stop_all(&names, &self.depends(&names), StopRequest::default(), report);
        Vec::new()
    }

    /// The jails that `boot` and `shutdown` are about, by name, and what is wrong with definitions that can not be read.
    fn defined(&self) -> Result<Defined> {
        let mut all = Defined::default();
        for (name, definition) in self.definitions().list()? {
            match definition {
                Ok(d) if self.zone.is_none() || d.zone == self.zone => all.jails.push((name, d)),
                Ok(_) => {}
                Err(e) => all.errors.push(Error::new(format!("start {name}: {e}"))),
            }
        }
        Ok(all)
    }
}

/// The classic sentence about a jail that is not started at boot.
fn passed_over_at_boot(name: &JailName, definition: &Definition) -> Option<String> {
    if definition.norun {
        return Some(format!("Bypassed norun status {name}"));
    }
    definition
        .manual
        .then(|| format!("Bypassed manual status {name}"))
}
