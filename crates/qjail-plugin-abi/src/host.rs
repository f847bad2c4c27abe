//! What a plugin is lent for the length of a call.

use std::marker::PhantomData;

use abi_stable::StableAbi;

use crate::{Bytes, OwnedBytes, Reply, catch};

/// What a host does behind a [`RawHost`].
pub trait RawService {
    /// Writes a line to the log; 0 is an error, 1 a warning, 2 information, anything else for debugging.
    fn log(&self, level: u8, message: &[u8]);

    /// Does a service.
    ///
    /// # Errors
    /// The bytes of the error.
    fn call(&self, op: &[u8], request: &[u8]) -> Result<Vec<u8>, Vec<u8>>;
}

/// The host, as it crosses the boundary: two functions and what they work on.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHost<'a> {
    service: *const (),
    log: unsafe extern "C" fn(*const (), u8, Bytes<'_>),
    call: unsafe extern "C" fn(*const (), Bytes<'_>, Bytes<'_>) -> Reply,
    lent: PhantomData<&'a ()>,
}

impl<'a> RawHost<'a> {
    /// Lends a service.
    #[must_use]
    pub fn new<S: RawService>(service: &'a S) -> Self {
        Self {
            service: std::ptr::from_ref(service).cast(),
            log: log::<S>,
            call: call::<S>,
            lent: PhantomData,
        }
    }

    /// Writes a line to the log, see [`RawService::log`].
    pub fn log(&self, level: u8, message: &[u8]) {
        // SAFETY: the functions were made for this service, which is borrowed for 'a.
        unsafe { (self.log)(self.service, level, Bytes::new(message)) }
    }

    /// Calls a service.
    ///
    /// # Errors
    /// The bytes of the error; empty when the service panicked.
    pub fn call(&self, op: &[u8], request: &[u8]) -> Result<OwnedBytes, OwnedBytes> {
        // SAFETY: as above.
        unsafe { (self.call)(self.service, Bytes::new(op), Bytes::new(request)) }.into_result()
    }
}

unsafe extern "C" fn log<S: RawService>(service: *const (), level: u8, message: Bytes<'_>) {
    // SAFETY: made by `RawHost::new` from a reference to an S that is still borrowed.
    let service = unsafe { &*service.cast::<S>() };
    // A line that can not be written is lost; nothing may unwind from here.
    let _lost = catch(|| service.log(level, message.as_slice()));
}

unsafe extern "C" fn call<S: RawService>(service: *const (), op: Bytes<'_>, request: Bytes<'_>) -> Reply {
    // SAFETY: made by `RawHost::new` from a reference to an S that is still borrowed.
    let service = unsafe { &*service.cast::<S>() };
    crate::export::contained(|| service.call(op.as_slice(), request.as_slice()))
}
