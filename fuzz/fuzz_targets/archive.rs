//! Listing an archive ends without a panic, whatever is in it.
#![no_main]
use qjail_archive::{DecodeOptions, list};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let options = DecodeOptions {
        threads: 1,
        memory: 64 << 20,
    };
    let mut left = 10_000;
    let _ = list(bytes, &options, |_| {
        left -= 1;
        if left == 0 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    });
});
