//! A definition that is accepted is written so that it is read again as it was.
#![no_main]
use qjail_model::Definition;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(definition) = Definition::parse(text) {
        assert_eq!(Definition::parse(&definition.to_text()).as_ref(), Ok(&definition));
    }
});
