//! `exec` and `console`: a command or a login in a running jail.

use qjail_model::JailName;
use qjail_sys::{ExecSpec, Need};

use crate::engine::Engine;
use crate::{Error, Result};

impl Engine {
    /// Runs a command in a running jail and returns its exit status.
    ///
    /// # Errors
    /// When it could not even be tried.
    pub fn enter(&self, name: &JailName, spec: &ExecSpec) -> Result<i32> {
        self.require(Need::Jails)?;
        let definition = self.definition(name)?;
        self.require_own(name, &self.places(definition.zone.as_ref(), None))?;
        if self.system.find(name.as_str())?.is_none() {
            let zone = definition
                .zone
                .map_or(String::new(), |zone| format!(" -z {zone}"));
            return Err(
                Error::new(format!("Error: Jail is not running and it has to be. {name}"))
                    .hint(format!("qjail{zone} start {name}")),
            );
        }
        self.system
            .exec(name.as_str(), spec)
            .map_err(|e| Error::from(e).about(name))
    }
}
