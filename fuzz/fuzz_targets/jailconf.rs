//! No jail.conf(5) panics or takes for ever, and mistakes have a place.
#![no_main]
libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(e) = qjail_jailconf::read("/f", text, qjail_jailconf::no_includes) {
        assert!(e.line >= 1 && e.column >= 1);
    }
});
