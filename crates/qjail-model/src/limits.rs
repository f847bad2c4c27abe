//! Limits on what the processes of one jail use together: memory, how many they are, processor time.
//!
//! These three are what rctl(8) and Linux's control groups both carry out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Size;

/// Why `NAME=VALUE` is refused as a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No such limit.
    #[error("there is no limit `{0}`: there are memory, pids and cpu")]
    Name(String),
    /// Not of the form `NAME=VALUE`.
    #[error("`{0}`: write NAME=VALUE, such as memory=512m")]
    Form(String),
    /// The value is none.
    #[error("the limit {name}={value}: {why}")]
    Value {
        /// `memory`, `pids` or `cpu`.
        name: &'static str,
        /// As it was given.
        value: String,
        /// What it should be.
        why: &'static str,
    },
}

/// A share of processor time: 100 % is one whole processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u32);

impl Percent {
    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl FromStr for Percent {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        number(digits)
            .filter(|n| CPU.contains(n))
            .map(Self)
            .ok_or_else(|| value("cpu", text, "a share of one processor, from 1% to 100000%"))
    }
}

impl TryFrom<String> for Percent {
    type Error = LimitError;
    fn try_from(text: String) -> Result<Self, LimitError> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> String {
        percent.to_string()
    }
}

const CPU: std::ops::RangeInclusive<u32> = 1..=100_000;
/// Process 1 and a command of its own must fit.
const PIDS: std::ops::RangeInclusive<u32> = 4..=4_000_000;
/// Less does not hold one shell.
const LEAST_MEMORY: u64 = 4 << 20;

/// The limits of one jail; none is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory of all its processes, in RAM; with what would go to swap on Linux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Its processes; on Linux its threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// Processor time, of one processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Percent>,
}

/// A limit and what is to become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitChange {
    /// `memory=512m`, or none.
    Memory(Option<Size>),
    /// `pids=200`, or none.
    Pids(Option<u32>),
    /// `cpu=50%`, or none.
    Cpu(Option<Percent>),
}

impl LimitChange {
    /// `memory`, `pids` or `cpu`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::Pids(_) => "pids",
            Self::Cpu(_) => "cpu",
        }
    }

    /// The value as it is written; none where the limit is taken away.
    #[must_use]
    pub fn value(self) -> Option<String> {
        match self {
            Self::Memory(size) => size.map(|s| s.to_string()),
            Self::Pids(count) => count.map(|c| c.to_string()),
            Self::Cpu(share) => share.map(|s| s.to_string()),
        }
    }
}

impl FromStr for LimitChange {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (name, given) = text
            .split_once('=')
            .ok_or_else(|| LimitError::Form(text.to_owned()))?;
        let none = given == "none";
        match name {
            "memory" if none => Ok(Self::Memory(None)),
            "pids" if none => Ok(Self::Pids(None)),
            "cpu" if none => Ok(Self::Cpu(None)),
            "memory" => memory(given).map(|size| Self::Memory(Some(size))),
            "pids" => pids(given).map(|count| Self::Pids(Some(count))),
            "cpu" => given.parse().map(|share| Self::Cpu(Some(share))),
            _ => Err(LimitError::Name(name.to_owned())),
        }
    }
}

fn memory(given: &str) -> Result<Size, LimitError> {
    given
        .parse::<Size>()
        .ok()
        .filter(|size| (LEAST_MEMORY..=i64::MAX.unsigned_abs()).contains(&size.bytes()))
        .ok_or_else(|| value("memory", given, "a size of at least 4m, such as 512m or 2g"))
}

fn pids(given: &str) -> Result<u32, LimitError> {
    number(given)
        .filter(|count| PIDS.contains(count))
        .ok_or_else(|| value("pids", given, "a number from 4 to 4000000"))
}

fn number(digits: &str) -> Option<u32> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn value(name: &'static str, value: &str, why: &'static str) -> LimitError {
    LimitError::Value {
        name,
        value: value.to_owned(),
        why,
    }
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets a limit or takes it away.
    pub fn apply(&mut self, change: LimitChange) {
        match change {
            LimitChange::Memory(size) => self.memory = size,
            LimitChange::Pids(count) => self.pids = count,
            LimitChange::Cpu(share) => self.cpu = share,
        }
    }

    /// Each limit that is set.
    pub fn iter(&self) -> impl Iterator<Item = LimitChange> {
        [
            self.memory.map(|m| LimitChange::Memory(Some(m))),
            self.pids.map(|p| LimitChange::Pids(Some(p))),
            self.cpu.map(|c| LimitChange::Cpu(Some(c))),
        ]
        .into_iter()
        .flatten()
    }

    /// Checks what a definition file says, as the command line is checked.
    ///
    /// # Errors
    /// The limit that is outside its range.
    pub fn check(&self) -> Result<(), LimitError> {
        self.iter()
            .map(|limit| format!("{}={}", limit.name(), limit.value().unwrap_or_default()))
            .try_for_each(|text| text.parse::<LimitChange>().map(drop))
    }
}

/// `memory=512m,pids=200,cpu=50%`.
impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self
            .iter()
            .map(|limit| format!("{}={}", limit.name(), limit.value().unwrap_or_default()));
        f.write_str(&all.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut limits = Limits::default();
        for text in ["memory=512m", "pids=200", "cpu=50%"] {
            limits.apply(text.parse().unwrap());
        }
        assert_eq!(limits.to_string(), "memory=512m,pids=200,cpu=50%");
        limits.check().unwrap();
        let toml = toml::to_string(&limits).unwrap();
        assert_eq!(toml::from_str::<Limits>(&toml).unwrap(), limits);
        limits.apply("pids=none".parse().unwrap());
        limits.apply("cpu=150".parse().unwrap());
        assert_eq!(limits.to_string(), "memory=512m,cpu=150%");
    }

    #[test]
    fn bad_limits_say_what_is_wrong() {
        for (bad, why) in [
            ("memory", "NAME=VALUE"),
            ("disk=1g", "no limit `disk`"),
            ("memory=lots", "at least 4m"),
            ("memory=1m", "at least 4m"),
            ("memory=-512m", "at least 4m"),
            ("pids=3", "from 4"),
            ("pids=0x10", "from 4"),
            ("pids=", "from 4"),
            ("pids=99999999999", "from 4"),
            ("cpu=0%", "1%"),
            ("cpu=50%%", "1%"),
            ("cpu=1.5", "1%"),
            ("=1", "no limit ``"),
        ] {
            let error = bad.parse::<LimitChange>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
        let low = Limits {
            pids: Some(1),
            ..Limits::default()
        };
        assert!(low.check().unwrap_err().to_string().contains("pids=1"));
    }
}
