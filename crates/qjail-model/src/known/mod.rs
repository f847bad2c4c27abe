//! What is known of the parameters of jail(8): types, and a sentence or two on each. Data, and the checks that follow
//! from it.
//!
//! It does not know which of them a system carries out; that is `qjail-sys`. Names that are not in the table can stand in
//! definitions: kernels and modules bring new ones.

mod table;

use std::fmt;

use crate::{AddrSpec, Family, ParamValue, Params, nearest};

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// Any text.
    Text,
    /// The name of a host: letters, digits, `.`, `-` and `_`, 255 at most.
    HostName,
    /// Texts, one for each time that it is given.
    List,
    /// One of these words; the first is what the name alone means.
    Word(&'static [&'static str]),
    /// A whole number of seconds.
    Seconds,
    /// Addresses, separated by commas.
    Addresses(Family),
    /// It can not be set; why.
    Fixed(&'static str),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("switch"),
            Self::Integer { min, max } => write!(f, "number from {min} to {max}"),
            Self::Text => f.write_str("text"),
            Self::HostName => f.write_str("host name"),
            Self::List => f.write_str("list"),
            Self::Word(words) => f.write_str(&words.join("|")),
            Self::Seconds => f.write_str("seconds"),
            Self::Addresses(Family::V4) => f.write_str("IPv4 addresses"),
            Self::Addresses(Family::V6) => f.write_str("IPv6 addresses"),
            Self::Fixed(_) => f.write_str("not to be set"),
        }
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its name, not negated.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The first release of FreeBSD that has it, `13.2` for that one and all before.
    pub since: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// Why `KEY=VALUE` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// Not in the table.
    #[error("jail(8) has no parameter {name}")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The name that was probably meant.
        near: Option<&'static str>,
    },
    /// It can not be set.
    #[error("{name} can not be set: {why}")]
    Fixed {
        /// The parameter.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The value has not the type.
    #[error("{name}: `{value}` is not {wanted}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What it should be.
        wanted: String,
    },
    /// A value is missing.
    #[error("{name} needs a value: {wanted}")]
    NoValue {
        /// The parameter.
        name: &'static str,
        /// What it should be.
        wanted: String,
    },
    /// A control character.
    #[error("{0}")]
    Param(#[from] crate::ParamError),
}

/// Every known parameter, in the order of the names.
#[must_use]
pub fn all() -> &'static [Known] {
    table::TABLE
}

/// The parameter `name`, and whether `name` is its negation (`allow.noraw_sockets`).
#[must_use]
pub fn find(name: &str) -> Option<(&'static Known, bool)> {
    let listed = |name: &str| all().iter().find(|k| k.name == name);
    if let Some(known) = listed(name) {
        return Some((known, false));
    }
    let last = name.rfind('.').map_or(0, |dot| dot + 1);
    let plain = format!("{}{}", &name[..last], name[last..].strip_prefix("no")?);
    listed(&plain)
        .filter(|k| matches!(k.kind, Kind::Switch | Kind::Word(_)))
        .map(|k| (k, true))
}

/// The known name that `name` was probably meant to be.
#[must_use]
pub fn near(name: &str) -> Option<&'static str> {
    // `fib` is rather exec.fib than jid.
    let last = |k: &&Known| k.name.rsplit_once('.').is_some_and(|(_, last)| last == name);
    match all().iter().find(last) {
        Some(known) => Some(known.name),
        None => nearest(name, all().iter().map(|k| k.name)),
    }
}

/// `KEY=VALUE`, or `KEY` where `value` is none, as name and value for a definition: checked against the type, negations
/// turned round. Names that are not known are taken as they are where `force` is set.
///
/// # Errors
/// [`KnownError`] says what is wrong.
pub fn parse(key: &str, value: Option<&str>, force: bool) -> Result<(String, ParamValue), KnownError> {
    let Some((known, negated)) = find(key) else {
        let given = untyped(value);
        Params::check(key, &given)?;
        if force {
            return Ok((key.to_owned(), given));
        }
        return Err(KnownError::Unknown {
            name: key.to_owned(),
            near: near(key),
        });
    };
    let typed = typed(known, negated, value)?;
    Params::check(known.name, &typed)?;
    Ok((known.name.to_owned(), typed))
}

fn is_host_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    text.len() <= 255 && text.chars().all(fits) && !text.starts_with(['-', '.'])
}

fn untyped(value: Option<&str>) -> ParamValue {
    match value {
        None | Some("true") => ParamValue::Bool(true),
        Some("false") => ParamValue::Bool(false),
        Some(text) => ParamValue::Text(text.to_owned()),
    }
}

fn typed(known: &'static Known, negated: bool, value: Option<&str>) -> Result<ParamValue, KnownError> {
    let wanted = |wanted: String| {
        let name = known.name;
        match value {
            Some(value) => KnownError::Value {
                name,
                value: value.to_owned(),
                wanted,
            },
            None => KnownError::NoValue { name, wanted },
        }
    };
    let text = value.filter(|v| !v.is_empty());
    match known.kind {
        Kind::Fixed(why) => Err(KnownError::Fixed {
            name: known.name,
            why,
        }),
        Kind::Switch => switch(value)
            .map(|on| ParamValue::Bool(on != negated))
            .ok_or_else(|| wanted("true or false".to_owned())),
        Kind::Word(words) if negated => match switch(value) {
            Some(true) if words.contains(&"disable") => Ok("disable".into()),
            Some(true) => Ok("inherit".into()),
            Some(false) => Ok("new".into()),
            None => Err(wanted("true or false".to_owned())),
        },
        Kind::Word(words) => {
            let word = value.unwrap_or("new");
            let one_of = || wanted(format!("one of {}", words.join(", ")));
            words.contains(&word).then(|| word.into()).ok_or_else(one_of)
        }
        Kind::Integer { min, max } => text
            .and_then(|t| t.parse::<i64>().ok())
            .filter(|n| (min..=max).contains(n))
            .map(|n| ParamValue::Text(n.to_string()))
            .ok_or_else(|| wanted(format!("a whole number from {min} to {max}"))),
        Kind::Seconds => text
            .and_then(|t| t.parse::<u32>().ok())
            .map(|n| ParamValue::Text(n.to_string()))
            .ok_or_else(|| wanted("a whole number of seconds".to_owned())),
        Kind::Addresses(family) => {
            let list = text.map(|t| t.split(',').map(str::trim).map(str::to_owned).collect::<Vec<_>>());
            list.filter(|l| l.iter().all(|a| is_address(a, family)))
                .map(ParamValue::List)
                .ok_or_else(|| wanted(format!("a list of {}", known.kind)))
        }
        Kind::HostName => text
            .filter(|t| is_host_name(t))
            .map(ParamValue::from)
            .ok_or_else(|| wanted("a host name: letters, digits, `.`, `-` and `_`".to_owned())),
        Kind::Text | Kind::List => text
            .map(ParamValue::from)
            .ok_or_else(|| wanted("a text".to_owned())),
    }
}

fn switch(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("true" | "1" | "yes" | "on") => Some(true),
        Some("false" | "0" | "no" | "off") => Some(false),
        Some(_) => None,
    }
}

fn is_address(text: &str, family: Family) -> bool {
    text.parse::<AddrSpec>()
        .is_ok_and(|spec| spec.addr.is_ipv4() == (family == Family::V4))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
