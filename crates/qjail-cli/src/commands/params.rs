//! `--param KEY=VALUE`: texts to checked parameters.

use qjail_core::Error;
use qjail_model::known::{self, Kind, KnownError};
use qjail_model::{ParamValue, Params};
use qjail_plugin_api::Options;

/// What `--param` sets. A parameter that is a list may be given several times, any other once.
pub(super) fn set(options: &Options) -> Result<Vec<(String, ParamValue)>, Error> {
    let force = options.is_on("force-param");
    let mut params = Params::new();
    let mut errors = Vec::new();
    for text in options.list("param") {
        match one(text, force).and_then(|(key, value)| add(&mut params, &key, value)) {
            Ok(()) => {}
            Err(e) => errors.push(e),
        }
    }
    match Error::all(errors) {
        Some(error) => Err(error),
        None => Ok(params.iter().map(|(k, v)| (k.to_owned(), v.clone())).collect()),
    }
}

fn one(text: &str, force: bool) -> Result<(String, ParamValue), Error> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (text, None),
    };
    known::parse(key, value, force).map_err(|e| error(text, &e))
}

fn add(params: &mut Params, key: &str, value: ParamValue) -> Result<(), Error> {
    let Some(before) = params.get(key) else {
        params.set(key, value);
        return Ok(());
    };
    let is_list = known::find(key).is_some_and(|(k, _)| matches!(k.kind, Kind::List | Kind::Addresses(_)));
    if !is_list {
        return Err(Error::usage(format!("--param {key} is given twice")).hint("give it once"));
    }
    let both = [before.to_list(), value.to_list()].concat();
    params.set(key, both);
    Ok(())
}

/// The name in `--unset KEY`: a known one, or whatever a definition may hold.
pub(super) fn unset(key: &str) -> Result<String, Error> {
    match known::find(key) {
        Some((known, _)) => Ok(known.name.to_owned()),
        None => match Params::check(key, &ParamValue::Bool(true)) {
            Ok(()) => Ok(key.to_owned()),
            Err(e) => Err(Error::usage(format!("--unset {key}: {e}"))),
        },
    }
}

fn error(text: &str, error: &KnownError) -> Error {
    let refused = Error::usage(format!("--param {text}: {error}"));
    match error {
        KnownError::Unknown { near: Some(near), .. } => {
            refused.hint(format!("there is {near}; --force-param takes the name as it is"))
        }
        KnownError::Unknown { near: None, .. } => {
            refused.hint("qjail help params lists them; --force-param takes the name as it is")
        }
        KnownError::Fixed { name, .. }
        | KnownError::Value { name, .. }
        | KnownError::NoValue { name, .. } => refused.hint(format!("qjail help params {name} explains it")),
        KnownError::Param(_) => refused,
    }
}
