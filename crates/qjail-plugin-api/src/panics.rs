//! Panics of plugins and of the host's services: caught, turned into data, and not printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::PluginError;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f` and turns a panic into a [`PluginError`] with code `panic`, the message and the place in the source.
///
/// The first call replaces the panic hook of this copy of the standard library (a program has one, each shared object has its
/// own) by one that stays silent for panics inside `contain` on the same thread and passes every other one to the hook
/// that was there. A program that sets a hook of its own does so before, or contained panics are printed.
///
/// # Errors
/// The error of `f`, or its panic.
pub fn contain<T>(f: impl FnOnce() -> Result<T, PluginError>) -> Result<T, PluginError> {
    quiet_contained_panics();
    DEPTH.with(|d| d.set(d.get() + 1));
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    DEPTH.with(|d| d.set(d.get() - 1));
    result.unwrap_or_else(|payload| Err(panic_error(payload)))
}

fn quiet_contained_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.with(Cell::get) == 0 {
                before(info);
            } else {
                remember_place(info);
            }
        }));
    });
}

fn remember_place(info: &PanicHookInfo<'_>) {
    let place = info.location().map(|l| format!("{}:{}", l.file(), l.line()));
    PLACE.with(|p| *p.borrow_mut() = place);
}

fn panic_error(payload: Box<dyn Any + Send>) -> PluginError {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(s), _) => (*s).to_owned(),
        (_, Some(s)) => s.clone(),
        _ => "no message".to_owned(),
    };
    // Dropping a payload of an unknown type runs code that could panic again.
    std::mem::forget(payload);
    let place = PLACE.with(|p| p.borrow_mut().take());
    PluginError { causes: place.into_iter().collect(), ..PluginError::with_code("panic", first_line(&text)) }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_message_and_place() {
        let e = contain::<()>(|| panic!("no {} left", "bread")).unwrap_err();
        assert_eq!((e.code.as_str(), e.message.as_str()), ("panic", "no bread left"));
        assert!(e.causes[0].contains("panics.rs:"), "{:?}", e.causes);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let e = contain::<()>(|| panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(e.message, "no message");
    }

    #[test]
    fn nested_calls_keep_their_own_results() {
        let outer = contain(|| {
            let inner = contain::<()>(|| panic!("inner"));
            assert_eq!(inner.unwrap_err().message, "inner");
            Ok(7)
        });
        assert_eq!(outer, Ok(7));
        assert_eq!(contain::<()>(|| Err(PluginError::new("plain"))).unwrap_err().code, "failed");
    }
}
