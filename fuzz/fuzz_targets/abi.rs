//! Documents of plugins: what is accepted is written so that it is read again as it was.
#![no_main]
use qjail_plugin_api::{Manifest, Plan};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(plan) = serde_json::from_slice::<Plan>(bytes) {
        let text = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::from_slice::<Plan>(&text).unwrap(), plan);
    }
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        let text = serde_json::to_vec(&manifest).unwrap();
        assert_eq!(serde_json::from_slice::<Manifest>(&text).unwrap(), manifest);
    }
});
