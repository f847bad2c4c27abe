//! Text to tokens, by the rules of jail.conf(5): words of quoted and unquoted pieces, variables, comments.

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
}

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// The name of a variable or parameter whose value belongs here.
    Var(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pieces without a blank between them. No piece is the empty string.
    Word(Vec<Piece>),
    /// One of `{ } = , ;`.
    Mark(char),
    /// `+=`.
    Append,
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: Position,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LexError {
    pub(crate) at: Position,
    pub(crate) message: String,
}

type Result<T> = std::result::Result<T, LexError>;

pub(crate) struct Lexer<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            at: Position { line: 1, column: 1 },
        }
    }

    pub(crate) fn next(&mut self) -> Result<Token> {
        self.skip_blanks()?;
        let at = self.at;
        let kind = match self.peek() {
            None => Kind::End,
            Some(mark @ ('{' | '}' | '=' | ',' | ';')) => {
                self.bump();
                Kind::Mark(mark)
            }
            Some(_) if self.rest.starts_with("+=") => {
                self.bump();
                self.bump();
                Kind::Append
            }
            Some(_) => Kind::Word(self.word()?),
        };
        Ok(Token { kind, at })
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.at = Position {
                line: self.at.line + 1,
                column: 1,
            };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn bump_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| wanted(*c)) {
            taken.push(c);
            self.bump();
        }
        taken
    }

    fn at_comment(&self) -> bool {
        ["#", "//", "/*"].iter().any(|start| self.rest.starts_with(start))
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            if self.peek().is_some_and(is_blank) {
                self.bump();
            } else if self.rest.starts_with("/*") {
                self.skip_block_comment()?;
            } else if self.at_comment() {
                self.bump_while(|c| c != '\n');
            } else {
                return Ok(());
            }
        }
    }

    fn skip_block_comment(&mut self) -> Result<()> {
        let at = self.at;
        self.bump();
        self.bump();
        while !self.rest.starts_with("*/") {
            self.bump().ok_or_else(|| error(at, "the comment does not end"))?;
        }
        self.bump();
        self.bump();
        Ok(())
    }

    fn word(&mut self) -> Result<Vec<Piece>> {
        let mut word = Word::default();
        while let Some(c) = self.peek() {
            let at = self.at;
            let ends = is_blank(c) || matches!(c, '{' | '}' | '=' | ',' | ';');
            if ends || self.at_comment() || self.rest.starts_with("+=") {
                break;
            }
            match c {
                '\'' => self.single_quoted(&mut word)?,
                '"' => self.double_quoted(&mut word)?,
                '$' => self.dollar(&mut word)?,
                '\\' => self.escape(&mut word)?,
                '*' | '+' | '/' => word.push(self.bump()),
                _ if is_plain(c) => word.push(self.bump()),
                _ => return Err(error(at, format!("the character {c:?} must be in quotes"))),
            }
        }
        word.finish()
    }

    fn single_quoted(&mut self, word: &mut Word) -> Result<()> {
        let at = self.at;
        self.bump();
        loop {
            match self.peek() {
                None => return Err(error(at, "the string does not end")),
                Some('\'') => break,
                Some('\\') => self.escape(word)?,
                Some(_) => word.push(self.bump()),
            }
        }
        self.bump();
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Word) -> Result<()> {
        let at = self.at;
        self.bump();
        loop {
            match self.peek() {
                None => return Err(error(at, "the string does not end")),
                Some('"') => break,
                Some('\\') => self.escape(word)?,
                Some('$') => self.dollar(word)?,
                Some(_) => word.push(self.bump()),
            }
        }
        self.bump();
        Ok(())
    }

    /// `$name`, `${name}`, or a dollar sign.
    fn dollar(&mut self, word: &mut Word) -> Result<()> {
        let at = self.at;
        self.bump();
        match self.peek() {
            Some('{') => {
                self.bump();
                let name = self.bump_while(|c| !matches!(c, '{' | '}' | '\n' | '"'));
                if self.peek() != Some('}') {
                    return Err(error(at, "the variable does not end with `}`"));
                }
                self.bump();
                word.push_var(name)
            }
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let name = self.bump_while(|c| c.is_ascii_alphanumeric() || c == '_');
                word.push_var(name)
            }
            _ => {
                word.push(Some('$'));
                Ok(())
            }
        }
    }

    /// The codes of C: octal, hexadecimal, control characters; a line's end is passed over, all else is itself.
    fn escape(&mut self, word: &mut Word) -> Result<()> {
        let at = self.at;
        self.bump();
        let byte = match self.peek() {
            None => {
                word.push(Some('\\'));
                return Ok(());
            }
            Some('0'..='7') => self.number(8, 3),
            Some('x') => {
                self.bump();
                if !self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
                    return Err(error(at, "`\\x` needs hexadecimal digits"));
                }
                self.number(16, 2)
            }
            Some(c) => {
                self.bump();
                match c {
                    '\n' => return Ok(()),
                    'a' => 0x07,
                    'b' => 0x08,
                    'f' => 0x0c,
                    'n' => b'\n',
                    'r' => b'\r',
                    't' => b'\t',
                    'v' => 0x0b,
                    other => {
                        word.push(Some(other));
                        return Ok(());
                    }
                }
            }
        };
        word.push_byte(byte, at)
    }

    fn number(&mut self, radix: u32, digits: usize) -> u8 {
        let mut value = 0_u32;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else {
                break;
            };
            value = value * radix + digit;
            self.bump();
        }
        // As in C, what does not fit into a byte is cut off.
        value.to_le_bytes()[0]
    }
}

fn error(at: Position, message: impl Into<String>) -> LexError {
    LexError {
        at,
        message: message.into(),
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Characters that need no quotes, besides `$ * + / \`.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_!%&()-.:<>?@[]^`|~".contains(c)
}

/// A word while it is read. Escapes give bytes, so a piece is checked when it is complete.
#[derive(Default)]
struct Word {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
    /// The first escape that gave a byte beyond ASCII.
    raw: Option<Position>,
}

impl Word {
    fn push(&mut self, c: Option<char>) {
        let mut buffer = [0; 4];
        if let Some(c) = c {
            self.bytes
                .extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
        }
    }

    fn push_byte(&mut self, byte: u8, at: Position) -> Result<()> {
        if byte == 0 {
            return Err(error(at, "a value can not hold the character NUL"));
        }
        if !byte.is_ascii() {
            self.raw.get_or_insert(at);
        }
        self.bytes.push(byte);
        Ok(())
    }

    fn push_var(&mut self, name: String) -> Result<()> {
        self.flush()?;
        self.pieces.push(Piece::Var(name));
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.bytes.is_empty() {
            let text = String::from_utf8(std::mem::take(&mut self.bytes)).map_err(|_| {
                // Only an escape can have broken it.
                error(
                    self.raw.unwrap_or(Position { line: 1, column: 1 }),
                    "the escapes do not give UTF-8 text",
                )
            })?;
            self.pieces.push(Piece::Text(text));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Piece>> {
        self.flush()?;
        Ok(self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        let mut lexer = Lexer::new(text);
        let mut kinds = Vec::new();
        loop {
            match lexer.next().unwrap().kind {
                Kind::End => return kinds,
                kind => kinds.push(kind),
            }
        }
    }

    fn word(text: &str) -> Kind {
        Kind::Word(vec![Piece::Text(text.to_owned())])
    }

    fn first_error(text: &str) -> (usize, usize, String) {
        let mut lexer = Lexer::new(text);
        loop {
            match lexer.next() {
                Ok(Token { kind: Kind::End, .. }) => panic!("no error in {text:?}"),
                Ok(_) => {}
                Err(e) => return (e.at.line, e.at.column, e.message),
            }
        }
    }

    #[test]
    fn words_and_marks() {
        let mark = Kind::Mark;
        assert_eq!(
            kinds("a+=b+c,*;"),
            [
                word("a"),
                Kind::Append,
                word("b+c"),
                mark(','),
                word("*"),
                mark(';')
            ]
        );
        assert_eq!(
            kinds("path=/usr/a-b.c;"),
            [word("path"), mark('='), word("/usr/a-b.c"), mark(';')]
        );
        assert_eq!(kinds("'a'\"b\"c 'd'"), [word("abc"), word("d")]);
        assert_eq!(kinds("''"), [Kind::Word(vec![])]);
    }

    #[test]
    fn comments_end_words() {
        assert_eq!(
            kinds("a#b\nc//d\ne/*f\n**/g /***/ h"),
            ["a", "c", "e", "g", "h"].map(word)
        );
        assert_eq!(kinds("'#' \"//\" '/*'"), ["#", "//", "/*"].map(word));
    }

    #[test]
    fn escapes() {
        assert_eq!(kinds(r#"\101\x42\n"\t\"\\\$x"'\'\q'"#), [word("AB\n\t\"\\$x'q")]);
        assert_eq!(kinds("a\\\nb 'c\\\nd'"), [word("ab"), word("cd")]);
        assert_eq!(kinds(r"\xc3\xa9 \303\251"), [word("é"), word("é")]);
        assert_eq!(kinds("a\\"), [word("a\\")]);
        // 0o541 is 0x161; the byte is 0x61.
        assert_eq!(kinds(r"\5418"), [word("a8")]);
    }

    #[test]
    fn variables() {
        let t = |s: &str| Piece::Text(s.to_owned());
        let v = |s: &str| Piece::Var(s.to_owned());
        assert_eq!(
            kinds(r#"/a/$name.x"-${host.hostname}$"'$no'$"#),
            [Kind::Word(vec![
                t("/a/"),
                v("name"),
                t(".x-"),
                v("host.hostname"),
                t("$$no$")
            ])]
        );
        assert_eq!(kinds("$a$b"), [Kind::Word(vec![v("a"), v("b")])]);
        assert_eq!(kinds("$1"), [word("$1")]);
    }

    #[test]
    fn errors_have_a_place() {
        for (text, line, column, message) in [
            ("a\n /* b\n*", 2, 2, "the comment does not end"),
            ("a = 'b\nc", 1, 5, "the string does not end"),
            ("é", 1, 1, "'é' must be in quotes"),
            ("a = \"é\" é", 1, 9, "'é' must be in quotes"),
            ("\"a\nb${c\"", 2, 2, "the variable does not end"),
            ("x\\0", 1, 2, "NUL"),
            ("\\xg", 1, 1, "hexadecimal"),
            ("'\\xff'", 1, 2, "UTF-8"),
            ("\u{c}", 1, 1, "must be in quotes"),
        ] {
            let (l, c, m) = first_error(text);
            assert!(
                (l, c) == (line, column) && m.contains(message),
                "{text:?}: {l} {c} {m}"
            );
        }
    }
}
