//! The part of `config --rename` that is about the name: the directory, the definition, the console log, and every place
//! that says the old name.

use std::collections::BTreeSet;
use std::path::Path;

use qjail_fs::Root;
use qjail_model::{Definition, JailName, Params};
use qjail_plugin_api::{At, IfExists, Place, Step};
use qjail_store::Lock;

use crate::action::{Action, jails};
use crate::engine::Engine;
use crate::ops::create::jail_lock;
use crate::ops::image::{image_file, image_of};
use crate::places::{Places, rel};
use crate::{Error, Result};

/// The longest file of names that is looked at.
const LIMIT: u64 = 1 << 20;

/// What a rename adds to the plan of `config`.
#[derive(Debug, Default)]
pub(crate) struct Renaming {
    pub(crate) steps: Vec<Action>,
    pub(crate) commit: Vec<Action>,
    pub(crate) cleanup: Vec<Action>,
    pub(crate) warnings: Vec<String>,
}

/// Lines of fstab(5) in the parameter `mount` name places below the jail's directory, which has another name then: where
/// it is mounted, and what, if that is in the jail too.
pub(crate) fn move_mounts(params: &mut Params, old: &Path, new: &Path) {
    let lines = params.list("mount");
    if lines.is_empty() {
        return;
    }
    let word = |word: &str| match Path::new(word).strip_prefix(old) {
        Ok(below) => new.join(below).display().to_string(),
        Err(_) => word.to_owned(),
    };
    let moved = lines.iter().map(|line| {
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        words.join(" ")
    });
    params.set("mount", moved.collect::<Vec<_>>());
}

impl Engine {
    /// The locks that a rename needs beside the jail's own: of the new name, and of each jail whose definition names it.
    pub(crate) fn rename_locks(&self, name: &JailName, new: &JailName) -> Result<Vec<Lock>> {
        // The new name may be that of a jail which depends on this one, and no lock can be had twice.
        let others = self.depending(name).into_iter().map(|(other, _)| other);
        let names: BTreeSet<JailName> = std::iter::once(new.clone()).chain(others).collect();
        let locks = names.iter().map(|n| self.lock(&jail_lock(n)));
        Ok(locks.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    fn depending(&self, name: &JailName) -> Vec<(JailName, Definition)> {
        let names_it = |d: &Definition| d.depend.iter().any(|x| x == name.as_str());
        self.all()
            .into_iter()
            .filter(|(other, d)| other != name && names_it(d))
            .collect()
    }

    /// What speaks against the new name. `mounts` says that something may be mounted in it now: it runs
    /// and will be stopped first, or it has a file system of its own.
    pub(crate) fn against_rename(
        &self,
        name: &JailName,
        new: &JailName,
        places: &Places,
        mounts: bool,
    ) -> Result<Vec<Error>> {
        if self.definitions().exists(new) {
            return Ok(vec![
                Error::new(format!("Error: Jailname already exists. {new}"))
                    .hint("qjail list --all-zones shows the jails; names are unique over all zones"),
            ]);
        }
        let root = places.open(Place::Jails)?;
        let mut objections = Vec::new();
        if root.metadata(&rel(new.as_str())?)?.is_some() {
            objections.push(
                Error::new(format!(
                    "{} exists already",
                    places.jails.join(new.as_str()).display()
                ))
                .hint("it belongs to no jail that qjail knows; move it away or choose another name"),
            );
        }
        let file = image_file(places, new);
        if file.symlink_metadata().is_ok() {
            objections.push(
                Error::new(format!("{} exists already", file.display()))
                    .hint("it belongs to no jail that qjail knows; move it away or choose another name"),
            );
        }
        if self.system.find(new.as_str())?.is_some() {
            objections.push(
                Error::new(format!("a jail {new} that qjail does not know is running"))
                    .hint("choose another name"),
            );
        }
        if !mounts {
            let mounted = root.check_unmounted(&rel(name.as_str())?, &|| self.cancelled());
            objections.extend(mounted.err().map(Error::from));
        }
        Ok(objections)
    }

    /// Writes the new name into `definition`, and tells what else is to be done after the steps `before`.
    pub(crate) fn plan_rename(
        &self,
        name: &JailName,
        new: &JailName,
        definition: &mut Definition,
        places: &Places,
        before: &[Action],
    ) -> Result<Renaming> {
        if definition.params.text("host.hostname") == Some(name.as_str()) {
            definition.params.set("host.hostname", new.as_str());
        }
        let mut renaming = Renaming::default();
        let root = places.open(Place::Jails)?;
        if root.metadata(&rel(name.as_str())?)?.is_some() {
            if self.system.os() == "linux" {
                names_inside(places, name, new, before, &mut renaming);
            }
            if let Some(image) = image_of(name, definition, places) {
                let from = image.file.clone();
                renaming.commit.push(Action::DetachImage { image });
                let to = image_file(places, new);
                renaming.commit.push(Action::MoveImage { from, to });
            }
            renaming.commit.push(Action::own(Step::Rename {
                from: jails(name.as_str()),
                to: jails(new.as_str()),
            }));
        }
        renaming.commit.push(Action::WriteDefinition {
            name: new.to_string(),
            text: definition.to_text(),
        });
        renaming.commit.push(Action::RemoveDefinition {
            name: name.to_string(),
        });
        for (other, mut depending) in self.depending(name) {
            for depend in depending.depend.iter_mut().filter(|d| *d == name.as_str()) {
                *depend = new.to_string();
            }
            renaming.commit.push(Action::WriteDefinition {
                name: other.to_string(),
                text: depending.to_text(),
            });
        }
        renaming.cleanup.push(Action::MoveLog {
            from: self.layout.console_log(name),
            to: self.layout.console_log(new),
        });
        Ok(renaming)
    }
}

/// The files of a Linux jail that say its name, as `create` wrote them. What the jail's root has put in their place is
/// left alone, and nothing is followed: a warning tells.
fn names_inside(
    places: &Places,
    name: &JailName,
    new: &JailName,
    before: &[Action],
    renaming: &mut Renaming,
) {
    let root = match places.open(Place::Jail) {
        Ok(root) => root,
        Err(e) => return renaming.warnings.push(left("its directory", &e)),
    };
    for path in ["etc/hostname", "etc/hosts"] {
        let changed = |text: String| match path {
            "etc/hostname" => (text.trim() == name.as_str()).then(|| format!("{new}\n")),
            _ => in_hosts(&text, name.as_str(), new.as_str()),
        };
        let written = before.iter().rev().find_map(|action| written(action, path));
        match written.map_or_else(|| read(&root, path), |text| Ok(Some(text.to_owned()))) {
            Ok(text) => renaming
                .steps
                .extend(text.and_then(changed).map(|t| write(path, t))),
            Err(e) => renaming.warnings.push(left(path, &e)),
        }
    }
}

/// What a step is going to write into a file of the jail.
fn written<'a>(action: &'a Action, path: &str) -> Option<&'a str> {
    match action {
        Action::Step {
            what: Step::WriteFile { at, content, .. },
            ..
        } if *at == At::jail(path) => Some(content),
        _ => None,
    }
}

fn left(what: &str, error: &Error) -> String {
    format!("{what} may still say the old name, it is left as it is: {error}")
}

fn read(root: &Root, path: &str) -> Result<Option<String>> {
    match root.read_to_string(&rel(path)?, LIMIT) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn write(path: &str, content: String) -> Action {
    Action::own(Step::WriteFile {
        at: At::jail(path),
        content,
        mode: None,
        if_exists: IfExists::Replace,
    })
}

/// hosts(5) with `new` for each name `old`; none where there is no such name.
fn in_hosts(text: &str, old: &str, new: &str) -> Option<String> {
    let changed: String = text
        .split_inclusive('\n')
        .map(|line| host_line(line, old, new))
        .collect();
    (changed != text).then_some(changed)
}

/// An address, then names; what follows `#` is for people.
fn host_line(line: &str, old: &str, new: &str) -> String {
    let (data, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
    let mut out = String::with_capacity(line.len());
    let mut seen_address = false;
    for word in data.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        if seen_address && bare == old {
            out.push_str(new);
            out.push_str(&word[bare.len()..]);
        } else {
            out.push_str(word);
        }
        seen_address |= !bare.is_empty();
    }
    out + comment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_are_replaced() {
        let text = "127.0.0.1\tlocalhost\n10.0.0.2\tweb web.example.org  web\n web\n#10.0.0.3 web\n10.0.0.4 web2 # web";
        let changed = "127.0.0.1\tlocalhost\n10.0.0.2\twww web.example.org  www\n web\n#10.0.0.3 web\n10.0.0.4 web2 # web";
        assert_eq!(in_hosts(text, "web", "www").as_deref(), Some(changed));
        assert_eq!(in_hosts("10.0.0.2 web2\n", "web", "www"), None);
        assert_eq!(in_hosts("", "web", "www"), None);
    }
}
