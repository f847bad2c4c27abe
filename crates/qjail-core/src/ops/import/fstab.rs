//! The fstab(5) of a jail: which of its lines is the shared base, which are mounts in the jail, and which are neither.

use super::draft::Draft;
use super::shown;
use crate::flavor::SHARED;

/// The longest file, in bytes.
pub(super) const LIMIT: u64 = 64 << 10;
/// How many mounts are named one by one.
const NAMED: usize = 20;

/// Takes over the mounts below the jail's root but for the shared base, and leaves the others out.
pub(super) fn take(draft: &mut Draft, text: &str) {
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#') && !is_shared_base(l))
        .map(|l| l.split_whitespace().collect::<Vec<_>>());
    let (below, others): (Vec<_>, Vec<_>) = lines.partition(|words| is_below(&draft.path, words));
    for words in others.iter().take(NAMED) {
        draft.leave_out(format!("the mount {}", shown(&words.join(" "))));
    }
    if others.len() > NAMED {
        draft.leave_out(format!("{} more mounts", others.len() - NAMED));
    }
    let below: Vec<String> = below.iter().map(|words| words.join(" ")).collect();
    if !below.is_empty() {
        let all = [draft.params.list("mount"), below].concat();
        draft.set("mount", all);
    }
}

/// Whether it is a whole line, and its place in the jail.
fn is_below(root: &str, words: &[&str]) -> bool {
    let [_, target, _, _, ..] = words else {
        return false;
    };
    let below = target.strip_prefix(root.trim_end_matches('/'));
    !root.is_empty()
        && below.is_some_and(|b| {
            b.starts_with('/') && !b.trim_matches('/').is_empty() && !b.split('/').any(|part| part == "..")
        })
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
    fn mounts_in_the_jail_are_taken_over() {
        let mut draft = Draft {
            path: "/usr/jails/a".to_owned(),
            ..Draft::default()
        };
        take(
            &mut draft,
            "# a comment\n\n/usr/jails/sharedfs /usr/jails/a/sharedfs nullfs ro 0 0\n\
             /data\t/usr/jails/a/data  nullfs rw 0 0\n/usr/jails/sharedfs /x/sharedfs ufs ro\nodd\u{1b}[2J\n\
             /data /usr/jails/a/../b nullfs rw 0 0\n",
        );
        assert_eq!(
            draft.notes,
            [
                "not taken over: the mount /usr/jails/sharedfs /x/sharedfs ufs ro",
                "not taken over: the mount odd?[2J",
                "not taken over: the mount /data /usr/jails/a/../b nullfs rw 0 0"
            ]
        );
        assert_eq!(
            draft.params.list("mount"),
            ["/data /usr/jails/a/data nullfs rw 0 0"]
        );
        assert!(draft.left_out);
        let mut draft = Draft::default();
        take(&mut draft, &"/a /b nullfs rw\n".repeat(1000));
        assert_eq!(draft.notes.len(), 21);
        assert_eq!(draft.notes[20], "not taken over: 980 more mounts");
    }
}
