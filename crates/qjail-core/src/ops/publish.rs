//! The file with which the system's own tools can start a jail follows the jail's definition.

use qjail_model::JailName;
use qjail_plugin_api::Event;

use crate::Result;
use crate::engine::Engine;

impl Engine {
    /// Writes the file of a jail anew, or removes it where the jail has no definition any more. It is a convenience: that
    /// it can not be written now is a warning, and the next start writes it.
    pub(crate) fn follow_definition(&self, name: &JailName) {
        // Only FreeBSD has such tools, and plugins are asked for it.
        if self.system.os() != "freebsd" {
            return;
        }
        if let Err(e) = self.publish(name) {
            self.warn(&format!("the jail.conf of {name} is not up to date: {e}"));
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
