//! The definition of a jail: what its TOML file holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Limits, Params, Size, ZoneName};

/// The format that this version writes; older ones are read.
const FORMAT: u32 = 1;

/// Why a definition file is refused, with the place in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct DefinitionError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// Everything qjail keeps of a jail. Its name is the name of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The version of the file format.
    pub format: u32,
    /// The zone; none is the default zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// Not started at boot.
    #[serde(default, skip_serializing_if = "is_false")]
    pub manual: bool,
    /// Never started.
    #[serde(default, skip_serializing_if = "is_false")]
    pub norun: bool,
    /// Has its own full copy of the base instead of the shared one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub thick: bool,
    /// Has a file system of its own, of this size, in a file beside the jails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Size>,
    /// The base it is pinned to; none follows the zone's current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Jails that must run before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depend: Vec<String>,
    /// The flavors it was made with, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flavors: Vec<String>,
    /// When it was created, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// What its processes may use together.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// Parameters of jail(8) that differ from qjail's own.
    #[serde(default, skip_serializing_if = "Params::is_empty")]
    pub params: Params,
    /// What plugins keep, a table for each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, toml::Table>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(b: &bool) -> bool {
    !*b
}

impl Definition {
    /// An empty definition in today's format.
    #[must_use]
    pub fn new() -> Self {
        Self {
            format: FORMAT,
            ..Self::default()
        }
    }

    /// Reads a definition.
    ///
    /// # Errors
    /// [`DefinitionError`] with line and column: no TOML, an unknown key, a wrong type, a later format, a bad parameter.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let parsed: Self = toml::from_str(text).map_err(|e| {
            let (line, column) = position(text, e.span().map_or(0, |s| s.start));
            DefinitionError {
                line,
                column,
                message: one_line(e.message()),
            }
        })?;
        parsed.check(text)?;
        Ok(parsed)
    }

    fn check(&self, text: &str) -> Result<(), DefinitionError> {
        let fail = |needle: &str, message: String| {
            let (line, column) = position(text, text.find(needle).unwrap_or(0));
            Err(DefinitionError {
                line,
                column,
                message,
            })
        };
        if self.format == 0 || self.format > FORMAT {
            return fail(
                "format",
                format!("format {} is not known; this qjail reads 1", self.format),
            );
        }
        for (key, value) in self.params.iter() {
            if let Err(e) = Params::check(key, value) {
                return fail(key, e.to_string());
            }
        }
        match self.limits.check() {
            Err(e) => fail("limits", e.to_string()),
            Ok(()) => Ok(()),
        }
    }

    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }
}

pub(crate) fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Definition {
        let mut d = Definition::new();
        d.zone = Some(ZoneName::new("web").unwrap());
        d.depend = vec!["db".into()];
        d.image = Some("64m".parse().unwrap());
        d.params.set("ip4.addr", vec!["192.168.1.2".to_owned()]);
        d.params.set("allow.raw_sockets", true);
        d.limits.apply("memory=512m".parse().unwrap());
        d.limits.apply("pids=100".parse().unwrap());
        d.plugins
            .insert("ssh".into(), toml::from_str("user = \"jail1\"").unwrap());
        d
    }

    #[test]
    fn round_trip() {
        assert_eq!(Definition::parse(&sample().to_text()).unwrap(), sample());
    }

    #[test]
    fn typos_have_a_place() {
        let e = Definition::parse("format = 1\nmanuel = true\n").unwrap_err();
        assert_eq!((e.line, e.column), (2, 1));
        assert!(e.to_string().contains("manuel"), "{e}");
        assert!(!e.to_string().contains('\n'));
        let e = Definition::parse("format = 1\n[params]\n\"a b\" = true\n").unwrap_err();
        assert_eq!(e.line, 3);
        let e = Definition::parse("format = 1\n[limits]\npids = 1\n").unwrap_err();
        assert_eq!(e.line, 2);
        let e = Definition::parse("format = 1\nnorun = \"yes\"\n").unwrap_err();
        assert_eq!((e.line, e.column), (2, 9));
        assert!(
            Definition::parse("format = 9")
                .unwrap_err()
                .to_string()
                .contains("format 9")
        );
        assert!(
            Definition::parse("zone = \"a\"")
                .unwrap_err()
                .to_string()
                .contains("format")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = Definition::parse(&text);
        }

        #[test]
        fn any_value_survives(value in "[^\\p{Cc}]{0,20}", list in proptest::collection::vec("[^\\p{Cc}]{0,9}", 0..3)) {
            let mut d = Definition::new();
            d.params.set("exec.start", value);
            d.params.set("ip4.addr", list);
            prop_assert_eq!(Definition::parse(&d.to_text()).unwrap(), d);
        }
    }
}
