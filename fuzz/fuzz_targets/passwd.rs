//! passwd(5), master.passwd(5) and group(5) keep every byte that nobody changes.
#![no_main]
use qjail_passwd::{GroupFile, Layout, UserFile};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for layout in [Layout::Passwd, Layout::MasterPasswd] {
        assert_eq!(UserFile::parse(bytes, layout).to_bytes(), bytes);
    }
    assert_eq!(GroupFile::parse(bytes).to_bytes(), bytes);
});
