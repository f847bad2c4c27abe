//! Capability records as getcap(3) reads them: names, then fields between colons, over as many lines as end in `\`.

use std::collections::{BTreeMap, BTreeSet};

/// How deep `tc=` may lead, `MAX_RECURSION` of getcap(3).
const DEEPEST: usize = 32;

/// The records of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Database {
    records: Vec<Vec<String>>,
    names: BTreeMap<String, usize>,
}

impl Database {
    /// Reads the text of such a file. Of two records with one name the first counts.
    pub(crate) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in logical_lines(text) {
            let mut fields = line.split(':').map(str::to_owned);
            for name in fields.next().unwrap_or_default().split('|') {
                all.names.entry(name.to_owned()).or_insert(all.records.len());
            }
            all.records.push(fields.collect());
        }
        all
    }

    /// The record of that name with what its `tc=` fields bring in. What a `tc=` names in vain, or again, brings nothing:
    /// the rest of the record holds.
    pub(crate) fn record(&self, name: &str) -> Option<Record<'_>> {
        let mut record = Record::default();
        let first = *self.names.get(name)?;
        self.collect(first, 0, &mut BTreeSet::new(), &mut record);
        Some(record)
    }

    fn collect<'a>(&'a self, at: usize, depth: usize, seen: &mut BTreeSet<usize>, record: &mut Record<'a>) {
        // Of each field the first counts, so that a record has nothing to add when it comes again.
        if depth > DEEPEST || !seen.insert(at) {
            return;
        }
        for field in self.records.get(at).into_iter().flatten() {
            match field.strip_prefix("tc=") {
                None => record.fields.push(field),
                Some(name) => {
                    if let Some(next) = self.names.get(name) {
                        self.collect(*next, depth + 1, seen, record);
                    }
                }
            }
        }
    }
}

/// The lines of the file without empty ones and comments, those that end in `\` joined with what follows.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for part in text.lines() {
        line += part;
        if line.ends_with('\\') {
            line.pop();
        } else {
            lines.push(std::mem::take(&mut line));
        }
    }
    lines.push(line);
    lines.retain(|line| !line.is_empty() && !line.starts_with('#'));
    lines
}

/// One record.
#[derive(Debug, Default)]
pub(crate) struct Record<'a> {
    fields: Vec<&'a str>,
}

impl Record<'_> {
    /// The text behind `name=`, escapes decoded; ends before a NUL, as in C.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.value(name, '=').map(decoded)
    }

    /// The number behind `name#`; `0x` begins hexadecimal digits, `0` octal ones.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        let value = self.value(name, '#')?;
        let (base, digits) = match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
            Some(digits) => (16, digits),
            None if value.starts_with('0') => (8, value),
            None => (10, value),
        };
        let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
        match &digits[..end] {
            "" => Some(0),
            digits => u64::from_str_radix(digits, base).ok(),
        }
    }

    /// What stands behind a name and the sign of its type; nothing where `name@` comes first.
    fn value(&self, name: &str, sign: char) -> Option<&str> {
        for field in &self.fields {
            let Some(rest) = field.strip_prefix(name) else {
                continue;
            };
            if rest.starts_with('@') {
                return None;
            }
            if let Some(value) = rest.strip_prefix(sign) {
                return (!value.starts_with('@')).then_some(value);
            }
        }
        None
    }
}

/// getcap(3), "CGETNUM AND CGETSTR SYNTAX AND SEMANTICS".
fn decoded(value: &str) -> String {
    let mut bytes = value.bytes().peekable();
    let mut out = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'^' => match bytes.next() {
                None => break,
                Some(b'?') => 0x7f,
                Some(key) => key & 0x1f,
            },
            b'\\' => match bytes.next() {
                None => break,
                Some(first @ b'0'..=b'7') => {
                    let mut number = u32::from(first - b'0');
                    for _ in 0..2 {
                        let Some(digit) = bytes.next_if(|b| matches!(b, b'0'..=b'7')) else {
                            break;
                        };
                        number = number * 8 + u32::from(digit - b'0');
                    }
                    number.to_le_bytes()[0]
                }
                Some(letter) => named(letter),
            },
            other => other,
        });
    }
    let end = out.iter().position(|b| *b == 0).unwrap_or(out.len());
    String::from_utf8_lossy(&out[..end]).into_owned()
}

fn named(letter: u8) -> u8 {
    match letter.to_ascii_lowercase() {
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'f' => 0x0c,
        b'r' => b'\r',
        b'e' => 0x1b,
        b'c' => b':',
        _ => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_over_lines_by_any_of_their_names() {
        let text = "# a comment \\\nthat goes on:x=no:\n\na|alias|Long Name:\\\n\t:x=1:\\\n\t:y#017:z:\na:x=2:\nlast:x=9";
        let all = Database::parse(text);
        for name in ["a", "alias", "Long Name"] {
            let record = all.record(name).unwrap();
            assert_eq!(
                (record.text("x"), record.number("y"), record.text("z")),
                (Some("1".into()), Some(15), None)
            );
        }
        assert_eq!(all.record("last").unwrap().text("x").unwrap(), "9");
        assert!(all.record("that goes on").is_none() && all.record("").is_none());
    }

    #[test]
    fn numbers() {
        let all = Database::parse("a:d#64k:o#022:h#0xFf:none#x:zero#0:long#99999999999999999999:t=5:\n");
        let record = all.record("a").unwrap();
        let numbers = ["d", "o", "h", "none", "zero", "long", "t"].map(|n| record.number(n));
        assert_eq!(
            numbers,
            [Some(64), Some(18), Some(255), Some(0), Some(0), None, None]
        );
    }

    #[test]
    fn other_records_stand_in_where_they_are_named() {
        let text = "a:x=a:tc=b:y=a:u@:tc=c:\nb:x=b:y=b:w=b:\nc:x=c:u=c:z=c:v=@:\n";
        let all = Database::parse(text);
        let record = all.record("a").unwrap();
        let texts = ["x", "y", "z", "u", "v", "w"].map(|n| record.text(n).unwrap_or_default());
        assert_eq!(texts, ["a", "b", "c", "", "", "b"]);
    }

    #[test]
    fn what_can_not_be_brought_in_takes_nothing_away() {
        let loops = Database::parse("a:x=a:tc=b:z=a:\nb:y=b:tc=a:tc=none:tc=b:\n");
        let record = loops.record("a").unwrap();
        assert_eq!(["x", "y", "z"].map(|n| record.text(n).unwrap()), ["a", "b", "a"]);

        let chain: String = (0..50).map(|n| format!("c{n}:x{n}=1:tc=c{}:\n", n + 1)).collect();
        let chain = Database::parse(&chain);
        let record = chain.record("c0").unwrap();
        assert!(record.text("x32").is_some() && record.text("x33").is_none());
        // Each brings in the next one twice: 2^30 fields, unless each counts once.
        let twice: String = (0..30)
            .map(|n| format!("d{n}:tc=d{0}:tc=d{0}:x{n}=1:\n", n + 1))
            .collect();
        let twice = Database::parse(&twice);
        let record = twice.record("d0").unwrap();
        assert_eq!(record.fields.iter().filter(|f| !f.is_empty()).count(), 30);
    }

    #[test]
    fn escapes() {
        for (written, read) in [
            (r"a\cb\\\^\~", r"a:b\^~"),
            (r"\E\t\N\r\f\b", "\x1b\t\n\r\x0c\x08"),
            ("^A^?^[x", "\x01\x7f\x1bx"),
            (r"\101\1012\8", "AA28"),
            (r"\303\244", "ä"),
            (r"a\0b", "a"),
            (r"a\", "a"),
            ("a^", "a"),
        ] {
            assert_eq!(decoded(written), read, "{written}");
        }
    }
}
