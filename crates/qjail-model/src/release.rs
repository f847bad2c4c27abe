//! FreeBSD releases and the platforms they are built for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a release name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a release; write it as uname -r does, such as 15.0-RELEASE")]
pub struct ReleaseError(String);

/// A FreeBSD release, `15.0-RELEASE`. A patch level (`-p3`) is dropped: base archives exist per release only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Release {
    /// `15` of `15.0`.
    pub major: u16,
    /// `0` of `15.0`.
    pub minor: u16,
    /// `RELEASE`, `STABLE`, `CURRENT`, `BETA1`, `RC2`, ….
    pub branch: String,
}

impl Release {
    /// Whether a userland of this release may run on a host of release `host`: the host must not be older
    /// (FreeBSD supports older userlands on newer kernels only).
    #[must_use]
    pub fn runs_on(&self, host: &Release) -> bool {
        (self.major, self.minor) <= (host.major, host.minor)
    }

    /// Whether the project publishes it below `snapshots/` instead of `releases/`.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        matches!(self.branch.as_str(), "STABLE" | "CURRENT")
    }
}

impl FromStr for Release {
    type Err = ReleaseError;

    fn from_str(s: &str) -> Result<Self, ReleaseError> {
        parse_release(s).ok_or_else(|| ReleaseError(s.to_owned()))
    }
}

fn parse_release(s: &str) -> Option<Release> {
    let mut parts = s.split('-');
    let (major, minor) = parts.next()?.split_once('.')?;
    let branch = parts.next()?;
    let patch_ok = parts.next().is_none_or(|p| {
        p.strip_prefix('p')
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    });
    let branch_ok = branch.starts_with(|c: char| c.is_ascii_uppercase())
        && branch.chars().all(|c| c.is_ascii_alphanumeric());
    let number = |t: &str| {
        t.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| t.parse().ok())
            .flatten()
    };
    (patch_ok && branch_ok && parts.next().is_none()).then_some(())?;
    Some(Release {
        major: number(major)?,
        minor: number(minor)?,
        branch: branch.to_owned(),
    })
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}-{}", self.major, self.minor, self.branch)
    }
}

impl TryFrom<String> for Release {
    type Error = ReleaseError;
    fn try_from(s: String) -> Result<Self, ReleaseError> {
        s.parse()
    }
}

impl From<Release> for String {
    fn from(r: Release) -> String {
        r.to_string()
    }
}

/// A platform by its two FreeBSD names: `hw.machine` and `hw.machine_arch` (`uname -m`, `uname -p`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arch {
    /// `amd64`, `arm64`, `arm`, `powerpc`, `riscv`, `i386`.
    pub machine: &'static str,
    /// `amd64`, `aarch64`, `armv7`, `powerpc64le`, `riscv64`, ….
    pub machine_arch: &'static str,
}

/// Every platform of the release tree, as `<machine>/<machine_arch>`.
const ARCHES: [Arch; 9] = [
    Arch {
        machine: "amd64",
        machine_arch: "amd64",
    },
    Arch {
        machine: "arm64",
        machine_arch: "aarch64",
    },
    Arch {
        machine: "arm",
        machine_arch: "armv7",
    },
    Arch {
        machine: "arm",
        machine_arch: "armv6",
    },
    Arch {
        machine: "powerpc",
        machine_arch: "powerpc",
    },
    Arch {
        machine: "powerpc",
        machine_arch: "powerpc64",
    },
    Arch {
        machine: "powerpc",
        machine_arch: "powerpc64le",
    },
    Arch {
        machine: "riscv",
        machine_arch: "riscv64",
    },
    Arch {
        machine: "i386",
        machine_arch: "i386",
    },
];

impl Arch {
    /// The platform that `name` means: a FreeBSD machine or machine_arch, or Linux's `x86_64`.
    #[must_use]
    pub fn find(name: &str) -> Option<Arch> {
        let name = if name == "x86_64" { "amd64" } else { name };
        ARCHES
            .iter()
            .find(|a| a.machine_arch == name)
            .or_else(|| ARCHES.iter().find(|a| a.machine == name))
            .cloned()
    }

    /// The names that [`Arch::find`] knows, for a message.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        ARCHES.iter().map(|a| a.machine_arch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        assert_eq!(
            "15.0-RELEASE-p1".parse::<Release>().unwrap().to_string(),
            "15.0-RELEASE"
        );
        assert!("14.4-STABLE".parse::<Release>().unwrap().is_snapshot());
        for bad in [
            "",
            "15",
            "15.0",
            "15.0-",
            "15-RELEASE",
            "a.b-RELEASE",
            "15.0-release",
            "15.0-RELEASE-q",
            "+1.0-RELEASE",
            "15.0-../x",
        ] {
            assert!(bad.parse::<Release>().is_err(), "{bad}");
        }
        let r = |s: &str| s.parse::<Release>().unwrap();
        assert!(r("13.2-RELEASE").runs_on(&r("15.0-RELEASE")));
        assert!(!r("15.1-RELEASE").runs_on(&r("15.0-RELEASE")));
    }

    #[test]
    fn arches() {
        assert_eq!(Arch::find("aarch64").unwrap().machine, "arm64");
        assert_eq!(Arch::find("arm64").unwrap().machine_arch, "aarch64");
        assert_eq!(Arch::find("x86_64").unwrap().machine, "amd64");
        assert!(Arch::find("vax").is_none());
    }
}
