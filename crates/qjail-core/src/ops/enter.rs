//! `exec` and `console`: a command or a login in a running jail.

use qjail_model::JailName;
use qjail_sys::{ExecSpec, Need};

use crate::engine::Engine;
use crate::ops::accounts;
use crate::{Error, Result};

impl Engine {
    /// Runs a command in a running jail and returns its exit status.
    ///
    /// # Errors
    /// When it could not even be tried.
    pub fn enter(&self, name: &JailName, spec: &ExecSpec) -> Result<i32> {
        self.require(Need::Jails)?;
        self.definition_in_zone(name, false)?;
        let definition = self.definition(name)?;
        let places = self.places(definition.zone.as_ref(), Some(name.to_string()));
        self.require_own(name, &places)?;
        if self.system.find(name.as_str())?.is_none() {
            let zone = definition
                .zone
                .map_or(String::new(), |zone| format!(" -z {zone}"));
            return Err(
                Error::new(format!("Error: Jail is not running and it has to be. {name}"))
                    .hint(format!("qjail{zone} start {name}")),
            );
        }
        if spec.login {
            accounts::require_plain(&places).map_err(|e| e.about(name))?;
        }
        self.system
            .exec(name.as_str(), spec)
            .map_err(|e| Error::from(e).about(name))
    }
}
