//! Tokens to blocks: jails and the statements in them, files included, nothing resolved.

use std::rc::Rc;

use crate::lexer::{Kind, Lexer, Piece, Position, Token};
use crate::reader::ReadError;

/// jail(8)'s own bound for files that include files.
const MAX_DEPTH: usize = 32;
/// The most files in all.
const MAX_FILES: usize = 10_000;
/// The deepest nesting of jails; the kernel's is lower.
const MAX_NESTING: usize = 32;

/// A file: its name for messages and for the names that it includes, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path of the file.
    pub name: String,
    /// What it holds.
    pub text: String,
}

pub(crate) type Includes<'a> = dyn FnMut(&str) -> Result<Vec<Source>, String> + 'a;

/// Where a statement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Rc<str>,
    pub(crate) at: Position,
}

impl Place {
    pub(crate) fn error(&self, message: impl Into<String>) -> ReadError {
        ReadError {
            file: self.file.to_string(),
            line: self.at.line,
            column: self.at.column,
            message: message.into(),
        }
    }
}

/// `name;`, `name = value, value;`, `$name += value;`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) name: String,
    pub(crate) variable: bool,
    pub(crate) append: bool,
    pub(crate) values: Vec<Vec<Piece>>,
    pub(crate) place: Place,
}

/// A jail, a wildcard, or (named `*`) a run of statements outside of jails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) name: String,
    pub(crate) statements: Vec<Statement>,
}

/// The blocks of a file and of all that it includes, in the order in which they begin.
pub(crate) fn parse(file: &str, text: &str, includes: &mut Includes<'_>) -> Result<Vec<Block>, ReadError> {
    let mut parser = Parser {
        blocks: Vec::new(),
        open: Vec::new(),
        files: Vec::new(),
        count: 0,
        includes,
    };
    parser.file(file, text)?;
    Ok(parser.blocks)
}

struct Parser<'a, 'b> {
    blocks: Vec<Block>,
    /// The jails whose braces are open, outermost first.
    open: Vec<usize>,
    /// The files that are being read, outermost first.
    files: Vec<Rc<str>>,
    count: usize,
    includes: &'a mut Includes<'b>,
}

/// The tokens of one file.
struct Tokens<'a> {
    file: Rc<str>,
    lexer: Lexer<'a>,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<(Kind, Place), ReadError> {
        let file = Rc::clone(&self.file);
        match self.lexer.next() {
            Ok(Token { kind, at }) => Ok((kind, Place { file, at })),
            Err(e) => Err(Place { file, at: e.at }.error(e.message)),
        }
    }
}

impl Parser<'_, '_> {
    fn file(&mut self, name: &str, text: &str) -> Result<(), ReadError> {
        let file: Rc<str> = name.into();
        self.files.push(Rc::clone(&file));
        let mut tokens = Tokens {
            file,
            lexer: Lexer::new(text),
        };
        // The jails that this file has opened, with their places.
        let mut opened: Vec<Place> = Vec::new();
        loop {
            let (kind, place) = tokens.next()?;
            match kind {
                Kind::Mark(';') => {}
                Kind::Mark('}') => {
                    opened.pop().ok_or_else(|| place.error("`}` without `{`"))?;
                    self.open.pop();
                }
                Kind::Word(word) => {
                    if self.item(&mut tokens, word, &place)? {
                        opened.push(place);
                    }
                }
                Kind::End => break,
                other => return Err(unexpected(&other, &place, "a jail or a parameter")),
            }
        }
        self.files.pop();
        opened
            .pop()
            .map_or(Ok(()), |place| Err(place.error("the jail's `}` is missing")))
    }

    /// What begins with `word`: a jail (true) or a statement.
    fn item(&mut self, tokens: &mut Tokens<'_>, word: Vec<Piece>, place: &Place) -> Result<bool, ReadError> {
        let (kind, next) = tokens.next()?;
        if kind == Kind::Mark('{') {
            self.open_jail(&word, place)?;
            return Ok(true);
        }
        let (name, variable) = statement_name(word, place)?;
        let append = kind == Kind::Append;
        let (bare, values) = match kind {
            Kind::Mark(';') => (false, Vec::new()),
            Kind::Mark('=') | Kind::Append => (false, values(tokens, None)?),
            Kind::Word(first) => (true, values(tokens, Some(first))?),
            other => return Err(unexpected(&other, &next, "`=`, `+=`, `;` or `{`")),
        };
        if bare && !variable && name == ".include" {
            self.include(&values, place)?;
            return Ok(false);
        }
        self.push(Statement {
            name,
            variable,
            append,
            values,
            place: place.clone(),
        });
        Ok(false)
    }

    /// A jail within a jail is named after both.
    fn open_jail(&mut self, word: &[Piece], place: &Place) -> Result<(), ReadError> {
        let name = plain(word).ok_or_else(|| place.error("the name of a jail can not hold a variable"))?;
        if name.is_empty() {
            return Err(place.error("the name of a jail is empty"));
        }
        if self.open.len() >= MAX_NESTING {
            return Err(place.error(format!("jails are nested more than {MAX_NESTING} deep")));
        }
        let name = match self.open.last() {
            Some(parent) => format!("{}.{name}", self.blocks[*parent].name),
            None => name,
        };
        self.open.push(self.blocks.len());
        self.blocks.push(Block {
            name,
            statements: Vec::new(),
        });
        Ok(())
    }

    fn push(&mut self, statement: Statement) {
        let index = match self.open.last() {
            Some(index) => *index,
            None => self.global(),
        };
        self.blocks[index].statements.push(statement);
    }

    /// The block for statements outside of jails at this place.
    fn global(&mut self) -> usize {
        if self.blocks.last().is_none_or(|b| b.name != "*") {
            self.blocks.push(Block {
                name: "*".to_owned(),
                statements: Vec::new(),
            });
        }
        self.blocks.len() - 1
    }

    fn include(&mut self, values: &[Vec<Piece>], place: &Place) -> Result<(), ReadError> {
        for value in values {
            let pattern = plain(value)
                .ok_or_else(|| place.error("the name of an included file can not hold a variable"))?;
            let pattern = beside(&place.file, pattern);
            let sources =
                (self.includes)(&pattern).map_err(|e| place.error(format!("include {pattern}: {e}")))?;
            for source in sources {
                self.enter(&source, place)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, source: &Source, place: &Place) -> Result<(), ReadError> {
        self.count += 1;
        let name = source.name.as_str();
        if self.files.iter().any(|f| **f == *name) {
            return Err(place.error(format!("{name} includes itself")));
        }
        if self.files.len() > MAX_DEPTH {
            return Err(place.error(format!("files are included more than {MAX_DEPTH} deep")));
        }
        if self.count > MAX_FILES {
            return Err(place.error(format!("more than {MAX_FILES} files are included")));
        }
        self.file(name, &source.text)
    }
}

fn statement_name(word: Vec<Piece>, place: &Place) -> Result<(String, bool), ReadError> {
    let named = match plain(&word) {
        Some(name) => Some((name, false)),
        None => match <[Piece; 1]>::try_from(word) {
            Ok([Piece::Var(name)]) => Some((name, true)),
            _ => None,
        },
    };
    match named {
        Some((name, _)) if name.is_empty() => Err(place.error("the name of a parameter is empty")),
        Some(named) => Ok(named),
        None => Err(place.error("the name of a parameter can not hold a variable")),
    }
}

/// `value, value;` to the semicolon, that included; `first` has been read already.
fn values(tokens: &mut Tokens<'_>, first: Option<Vec<Piece>>) -> Result<Vec<Vec<Piece>>, ReadError> {
    let mut values = Vec::new();
    values.extend(first);
    if values.is_empty() {
        values.push(value(tokens)?);
    }
    loop {
        match tokens.next()? {
            (Kind::Mark(';'), _) => return Ok(values),
            (Kind::Mark(','), _) => values.push(value(tokens)?),
            (other, place) => return Err(unexpected(&other, &place, "`,` or `;`")),
        }
    }
}

fn value(tokens: &mut Tokens<'_>) -> Result<Vec<Piece>, ReadError> {
    match tokens.next()? {
        (Kind::Word(word), _) => Ok(word),
        (other, place) => Err(unexpected(&other, &place, "a value")),
    }
}

/// The text of a word without variables.
fn plain(word: &[Piece]) -> Option<String> {
    match word {
        [] => Some(String::new()),
        [Piece::Text(text)] => Some(text.clone()),
        _ => None,
    }
}

/// Names of included files are relative to the directory of the file that includes them.
fn beside(file: &str, pattern: String) -> String {
    match file.rfind('/') {
        Some(slash) if !pattern.starts_with('/') => format!("{}{pattern}", &file[..=slash]),
        _ => pattern,
    }
}

fn unexpected(kind: &Kind, place: &Place, wanted: &str) -> ReadError {
    let found = match kind {
        Kind::Word(word) => match plain(word) {
            Some(text) => format!("`{}`", text.escape_debug()),
            None => "a variable".to_owned(),
        },
        Kind::Mark(mark) => format!("`{mark}`"),
        Kind::Append => "`+=`".to_owned(),
        Kind::End => "the end of the file".to_owned(),
    };
    place.error(format!("{found} where {wanted} should be"))
}
