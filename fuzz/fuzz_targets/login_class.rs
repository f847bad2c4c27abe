//! login.conf(5) gives every user an environment that can be set, whatever it says.
#![no_main]
use qjail_passwd::LoginConf;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let conf = LoginConf::parse(bytes);
    for (named, uid) in [("", 0), ("", 1), ("a", 1)] {
        let class = conf.class(named, uid);
        assert!(class.nice.is_none_or(|n| (-20..=20).contains(&n)));
        assert!(class.umask.is_none_or(|m| m <= 0o777));
        for (key, value) in class.environment("tom", "/home/tom") {
            assert!(!key.is_empty() && !key.contains(['=', '\0']) && !value.contains('\0'));
        }
    }
});
