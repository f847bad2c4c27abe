use super::*;
use proptest::prelude::*;

fn jails(text: &str) -> Vec<JailBlock> {
    read("/etc/jail.conf", text, no_includes).unwrap()
}

fn one(text: &str) -> Params {
    let mut jails = jails(text);
    assert_eq!(jails.len(), 1, "{jails:?}");
    jails.remove(0).params
}

fn shown(params: &Params) -> Vec<String> {
    params.iter().map(|(k, v)| format!("{k}={v}")).collect()
}

/// The file of qjail 5.x, and what `jail -e ' ' -f FILE` says of it on FreeBSD 13.2 (name and quotes aside).
#[test]
fn what_jail_8_reads_in_the_old_files() {
    let blocks = jails(include_str!("../golden/qjail-5.conf"));
    assert_eq!(blocks[0].name, "room-001");
    assert_eq!(
        shown(&blocks[0].params),
        [
            "devfs_ruleset=4",
            "exec.consolelog=/var/log/qjail.room-001.console.log",
            "exec.start=/bin/sh /etc/rc",
            "exec.stop=/bin/sh /etc/rc.shutdown",
            "host.hostname=room-001",
            "interface=lo1",
            "ip4.addr=192.168.1.10",
            "mount.devfs=true",
            "mount.fstab=/usr/local/etc/qjail.fstab/room-001",
            "path=/usr/jails/room-001",
        ]
    );
}

/// The forms that the manual page shows, in texts of our own.
#[test]
fn the_whole_format() {
    let text = r#"
# defaults for all
exec.start = "/bin/sh /etc/rc"; exec.stop '/bin/sh /etc/rc.shutdown jail';
exec.clean; /* and
   devices */ mount.devfs;
$base = "/jails";   // a variable
path = "$base/$name";
host.hostname = $name.example.org;

web { ip4.addr = 10.0.0.1, 10.0.0.2; ip4.addr += "10.0.0.3"; allow.noraw_sockets; allow.mount = "false"; }
"db" {
    ip4.addr = 'lo1|10.0.0.4';;
    mount.nodevfs;
    path = /srv/db;
    exec.stop = '';
    $base = x;
    exec.poststart = "logger -t ${host.hostname} 'up: \$PATH'";
}
"#;
    let blocks = jails(text);
    let names: Vec<&str> = blocks.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["web", "db"]);
    let (web, db) = (&blocks[0].params, &blocks[1].params);
    assert_eq!(web.list("ip4.addr"), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert_eq!(web.get("allow.raw_sockets"), Some(&ParamValue::Bool(false)));
    assert_eq!(web.get("allow.mount"), Some(&ParamValue::Text("false".into())));
    assert_eq!(web.text("path"), Some("/jails/web"));
    assert_eq!(web.text("host.hostname"), Some("web.example.org"));
    assert_eq!(web.text("exec.stop"), Some("/bin/sh /etc/rc.shutdown jail"));
    assert!(web.is_on("mount.devfs") && web.is_on("exec.clean"));
    assert_eq!(db.get("mount.devfs"), Some(&ParamValue::Bool(false)));
    assert_eq!(db.text("exec.stop"), Some(""));
    assert_eq!(db.text("path"), Some("/srv/db"));
    assert_eq!(
        db.text("exec.poststart"),
        Some("logger -t db.example.org 'up: $PATH'")
    );
    assert!(db.get("base").is_none() && db.get("name").is_none());
}

#[test]
fn later_statements_win_and_wildcards_stand_where_they_are() {
    let text = "a = 1; * { b = 1; } x { a = 2; b = 2; c = 2; } c = 3; * { d = $name; }";
    assert_eq!(shown(&one(text)), ["a=2", "b=2", "c=3", "d=x"]);
    assert_eq!(
        shown(&one("x { allow.mount; } * { allow.nomount; }")),
        ["allow.mount=false"]
    );
    assert_eq!(
        shown(&one(
            "x { a = 1, 2; a = 3; b += 1; b += 2, 3; c; c += 1; d = 1; d; }"
        )),
        ["a=3", "b=1, 2, 3", "c=1", "d=true"]
    );
    assert_eq!(
        shown(&one("x { nopersist = false; vnet = TRUE; }")),
        ["persist=true", "vnet=TRUE"]
    );
}

#[test]
fn wildcards_mean_parts_of_names() {
    let text = r#"
        "a.*" { p = 1; }  "*.b" { q = 1; }  a.*.c { r = 1; }  * { s = 1; }
        a {} a.b {} a.b.c {} x.b {} ab {}
    "#;
    let seen: Vec<String> = jails(text)
        .iter()
        .map(|b| format!("{} {}", b.name, shown(&b.params).join(" ")))
        .collect();
    assert_eq!(
        seen,
        [
            "a s=1",
            "a.b p=1 q=1 s=1",
            "a.b.c p=1 r=1 s=1",
            "x.b q=1 s=1",
            "ab s=1"
        ]
    );
}

#[test]
fn jails_within_jails_and_numbers() {
    let blocks = jails(
        "a { p = 1; b { p = 2; c { path = $name; } } q = 1; } 12 { name = twelve; path = $jid/$name; } 7 { path = $name; }",
    );
    let seen: Vec<String> = blocks
        .iter()
        .map(|b| format!("{} {}", b.name, shown(&b.params).join(" ")))
        .collect();
    assert_eq!(
        seen,
        [
            "a p=1 q=1",
            "a.b p=2",
            "a.b.c path=a.b.c",
            "12 name=twelve path=12/twelve",
            "7 path=7"
        ]
    );
}

#[test]
fn variables_in_variables_and_lists() {
    let text =
        "$a = $b/x; $b = /$name; $l = 1, 2; $l += 3; j { p = \"$a\"; q = 0, $l, 4; r = $q; s = ${p}$b; }";
    assert_eq!(
        shown(&one(text)),
        ["p=/j/x", "q=0, 1, 2, 3, 4", "r=0, 1, 2, 3, 4", "s=/j/x/j"]
    );
}

#[test]
fn mistakes_have_a_place() {
    for (text, line, column, word) in [
        ("a {\n  path = /x\n}\n", 3, 1, "`}` where `,` or `;` should be"),
        ("a {\n  path = ;\n}", 2, 10, "`;` where a value should be"),
        (
            "a {\n  mount.devfs\n",
            3,
            1,
            "the end of the file where `=`, `+=`, `;` or `{` should be",
        ),
        ("x;\n a {", 2, 2, "`}` is missing"),
        ("a { } }", 1, 7, "`}` without `{`"),
        ("a = b c;", 1, 7, "`c` where `,` or `;` should be"),
        ("= b;", 1, 1, "`=` where a jail or a parameter should be"),
        ("a { b = $c; }", 1, 5, "the variable c is not set"),
        ("$c; a { b = $c; }", 1, 9, "the variable c is not set"),
        ("$b = $c;\n$c = x$b; a { d = $b; }", 2, 1, "b refers to itself"),
        ("$b = 1, 2; a { c = x$b; }", 1, 16, "b is a list"),
        (
            "$b = 1; a { b = 1; }",
            1,
            13,
            "b can not be a variable and a parameter",
        ),
        ("a { name = b; }", 1, 5, "given by the name of the jail"),
        ("$x {}", 1, 1, "the name of a jail can not hold a variable"),
        (
            "a$x = 1;",
            1,
            1,
            "the name of a parameter can not hold a variable",
        ),
        ("'' {}", 1, 1, "empty"),
        ("'' = 1;", 1, 1, "empty"),
        ("a { b = 'x; }", 1, 9, "the string does not end"),
        ("a {\n /* }", 2, 2, "the comment does not end"),
        (
            ".include \"x\";",
            1,
            1,
            "include /etc/x: files can not be included here",
        ),
        (".include $x;", 1, 1, "can not hold a variable"),
    ] {
        let e = read("/etc/jail.conf", text, no_includes).unwrap_err();
        assert!(
            e.to_string()
                .starts_with(&format!("/etc/jail.conf: line {line}, column {column}: ")),
            "{text}: {e}"
        );
        assert!(e.message.contains(word), "{text}: {e}");
    }
}

fn files(pattern: &str) -> Result<Vec<Source>, String> {
    let all = [
        ("/etc/jail.conf.d/a.conf", "a { path = $dir; }"),
        ("/etc/jail.conf.d/b.conf", "ip4.addr = 1; .include 'sub/c.conf';"),
        ("/etc/jail.conf.d/sub/c.conf", "b { } c {\n bad"),
        ("/etc/inner", "path = /in; nested {}"),
        ("/etc/self", ".include '/etc/self';"),
    ];
    let found: Vec<Source> = all
        .iter()
        .filter(|(name, _)| {
            pattern.strip_suffix("*.conf").map_or(*name == pattern, |dir| {
                name.strip_prefix(dir)
                    .is_some_and(|rest| !rest.contains('/') && rest == "a.conf")
            })
        })
        .map(|(name, text)| Source {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    if found.is_empty() && !pattern.contains('*') {
        Err("no such file".into())
    } else {
        Ok(found)
    }
}

#[test]
fn includes() {
    let blocks = read(
        "/etc/jail.conf",
        "$dir = /d; .include \"jail.conf.d/*.conf\", 'none/*.conf';",
        files,
    )
    .unwrap();
    assert_eq!(
        (blocks[0].name.as_str(), blocks[0].params.text("path")),
        ("a", Some("/d"))
    );
    let blocks = read("/etc/jail.conf", "x { .include inner; ip4.addr = 1; }", files).unwrap();
    let seen: Vec<String> = blocks
        .iter()
        .map(|b| format!("{} {}", b.name, shown(&b.params).join(" ")))
        .collect();
    assert_eq!(seen, ["x ip4.addr=1 path=/in", "x.nested "]);
    let e = read("/etc/jail.conf", ".include '/etc/jail.conf.d/b.conf';", files).unwrap_err();
    assert_eq!((e.file.as_str(), e.line), ("/etc/jail.conf.d/sub/c.conf", 2));
    let e = read("/etc/jail.conf", "\n.include nosuch;", files).unwrap_err();
    assert_eq!(
        e.to_string(),
        "/etc/jail.conf: line 2, column 1: include /etc/nosuch: no such file"
    );
    let e = read("/etc/jail.conf", ".include '/etc/self';", files).unwrap_err();
    assert_eq!(
        (e.file.as_str(), e.message.as_str()),
        ("/etc/self", "/etc/self includes itself")
    );
}

#[test]
fn what_has_no_end_is_refused() {
    let mut n = 0;
    let deeper = |_: &str| {
        n += 1;
        Ok(vec![Source {
            name: n.to_string(),
            text: ".include x;".into(),
        }])
    };
    assert!(
        read("f", ".include x;", deeper)
            .unwrap_err()
            .message
            .contains("more than 32 deep")
    );
    let mut n = 0;
    let wider = |pattern: &str| {
        let mut many = Vec::new();
        for _ in 0..9 {
            n += 1;
            many.push(Source {
                name: n.to_string(),
                text: if pattern.len() < 9 {
                    format!(".include {pattern}x;")
                } else {
                    String::new()
                },
            });
        }
        Ok(many)
    };
    assert!(
        read("f", ".include x;", wider)
            .unwrap_err()
            .message
            .contains("10000 files")
    );
    let laughs: String = (0..60).map(|i| format!("$v{i} = $v{0}$v{0};", i + 1)).collect();
    let e = read("f", &format!("{laughs} $v60 = ha; a {{ b = $v0; }}"), no_includes).unwrap_err();
    assert!(e.message.contains("too long"), "{e}");
    let lists: String = (0..60).map(|i| format!("$v{i} = $v{0}, $v{0};", i + 1)).collect();
    let e = read("f", &format!("{lists} $v60 = ha; a {{ b = $v0; }}"), no_includes).unwrap_err();
    assert!(e.message.contains("too long"), "{e}");
    let chain: String = (0..5000).map(|i| format!("$v{i} = $v{};", i + 1)).collect();
    assert!(
        read("f", &format!("{chain} a {{ b = $v0; }}"), no_includes)
            .unwrap_err()
            .message
            .contains("100 deep")
    );
    assert!(
        read("f", &"a{".repeat(100_000), no_includes)
            .unwrap_err()
            .message
            .contains("nested more than 32 deep")
    );
}

/// A megabyte must not take minutes or gigabytes.
#[test]
fn many_jails_and_wildcards_end() {
    let begun = std::time::Instant::now();
    assert_eq!(jails(&"a{}".repeat(300_000)).len(), 300_000);
    let read = |text: &str| read("f", text, no_includes).unwrap_err().message;
    let both = format!("{}{}", "*{a=1;}".repeat(50_000), "a{}".repeat(50_000));
    assert!(read(&both).contains("too many parameters in all"));
    let long = format!("a = '{}'; {}", "x".repeat(60_000), "j{}".repeat(50_000));
    assert!(read(&long).contains("too long in all"));
    let copies: String = (0..50_000).map(|i| format!("p{i}=$v;")).collect();
    let copied = format!("$v = '{}'; j {{ {copies} }}", "x".repeat(60_000));
    assert!(read(&copied).contains("too long in all"));
    let strangers = format!("{}{}", "*.b{c;}".repeat(60_000), "j{}".repeat(60_000));
    assert!(read(&strangers).contains("too many parameters"));
    let idle = format!("{}{}", "*.b{}".repeat(60_000), "j{}".repeat(60_000));
    assert_eq!(super::read("f", &idle, no_includes).unwrap().len(), 60_000);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

/// The writer's and the manual's forms, to be damaged.
const GOOD: &str = "$base = \"/jails\"; path = \"$base/${name}\"; * { exec.clean; }\n\
    web { ip4.addr = 10.0.0.1, lo1|10.0.0.2; ip4.addr += '10.0.0.3'; allow.noraw_sockets; } /* end */ // x\n\
    a.b { c = \"\\x41\\\"\"; } # comment\n";

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read("f", &String::from_utf8_lossy(&bytes), no_includes);
    }

    #[test]
    fn no_damaged_file_panics(cuts in proptest::collection::vec((0_usize..260, 0_usize..6, any::<u8>()), 0..6)) {
        let mut bytes = GOOD.as_bytes().to_vec();
        for (at, gone, new) in cuts {
            let at = at.min(bytes.len());
            let end = (at + gone).min(bytes.len());
            bytes.splice(at..end, [new]);
        }
        if let Err(e) = read("f", &String::from_utf8_lossy(&bytes), no_includes) {
            prop_assert!(e.line >= 1 && e.column >= 1);
        }
    }

    #[test]
    fn no_text_panics(text in "[a-c*.$={}+,;'\"\\\\/#\\[\\]x0-9 \n\\PC]{0,80}") {
        let _ = read("f", &text, no_includes);
    }

    #[test]
    fn no_nearly_right_text_panics(parts in proptest::collection::vec("(a|\"b.\\*\"|\\*|\\$v|p = \\$v;|\\$v = a, \\$w;|\\$w = 1;|q \\+= '\\$v';|nop;|\\{|\\}|;|\\.include x;|/\\*|\\*/|#|\n)", 0..30)) {
        let include = |_: &str| Ok(vec![Source { name: "x".into(), text: "r = $name; y { }".into() }]);
        if let Err(e) = read("f", &parts.join(" "), include) {
            prop_assert!(e.line >= 1 && e.column >= 1 && !e.message.contains('\n'));
        }
    }
}
