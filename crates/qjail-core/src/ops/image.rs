//! Image jails: their file systems are mounted only while somebody needs them.

use std::path::PathBuf;

use qjail_model::{Definition, JailName, Size};
use qjail_plugin_api::{At, Place};
use qjail_store::{Lock, Wait};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::ops::archived::{Archived, Held};
use crate::ops::create::{current_template, jail_lock};
use crate::places::{Places, rel};
use crate::{Error, Result};

/// Where the files are, beside the jails: no jail has such a name.
const DIR: &str = ".images";
/// What a file system keeps for itself: its journal, its groups.
const OVERHEAD: u64 = 8 << 20;
/// What a file takes beside its content, at most: the rest of its last block, its inode, its name.
const PER_FILE: u64 = 8 << 10;

/// The file of an image jail and the directory that is its mount point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The file.
    pub file: PathBuf,
    /// The mount point: the jail's root directory.
    pub at: PathBuf,
}

/// The file of the image jail `name`.
pub(crate) fn image_file(places: &Places, name: &JailName) -> PathBuf {
    places.jails.join(DIR).join(format!("{name}.img"))
}

/// The same file, seen from the directory of jails.
pub(crate) fn image_at(name: &JailName) -> At {
    At::jails(&format!("{DIR}/{name}.img"))
}

/// The image of a jail, if it is an image jail.
pub(crate) fn image_of(name: &JailName, definition: &Definition, places: &Places) -> Option<Image> {
    definition.image.map(|_| Image {
        file: image_file(places, name),
        at: places.jails.join(name.as_str()),
    })
}

impl Engine {
    /// Does `work` with the jail's own file system mounted, if it has one. Afterwards it is mounted only if the jail runs.
    pub(crate) fn with_image<T>(
        &self,
        name: &JailName,
        definition: &Definition,
        places: &Places,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(image) = image_of(name, definition, places).filter(|_| !self.dry_run) else {
            return work();
        };
        self.system
            .attach_image(&image.file, &image.at)
            .map_err(|e| Error::from(e).about(name))?;
        let result = work();
        let released = self.release_image(name.as_str(), &image);
        match (result, released) {
            (Err(mut error), released) => {
                error.more.extend(released.err());
                Err(error)
            }
            (Ok(done), released) => released.map(|()| done),
        }
    }

    /// Unmounts the file system of a jail that does not run.
    pub(crate) fn release_image(&self, name: &str, image: &Image) -> Result<()> {
        if self.system.find(name)?.is_some() {
            return Ok(());
        }
        Ok(self.system.detach_image(&image.file, &image.at)?)
    }

    /// Unmounts what commands that were cut off left mounted, as far as nobody is at it.
    pub(crate) fn release_images(&self) {
        // A definition that can not be read is told by those who need it.
        let defined = self.definitions().list().unwrap_or_default();
        let defined = defined
            .into_iter()
            .filter_map(|(name, definition)| Some((name, definition.ok()?)));
        for (name, definition) in defined {
            let places = self.places(definition.zone.as_ref(), Some(name.to_string()));
            let Some(image) = image_of(&name, &definition, &places) else {
                continue;
            };
            let dir = self.layout.locks_dir();
            let Ok(_lock) = Lock::acquire(&dir, &jail_lock(&name), &self.command, Wait::No) else {
                continue;
            };
            if let Err(e) = self.release_image(name.as_str(), &image) {
                self.warn(&e.to_string());
            }
        }
    }

    /// What speaks against an image of this size for a jail from an archive, or from the template.
    pub(crate) fn against_image(
        &self,
        name: &JailName,
        size: Size,
        places: &Places,
        archived: Option<&Archived>,
    ) -> Result<Vec<Error>> {
        let mut objections = Vec::new();
        let file = image_file(places, name);
        if file.symlink_metadata().is_ok() {
            objections.push(
                Error::new(format!("{} exists already", file.display()))
                    .hint("it belongs to no jail that qjail knows; move it away or choose another name"),
            );
        }
        let Some(held) = self.held_by_source(places, archived)? else {
            return Ok(objections);
        };
        let files = held.files.saturating_mul(PER_FILE);
        let needed = held.bytes.saturating_add(files).saturating_add(OVERHEAD);
        let in_mib = needed.div_ceil(1 << 20);
        if size.bytes() < needed {
            objections.push(
                Error::new(format!("--image {size}: too small for what comes into it"))
                    .hint(format!("give at least {in_mib}m")),
            );
        }
        let room = qjail_sys::room(&places.jails)?;
        if room < needed {
            objections.push(
                Error::new(format!(
                    "--image {size}: there is no room for it in {}",
                    places.jails.display()
                ))
                .hint(format!("it takes {in_mib}m, and {}m are free", room >> 20)),
            );
        }
        Ok(objections)
    }

    /// How much the archive or the template holds. Without a base there is nothing to measure, and that is told elsewhere.
    fn held_by_source(&self, places: &Places, archived: Option<&Archived>) -> Result<Option<Held>> {
        if let Some(archived) = archived {
            return self.held(archived).map(Some);
        }
        let Ok(template) = current_template(places) else {
            return Ok(None);
        };
        let counted = places
            .open(Place::Jails)?
            .tree_size(&rel(&template.path)?, &|| self.cancelled())?;
        Ok(Some(Held {
            files: counted.files,
            bytes: counted.bytes,
        }))
    }
}
