//! The rules of a flavor: what its `flavor.toml` says of the files beside it.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

/// The systems that a rule can name.
const SYSTEMS: [&str; 2] = ["freebsd", "linux"];

/// Why a `flavor.toml` is refused, with the place in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct FlavorError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// A flavor's rules. Files without a rule are copied as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flavor {
    /// One line about the flavor.
    pub about: String,
    /// The rules, in the order of the file.
    pub file: Vec<FlavorFile>,
}

/// A rule for one file or directory of the flavor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlavorFile {
    /// Its path below the flavor and below the jail's root: relative, without `.`, `..` or empty parts.
    pub path: String,
    /// The permission bits it gets; none keeps those it has in the flavor.
    pub mode: Option<u32>,
    /// The only system it is for, `freebsd` or `linux`; none is for every one.
    pub os: Option<String>,
    /// Left out where the jail has something of that name already.
    pub unless_exists: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    about: String,
    #[serde(default)]
    file: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    path: Spanned<String>,
    #[serde(default)]
    mode: Option<Spanned<String>>,
    #[serde(default)]
    os: Option<Spanned<String>>,
    #[serde(default)]
    unless_exists: bool,
}

impl Flavor {
    /// Reads a `flavor.toml`: `about`, and `[[file]]` tables with `path`, `mode` (octal, `"0755"`), `os` and
    /// `unless_exists`.
    ///
    /// # Errors
    /// [`FlavorError`] with line and column: no TOML, an unknown key, a wrong type, a path that climbs, a mode that is none, a
    /// system that qjail does not know.
    pub fn parse(text: &str) -> Result<Self, FlavorError> {
        let parsed: Text = toml::from_str(text).map_err(|e| {
            let message = e.message().lines().map(str::trim).collect::<Vec<_>>().join(", ");
            at(text, e.span().unwrap_or(0..0), message)
        })?;
        let file = parsed
            .file
            .into_iter()
            .map(|r| r.check(text))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            about: parsed.about,
            file,
        })
    }
}

impl Rule {
    fn check(self, text: &str) -> Result<FlavorFile, FlavorError> {
        let path = self.path.get_ref();
        if !path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.contains('\0'))
        {
            return Err(at(
                text,
                self.path.span(),
                format!("`{path}` is no path below the flavor's directory"),
            ));
        }
        let mode = self.mode.map(|m| {
            octal(m.get_ref()).ok_or_else(|| {
                at(
                    text,
                    m.span(),
                    format!(
                        "`{}` is no mode; write it in octal, such as \"0755\"",
                        m.get_ref()
                    ),
                )
            })
        });
        let os = self.os.map(|os| {
            if SYSTEMS.contains(&os.get_ref().as_str()) {
                return Ok(os.get_ref().clone());
            }
            Err(at(
                text,
                os.span(),
                format!("`{}` is no system; write freebsd or linux", os.get_ref()),
            ))
        });
        Ok(FlavorFile {
            path: path.clone(),
            mode: mode.transpose()?,
            os: os.transpose()?,
            unless_exists: self.unless_exists,
        })
    }
}

fn octal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| digits && *mode <= 0o7777)
}

fn at(text: &str, span: Range<usize>, message: String) -> FlavorError {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    FlavorError {
        line,
        column,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rules() {
        let text = "about = \"A flavor\"\n[[file]]\npath = \"etc/rc\"\nmode = \"0755\"\nos = \"linux\"\nunless_exists = true\n\
                    [[file]]\npath = \"root/.cshrc\"\n";
        let flavor = Flavor::parse(text).unwrap();
        assert_eq!(flavor.about, "A flavor");
        let rc = FlavorFile {
            path: "etc/rc".into(),
            mode: Some(0o755),
            os: Some("linux".into()),
            unless_exists: true,
        };
        assert_eq!(flavor.file[0], rc);
        assert_eq!(
            flavor.file[1],
            FlavorFile {
                path: "root/.cshrc".into(),
                ..FlavorFile::default()
            }
        );
        assert_eq!(Flavor::parse("").unwrap(), Flavor::default());
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, line, column, says) in [
            ("abuot = \"x\"", 1, 1, "abuot"),
            ("[[file]]\npath = \"a\"\nmod = \"1\"", 3, 1, "mod"),
            ("[[file]]\nmode = \"0755\"", 1, 1, "path"),
            ("[[file]]\npath = \"../etc/passwd\"", 2, 8, "no path below"),
            ("[[file]]\npath = \"/etc/passwd\"", 2, 8, "no path below"),
            ("[[file]]\npath = \"\"", 2, 8, "no path below"),
            ("[[file]]\npath = \"a\"\nmode = \"0999\"", 3, 8, "octal"),
            ("[[file]]\npath = \"a\"\nmode = \"17777\"", 3, 8, "octal"),
            ("[[file]]\npath = \"a\"\nmode = 493", 3, 8, "string"),
            ("[[file]]\npath = \"a\"\nos = \"plan9\"", 3, 6, "plan9"),
            ("about = ", 1, 9, ""),
        ] {
            let e = Flavor::parse(text).unwrap_err();
            assert!(e.message.contains(says), "{text}: {e}");
            assert_eq!((e.line, e.column), (line, column), "{text}: {e}");
            assert!(!e.to_string().contains('\n'));
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(text in "\\PC{0,80}") {
            let _ = Flavor::parse(&text);
        }
    }
}
