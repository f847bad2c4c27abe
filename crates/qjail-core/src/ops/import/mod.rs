//! `import`: jails of qjail 5 and of a jail.conf(5) become jails of this qjail. Their files are read as text, never run,
//! and left as they are; a definition for each is all that is written.

mod check;
mod conf;
mod depend;
mod draft;
mod fstab;
mod image;
mod include;
mod legacy;
mod ssh;

use std::path::{Path, PathBuf};

use qjail_fs::{ErrorKind, Root};
use qjail_model::{Definition, JailName};
use qjail_sys::Need;

use crate::action::Action;
use crate::engine::Engine;
use crate::gather::Gathered;
use crate::ops::create::jail_lock;
use crate::places::rel;
use crate::transaction::Plan;
use crate::{Error, Result};

/// What other programs keep of jails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportSource {
    /// The directory that holds `qjail.local`, `qjail.global` and the rest of qjail 5's control files.
    Qjail(PathBuf),
    /// A file for jail(8).
    JailConf(PathBuf),
}

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRequest {
    /// Where the jails are described.
    pub source: ImportSource,
    /// The jails that are meant; none is all.
    pub names: Vec<String>,
}

/// A jail of another program, and what it would become.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// Its name, as it is written there.
    pub name: String,
    /// Where it is described.
    pub file: String,
    /// What qjail would keep of it.
    pub definition: Definition,
    /// The file in its root directory that is its image, by its name there.
    pub image: Option<String>,
    /// Whether its user for ssh is made with it.
    pub ssh: bool,
    /// What is not taken over, or not as it was, and why.
    pub notes: Vec<String>,
    /// Why it can not be taken over at all; empty where it can.
    pub faults: Vec<Error>,
}

/// All that a source holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imports {
    /// The jails, in the order of the source.
    pub jails: Vec<Import>,
    /// What is to be done before they can be started.
    pub notes: Vec<String>,
}

impl Engine {
    /// Looks at a source; nothing is changed.
    ///
    /// # Errors
    /// The source can not be read.
    pub fn imports(&self, request: &ImportRequest) -> Result<Imports> {
        let drafts = match &request.source {
            ImportSource::Qjail(dir) => legacy::read(self, &absolute(dir)?)?,
            ImportSource::JailConf(file) => conf::read(self, &absolute(file)?)?,
        };
        Ok(check::imports(self, chosen(drafts, request)))
    }

    /// Takes over one jail. With `dry_run` the plan is returned and nothing is changed.
    ///
    /// # Errors
    /// Its faults, those that have come up since it was looked at included, or the first failure.
    pub fn import(&self, import: &Import) -> Result<Plan> {
        if let Some(error) = Error::all(import.faults.clone()) {
            return Err(error);
        }
        self.require(Need::Files)?;
        let name = JailName::new(import.name.as_str()).map_err(Error::new)?;
        let _jail = self.lock(&jail_lock(&name))?;
        let _names = self.wait_lock("definitions")?;
        if let Some(error) = Error::all(check::faults_now(self, &name, &import.definition)) {
            return Err(error);
        }
        let mut steps = Vec::new();
        if let Some(file) = &import.image {
            image::check(self, &name, import.definition.zone.as_ref(), file)?;
            steps.push(image::link(&name, file));
        }
        if import.ssh {
            match self.import_with_ssh(import, &name, &steps) {
                Err(e) if !self.cancelled() && e.more.is_empty() => self.warn(&ssh::not_made(&name, &e)),
                done => return done,
            }
        }
        let plan = self.plan_import(&name, &import.definition, steps, Gathered::default());
        self.perform(&plan)?;
        Ok(plan)
    }

    fn import_with_ssh(&self, import: &Import, name: &JailName, steps: &[Action]) -> Result<Plan> {
        let mut definition = import.definition.clone();
        let gathered = ssh::ask(self, name, &mut definition)?;
        let plan = self.plan_import(name, &definition, steps.to_vec(), gathered);
        self.perform(&plan)?;
        Ok(plan)
    }

    fn plan_import(
        &self,
        name: &JailName,
        definition: &Definition,
        mut steps: Vec<Action>,
        gathered: Gathered,
    ) -> Plan {
        steps.extend(gathered.pre);
        steps.extend(gathered.post);
        let mut commit = gathered.commit;
        commit.push(Action::WriteDefinition {
            name: name.to_string(),
            text: definition.to_text(),
        });
        Plan {
            title: format!("import {name}"),
            lock: jail_lock(name),
            places: self.places(definition.zone.as_ref(), Some(name.to_string())),
            image: None,
            steps,
            commit,
            cleanup: gathered.cleanup,
            warnings: gathered.warnings,
            notes: gathered.notes,
        }
    }

    /// Where a path lies that another program's file names: below `--root`, as everything of qjail.
    fn host_path(&self, path: &str) -> PathBuf {
        let root = self.layout.root();
        if Path::new(path).starts_with(root) {
            return PathBuf::from(path);
        }
        root.join(path.trim_start_matches('/'))
    }
}

/// The drafts that are meant. A name that means none does not stop the others.
fn chosen(drafts: Vec<draft::Draft>, request: &ImportRequest) -> Vec<draft::Draft> {
    if request.names.is_empty() {
        return drafts;
    }
    let known: Vec<String> = drafts.iter().map(|d| shown(&d.name)).collect();
    let hint = match known.as_slice() {
        [] => "there is no jail at all".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    let missing = request
        .names
        .iter()
        .filter(|n| !drafts.iter().any(|d| d.name == **n))
        .map(|name| {
            let fault = Error::new(format!("Error: Jail doesn't exist. {}", shown(name)));
            draft::Draft::refused(name.clone(), String::new(), fault.hint(hint.clone()))
        });
    let missing: Vec<draft::Draft> = missing.collect();
    let meant = drafts.into_iter().filter(|d| request.names.contains(&d.name));
    meant.chain(missing).collect()
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::new(format!("{}: {e}", path.display())))
}

/// A text of another program, fit to be shown: nothing in it controls the terminal.
fn shown(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    match clean.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// The text of a file of the host: a regular file of at most `limit` bytes.
fn read_file(path: &Path, limit: u64) -> Result<String> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::new(format!("{} is no file", path.display())));
    };
    let name = rel(&name.to_string_lossy())?;
    Root::open(dir)
        .and_then(|root| root.read_to_string(&name, limit))
        .map_err(read_error)
}

/// Why a file of another program was not read.
fn read_error(e: qjail_fs::Error) -> Error {
    let hint = match e.kind() {
        ErrorKind::Link { .. } => Some("name the file that the link points to"),
        ErrorKind::WrongKind { .. } => Some("only regular files are read"),
        ErrorKind::TooLarge { .. } => Some("no file of that kind is so long"),
        ErrorKind::NotText => Some("it is no text at all"),
        _ => None,
    };
    let error = Error::new(shown(&e.to_string()));
    match hint {
        Some(hint) => error.hint(hint),
        None => error.hint("look at its name and at who may read it"),
    }
}
