//! Parameters of jail(8): the vocabulary that definitions, plugins and systems share.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The value of one parameter: a switch, a text, or a list (`ip4.addr`, `exec.start`, … may be repeated).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ParamValue {
    /// `allow.raw_sockets;` or `allow.noraw_sockets;`.
    Bool(bool),
    /// `host.hostname = "jail1";`, numbers included.
    Text(String),
    /// `ip4.addr = 192.168.1.2, 192.168.1.3;`.
    List(Vec<String>),
}

impl ParamValue {
    /// The value as a list: a text is a list of one, a switch `true` or `false`.
    #[must_use]
    pub fn to_list(&self) -> Vec<String> {
        match self {
            Self::Bool(b) => vec![b.to_string()],
            Self::Text(t) => vec![t.clone()],
            Self::List(l) => l.clone(),
        }
    }

    /// The value of a parameter that takes one text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(t) => Some(t),
            Self::List(l) if l.len() == 1 => Some(&l[0]),
            Self::Bool(_) | Self::List(_) => None,
        }
    }

    /// The value of a switch; jail.conf(5) writes `true`, `1`, `yes`, `on` or nothing for on.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(b) => Some(*b),
            Self::Text(t) => match t.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            Self::List(_) => None,
        }
    }
}

impl fmt::Display for ParamValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Text(t) => f.write_str(t),
            Self::List(l) => f.write_str(&l.join(", ")),
        }
    }
}

impl From<bool> for ParamValue {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl From<&str> for ParamValue {
    fn from(t: &str) -> Self {
        Self::Text(t.to_owned())
    }
}

impl From<String> for ParamValue {
    fn from(t: String) -> Self {
        Self::Text(t)
    }
}

impl From<Vec<String>> for ParamValue {
    fn from(l: Vec<String>) -> Self {
        Self::List(l)
    }
}

impl Serialize for ParamValue {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(b) => s.serialize_bool(*b),
            Self::Text(t) => s.serialize_str(t),
            Self::List(l) => l.serialize(s),
        }
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = ParamValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, a number, a text or a list of texts")
    }
    fn visit_bool<E: de::Error>(self, v: bool) -> Result<ParamValue, E> {
        Ok(ParamValue::Bool(v))
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<ParamValue, E> {
        Ok(ParamValue::Text(v.to_string()))
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<ParamValue, E> {
        Ok(ParamValue::Text(v.to_string()))
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<ParamValue, E> {
        Ok(ParamValue::Text(v.to_owned()))
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<ParamValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element::<String>()? {
            list.push(item);
        }
        Ok(ParamValue::List(list))
    }
}

impl<'de> Deserialize<'de> for ParamValue {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(ValueVisitor)
    }
}

/// Why `KEY=VALUE` is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Not a parameter name of jail(8).
    #[error("`{0}` is not the name of a jail parameter")]
    BadName(String),
    /// Control characters would break out of the line in jail.conf(5).
    #[error("the value of {0} contains a control character")]
    BadValue(String),
}

/// Parameters of a jail by name, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Params(BTreeMap<String, ParamValue>);

impl Params {
    /// No parameter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&ParamValue> {
        self.0.get(key)
    }

    /// The text of `key`, where it has one.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(ParamValue::as_text)
    }

    /// The list of `key`; empty where it is not set.
    #[must_use]
    pub fn list(&self, key: &str) -> Vec<String> {
        self.get(key).map(ParamValue::to_list).unwrap_or_default()
    }

    /// Whether the switch `key` is on.
    #[must_use]
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key).and_then(ParamValue::as_bool).unwrap_or(false)
    }

    /// Sets `key`, and tells what it was.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<ParamValue>) -> Option<ParamValue> {
        self.0.insert(key.into(), value.into())
    }

    /// Sets `key` where it is not set.
    pub fn set_default(&mut self, key: &str, value: impl Into<ParamValue>) {
        self.0.entry(key.to_owned()).or_insert_with(|| value.into());
    }

    /// Takes `key` away, and tells what it was.
    pub fn unset(&mut self, key: &str) -> Option<ParamValue> {
        self.0.remove(key)
    }

    /// Every parameter in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParamValue)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Whether nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of `over` on top of these.
    #[must_use]
    pub fn overlaid(mut self, over: &Params) -> Params {
        self.0.extend(over.0.iter().map(|(k, v)| (k.clone(), v.clone())));
        self
    }

    /// Checks that `key` and `value` can stand in a jail.conf(5): names are words of lower-case letters, digits and `_`
    /// joined by dots; values are free of control characters.
    ///
    /// # Errors
    /// [`ParamError`] says which of the two is wrong.
    pub fn check(key: &str, value: &ParamValue) -> Result<(), ParamError> {
        let word = |w: &str| {
            !w.is_empty()
                && w.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if !key.split('.').all(word) || !key.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(ParamError::BadName(key.to_owned()));
        }
        if value.to_list().iter().any(|t| t.chars().any(char::is_control)) {
            return Err(ParamError::BadValue(key.to_owned()));
        }
        Ok(())
    }
}

impl FromIterator<(String, ParamValue)> for Params {
    fn from_iter<I: IntoIterator<Item = (String, ParamValue)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toml_forms() {
        let text =
            "\"allow.raw_sockets\" = true\nsecurelevel = 2\n\"ip4.addr\" = [\"10.0.0.1\", \"10.0.0.2\"]\n";
        let p: Params = toml::from_str(text).unwrap();
        assert!(p.is_on("allow.raw_sockets"));
        assert_eq!(p.text("securelevel"), Some("2"));
        assert_eq!(p.list("ip4.addr").len(), 2);
        let again: Params = toml::from_str(&toml::to_string(&p).unwrap()).unwrap();
        assert_eq!(again, p);
        assert!(toml::from_str::<Params>("x = 1.5").is_err());
    }

    #[test]
    fn names_and_values_are_checked() {
        assert!(Params::check("exec.start", &"/bin/sh /etc/rc".into()).is_ok());
        for bad in ["", "a b", "x;y", "..", "a.", "Allow", "1a", "a=b"] {
            assert!(Params::check(bad, &true.into()).is_err(), "{bad}");
        }
        assert!(Params::check("host.hostname", &"a\nb".into()).is_err());
    }
}
