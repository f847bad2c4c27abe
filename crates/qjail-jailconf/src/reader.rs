//! Blocks to parameters per jail: wildcards, later statements over earlier ones, variables.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use qjail_model::{ParamValue, Params};

use crate::lexer::Piece;
use crate::parser::{Block, Place, Source, Statement, parse};
use crate::writer::split;

/// The longest chain of variables within variables.
const MAX_CHAIN: usize = 100;
/// The longest value in bytes, and the longest list: variables of variables can double in each statement.
const MAX_VALUE: usize = 64 * 1024;
const MAX_LIST: usize = 4096;
/// The most statements and bytes of values over all jails: each wildcard counts once for each jail that it means.
const MAX_STATEMENTS: usize = 1_000_000;
const MAX_BYTES: usize = 64 << 20;

/// Why a jail.conf(5) can not be read, with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: line {line}, column {column}: {message}")]
pub struct ReadError {
    /// The file, or the included file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

/// A jail with all that applies to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JailBlock {
    /// Its name; `PARENT.CHILD` for a jail within a jail. A number is a jail id.
    pub name: String,
    /// Its parameters without variables: a switch where no value is given, a text for one value, a list for more.
    pub params: Params,
}

/// For texts that include nothing: refuses every include.
///
/// # Errors
/// Always.
pub fn no_includes(_pattern: &str) -> Result<Vec<Source>, String> {
    Err("files can not be included here".to_owned())
}

/// Reads `text`, the contents of `file`, as jail.conf(5) and jail(8) do. Wildcards are not returned; what they hold is in
/// the jails that they mean. `includes` gets the pattern of each `.include`, made relative to the directory of the file that
/// includes, and returns the files that match, or why there are none.
///
/// # Errors
/// [`ReadError`]: the first mistake with its place; a variable that is not set or refers to itself, a list in the middle
/// of a text, a parameter `name`, files that include themselves.
pub fn read(
    file: &str,
    text: &str,
    mut includes: impl FnMut(&str) -> Result<Vec<Source>, String>,
) -> Result<Vec<JailBlock>, ReadError> {
    let blocks = parse(file, text, &mut includes)?;
    let says = |b: &Block| is_wild(&b.name) && !b.statements.is_empty();
    let wild: Vec<usize> = (0..blocks.len()).filter(|i| says(&blocks[*i])).collect();
    let mut left = Left {
        statements: MAX_STATEMENTS,
        bytes: MAX_BYTES,
    };
    let jails = (0..blocks.len()).filter(|i| !is_wild(&blocks[*i].name));
    jails
        .map(|jail| resolve(jail, &blocks, &wild, &mut left))
        .collect()
}

/// How much a whole file may still ask for.
struct Left {
    statements: usize,
    bytes: usize,
}

/// The jail's own block and the wildcards that mean it, in the order of the file.
fn blocks_of<'a>(jail: usize, blocks: &'a [Block], wild: &[usize]) -> Vec<&'a Block> {
    let after = wild.partition_point(|w| *w < jail);
    let order = wild[..after]
        .iter()
        .chain(std::iter::once(&jail))
        .chain(&wild[after..]);
    let name = &blocks[jail].name;
    order
        .filter(|i| **i == jail || wild_matches(&blocks[**i].name, name))
        .map(|i| &blocks[*i])
        .collect()
}

/// Whether one of the words between dots is `*`.
fn is_wild(name: &str) -> bool {
    name.split('.').any(|word| word == "*")
}

/// `*` stands for one word of the name; at the end for one or more.
fn wild_matches(pattern: &str, name: &str) -> bool {
    let patterns: Vec<&str> = pattern.split('.').collect();
    let words: Vec<&str> = name.split('.').collect();
    let fits = patterns.iter().zip(&words).all(|(p, w)| *p == "*" || p == w);
    let open_end = patterns.last() == Some(&"*");
    fits && (words.len() == patterns.len() || (open_end && words.len() > patterns.len()))
}

fn resolve(index: usize, blocks: &[Block], wild: &[usize], left: &mut Left) -> Result<JailBlock, ReadError> {
    let jail = &blocks[index];
    let mut scope = Scope {
        name: &jail.name,
        params: BTreeMap::new(),
        vars: BTreeMap::new(),
        done: HashMap::new(),
        active: Vec::new(),
    };
    let too_many = |s: &Statement| {
        s.place
            .error("the jails of this file have too many parameters in all")
    };
    if let Some(first) = wild.first().and_then(|w| blocks[*w].statements.first()) {
        // To compare the names takes time too, whether they fit or not.
        let rest = left.statements.checked_sub(wild.len());
        left.statements = rest.ok_or_else(|| too_many(first))?;
    }
    for statement in blocks_of(index, blocks, wild)
        .into_iter()
        .flat_map(|b| &b.statements)
    {
        if left.statements == 0 {
            return Err(too_many(statement));
        }
        left.statements -= 1;
        scope.add(statement)?;
    }
    let names: Vec<(String, Place)> = scope
        .params
        .values()
        .map(|s| (s.name.clone(), s.place.clone()))
        .collect();
    let mut params = Params::new();
    for (name, place) in names {
        let values = scope.value_of(&name, &place)?;
        let size = values.iter().map(|v| v.len() + 1).sum();
        left.bytes = left
            .bytes
            .checked_sub(size)
            .ok_or_else(|| place.error("the values of this file are too long in all"))?;
        let (name, value) = to_param(name, &values);
        params.set(name, value);
    }
    Ok(JailBlock {
        name: jail.name.clone(),
        params,
    })
}

/// The words `no` in front of the last part of a name negate a switch.
fn to_param(name: String, values: &[String]) -> (String, ParamValue) {
    let positive = canonical(&name);
    let negated = positive != name;
    match values {
        [] => (positive, ParamValue::Bool(!negated)),
        [one] => match (negated, as_switch(one)) {
            (true, Some(on)) => (positive, ParamValue::Bool(!on)),
            _ => (name, ParamValue::Text(one.clone())),
        },
        more => (name, ParamValue::List(more.to_vec())),
    }
}

fn as_switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// `allow.noraw_sockets` and `allow.raw_sockets` are one parameter.
fn canonical(name: &str) -> String {
    let (group, last) = split(name);
    match last.strip_prefix("no") {
        Some(positive) if !positive.is_empty() => format!("{group}{positive}"),
        _ => name.to_owned(),
    }
}

/// A parameter or variable of one jail as the statements so far have it.
struct Setting {
    name: String,
    values: Vec<Vec<Piece>>,
    place: Place,
}

/// What applies to one jail.
struct Scope<'a> {
    name: &'a str,
    params: BTreeMap<String, Setting>,
    vars: BTreeMap<String, Setting>,
    done: HashMap<String, Rc<Vec<String>>>,
    /// The names that are being resolved, outermost first.
    active: Vec<String>,
}

impl Scope<'_> {
    /// What the name of the jail gives: its id where it is a number.
    fn implied(&self) -> &'static str {
        if self.name.bytes().all(|b| b.is_ascii_digit()) {
            "jid"
        } else {
            "name"
        }
    }

    fn add(&mut self, statement: &Statement) -> Result<(), ReadError> {
        let Statement {
            name,
            variable,
            append,
            values,
            place,
        } = statement;
        if name == self.implied() {
            return Err(place.error(format!("{name} is given by the name of the jail, {}", self.name)));
        }
        let other = if *variable {
            self.params.get(name)
        } else {
            self.vars.get(name)
        };
        if other.is_some_and(|o| o.name == *name) {
            return Err(place.error(format!("{name} can not be a variable and a parameter")));
        }
        let (map, key) = if *variable {
            (&mut self.vars, name.clone())
        } else {
            (&mut self.params, canonical(name))
        };
        let setting = map.entry(key).or_insert_with(|| Setting {
            name: name.clone(),
            values: Vec::new(),
            place: place.clone(),
        });
        if !append {
            setting.values.clear();
        }
        setting.name.clone_from(name);
        setting.place = place.clone();
        setting.values.extend(values.iter().cloned());
        if setting.values.len() > MAX_LIST {
            return Err(place.error(format!("{name} has more than {MAX_LIST} values")));
        }
        Ok(())
    }

    /// The values of a name with all variables replaced; `place` is where it is used.
    fn value_of(&mut self, name: &str, place: &Place) -> Result<Rc<Vec<String>>, ReadError> {
        if let Some(done) = self.done.get(name) {
            return Ok(Rc::clone(done));
        }
        if self.active.iter().any(|a| a == name) {
            return Err(place.error(format!("{name} refers to itself")));
        }
        if self.active.len() > MAX_CHAIN {
            return Err(place.error(format!(
                "variables refer to each other more than {MAX_CHAIN} deep"
            )));
        }
        self.active.push(name.to_owned());
        let values = match self.find(name) {
            Some(setting) => {
                let (values, place) = (setting.values.clone(), setting.place.clone());
                self.expand_all(name, &values, &place)?
            }
            None if name == self.implied() || name == "name" => vec![self.name.to_owned()],
            None => return Err(place.error(not_set(name))),
        };
        self.active.pop();
        let values = Rc::new(values);
        self.done.insert(name.to_owned(), Rc::clone(&values));
        Ok(values)
    }

    fn find(&self, name: &str) -> Option<&Setting> {
        let param = || self.params.get(&canonical(name)).filter(|s| s.name == name);
        self.vars.get(name).or_else(param)
    }

    fn expand_all(
        &mut self,
        name: &str,
        words: &[Vec<Piece>],
        place: &Place,
    ) -> Result<Vec<String>, ReadError> {
        let mut values = Vec::new();
        for word in words {
            self.expand(word, place, &mut values)?;
            if values.len() > MAX_LIST || values.iter().map(String::len).sum::<usize>() > MAX_VALUE {
                return Err(place.error(format!("the value of {name} is too long")));
            }
        }
        Ok(values)
    }

    /// A word that is one variable stands for all its values; in a longer word a variable must have one.
    fn expand(&mut self, word: &[Piece], place: &Place, values: &mut Vec<String>) -> Result<(), ReadError> {
        if let [Piece::Var(name)] = word {
            let list = self.variable(name, place)?;
            values.extend(list.iter().cloned());
            return Ok(());
        }
        let mut text = String::new();
        for piece in word {
            match piece {
                Piece::Text(t) => text.push_str(t),
                Piece::Var(name) => match self.variable(name, place)?.as_slice() {
                    [one] => text.push_str(one),
                    _ => {
                        return Err(
                            place.error(format!("{name} is a list, which can not stand within a text"))
                        );
                    }
                },
            }
            if text.len() > MAX_VALUE {
                return Err(place.error("the value is too long"));
            }
        }
        values.push(text);
        Ok(())
    }

    fn variable(&mut self, name: &str, place: &Place) -> Result<Rc<Vec<String>>, ReadError> {
        let values = self.value_of(name, place)?;
        if values.is_empty() {
            Err(place.error(not_set(name)))
        } else {
            Ok(values)
        }
    }
}

fn not_set(name: &str) -> String {
    format!("the variable {name} is not set")
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
