//! Names of jails and zones, and the selectors that stand for several jails.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names that the directory layout keeps for itself (`/usr/jails/sharedfs`, …).
pub const RESERVED_NAMES: [&str; 4] = ["sharedfs", "template", "archive", "flavors"];

/// The longest jail name, in characters (qjail 5.x's limit).
const MAX_NAME: usize = 50;

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a {0} name is empty")]
    Empty(&'static str),
    /// More than 50 characters.
    #[error("{kind} name `{name}` has {len} characters, {MAX_NAME} are allowed")]
    TooLong {
        /// `jail` or `zone`.
        kind: &'static str,
        /// The refused name.
        name: String,
        /// Its length in characters.
        len: usize,
    },
    /// A character outside `A-Z a-z 0-9 _ -`.
    #[error("{kind} name `{name}` has the character {bad:?}; allowed are letters, digits, `_` and `-`")]
    BadCharacter {
        /// `jail` or `zone`.
        kind: &'static str,
        /// The refused name.
        name: String,
        /// The first character that is not allowed.
        bad: char,
    },
    /// Would be read as an option.
    #[error("{kind} name `{name}` begins with `-`")]
    LeadingDash {
        /// `jail` or `zone`.
        kind: &'static str,
        /// The refused name.
        name: String,
    },
    /// Only digits: jail(8) would take it for a jid.
    #[error("{kind} name `{name}` is a number, which jail(8) would take for a jail id")]
    Numeric {
        /// `jail` or `zone`.
        kind: &'static str,
        /// The refused name.
        name: String,
    },
    /// One of [`RESERVED_NAMES`] or, for a zone, `nozone`.
    #[error("{kind} name `{name}` is reserved")]
    Reserved {
        /// `jail` or `zone`.
        kind: &'static str,
        /// The refused name.
        name: String,
    },
}

fn check(kind: &'static str, name: &str, reserved: &[&str]) -> Result<(), NameError> {
    let owned = || name.to_owned();
    if name.is_empty() {
        return Err(NameError::Empty(kind));
    }
    if let Some(bad) = name
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-'))
    {
        return Err(NameError::BadCharacter {
            kind,
            name: owned(),
            bad,
        });
    }
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong {
            kind,
            name: owned(),
            len: name.len(),
        });
    }
    if name.starts_with('-') {
        return Err(NameError::LeadingDash { kind, name: owned() });
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NameError::Numeric { kind, name: owned() });
    }
    if reserved.contains(&name) {
        return Err(NameError::Reserved { kind, name: owned() });
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks and keeps `name`.
            ///
            /// # Errors
            /// [`NameError`] names the rule that is broken.
            pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
                let name = name.into();
                check($kind, &name, &$reserved)?;
                Ok(Self(name))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                Self::new(s)
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> {
                Self::new(s)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

name_type!(
    /// The name of a jail: `[A-Za-z0-9_-]`, 1 to 50 characters, not all digits, none of [`RESERVED_NAMES`].
    JailName,
    "jail",
    RESERVED_NAMES
);
name_type!(
    /// The name of a zone: the characters of a jail name, not all digits, not `nozone`.
    ZoneName,
    "zone",
    ["nozone"]
);

/// What a user names jails with: one name, or `prefix=` for every jail whose name begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Exactly this jail.
    Name(JailName),
    /// Every jail whose name begins with the text.
    Prefix(String),
}

impl Selector {
    /// Whether `name` is meant.
    #[must_use]
    pub fn matches(&self, name: &JailName) -> bool {
        match self {
            Self::Name(n) => n == name,
            Self::Prefix(p) => name.as_str().starts_with(p.as_str()),
        }
    }
}

impl FromStr for Selector {
    type Err = NameError;

    fn from_str(s: &str) -> Result<Self, NameError> {
        let Some(prefix) = s.strip_suffix('=') else {
            return JailName::new(s).map(Self::Name);
        };
        // A prefix may be all digits or a reserved word, so only its characters are checked.
        match check("jail", prefix, &[]) {
            Ok(()) | Err(NameError::Numeric { .. }) => Ok(Self::Prefix(prefix.to_owned())),
            Err(e) => Err(e),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(n) => n.fmt(f),
            Self::Prefix(p) => write!(f, "{p}="),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names() {
        for good in ["jail1", "a", "web_01", "db-main", "1a", "nozone", &"x".repeat(50)] {
            assert_eq!(JailName::new(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn bad_names_say_why() {
        for (bad, why) in [
            ("", "empty"),
            ("a b", "' '"),
            ("../x", "'.'"),
            ("jäil", "'ä'"),
            ("a/b", "'/'"),
            ("-a", "begins with `-`"),
            ("123", "jail id"),
            ("sharedfs", "reserved"),
            ("template", "reserved"),
            (&"x".repeat(51), "51 characters"),
            ("a\n", "'\\n'"),
        ] {
            let text = JailName::new(bad).unwrap_err().to_string();
            assert!(text.contains(why), "{bad:?}: {text}");
        }
        assert!(
            ZoneName::new("nozone")
                .unwrap_err()
                .to_string()
                .contains("reserved")
        );
    }

    #[test]
    fn selectors() {
        let web: Selector = "web=".parse().unwrap();
        assert!(web.matches(&JailName::new("web-1").unwrap()));
        assert!(!web.matches(&JailName::new("db").unwrap()));
        assert_eq!(web.to_string(), "web=");
        assert!("1=".parse::<Selector>().is_ok());
        assert!("=".parse::<Selector>().is_err());
        assert!("a/=".parse::<Selector>().is_err());
    }

    #[test]
    fn serde_checks_too() {
        assert!(serde_json::from_str::<JailName>("\"a/b\"").is_err());
        assert_eq!(
            serde_json::to_string(&JailName::new("a").unwrap()).unwrap(),
            "\"a\""
        );
    }
}
