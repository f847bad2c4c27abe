//! The fstab(5) of a jail: which of its lines is the shared base, and which are mounts that are not taken over.

use super::draft::Draft;
use super::shown;
use crate::flavor::SHARED;

/// The longest file, in bytes.
pub(super) const LIMIT: u64 = 64 << 10;
/// How many mounts are named one by one.
const NAMED: usize = 20;

/// Notes every mount but the shared base.
pub(super) fn note(draft: &mut Draft, text: &str) {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#') && !is_shared_base(l))
        .collect();
    for line in lines.iter().take(NAMED) {
        let words: Vec<&str> = line.split_whitespace().collect();
        draft.leave_out(format!("the mount {}", shown(&words.join(" "))));
    }
    if lines.len() > NAMED {
        draft.note(format!(
            "and {} more mounts are not taken over",
            lines.len() - NAMED
        ));
    }
}

/// `/usr/jails/sharedfs /usr/jails/NAME/sharedfs nullfs ro 0 0`
fn is_shared_base(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [source, target, kind, ..] = words.as_slice() else {
        return false;
    };
    let ends = |path: &str| path.trim_end_matches('/').rsplit('/').next() == Some(SHARED);
    ends(source) && ends(target) && *kind == "nullfs"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shared_base_is_taken_over() {
        let mut draft = Draft::default();
        note(
            &mut draft,
            "# a comment\n\n/usr/jails/sharedfs /usr/jails/a/sharedfs nullfs ro 0 0\n\
             /data\t/usr/jails/a/data  nullfs rw 0 0\n/usr/jails/sharedfs /x/sharedfs ufs ro\nodd\u{1b}[2J\n",
        );
        assert_eq!(
            draft.notes,
            [
                "not taken over: the mount /data /usr/jails/a/data nullfs rw 0 0",
                "not taken over: the mount /usr/jails/sharedfs /x/sharedfs ufs ro",
                "not taken over: the mount odd?[2J"
            ]
        );
        let mut draft = Draft::default();
        note(&mut draft, &"/a /b nullfs rw\n".repeat(1000));
        assert_eq!(draft.notes.len(), 21);
        assert_eq!(draft.notes[20], "and 980 more mounts are not taken over");
    }
}
