//! The waist as both sides see it, without a shared object between them.

use std::ffi::c_int;

use qjail_plugin_abi::{
    AbiError, HEADER_PREFIX, Header, MAGIC_PREFIX, Magic, RawExport, RawHost, RawService, connect,
    layout_text,
};

struct Echo;

impl RawExport for Echo {
    fn describe() -> Result<Vec<u8>, Vec<u8>> {
        Ok(b"echo".to_vec())
    }

    fn call(host: &RawHost<'_>, op: &[u8], request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        match op {
            b"echo" => Ok(request.to_vec()),
            b"host" => {
                host.log(2, b"asked");
                let bytes = |b: qjail_plugin_abi::OwnedBytes| b.as_slice().to_vec();
                host.call(b"upper", request).map(bytes).map_err(bytes)
            }
            b"panic" => std::panic::panic_any(7),
            _ => Err(b"what?".to_vec()),
        }
    }
}

struct Upper;

impl RawService for Upper {
    fn log(&self, _level: u8, _message: &[u8]) {
        std::panic::panic_any("a log that is full")
    }

    fn call(&self, op: &[u8], request: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        match request {
            b"panic" => std::panic::panic_any("no"),
            _ if op == b"upper" => Ok(request.to_ascii_uppercase()),
            _ => Err(Vec::new()),
        }
    }
}

static GOOD: Magic = Magic::of("1.0.0");
static HEADER: Header = Header::of::<Echo>();

extern "C" fn good() -> *const Magic {
    &raw const GOOD
}

extern "C" fn future() -> *const Magic {
    static FUTURE: Magic = Magic {
        abi_major: 2,
        ..Magic::of("2.0.0")
    };
    &raw const FUTURE
}

extern "C" fn aborting() -> *const Magic {
    static ABORTING: Magic = Magic {
        flags: 0,
        ..Magic::of("1.0.0")
    };
    &raw const ABORTING
}

extern "C" fn nothing() -> *const Magic {
    std::ptr::null()
}

static NO_HEADER: [c_int; 64] = [0; 64];

fn connect_to(
    magic: Option<extern "C" fn() -> *const Magic>,
    header: Option<*const ()>,
) -> Result<qjail_plugin_abi::Library, AbiError> {
    let symbol = |name: &str| {
        if name == format!("{MAGIC_PREFIX}x") {
            magic.map(|f| f as *const ())
        } else {
            assert_eq!(name, format!("{HEADER_PREFIX}x"));
            header
        }
    };
    // SAFETY: the symbols are what they should be, or are refused before they are used.
    #[expect(unsafe_code, reason = "the function under test is unsafe")]
    let (_, library) = unsafe { connect("x", &symbol) };
    library
}

fn header() -> Option<*const ()> {
    Some((&raw const HEADER).cast())
}

#[test]
fn bytes_go_in_and_come_out() {
    let library = connect_to(Some(good), header()).unwrap();
    let host = RawHost::new(&Upper);
    assert_eq!(library.describe().unwrap().as_slice(), b"echo");
    assert_eq!(
        library.call(&host, b"echo", b"\0\xff").unwrap().as_slice(),
        b"\0\xff"
    );
    assert_eq!(library.call(&host, b"?", b"").unwrap_err().as_slice(), b"what?");
}

#[test]
fn panics_stay_on_their_side() {
    let library = connect_to(Some(good), header()).unwrap();
    let host = RawHost::new(&Upper);
    assert!(
        library
            .call(&host, b"panic", b"")
            .unwrap_err()
            .as_slice()
            .is_empty()
    );
    // The log panics in the host, below the plugin's frames, and the plugin goes on.
    assert_eq!(library.call(&host, b"host", b"abc").unwrap().as_slice(), b"ABC");
    assert!(
        library
            .call(&host, b"host", b"panic")
            .unwrap_err()
            .as_slice()
            .is_empty()
    );
}

#[test]
fn what_does_not_fit_is_refused_in_a_sentence() {
    let told = |magic, header| connect_to(magic, header).unwrap_err().to_string();
    assert_eq!(
        told(None, header()),
        "is no qjail plugin: it has no valid qjail_magic_x"
    );
    assert_eq!(
        told(Some(nothing), header()),
        "is no qjail plugin: it has no valid qjail_magic_x"
    );
    assert_eq!(
        told(Some(future), None),
        "speaks plugin ABI 2, this qjail speaks 1"
    );
    assert_eq!(
        told(Some(aborting), None),
        "was built with panic=abort, so that its panics would end qjail"
    );
    assert_eq!(
        told(Some(good), None),
        "is no whole qjail plugin: it lacks the symbol qjail_abi1_x"
    );
    let zeros = told(Some(good), Some((&raw const NO_HEADER).cast()));
    assert!(
        zeros.starts_with("does not fit this qjail's plugin ABI 1: "),
        "{zeros}"
    );
    assert!(!zeros.contains('\n'), "{zeros}");
}

/// A change of this text is a change of the ABI: raise `ABI_MAJOR`, rename the header's symbol, and only then bless.
#[test]
#[cfg(target_pointer_width = "64")]
fn the_layout_is_frozen() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/layout.txt");
    let layout = layout_text();
    if std::env::var_os("QJAIL_BLESS").is_some() {
        std::fs::write(golden, &layout).unwrap();
    }
    let frozen = std::fs::read_to_string(golden).unwrap();
    assert!(
        layout == frozen,
        "the ABI's layout has changed, see {golden}; it is now:\n{layout}"
    );
}
