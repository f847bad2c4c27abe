//! Catching panics without printing them.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// The first line of its message.
    pub message: String,
    /// `FILE:LINE`, where it is known.
    pub place: Option<String>,
}

/// Runs `f` and catches its panic, which is not printed.
///
/// The first call replaces the panic hook of this copy of the standard library (a program has one, each shared object has its
/// own) by one that stays silent for panics inside `catch` on the same thread and passes every other one to the hook
/// that was there. A program that sets a hook of its own does so before, or caught panics are printed.
///
/// # Errors
/// The panic.
pub fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    quiet_caught_panics();
    DEPTH.with(|d| d.set(d.get() + 1));
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    DEPTH.with(|d| d.set(d.get() - 1));
    result.map_err(read)
}

fn quiet_caught_panics() {
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

fn read(payload: Box<dyn Any + Send>) -> Panic {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(s), _) => *s,
        (_, Some(s)) => s.as_str(),
        _ => "no message",
    };
    let message = text.lines().next().unwrap_or("no message").to_owned();
    // Dropping a payload of an unknown type runs code that could panic again.
    std::mem::forget(payload);
    Panic {
        message,
        place: PLACE.with(|p| p.borrow_mut().take()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value_with_its_message_and_place() {
        let caught = catch(|| panic!("no {} left\nnot one", "bread")).unwrap_err();
        assert_eq!(caught.message, "no bread left");
        assert!(
            caught.place.as_ref().unwrap().contains("panics.rs:"),
            "{caught:?}"
        );
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_caught_too() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(
            catch(|| panic::panic_any(Bomb)).unwrap_err().message,
            "no message"
        );
    }

    #[test]
    fn nested_calls_keep_their_own_results() {
        let outer = catch(|| catch(|| panic!("inner")).unwrap_err().message.len());
        assert_eq!(outer, Ok(5));
    }
}
