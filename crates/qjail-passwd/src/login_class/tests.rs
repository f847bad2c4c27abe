use super::*;
use proptest::prelude::*;

/// What FreeBSD's own file says, less what this module does not read.
const CONF: &str = "# login.conf\n\
    default:\\\n\
    \t:setenv=BLOCKSIZE=K:\\\n\
    \t:mail=/var/mail/$:\\\n\
    \t:path=/sbin /bin /usr/sbin /usr/bin /usr/local/sbin /usr/local/bin ~/bin:\\\n\
    \t:cputime=unlimited:\\\n\
    \t:memorylocked=64K:\\\n\
    \t:openfiles=unlimited:\\\n\
    \t:priority=0:\\\n\
    \t:umask=022:\\\n\
    \t:charset=UTF-8:\\\n\
    \t:lang=C.UTF-8:\n\
    root:\\\n\
    \t:memorylocked=unlimited:\\\n\
    \t:tc=default:\n\
    small|Small Users:\\\n\
    \t:maxproc=20:maxproc-max=40:openfiles-cur=64:cputime@:\\\n\
    \t:cputime-max=1h30m:priority=5:umask=077:lang@:term=vt100:\\\n\
    \t:setenv=EDITOR=vi,LIST=\"a,b\",HERE=~,WHO=$:\\\n\
    \t:tc=default:\n";

fn class(name: &str, uid: u32) -> LoginClass {
    LoginConf::parse(CONF.as_bytes()).class(name, uid)
}

fn only(fields: &str) -> LoginClass {
    LoginConf::parse(format!("default:{fields}:\n").as_bytes()).class("", 1)
}

fn limit(class: &LoginClass, resource: Resource) -> (Option<Amount>, Option<Amount>) {
    let found = class.limits.iter().find(|l| l.resource == resource);
    found.map_or((None, None), |l| (l.soft, l.hard))
}

fn exactly(number: u64) -> Option<Amount> {
    Some(Amount::Exactly(number))
}

const UNLIMITED: Option<Amount> = Some(Amount::Unlimited);

#[test]
fn a_class_with_what_it_takes_from_another() {
    let small = class("small", 1001);
    assert_eq!(limit(&small, Resource::MaxProc), (exactly(20), exactly(40)));
    assert_eq!(limit(&small, Resource::OpenFiles), (exactly(64), UNLIMITED));
    assert_eq!(limit(&small, Resource::CpuTime), (None, exactly(5400)));
    assert_eq!(
        limit(&small, Resource::MemoryLocked),
        (exactly(65536), exactly(65536))
    );
    assert_eq!(limit(&small, Resource::SwapUse), (None, None));
    assert_eq!((small.nice, small.umask), (Some(5), Some(0o077)));
    let env: Vec<String> = small
        .environment("tom", "/home/tom")
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        env,
        [
            "PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/home/tom/bin",
            "MM_CHARSET=UTF-8",
            "MAIL=/var/mail/tom",
            "TERM=vt100",
            "EDITOR=vi",
            "LIST=a,b",
            "HERE=/home/tom/",
            "WHO=tom",
        ]
    );
    assert_eq!(class("Small Users", 1001), small);
}

#[test]
fn which_class_a_user_is_in() {
    let locked = |name, uid| limit(&class(name, uid), Resource::MemoryLocked).0;
    assert_eq!((locked("", 0), locked("", 5)), (UNLIMITED, exactly(65536)));
    assert_eq!(
        (locked("none", 5), locked("none", 0)),
        (exactly(65536), exactly(65536))
    );
    let no_root = LoginConf::parse(b"default:maxproc=7:\n").class("", 0);
    assert_eq!(limit(&no_root, Resource::MaxProc), (exactly(7), exactly(7)));
    assert_eq!(LoginConf::parse(b"").class("small", 1), LoginClass::default());
    assert_eq!(
        LoginClass::default().environment("tom", "/"),
        [("BLOCKSIZE", "K"), ("LANG", "C.UTF-8")].map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn amounts() {
    for (text, amount) in [
        ("", exactly(0)),
        ("100", exactly(100)),
        ("1b", exactly(512)),
        ("2K", exactly(2048)),
        ("0x10m", exactly(16 << 20)),
        ("1g1k1", exactly((1 << 30) + 1025)),
        ("1T", exactly(1 << 40)),
        ("Unlimited", UNLIMITED),
        ("inf", UNLIMITED),
        ("-1", UNLIMITED),
        ("-5", None),
        ("5x", None),
        ("k", None),
        ("8388608t", None),
        ("16777216t", None),
        ("99999999999999999999", None),
    ] {
        let got = only(&format!("datasize={text}"));
        assert_eq!(limit(&got, Resource::DataSize), (amount, amount), "{text}");
    }
    for (text, amount) in [
        ("9600s", exactly(9600)),
        ("2h40m", exactly(9600)),
        ("1w1d", exactly(691_200)),
        ("1y", exactly(31_536_000)),
        ("1k", None),
    ] {
        let got = only(&format!("cputime={text}"));
        assert_eq!(limit(&got, Resource::CpuTime), (amount, amount), "{text}");
    }
    for (field, amount) in [
        ("maxproc#64", exactly(64)),
        ("maxproc=0100", exactly(64)),
        ("maxproc=64k", exactly(64)),
        ("maxproc=-2", None),
        ("maxproc=many", None),
        ("maxproc=many:maxproc#3", None),
    ] {
        assert_eq!(
            limit(&only(field), Resource::MaxProc),
            (amount, amount),
            "{field}"
        );
    }
    // A part that can not be read does not take the other away.
    let got = only("datasize=1k:datasize-max=x");
    assert_eq!(limit(&got, Resource::DataSize), (exactly(1024), exactly(1024)));
}

#[test]
fn a_class_whose_other_class_is_missing_keeps_its_limits() {
    for conf in [
        "small:maxproc=5:tc=gone:\n",
        "small:tc=small:maxproc=5:\n",
        "small:tc=other:maxproc=5:\nother:tc=small:\n",
    ] {
        let small = LoginConf::parse(conf.as_bytes()).class("small", 5);
        assert_eq!(
            limit(&small, Resource::MaxProc),
            (exactly(5), exactly(5)),
            "{conf}"
        );
    }
}

#[test]
fn priorities_and_masks() {
    for (text, nice) in [
        ("priority=-3", Some(-3)),
        ("priority=-1", Some(-1)),
        ("priority#7", Some(7)),
        ("priority=25", Some(20)),
        ("priority=-52", Some(-20)),
        ("priority=high", Some(0)),
        ("priority=inherit", None),
        ("", Some(0)),
    ] {
        assert_eq!(only(text).nice, nice, "{text}");
    }
    for (text, mask) in [
        ("umask=027", Some(0o27)),
        ("umask#022", Some(0o22)),
        ("umask=0", Some(0)),
        ("umask=01022", Some(0o22)),
        ("umask=inherit", None),
        ("umask=unlimited", None),
        ("umask=-1", None),
        ("umask=99999", None),
        ("", None),
    ] {
        assert_eq!(only(text).umask, mask, "{text}");
    }
}

#[test]
fn values_for_a_user() {
    for (value, home, expected) in [
        (r"~/x ~ \\~ $\\$", "/h", "/h/x:/h/:~:tom$"),
        ("~/x,~bin", "/", "//x:/bin"),
        (r"a\\b", "/h", r"a\b"),
    ] {
        let env = only(&format!("path={value}")).environment("tom", home);
        assert_eq!(env, [("PATH".to_owned(), expected.to_owned())], "{value}");
    }
    let listed = only("setenv=A=1,,b,=2, C=3,D='x\\cy',E=\"open,F=4,A=5").environment("tom", "/h");
    let listed: Vec<String> = listed.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(listed, ["A=1", "C=3", "D=x:y", "E=\"open,F=4,A=5"]);
    let again = only("lang=de:setenv=LANG=fr").environment("tom", "/h");
    assert_eq!(again, [("LANG".to_owned(), "fr".to_owned())]);
}

#[test]
fn an_environment_has_an_end() {
    let class = only(&format!("path={}:lang=C", "~".repeat(100_000)));
    let env = class.environment("tom", &format!("/{}", "x".repeat(100_000)));
    assert_eq!(env, [("LANG".to_owned(), "C".to_owned())]);
    let long = "x".repeat(300_000);
    let env = only(&format!("setenv={long}=,A=1")).environment("tom", "/");
    assert_eq!(env, [("A".to_owned(), "1".to_owned())]);
}

/// A field as somebody may write it, good or bad.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "(datasize|cputime|maxproc|openfiles)(-cur|-max)?(=|#|@)[0-9]{0,4}[a-z]{0,2}",
        "(umask|priority)(=|#)-?[0-9a-z]{0,5}",
        "(path|lang|setenv)=[A-C=~$, \"'^\\\\0-9]{0,12}",
        "tc=[a-c]",
        "[^:\n\\\\]{0,8}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_a_file(bytes in prop::collection::vec(any::<u8>(), 0..200), fields in prop::collection::vec(field(), 0..12)) {
        let text = [b"default:".as_slice(), fields.join(":").as_bytes(), b"\na:tc=b:\nb:tc=default:\n", &bytes].concat();
        for (name, uid) in [("", 0), ("", 1), ("a", 1), ("c", 1)] {
            let class = LoginConf::parse(&text).class(name, uid);
            prop_assert!(class.nice.is_none_or(|n| (-20..=20).contains(&n)));
            prop_assert!(class.umask.is_none_or(|m| m <= 0o777));
            for (key, value) in class.environment("tom", "/home/tom") {
                prop_assert!(!key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0'));
            }
        }
    }

    #[test]
    fn lines_may_be_broken_anywhere(fields in prop::collection::vec(field(), 0..8), at in prop::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let line = format!("default:{}:", fields.join(":"));
        let mut broken = line.clone();
        for index in at {
            let places: Vec<usize> = broken.char_indices().map(|(i, _)| i).filter(|i| !broken[..*i].ends_with('\\')).collect();
            broken.insert_str(places[index.index(places.len())], "\\\n");
        }
        let of = |text: &str| LoginConf::parse(text.as_bytes()).class("", 5);
        prop_assert_eq!(of(&broken), of(&line));
    }

    #[test]
    fn sizes_and_times_add_up(parts in prop::collection::vec((0u64..10_000, 0usize..5), 1..5)) {
        let units = [("b", 512), ("k", 1 << 10), ("M", 1 << 20), ("g", 1 << 30), ("T", 1u64 << 40)];
        let text: String = parts.iter().map(|(n, u)| format!("{n}{}", units[*u].0)).collect();
        let total = parts.iter().map(|(n, u)| n * units[*u].1).sum();
        prop_assert_eq!(limit(&only(&format!("filesize={text}")), Resource::FileSize), (exactly(total), exactly(total)));
    }
}
