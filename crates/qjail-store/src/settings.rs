//! `qjail.toml`: what the administrator sets, edited in place so that comments and order stay.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::{Error, Result, file};

/// The mode of a new settings file; an existing one keeps its own.
const MODE: u32 = 0o644;

/// What qjail itself reads. A wrong type is an error, so that no switch is passed over in silence.
#[derive(Debug, Clone, Default, Deserialize)]
struct Known {
    #[serde(default)]
    log: bool,
    #[serde(default)]
    plugins: Plugins,
    /// Only that each is a table; the plugins know the rest.
    #[serde(default, rename = "plugin")]
    _plugin: BTreeMap<String, toml::Table>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Plugins {
    #[serde(default)]
    disable: Vec<String>,
    #[serde(default)]
    allow: Option<Vec<String>>,
    #[serde(default)]
    dirs: Vec<PathBuf>,
    #[serde(default)]
    sha256: BTreeMap<String, String>,
}

const KEYS: [&str; 3] = ["log", "plugins", "plugin"];
const PLUGIN_KEYS: [&str; 4] = ["disable", "allow", "dirs", "sha256"];

/// The settings. Whoever changes them holds a lock from [`Settings::load`] to [`Settings::save`].
#[derive(Debug, Clone)]
pub struct Settings {
    path: PathBuf,
    document: DocumentMut,
    known: Known,
}

impl Settings {
    /// Reads the settings; a file that does not exist is empty.
    ///
    /// # Errors
    /// [`Error::Settings`] with line and column: no TOML, or a known key with a value of the wrong type; [`Error::Io`].
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(path, &file::read(path)?.unwrap_or_default())
    }

    /// Reads `text` as the contents of `path`.
    ///
    /// # Errors
    /// [`Error::Settings`] with line and column.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let fail = |span: Option<Range<usize>>, message: &str| settings_error(path, text, span, message);
        let document = text
            .parse::<DocumentMut>()
            .map_err(|e| fail(e.span(), e.message()))?;
        let known = toml::from_str(text).map_err(|e| fail(e.span(), e.message()))?;
        Ok(Self {
            path: path.to_owned(),
            document,
            known,
        })
    }

    /// Keys that nobody reads, one message each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let unknown = |table: &dyn TableLike, prefix: &str, known: &[&str]| -> Vec<String> {
            let names = table
                .iter()
                .map(|(key, _)| key)
                .filter(|key| !known.contains(key));
            names
                .map(|key| format!("{}: unknown key {prefix}{key}", self.path.display()))
                .collect()
        };
        let mut warnings = unknown(self.document.as_table(), "", &KEYS);
        if let Some(plugins) = self.document.get("plugins").and_then(Item::as_table_like) {
            warnings.extend(unknown(plugins, "plugins.", &PLUGIN_KEYS));
        }
        warnings
    }

    /// `log`: whether commands are logged.
    #[must_use]
    pub fn log(&self) -> bool {
        self.known.log
    }

    /// `plugins.disable`: plugins that are not to be used.
    #[must_use]
    pub fn plugins_disabled(&self) -> &[String] {
        &self.known.plugins.disable
    }

    /// `plugins.allow`: the only plugins that may be used; none allows all.
    #[must_use]
    pub fn plugins_allowed(&self) -> Option<&[String]> {
        self.known.plugins.allow.as_deref()
    }

    /// `plugins.dirs`: where plugins are looked for besides the directories of the layout.
    #[must_use]
    pub fn plugin_dirs(&self) -> &[PathBuf] {
        &self.known.plugins.dirs
    }

    /// `plugins.sha256`: the sums that the files of plugins must have, in hexadecimal, by the name of the plugin.
    #[must_use]
    pub fn plugin_sums(&self) -> &BTreeMap<String, String> {
        &self.known.plugins.sha256
    }

    /// The table `[plugin.NAME]`; an empty object where there is none.
    #[must_use]
    pub fn plugin(&self, name: &str) -> Json {
        self.get(&["plugin", name])
            .unwrap_or_else(|| Json::Object(serde_json::Map::new()))
    }

    /// The value at `path`, dates as texts; none where nothing is set.
    #[must_use]
    pub fn get(&self, path: &[impl AsRef<str>]) -> Option<Json> {
        let mut item = self.document.as_item();
        for key in path {
            item = item.as_table_like()?.get(key.as_ref())?;
        }
        item_to_json(item)
    }

    /// Sets the value at `path`; tables on the way are made. The change is in memory until [`Settings::save`].
    ///
    /// # Errors
    /// [`Error::Value`]: a key on the way is no table, the value has no counterpart in TOML (null, a number that is too
    /// large), or qjail wants another type there. Nothing is changed then.
    pub fn set(&mut self, path: &[impl AsRef<str>], value: &Json) -> Result<()> {
        let keys: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        let fail = |message: String| Error::Value {
            path: self.path.clone(),
            key: keys.join("."),
            message,
        };
        let mut document = self.document.clone();
        put(document.as_item_mut(), &keys, value).map_err(fail)?;
        let known = toml::from_str(&document.to_string()).map_err(|e| fail(e.message().to_owned()))?;
        (self.document, self.known) = (document, known);
        Ok(())
    }

    /// Takes the value at `path` away, and tables that are empty by that. What is not set stays so.
    ///
    /// # Errors
    /// [`Error::Value`] when the rest would not be valid, which can not happen to a valid file.
    pub fn unset(&mut self, path: &[impl AsRef<str>]) -> Result<()> {
        let keys: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        let mut document = self.document.clone();
        take(document.as_table_mut(), &keys);
        let known = toml::from_str(&document.to_string()).map_err(|e| Error::Value {
            path: self.path.clone(),
            key: keys.join("."),
            message: e.message().to_owned(),
        })?;
        (self.document, self.known) = (document, known);
        Ok(())
    }

    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.document.to_string()
    }

    /// Replaces the file, on disk when this returns. An existing file keeps its mode.
    ///
    /// # Errors
    /// [`Error::Io`] with the file; the old text is untouched then.
    pub fn save(&self) -> Result<()> {
        let mode = self
            .path
            .metadata()
            .map_or(MODE, |m| m.permissions().mode() & 0o777);
        file::replace(&self.path, self.to_text().as_bytes(), mode)
    }
}

fn settings_error(path: &Path, text: &str, span: Option<Range<usize>>, message: &str) -> Error {
    let before = text.get(..span.map_or(0, |s| s.start)).unwrap_or(text);
    Error::Settings {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or("").chars().count() + 1,
        message: message.lines().map(str::trim).collect::<Vec<_>>().join(", "),
    }
}

/// Sets `keys` below `item`. Below an inline table everything is inline.
fn put(item: &mut Item, keys: &[&str], json: &Json) -> std::result::Result<(), String> {
    let inline = item.is_value();
    let no_table = || format!("{} is not a table", keys.first().unwrap_or(&"it"));
    match keys {
        [] => Err("no key is given".to_owned()),
        [last] => {
            let new = if inline {
                json_to_value(json).map(Item::Value)
            } else {
                json_to_item(json)
            };
            replace(item.as_table_like_mut().ok_or_else(no_table)?, last, new?);
            Ok(())
        }
        [first, rest @ ..] => {
            let table = item.as_table_like_mut().ok_or_else(no_table)?;
            let next = table.entry(first).or_insert_with(|| new_table(inline));
            if !next.is_table_like() {
                return Err(format!("{first} is not a table"));
            }
            put(next, rest, json)
        }
    }
}

fn new_table(inline: bool) -> Item {
    if inline {
        return Item::Value(Value::InlineTable(InlineTable::new()));
    }
    let mut table = Table::new();
    // Without a header of its own as long as it holds nothing but tables.
    table.set_implicit(true);
    Item::Table(table)
}

/// Sets one key; a comment behind the old value stays.
fn replace(table: &mut dyn TableLike, key: &str, item: Item) {
    match (table.get_mut(key), item) {
        (Some(Item::Value(old)), Item::Value(mut new)) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        (Some(old), item) => *old = item,
        (None, item) => {
            table.insert(key, item);
        }
    }
}

fn take(table: &mut dyn TableLike, keys: &[&str]) {
    match keys {
        [] => {}
        [last] => {
            table.remove(last);
        }
        [first, rest @ ..] => {
            let Some(next) = table.get_mut(first).and_then(Item::as_table_like_mut) else {
                return;
            };
            let was_empty = next.is_empty();
            take(next, rest);
            if next.is_empty() && !was_empty {
                table.remove(first);
            }
        }
    }
}

fn item_to_json(item: &Item) -> Option<Json> {
    match item {
        Item::None => None,
        Item::Value(value) => Some(value_to_json(value)),
        Item::Table(table) => Some(table_to_json(table)),
        Item::ArrayOfTables(tables) => Some(Json::Array(tables.iter().map(|t| table_to_json(t)).collect())),
    }
}

fn table_to_json(table: &dyn TableLike) -> Json {
    table
        .iter()
        .filter_map(|(key, item)| Some((key.to_owned(), item_to_json(item)?)))
        .collect()
}

fn value_to_json(value: &Value) -> Json {
    match value {
        Value::String(s) => s.value().as_str().into(),
        Value::Integer(i) => (*i.value()).into(),
        Value::Float(f) => (*f.value()).into(),
        Value::Boolean(b) => (*b.value()).into(),
        Value::Datetime(d) => d.value().to_string().into(),
        Value::Array(a) => a.iter().map(value_to_json).collect(),
        Value::InlineTable(t) => table_to_json(t),
    }
}

/// An object becomes a table of its own, everything else a value.
fn json_to_item(json: &Json) -> std::result::Result<Item, &'static str> {
    let Json::Object(object) = json else {
        return Ok(Item::Value(json_to_value(json)?));
    };
    let mut table = Table::new();
    for (key, value) in object {
        table.insert(key, json_to_item(value)?);
    }
    Ok(Item::Table(table))
}

fn json_to_value(json: &Json) -> std::result::Result<Value, &'static str> {
    Ok(match json {
        Json::Null => return Err("there is no null in TOML"),
        Json::Bool(b) => Value::from(*b),
        Json::String(s) => Value::from(s.as_str()),
        Json::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(i), _) => Value::from(i),
            (None, Some(f)) if !n.is_u64() => Value::from(f),
            _ => return Err("the number is too large"),
        },
        Json::Array(list) => Value::Array(
            list.iter()
                .map(json_to_value)
                .collect::<std::result::Result<Array, _>>()?,
        ),
        Json::Object(object) => {
            let mut table = InlineTable::new();
            for (key, value) in object {
                table.insert(key, json_to_value(value)?);
            }
            Value::InlineTable(table)
        }
    })
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
