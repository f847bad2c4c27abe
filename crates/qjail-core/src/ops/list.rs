//! `list`: what is defined, and what the kernel says of it. No process is started, no plugin is asked.

use std::path::{Path, PathBuf};

use qjail_model::{AddrSpec, Definition, JailName, Selector};
use qjail_sys::Running;

use crate::engine::Engine;
use crate::{Error, Result};

/// Which jails `list` shows.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Only these; empty for all of the zone.
    pub selectors: Vec<Selector>,
    /// Of every zone, not only of the command's.
    pub all_zones: bool,
    /// Only running ones.
    pub running: bool,
    /// Only stopped ones.
    pub stopped: bool,
}

/// One jail of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: JailName,
    /// Its definition.
    pub definition: Definition,
    /// What the kernel says; none where it does not run.
    pub running: Option<Running>,
}

impl Row {
    /// The classic status: `D` (directory) or `I` (image), `R` running or `S` stopped or `Y` dying, then `N` norun or `M` manual.
    #[must_use]
    pub fn status(&self) -> String {
        let kind = if self.definition.image.is_some() { "I" } else { "D" };
        let mut status = String::from(kind);
        status.push(match &self.running {
            Some(r) if r.dying => 'Y',
            Some(_) => 'R',
            None => 'S',
        });
        if self.definition.norun {
            status.push('N');
        } else if self.definition.manual {
            status.push('M');
        }
        status
    }

    /// The jail id, or `N/A`.
    #[must_use]
    pub fn jid(&self) -> String {
        self.running
            .as_ref()
            .map_or_else(|| "N/A".to_owned(), |r| r.jid.to_string())
    }

    /// The interface of its addresses.
    #[must_use]
    pub fn interface(&self) -> &str {
        self.definition.params.text("interface").unwrap_or("")
    }

    /// Its addresses without interface and prefix length, IPv4 first.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let params = &self.definition.params;
        [params.list("ip4.addr"), params.list("ip6.addr")]
            .concat()
            .into_iter()
            .map(|a| a.parse::<AddrSpec>().map_or(a, |spec| spec.addr.to_string()))
            .collect()
    }
}

impl Engine {
    /// The jails that are asked for, and an error for each selector that means none.
    ///
    /// # Errors
    /// When the kernel does not tell what runs.
    pub fn list(&self, request: &ListRequest) -> Result<(Vec<Row>, Vec<Error>)> {
        let running = self.running()?;
        let (names, errors) = if request.selectors.is_empty() {
            (None, Vec::new())
        } else {
            some(self.select_in(&request.selectors, request.all_zones))
        };
        let defined = self.all();
        // On FreeBSD jails of other managers run beside those of qjail: only what has a file here is one of ours.
        let unreadable = running
            .keys()
            .filter(|name| !defined.iter().any(|(n, _)| n.as_str() == name.as_str()))
            .filter_map(|name| JailName::new(name.as_str()).ok())
            .filter(|name| self.definitions().exists(name))
            .map(|name| {
                (
                    name,
                    Definition {
                        zone: self.zone.clone(),
                        ..Definition::new()
                    },
                )
            });
        let root = |name: &JailName, definition: &Definition| {
            let zone = definition.zone.as_ref();
            self.layout.jails_dir(zone).join(name.as_str())
        };
        let mut rows: Vec<Row> = defined
            .iter()
            .filter(|(_, definition)| request.all_zones || definition.zone == self.zone)
            .cloned()
            .chain(unreadable)
            .filter(|(name, _)| names.as_ref().is_none_or(|n| n.contains(name)))
            .map(|(name, definition)| Row {
                running: running
                    .get(name.as_str())
                    .filter(|r| is_in(r, &root(&name, &definition)))
                    .cloned(),
                name,
                definition,
            })
            .filter(|row| {
                !(request.running && row.running.is_none() || request.stopped && row.running.is_some())
            })
            .collect();
        // The default zone comes first; within a zone the names are in order already.
        rows.sort_by(|a, b| a.definition.zone.cmp(&b.definition.zone));
        Ok((rows, errors))
    }
}

/// Whether a running jail is the one that belongs into the directory `ours`: another manager's jail may have the same name
/// in another directory. Links on the way are the host's own; the kernel keeps paths without them.
fn is_in(running: &Running, ours: &Path) -> bool {
    let there =
        |path: &PathBuf| path == ours || std::fs::canonicalize(ours).is_ok_and(|resolved| resolved == *path);
    running.path.as_ref().is_none_or(there)
}

fn some<A, B>((a, b): (A, B)) -> (Option<A>, B) {
    (Some(a), b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_of_the_same_name_elsewhere_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("jail1");
        std::fs::create_dir(&real).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let at = |path: Option<&Path>| Running {
            jid: 1,
            dying: false,
            path: path.map(Path::to_owned),
        };
        assert!(is_in(&at(Some(&real)), &real));
        assert!(
            is_in(&at(Some(&real)), &link),
            "the host's own links are followed"
        );
        assert!(
            is_in(&at(None), &real),
            "a system that tells no paths has no others"
        );
        assert!(!is_in(&at(Some(Path::new("/somewhere/else"))), &real));
    }
}
