//! Parameters to text.

use std::fmt::Write;

use qjail_model::{JailName, ParamError, ParamValue, Params};

/// Why parameters can not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A name or value that has no place in a jail.conf(5).
    #[error("jail {jail}: {error}")]
    Param {
        /// The jail.
        jail: JailName,
        /// What is wrong.
        error: ParamError,
    },
    /// jail(8) would read the name as the negation of another one.
    #[error("jail {jail}: parameter {name} begins with `no`, which jail.conf(5) takes for a negation")]
    Negation {
        /// The jail.
        jail: JailName,
        /// The parameter.
        name: String,
    },
    /// The name is the one in front of the braces.
    #[error("jail {jail}: the parameter `name` is given by the name of the jail")]
    Name {
        /// The jail.
        jail: JailName,
    },
}

/// The jail.conf(5) of one jail: all of `params` in the order of their names, and nothing else. `comment` is put below
/// the first line, which says that the file is made by qjail. Empty lists are left out.
///
/// # Errors
/// [`WriteError`]: a parameter that jail(8) could not read back as it is.
pub fn write(name: &JailName, params: &Params, comment: &str) -> Result<String, WriteError> {
    let mut text =
        format!("# {name}: made by qjail from the jail's definition. What is changed here is lost.\n");
    for line in comment.lines() {
        let line: String = line
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    // Letters, digits, `_` and `-` are all that a name has: it needs no quotes.
    let _ = writeln!(text, "{name} {{");
    for (key, value) in params.iter() {
        check(name, key, value)?;
        push_param(&mut text, key, value);
    }
    text.push_str("}\n");
    Ok(text)
}

fn check(jail: &JailName, key: &str, value: &ParamValue) -> Result<(), WriteError> {
    Params::check(key, value).map_err(|error| WriteError::Param {
        jail: jail.clone(),
        error,
    })?;
    if key == "name" {
        return Err(WriteError::Name { jail: jail.clone() });
    }
    if split(key).1.starts_with("no") {
        return Err(WriteError::Negation {
            jail: jail.clone(),
            name: key.to_owned(),
        });
    }
    Ok(())
}

/// The name up to its last dot, that included, and the rest.
pub(crate) fn split(key: &str) -> (&str, &str) {
    key.split_at(key.rfind('.').map_or(0, |dot| dot + 1))
}

fn push_param(text: &mut String, key: &str, value: &ParamValue) {
    let values: Vec<String> = match value {
        ParamValue::Bool(true) => {
            let _ = writeln!(text, "\t{key};");
            return;
        }
        ParamValue::Bool(false) => {
            let (group, last) = split(key);
            let _ = writeln!(text, "\t{group}no{last};");
            return;
        }
        ParamValue::Text(t) => vec![quote(t)],
        ParamValue::List(l) => l.iter().map(|t| quote(t)).collect(),
    };
    if !values.is_empty() {
        let _ = writeln!(text, "\t{key} = {};", values.join(", "));
    }
}

/// In double quotes a backslash takes the meaning from `"`, `\` and `$`.
fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
