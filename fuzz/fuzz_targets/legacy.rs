//! What is accepted of a control file of qjail 5 has nothing in it that a shell would act on.
#![no_main]
libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(legacy) = qjail_jailconf::legacy::parse(text) {
        assert!(
            legacy
                .iter()
                .all(|(_, v)| !v.contains(['$', '`', '"', '\\', ';', '\n']))
        );
    }
});
