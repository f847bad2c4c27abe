//! `delete`: out of sight at once, then removed.

use qjail_model::{Definition, JailName};
use qjail_plugin_api::{Event, Place, Step};
use qjail_sys::Need;

use crate::action::{Action, doomed, jails};
use crate::engine::Engine;
use crate::gather::{PluginOptions, Question, gather};
use crate::ops::create::jail_lock;
use crate::ops::image::image_of;
use crate::places::{Places, rel};
use crate::transaction::Plan;
use crate::{Error, Result};

impl Engine {
    /// Removes one stopped jail; `with` are the others that the same command removes: its definition, its root directory and its console log.
    ///
    /// # Errors
    /// `Bypassed running jail`, a mount below its root, or the first failure.
    pub fn delete(&self, name: &JailName, with: &[JailName]) -> Result<Plan> {
        self.require(Need::Files)?;
        let _jail = self.lock(&jail_lock(name))?;
        let definition = self.definition(name)?;
        let places = self.places(definition.zone.as_ref(), Some(name.to_string()));
        self.against_running(name, &places)?;
        let delete = || {
            let objections = self.against_delete(name, with, &definition, &places)?;
            let plan = self.plan_delete(name, &definition, &places, objections)?;
            self.perform(&plan)?;
            Ok(plan)
        };
        match image_of(name, &definition, &places) {
            // What is lost can still be deleted.
            Some(image) if !image.file.is_file() => delete(),
            _ => self.with_image(name, &definition, &places, delete),
        }
    }

    fn against_running(&self, name: &JailName, places: &Places) -> Result<()> {
        self.require_own(name, places)?;
        if self.system.find(name.as_str())?.is_some() {
            return Err(
                Error::new(format!("Bypassed running jail {name}")).hint(format!("qjail stop {name}"))
            );
        }
        Ok(())
    }

    fn against_delete(
        &self,
        name: &JailName,
        with: &[JailName],
        definition: &Definition,
        places: &Places,
    ) -> Result<Vec<Error>> {
        let depending = self
            .all()
            .into_iter()
            .filter(|(other, d)| !with.contains(other) && d.depend.iter().any(|x| x == name.as_str()));
        let mut objections: Vec<Error> = depending
            .map(|(other, _)| {
                Error::new(format!("jail {other} depends on {name}"))
                    .hint(format!("delete {other} too, or first"))
            })
            .collect();
        if definition.image.is_some() {
            // Its own file system is mounted; with another one below it can not be unmounted, which ends the plan.
            return Ok(objections);
        }
        let root = places.open(Place::Jails)?;
        objections.extend(
            root.check_unmounted(&rel(name.as_str())?, &|| self.cancelled())
                .err()
                .map(Error::from),
        );
        Ok(objections)
    }

    fn plan_delete(
        &self,
        name: &JailName,
        definition: &Definition,
        places: &Places,
        objections: Vec<Error>,
    ) -> Result<Plan> {
        let question = Question {
            event: Event::Delete,
            name,
            definition,
            options: &PluginOptions::new(),
            duplicate: false,
            several: false,
            new_name: None,
            places,
        };
        let gathered = gather(self, &question, objections)?;
        let old = doomed(name.as_str());
        let mut commit = gathered.commit;
        let image = image_of(name, definition, places);
        commit.extend(image.clone().map(|image| Action::DetachImage { image }));
        let root = places.open(Place::Jails)?;
        if root.metadata(&rel(name.as_str())?)?.is_some() {
            commit.push(Action::own(Step::Rename {
                from: jails(name.as_str()),
                to: jails(&old),
            }));
        }
        commit.push(Action::RemoveDefinition {
            name: name.to_string(),
        });
        let mut cleanup = gathered.cleanup;
        let spec = Box::new(self.bare_spec(name, places, &definition.params));
        cleanup.push(Action::Forget { spec });
        let file = image.as_ref().map(|image| image.file.clone());
        cleanup.extend(file.map(|file| Action::RemoveImage { file }));
        cleanup.push(Action::own(Step::RemoveTree { at: jails(&old) }));
        Ok(Plan {
            title: format!("delete {name}"),
            lock: jail_lock(name),
            places: places.clone(),
            image,
            steps: [gathered.pre, gathered.post].concat(),
            commit,
            cleanup,
            warnings: gathered.warnings,
            notes: gathered.notes,
        })
    }
}
