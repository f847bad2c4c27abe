//! The image of a jail of qjail 5: a file inside its own mount point. It stays there and gets a second name, a hard link,
//! where this qjail keeps images.

use std::path::Path;

use qjail_fs::{Kind, RelPath};
use qjail_model::{Definition, JailName, Size, ZoneName};
use qjail_plugin_api::{At, Place};

use super::check::is_own_root;
use super::draft::Draft;
use super::shown;
use crate::action::Action;
use crate::engine::Engine;
use crate::ops::image::{image_at, image_file};
use crate::places::{Places, rel};
use crate::{Error, Result};

/// The image of a draft by its name in the jail's root directory. What stands in the way becomes a fault.
pub(super) fn look(
    engine: &Engine,
    name: &JailName,
    draft: &mut Draft,
    definition: &mut Definition,
) -> Option<String> {
    let path = draft.image.take()?;
    let Some(file) = in_own_root(engine, name, draft.zone.as_ref(), &path) else {
        let own = engine.layout.jails_dir(draft.zone.as_ref()).join(name.as_str());
        let own = own.display();
        let fault = Error::new(format!("its image is {}, not in {own}", shown(&path)));
        let hint = format!("move it to {own}/{name}.img, and set `image` in {}", draft.file);
        draft.faults.push(fault.hint(hint));
        return None;
    };
    // A root that is not there, or a jail that runs, says more.
    if draft.faults.is_empty() {
        match check(engine, name, draft.zone.as_ref(), &file) {
            Ok(size) => definition.image = Some(size),
            Err(e) => draft.faults.push(e),
        }
        draft.note(format!(
            "its image {} stays where it is, and gets a second name, .images/{name}.img; the old program must not start the \
             jail any more",
            shown(&path)
        ));
    }
    Some(file)
}

fn in_own_root(engine: &Engine, name: &JailName, zone: Option<&ZoneName>, path: &str) -> Option<String> {
    let (dir, file) = path.rsplit_once('/')?;
    let is_own = is_own_root(engine, name, zone, dir.trim_end_matches('/'));
    (is_own && rel(file).is_ok()).then(|| file.to_owned())
}

/// The size of the image `file` in the root directory of `name`.
///
/// # Errors
/// Why it can not get a second name, or must not: it is in use.
pub(super) fn check(engine: &Engine, name: &JailName, zone: Option<&ZoneName>, file: &str) -> Result<Size> {
    let places = engine.places(zone, Some(name.to_string()));
    let path = places.jails.join(name.as_str()).join(file);
    not_in_use(engine, &places, name, &path)?;
    let size = plain_file(&places, name, file, &path)?;
    let new = image_file(&places, name);
    if new.symlink_metadata().is_ok() {
        return Err(Error::new(format!("{} exists already", new.display()))
            .hint("it belongs to no jail that qjail knows; move it away"));
    }
    Ok(size)
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(format!("its image {} {why}", path.display()))
}

/// Two programs at work in one file system destroy it.
fn not_in_use(engine: &Engine, places: &Places, name: &JailName, path: &Path) -> Result<()> {
    if let Some(device) = engine.system.image_device(path)? {
        return Err(refused(path, format!("is in use by {device}"))
            .hint("stop the jail with the program that started it: that one knows what it mounted"));
    }
    let lock = places.jails.join(format!("{name}.device"));
    if lock.symlink_metadata().is_ok() {
        let lock = lock.display();
        return Err(
            refused(path, format!("may be in use: qjail 5 has left {lock}")).hint(format!(
                "stop the jail with qjail 5; where it does not run: rm {lock}"
            )),
        );
    }
    Ok(())
}

/// The size of a file that is nobody else's, in the file system of the directory of jails.
fn plain_file(places: &Places, name: &JailName, file: &str, path: &Path) -> Result<Size> {
    let jails = places.open(Place::Jails)?;
    let here = jails.metadata(&RelPath::root())?.map(|m| m.dev);
    let Some(found) = jails.metadata(&rel(&format!("{name}/{file}"))?)? else {
        return Err(refused(path, "does not exist").hint(format!(
            "bring it back; if something is mounted over it: umount {}",
            places.jails.join(name.as_str()).display()
        )));
    };
    if found.kind != Kind::File {
        return Err(refused(path, format!("is a {}", found.kind))
            .hint("it must be a regular file; links are not followed"));
    }
    if found.nlink != 1 {
        return Err(refused(path, format!("has {} names", found.nlink)).hint(format!(
            "something else uses it: find {} -inum {} shows where",
            places.jails.display(),
            found.ino
        )));
    }
    if Some(found.dev) != here {
        let jails = places.jails.display();
        return Err(
            refused(path, format!("is not on the file system of {jails}")).hint(format!(
                "its second name must be on the same: move {} to that one",
                places.jails.join(name.as_str()).display()
            )),
        );
    }
    Ok(Size::from_bytes(found.size))
}

/// The step that gives the image its second name.
pub(super) fn link(name: &JailName, file: &str) -> Action {
    Action::LinkImage {
        from: At::jails(&format!("{name}/{file}")),
        to: image_at(name),
    }
}
