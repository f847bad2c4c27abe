//! `import`: the preview, the question, and one jail after the other.

use std::path::PathBuf;

use qjail_core::{Error, Import, ImportRequest, ImportSource, Imports};
use qjail_model::JailName;
use serde_json::json;

use super::Call;
use crate::render::{error_value, line};
use crate::setup;
use crate::spec::import::JAIL_CONF;

/// Where qjail 5 keeps its control files.
const CONTROL_FILES: &str = "usr/local/etc";

impl Call<'_> {
    pub(super) fn import(&self) -> Result<u8, Error> {
        let request = self.import_request()?;
        self.engine.recover();
        let found = self.engine.imports(&request)?;
        self.preview(&found);
        let ready: Vec<&Import> = found.jails.iter().filter(|j| j.faults.is_empty()).collect();
        let mut failed = ready.len() < found.jails.len();
        if found.jails.is_empty() {
            self.style.message("There is no jail to import.", None);
        }
        let names: Vec<&str> = ready.iter().map(|j| j.name.as_str()).collect();
        if !self.agreed("import", &question(&names), names.is_empty())? {
            return Ok(1);
        }
        setup::watch_signals(self.engine)?;
        for jail in ready {
            match self.engine.import(jail) {
                Ok(plan) => {
                    let name = JailName::new(jail.name.as_str()).map_err(Error::new)?;
                    self.done(&plan, &format!("Successfully imported {name}"), &name);
                }
                Err(e) => {
                    failed = true;
                    self.style.error(&e);
                }
            }
        }
        Ok(u8::from(failed))
    }

    fn import_request(&self) -> Result<ImportRequest, Error> {
        let o = &self.options;
        let path = o.text("path").map(PathBuf::from);
        let source = if o.text("from") == Some(JAIL_CONF) {
            let file = path.ok_or_else(|| {
                Error::usage("import --from jail.conf: name the file")
                    .hint("qjail import --from jail.conf FILE")
            })?;
            ImportSource::JailConf(file)
        } else {
            ImportSource::Qjail(path.unwrap_or_else(|| self.engine.layout.root().join(CONTROL_FILES)))
        };
        Ok(ImportRequest {
            source,
            names: o.list("names").into_iter().map(str::to_owned).collect(),
        })
    }

    /// What becomes of each jail; what can not be taken over goes to standard error.
    fn preview(&self, found: &Imports) {
        for jail in &found.jails {
            if self.style.json {
                line(&value(jail).to_string());
            } else if jail.faults.is_empty() && !self.style.quiet {
                text(jail).iter().for_each(|l| line(l));
            }
            if !self.style.json {
                jail.faults.iter().for_each(|f| self.style.error(f));
            }
        }
        for note in &found.notes {
            self.style.message(&format!("note: {note}"), None);
        }
    }
}

fn question(names: &[&str]) -> String {
    let jails = if names.len() == 1 { "jail" } else { "jails" };
    format!("Import {} {jails} ({})", names.len(), names.join(", "))
}

fn value(jail: &Import) -> serde_json::Value {
    json!({
        "import": jail.name,
        "file": jail.file,
        "definition": jail.definition,
        "notes": jail.notes,
        "errors": jail.faults.iter().map(error_value).collect::<Vec<_>>(),
    })
}

fn text(jail: &Import) -> Vec<String> {
    let d = &jail.definition;
    let mut what = vec![
        if d.thick {
            "with a base of its own"
        } else {
            "on the shared base"
        }
        .to_owned(),
    ];
    what.extend(d.image.map(|size| format!("in an image of {size}")));
    what.extend(d.zone.as_ref().map(|z| format!("in zone {z}")));
    what.extend(d.manual.then(|| "manual".to_owned()));
    what.extend(d.norun.then(|| "norun".to_owned()));
    let mut lines = vec![
        format!("{} ({})", jail.name, jail.file),
        format!("    becomes a jail {}", what.join(", ")),
    ];
    lines.extend(d.params.iter().map(|(key, value)| format!("    {key} = {value}")));
    if !d.depend.is_empty() {
        lines.push(format!("    depends on {}", d.depend.join(", ")));
    }
    lines.extend(jail.notes.iter().map(|n| format!("    note: {n}")));
    lines
}
