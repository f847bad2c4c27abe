//! Addresses that are accepted are written so that they are read again as they were.
#![no_main]
use qjail_model::{AddrSpec, Network};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(spec) = text.parse::<AddrSpec>() {
        assert_eq!(spec.to_string().parse::<AddrSpec>().as_ref(), Ok(&spec));
    }
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse::<Network>().as_ref(), Ok(&network));
    }
});
