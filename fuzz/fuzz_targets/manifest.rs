//! No MANIFEST of a release panics.
#![no_main]
libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = qjail_fetch::Manifest::parse(text);
});
