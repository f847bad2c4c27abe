use super::{Stage, rel};
use crate::{CopyOptions, Kind, RelPath, Root, copy_tree, never};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;

/// One step of building a tree; where it cannot be done, it is not.
#[derive(Debug, Clone)]
enum Step {
    Dir(String, u32),
    File(String, Vec<u8>, u32, u32),
    Sparse(String, u64),
    Link(String, String),
    Hard(String, String),
    Fifo(String),
    Attribute(String, Vec<u8>),
    Time(String, u32),
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]", 1..5).prop_map(|parts| parts.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    let mode = 0_u32..0o10_000;
    prop_oneof![
        4 => (path(), mode.clone()).prop_map(|(p, m)| Step::Dir(p, m)),
        4 => (path(), prop::collection::vec(any::<u8>(), 0..200), mode, 0_u32..3000)
            .prop_map(|(p, c, m, o)| Step::File(p, c, m, o)),
        1 => (path(), 0_u64..300_000).prop_map(|(p, at)| Step::Sparse(p, at)),
        1 => (path(), "[a-z/.]{1,12}").prop_map(|(p, t)| Step::Link(p, t)),
        2 => (path(), path()).prop_map(|(a, b)| Step::Hard(a, b)),
        1 => path().prop_map(Step::Fifo),
        1 => (path(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(p, v)| Step::Attribute(p, v)),
        1 => (path(), any::<u32>()).prop_map(|(p, t)| Step::Time(p, t)),
    ]
}

fn build(root: &Root, steps: &[Step]) {
    for step in steps {
        // Many steps are impossible on the tree so far; that is what makes the trees random.
        let _ = match step {
            Step::Dir(p, mode) => root.make_dir(&rel(p), *mode, None).map(|_| ()),
            Step::File(p, content, mode, owner) => root.create_file(&rel(p), 0o600).and_then(|f| {
                f.write_all_at(content, 0).unwrap();
                root.set_owner(&rel(p), *owner, owner + 1)?;
                root.set_mode(&rel(p), *mode)
            }),
            Step::Sparse(p, at) => root.create_file(&rel(p), 0o600).map(|f| {
                f.write_all_at(b"end", *at).unwrap();
                f.set_len(at + 100_000).unwrap();
            }),
            Step::Link(p, target) => root.symlink(target, &rel(p)),
            Step::Hard(a, b) => root.hard_link(&rel(a), &rel(b)),
            Step::Fifo(p) => root.make_node(&rel(p), Kind::Fifo, 0o600, (0, 0)),
            Step::Attribute(p, value) => root.set_xattr(&rel(p), "user.random".as_ref(), value),
            Step::Time(p, t) => root.set_mtime(&rel(p), (i64::from(*t), t % 1_000_000_000)),
        };
    }
}

type Seen = BTreeMap<RelPath, String>;

/// Everything about a tree that a copy must keep, as text.
fn picture(root: &Root) -> Seen {
    let (mut seen, mut first) = (Seen::new(), BTreeMap::new());
    let mut open = vec![RelPath::root()];
    while let Some(path) = open.pop() {
        let m = root.metadata(&path).unwrap().unwrap();
        let twin = (m.kind != Kind::Dir).then(|| first.entry(m.ino).or_insert_with(|| path.clone()).clone());
        let content = match m.kind {
            Kind::Dir => {
                open.extend(
                    root.list(&path)
                        .unwrap()
                        .into_iter()
                        .rev()
                        .map(|e| path.push(&e.name)),
                );
                String::new()
            }
            Kind::File => format!(
                "{:?} {:?}",
                root.read(&path, 1 << 20).unwrap(),
                attribute(root, &path)
            ),
            Kind::Link => format!("{:?}", root.read_link(&path).unwrap()),
            _ => String::new(),
        };
        let owner = (m.uid, m.gid, m.nlink);
        seen.insert(
            path,
            format!(
                "{:?} {:o} {owner:?} {:?} {twin:?} {content}",
                m.kind, m.mode, m.mtime
            ),
        );
    }
    seen
}

fn attribute(root: &Root, path: &RelPath) -> Option<Vec<u8>> {
    use std::os::fd::AsFd;
    let file = root.open_file(path).unwrap();
    qjail_os::get_xattr(file.as_fd(), "user.random".as_ref()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_of_any_tree_equals_it_and_can_be_deleted(steps in prop::collection::vec(step(), 1..60)) {
        let s = Stage::new();
        for dir in ["from", "to"] {
            fs::create_dir(s.inside(dir)).unwrap();
        }
        let (from, to) = (s.root.open_dir(&rel("from")).unwrap(), s.root.open_dir(&rel("to")).unwrap());
        build(&from, &steps);
        let before = picture(&from);
        copy_tree(&from, &to, &CopyOptions { threads: 3, ..CopyOptions::default() }).unwrap();
        prop_assert_eq!(&picture(&to), &before);
        prop_assert_eq!(&picture(&from), &before);
        prop_assert!(s.root.remove_tree(&rel("to"), &never).unwrap());
        prop_assert!(!s.inside("to").exists());
    }
}
