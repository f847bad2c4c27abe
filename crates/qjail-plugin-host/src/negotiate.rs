//! Whether a plugin and this program fit each other.

use qjail_plugin_api::{API_VERSION, Manifest};
use semver::Version;

use crate::Refusal;

/// The plugin's wish against our version of the documents.
pub(crate) fn api(manifest: &Manifest) -> Result<(), Refusal> {
    let fits = Version::parse(API_VERSION).is_ok_and(|ours| manifest.api.matches(&ours));
    if fits {
        return Ok(());
    }
    let message = format!(
        "plugin {} wants plugin API {}, this qjail has {API_VERSION}",
        manifest.name, manifest.api
    );
    Err(Refusal::new(message).hint("install the plugin's package for this version of qjail, or update qjail"))
}

/// The plugin's systems against ours.
pub(crate) fn platform(manifest: &Manifest, os: &str) -> Result<(), Refusal> {
    if manifest.platforms.is_empty() || manifest.platforms.iter().any(|p| p == os) {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "plugin {} is for {}, not for {os}",
        manifest.name,
        manifest.platforms.join(", ")
    )))
}

/// The first capability that the plugin needs and nobody has.
pub(crate) fn missing(manifest: &Manifest, has: impl Fn(&str) -> bool) -> Option<&str> {
    manifest.needs.iter().map(String::as_str).find(|need| !has(need))
}

/// The refusal for it.
pub(crate) fn lacks(manifest: &Manifest, need: &str) -> Refusal {
    Refusal::new(format!(
        "plugin {} needs {need}, which neither this qjail nor another plugin has",
        manifest.name
    ))
    .hint("update qjail, or install the plugin that provides it")
}
