//! The file with which the system's own tools can start a jail follows the jail's definition.

use qjail_model::JailName;
use qjail_plugin_api::Event;

use crate::Result;
use crate::engine::Engine;

impl Engine {
    /// Writes the file of a jail anew, or removes it where the jail has no definition any more. It is a convenience: that
    /// it can not be written now is a warning, and the next start writes it. Until then there is none: the old one would
    /// start another jail than the definition describes.
    pub(crate) fn follow_definition(&self, name: &JailName) {
        // Only FreeBSD has such tools, and plugins are asked for it.
        if self.system.os() != "freebsd" {
            return;
        }
        if let Err(e) = self.publish(name) {
            // That of a jail that runs says how to stop it.
            if self.system.find(name.as_str()).is_ok_and(|jid| jid.is_some()) {
                return self.warn(&format!("the jail.conf of {name} is not up to date: {e}"));
            }
            let removed = self.system.withdraw(name.as_str());
            let how = match removed {
                Ok(()) => "is removed, since it could not be written anew".to_owned(),
                Err(left) => format!("is not up to date, and can not be removed ({left})"),
            };
            self.warn(&format!("the jail.conf of {name} {how}: {e}"));
        }
    }

    /// Writes the files of this zone's jails anew, since the base that they name is another one now.
    pub(crate) fn follow_base(&self) {
        for (name, definition) in self.all() {
            if definition.zone == self.zone {
                self.follow_definition(&name);
            }
        }
    }

    fn publish(&self, name: &JailName) -> Result<()> {
        let Some(definition) = self.definitions().load(name)? else {
            return Ok(self.system.withdraw(name.as_str())?);
        };
        let places = self.places(definition.zone.as_ref(), Some(name.to_string()));
        let gathered = self.ask(Event::Start, name, &definition, &places)?;
        let spec = self.start_spec(name, &definition, &places, &gathered)?;
        Ok(self.system.publish(&spec)?)
    }
}
