//! The control files of qjail 5.x: lines `key="value"`, which the old program ran as shell. Here they are data; a line
//! that a shell would do anything else with than set one variable is refused.

use std::collections::BTreeMap;

/// Why a control file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct LegacyError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// The settings of one jail of qjail 5.x, by their old names: `name`, `ip4`, `ip6`, `path`, `interface`, `vnet`, ….
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legacy {
    values: BTreeMap<String, String>,
}

impl Legacy {
    /// The name of the jail, as it stands in the file.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get("name").unwrap_or_default()
    }

    /// A setting; none where it is missing or empty, which meant the same.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Every setting that has a value, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .filter(|(_, v)| !v.is_empty())
            .map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

/// Reads a control file. Empty lines are passed over; keys that no known version wrote are kept.
///
/// # Errors
/// [`LegacyError`] with the line: not `key="value"`, a key that is given twice, no `name`, or a value with a character
/// that means something to a shell (`$`, `` ` ``, `\`, `"`, `;`) or controls a terminal.
pub fn parse(text: &str) -> Result<Legacy, LegacyError> {
    let mut values = BTreeMap::new();
    for (index, line) in text.split('\n').enumerate().filter(|(_, l)| !l.is_empty()) {
        let fail = |message: String| LegacyError {
            line: index + 1,
            message,
        };
        let (key, value) = setting(line).map_err(fail)?;
        if values.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(fail(format!("{key} is given twice")));
        }
    }
    let legacy = Legacy { values };
    if legacy.name().is_empty() {
        return Err(LegacyError {
            line: 1,
            message: "the file names no jail".to_owned(),
        });
    }
    Ok(legacy)
}

fn setting(line: &str) -> Result<(&str, &str), String> {
    let form = || "the line is not of the form key=\"value\"".to_owned();
    let (key, rest) = line.split_once('=').ok_or_else(form)?;
    let is_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(is_key) {
        return Err(form());
    }
    let value = rest
        .strip_prefix('"')
        .and_then(|r| r.strip_suffix('"'))
        .ok_or_else(form)?;
    match value
        .chars()
        .find(|c| matches!(c, '$' | '`' | '\\' | '"' | ';') || c.is_control())
    {
        Some(bad) => Err(format!(
            "the value of {key} has the character {bad:?}, which a shell would act on"
        )),
        None => Ok((key, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The 24 lines of a default jail, as qjail 5.x writes them.
    const JAIL1: &str = include_str!("../golden/legacy-jail1");

    #[test]
    fn a_default_jail() {
        let legacy = parse(JAIL1).unwrap();
        let values: Vec<(&str, &str)> = legacy.iter().collect();
        assert_eq!(
            values,
            [
                ("deffile", "/usr/local/etc/qjail.local/jail1"),
                ("fstab", "/usr/local/etc/qjail.fstab/jail1"),
                ("interface", "lo1"),
                ("ip4", "192.168.1.1"),
                ("name", "jail1"),
                ("path", "/usr/jails/jail1"),
            ]
        );
        assert_eq!(legacy.name(), "jail1");
        assert_eq!((legacy.get("ip6"), legacy.get("nosuch")), (None, None));
        assert_eq!(JAIL1.lines().count(), 24);
    }

    #[test]
    fn values_of_other_jails() {
        let text = JAIL1
            .replace("vnet=\"\"", "vnet=\"be|pf|3\"")
            .replace("rsockets=\"\"", "rsockets=\"allow.raw_sockets\"")
            .replace("ip4=\"192.168.1.1\"", "ip4=\"lo1|192.168.1.1,192.168.1.2\"");
        let legacy = parse(&text).unwrap();
        assert_eq!(legacy.get("vnet"), Some("be|pf|3"));
        assert_eq!(legacy.get("ip4"), Some("lo1|192.168.1.1,192.168.1.2"));
    }

    #[test]
    fn shell_is_refused_with_its_line() {
        for bad in [
            "ip4=\"$(id)\"",
            "ip4=\"`id`\"",
            "ip4=\"$HOME\"",
            "ip4=\"a\"; id",
            "ip4=\"a;id\"",
            "ip4=\"a\\\"",
            "ip4=a",
            "ip4='a'",
            "ip4=\"a\"b",
            "ip4=\"a\" id",
            "ip4=\"a\"\"b\"",
            "ip4=\"a",
            "ip4=",
            "id",
            " ip4=\"a\"",
            "ip4 =\"a\"",
            "export ip4=\"a\"",
            "# ip4=\"a\"",
            "ip4=\"a\"\r",
            "ip4=\"\u{1b}[2J\"",
            "IFS=\"a\"",
            "=\"a\"",
            "4ip=\"a\"",
            " ",
        ] {
            let e = parse(&format!("name=\"jail1\"\n\n{bad}\npath=\"/\"\n")).unwrap_err();
            assert_eq!(e.line, 3, "{bad}: {e}");
        }
        let e = parse("name=\"a\"\nip4=\"1\"\nip4=\"2\"\n").unwrap_err();
        assert_eq!(e.to_string(), "line 3: ip4 is given twice");
        assert!(parse("").is_err() && parse("name=\"\"\n").is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_a_shell_would_set(text in "(name=\"j\"\n)?([a-z]{0,2}=?[\"'$`;\\\\ a|]{0,4}\"?\n){0,3}") {
            if let Ok(legacy) = parse(&text) {
                let again: String = legacy.values.iter().map(|(k, v)| format!("{k}=\"{v}\"\n")).collect();
                let mut lines: Vec<&str> = text.lines().filter(|l| !l.is_empty()).collect();
                let mut expected: Vec<&str> = again.lines().collect();
                lines.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(lines, expected);
                prop_assert!(!again.contains(['$', '`', ';', '\\']));
            }
        }
    }
}
