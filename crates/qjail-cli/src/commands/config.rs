//! `config`: options to changes, and what was done to lines.

use qjail_core::{Change, ConfigRequest, Configured, Error, Kind, What};
use qjail_model::{JailName, LimitChange, ParamValue};
use qjail_plugin_api::Options;

use super::{Call, params};
use crate::render::line;
use crate::spec::config::SWITCHES;

impl Call<'_> {
    pub(super) fn config(&self) -> Result<u8, Error> {
        let selectors = self.selectors()?;
        if selectors.is_empty() && !self.options.is_on("all") {
            return Err(Error::usage("config: name the jails, or give --all"));
        }
        let mut request = self.config_request()?;
        request.check()?;
        let display = self.options.is_on("display");
        if request.is_empty() != display {
            return Err(if display {
                Error::usage("config: --display and a change exclude each other")
                    .hint("change first, then look: qjail config -d NAME")
            } else {
                Error::usage("config: there is nothing to change")
                    .hint("qjail config -d NAME shows a jail; qjail help config tells what can be changed")
            });
        }
        if !display {
            self.engine.recover();
        }
        let (names, errors) = self.engine.select(&selectors);
        request.several = names.len() > 1 || selectors.len() > 1;
        errors.iter().for_each(|e| self.style.error(e));
        if request.rename.is_some() && (names.len() > 1 || selectors.len() > 1) {
            return Err(
                Error::usage("config --rename: two jails can not have one name").hint("name one jail")
            );
        }
        let mut failed = !errors.is_empty();
        let mut wrong = false;
        for name in &names {
            let result = if display {
                self.display(name)
            } else {
                self.engine.config(name, &request).map(|c| self.configured(&c))
            };
            match result {
                Ok(()) => {}
                Err(e) => {
                    failed = true;
                    wrong |= e.kind == Kind::Usage;
                    self.style.error(&e);
                }
            }
        }
        Ok(if wrong { 2 } else { u8::from(failed) })
    }

    fn display(&self, name: &JailName) -> Result<(), Error> {
        let definition = self.engine.definition(name)?;
        if !self.style.json {
            line(&format!("# {name}\n{}", definition.to_text()));
            return Ok(());
        }
        let mut value = serde_json::to_value(&definition).map_err(Error::new)?;
        value["name"] = serde_json::json!(name);
        line(&value.to_string());
        Ok(())
    }

    fn configured(&self, done: &Configured) {
        if self.engine.dry_run {
            done.plans.iter().for_each(|p| self.style.plan(p));
        } else {
            let name = Some(done.name.as_str());
            done.messages.iter().for_each(|m| self.style.message(m, name));
        }
    }

    fn config_request(&self) -> Result<ConfigRequest, Error> {
        let o = &self.options;
        let rename = o
            .text("rename")
            .map(JailName::new)
            .transpose()
            .map_err(Error::usage)?;
        Ok(ConfigRequest {
            changes: changes(o)?,
            rename,
            restart: o.is_on("restart"),
            several: false,
            options: self.plugins.clone(),
        })
    }
}

fn changes(o: &Options) -> Result<Vec<Change>, Error> {
    let mut changes: Vec<Change> = SWITCHES
        .iter()
        .flat_map(|(on, letter, off, capital, ..)| [(*on, *on, *letter, true), (*on, *off, *capital, false)])
        .filter(|(_, id, ..)| o.is_on(id))
        .map(|(name, _, letter, on)| Change {
            option: format!("-{letter}"),
            what: switch(name, on),
        })
        .collect();
    let values = [
        ("devfs-ruleset", 'b', "devfs_ruleset"),
        ("fib", 'f', "exec.fib"),
        ("securelevel", 's', "securelevel"),
        ("cpuset", 'p', "cpuset.id"),
    ];
    for (id, letter, key) in values {
        if let Some(text) = o.text(id) {
            let value = (text != "null").then(|| text.into());
            changes.push(set(format!("-{letter}"), key, value));
        }
    }
    if o.is_on("no-devfs-ruleset") {
        changes.push(set("-B".to_owned(), "devfs_ruleset", None));
    }
    for (key, value) in params::set(o)? {
        changes.push(set(format!("--param {key}"), &key, Some(value)));
    }
    for text in o.list("limit") {
        let limit: LimitChange = text.parse().map_err(Error::usage)?;
        changes.push(Change {
            option: format!("--limit {text}"),
            what: What::Limit(limit),
        });
    }
    for given in o.list("unset") {
        let key = params::unset(given)?;
        changes.push(set(format!("--unset {given}"), &key, None));
    }
    Ok(changes)
}

fn switch(name: &str, on: bool) -> What {
    let allow = |key: &str| What::Param {
        key: key.to_owned(),
        value: on.then_some(ParamValue::Bool(true)),
    };
    match name {
        "manual" => What::Manual(on),
        "norun" => What::Norun(on),
        "raw-sockets" => allow("allow.raw_sockets"),
        "quotas" => allow("allow.quotas"),
        fs => What::Mount {
            fs: fs.to_owned(),
            on,
        },
    }
}

fn set(option: String, key: &str, value: Option<ParamValue>) -> Change {
    let what = What::param(key, value);
    Change { option, what }
}
