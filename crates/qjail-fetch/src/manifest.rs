//! The MANIFEST beside the archives of a release, as FreeBSD's `release/scripts/make-manifest.sh` writes it: one line
//! per file, fields between tabs: file, sha256, number of members, name of the set, description in quotes, `on` or `off`.

use std::fmt;

use crate::Digest;

/// Why a text is no MANIFEST.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("MANIFEST line {line}: {problem}")]
pub struct ManifestError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: ManifestProblem,
}

/// What is wrong with a line of a MANIFEST.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// HTML.
    #[error("this is a web page, not a MANIFEST")]
    WebPage,
    /// No entry at all.
    #[error("the file has no entry")]
    Empty,
    /// Too few fields.
    #[error("{0} fields between tabs, at least 3 expected (file, sha256, number of members)")]
    Fields(usize),
    /// A file name that is none.
    #[error("`{0}` is not a plain file name")]
    Name(String),
    /// The second field is no digest.
    #[error(transparent)]
    Digest(#[from] crate::DigestError),
    /// The third field is no number.
    #[error("`{0}` is not a number of members")]
    Members(String),
    /// A second line for one file.
    #[error("`{0}` is listed twice")]
    Duplicate(String),
}

/// One line of a MANIFEST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `base.txz`: a plain file name, no slash, not hidden.
    pub file: String,
    /// Of the archive as it lies on the server.
    pub sha256: Digest,
    /// Number of members of the archive: what a progress bar of the extraction counts to.
    pub members: u64,
    /// `base`.
    pub set: String,
    /// `Base system (MANDATORY)`.
    pub description: String,
    /// Whether the installer selects it by default.
    pub selected: bool,
}

/// A MANIFEST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<Entry>,
}

impl Manifest {
    /// Reads the text of a MANIFEST. Line ends of DOS, empty lines and missing last fields are accepted.
    ///
    /// # Errors
    /// The first line that cannot be used, or a text without any entry.
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let at = |line: usize| move |problem| ManifestError { line, problem };
        if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
            return Err(at(1)(ManifestProblem::WebPage));
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (i, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let entry = parse_line(line.trim_end_matches('\r')).map_err(at(i + 1))?;
            if entries.iter().any(|e| e.file == entry.file) {
                return Err(at(i + 1)(ManifestProblem::Duplicate(entry.file)));
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            Err(at(1)(ManifestProblem::Empty))
        } else {
            Ok(Manifest { entries })
        }
    }

    /// The entry of `file`.
    #[must_use]
    pub fn entry(&self, file: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.file == file)
    }

    /// All entries in their order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

fn parse_line(line: &str) -> Result<Entry, ManifestProblem> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    let [file, sha256, members, rest @ ..] = fields.as_slice() else {
        return Err(ManifestProblem::Fields(fields.len()));
    };
    if file.is_empty() || file.starts_with('.') || file.contains(|c: char| c == '/' || c.is_control()) {
        return Err(ManifestProblem::Name((*file).to_owned()));
    }
    let field = |i: usize| rest.get(i).copied().unwrap_or_default();
    let quoted = field(1);
    let description = quoted
        .strip_prefix('"')
        .and_then(|d| d.strip_suffix('"'))
        .unwrap_or(quoted);
    Ok(Entry {
        file: (*file).to_owned(),
        sha256: sha256.parse()?,
        members: members
            .parse()
            .map_err(|_| ManifestProblem::Members((*members).to_owned()))?,
        set: field(0).to_owned(),
        description: description.to_owned(),
        selected: field(2) == "on",
    })
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for e in &self.entries {
            let on = if e.selected { "on" } else { "off" };
            writeln!(
                f,
                "{}\t{}\t{}\t{}\t\"{}\"\t{on}",
                e.file, e.sha256, e.members, e.set, e.description
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "ac0c933cc02ee8af4da793f551e4a9a15cdcf0e67851290b1e8c19dd6d30bba8";

    fn base() -> String {
        format!("base.txz\t{HASH}\t30443\tbase\t\"Base system (MANDATORY)\"\ton\n")
    }

    #[test]
    fn the_real_shape() {
        let text = format!("{}lib32.txz\t{HASH}\t1\tlib32\t\"32-bit\"\toff\r\n\r\n", base());
        let manifest = Manifest::parse(&text).unwrap();
        let entry = manifest.entry("base.txz").unwrap();
        assert_eq!(
            (entry.members, entry.set.as_str(), entry.selected),
            (30443, "base", true)
        );
        assert_eq!(entry.description, "Base system (MANDATORY)");
        assert_eq!(entry.sha256.to_string(), HASH);
        assert!(!manifest.entry("lib32.txz").unwrap().selected);
        assert_eq!(manifest.entry("lib32"), None);
        assert_eq!(manifest.to_string(), text.replace("\r\n\r\n", "\n"));
        assert_eq!(
            Manifest::parse(&format!("base.txz\t{HASH}\t7"))
                .unwrap()
                .entries()
                .len(),
            1
        );
    }

    #[test]
    fn bad_texts_name_their_line() {
        let b = base();
        let table = [
            (String::new(), "line 1: the file has no entry"),
            (
                "<!DOCTYPE html>\n<html>".to_owned(),
                "line 1: this is a web page, not a MANIFEST",
            ),
            (
                "\u{feff}\r\n <html>".to_owned(),
                "line 1: this is a web page, not a MANIFEST",
            ),
            (format!("{b}{b}"), "line 2: `base.txz` is listed twice"),
            (format!("{b}\nx.txz"), "line 3: 1 fields"),
            (format!("x.txz\t{}\t1", &HASH[1..]), "is not a sha256"),
            (format!("x.txz\t{HASH}\t-1"), "`-1` is not a number of members"),
            (
                format!("../x.txz\t{HASH}\t1"),
                "`../x.txz` is not a plain file name",
            ),
            (format!("\t{HASH}\t1"), "`` is not a plain file name"),
            (format!("x\0y\t{HASH}\t1"), "is not a plain file name"),
            ("base.txz ac0c 12".to_owned(), "line 1: 1 fields"),
        ];
        for (text, want) in table {
            let error = Manifest::parse(&text).unwrap_err().to_string();
            assert!(error.contains(want), "{error:?} for {text:?}");
            assert!(!error.contains('\n'));
        }
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let entry = (
            "[a-z0-9][a-z0-9._-]{0,12}",
            any::<[u8; 32]>(),
            any::<u64>(),
            "[a-z0-9-]{0,8}",
            "[ -~&&[^\"]]{0,20}",
            any::<bool>(),
        );
        prop::collection::vec(entry, 1..8).prop_map(|all| {
            let mut seen = std::collections::BTreeSet::new();
            all.into_iter()
                .filter(|e| seen.insert(e.0.clone()))
                .map(|(file, hash, members, set, description, selected)| Entry {
                    file,
                    sha256: Digest::from_bytes(hash),
                    members,
                    set,
                    description,
                    selected,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn print_and_parse(entries in entries()) {
            let manifest = Manifest { entries };
            let text = manifest.to_string();
            prop_assert_eq!(&Manifest::parse(&text).unwrap(), &manifest);
            prop_assert_eq!(&Manifest::parse(&text.replace('\n', "\r\n")).unwrap(), &manifest);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            if let Ok(manifest) = Manifest::parse(&text) {
                prop_assert!(!manifest.entries().is_empty());
            }
        }
    }
}
