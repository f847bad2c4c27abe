//! Sizes as qjail writes them: `10m`, `2g`; powers of 1024.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a size is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size; write a whole number with k, m, g or t, such as 10m or 2g")]
pub struct SizeError(String);

/// A number of bytes. Units are powers of 1024, as in qjail 5.x and mdconfig(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(u64);

const UNITS: [(char, u32); 4] = [('t', 40), ('g', 30), ('m', 20), ('k', 10)];

impl Size {
    /// A size of `bytes` bytes.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(s: &str) -> Result<Self, SizeError> {
        let error = || SizeError(s.to_owned());
        let lower = s.to_ascii_lowercase();
        let unit = UNITS.iter().find(|(c, _)| lower.ends_with(*c));
        let digits = unit.map_or(lower.as_str(), |_| &lower[..lower.len() - 1]);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let number: u64 = digits.parse().map_err(|_| error())?;
        number
            .checked_mul(1 << unit.map_or(0, |(_, shift)| *shift))
            .map(Self)
            .ok_or_else(error)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS
            .iter()
            .find(|(_, s)| self.0 != 0 && self.0.is_multiple_of(1 << s));
        match exact {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<String> for Size {
    type Error = SizeError;
    fn try_from(s: String) -> Result<Self, SizeError> {
        s.parse()
    }
}

impl From<Size> for String {
    fn from(s: Size) -> String {
        s.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units() {
        assert_eq!("10m".parse::<Size>().unwrap().bytes(), 10 << 20);
        assert_eq!("2G".parse::<Size>().unwrap().bytes(), 2 << 30);
        assert_eq!("1500".parse::<Size>().unwrap().to_string(), "1500");
        for bad in ["", "m", "-1m", "1.5g", "10mb", "99999999999t", "1 g", "+1"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(n in any::<u64>()) {
            prop_assert_eq!(Size(n).to_string().parse::<Size>().unwrap(), Size(n));
        }
    }
}
