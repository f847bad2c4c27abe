//! Loading a shared object by its descriptor, so that what was checked is what is loaded.

use std::ffi::{CStr, c_void};
use std::os::fd::BorrowedFd;

/// What [`load_library`] answers in a statically linked program, which has no dynamic loader.
pub const STATIC_PROGRAM: &str = "this build of qjail is static and can load no plugins";

/// Loads the shared object behind `fd`, all symbols resolved at once and none made public; returns the loader's handle.
///
/// The caller looks up symbols through the handle. The library stays loaded, and on Linux a duplicate of the descriptor stays
/// open with it: the loader knows libraries by name, the name is the descriptor's number, so the number must not come back.
///
/// # Errors
/// The loader's own sentence, or [`STATIC_PROGRAM`].
pub fn load_library(fd: BorrowedFd<'_>) -> Result<*mut c_void, String> {
    if cfg!(target_feature = "crt-static") {
        return Err(STATIC_PROGRAM.to_owned());
    }
    sys::load(fd)
}

fn handle_or_message(handle: *mut c_void) -> Result<*mut c_void, String> {
    if !handle.is_null() {
        return Ok(handle);
    }
    // SAFETY: dlerror returns NULL or a string that stays valid until this thread's next call of the loader.
    let message = unsafe {
        let text = libc::dlerror();
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    Err(message.unwrap_or_else(|| "the dynamic loader gave no reason".to_owned()))
}

#[cfg(target_os = "linux")]
mod sys {
    use std::ffi::{CString, c_void};
    use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};

    pub(super) fn load(fd: BorrowedFd<'_>) -> Result<*mut c_void, String> {
        let kept = rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(|e| e.to_string())?;
        let path = CString::new(format!("/proc/self/fd/{}", kept.as_raw_fd())).map_err(|e| e.to_string())?;
        // SAFETY: the path is a valid C string; the library's initialisers run, which is what loading means.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let handle = super::handle_or_message(handle)?;
        let _stays_open = kept.into_raw_fd();
        Ok(handle)
    }
}

#[cfg(target_os = "freebsd")]
mod sys {
    use std::ffi::{c_int, c_void};
    use std::os::fd::{AsRawFd, BorrowedFd};

    // fdlopen(3); in libc.so, not in the libc crate.
    unsafe extern "C" {
        fn fdlopen(fd: c_int, mode: c_int) -> *mut c_void;
    }

    pub(super) fn load(fd: BorrowedFd<'_>) -> Result<*mut c_void, String> {
        // SAFETY: the descriptor is open; the library's initialisers run, which is what loading means.
        super::handle_or_message(unsafe { fdlopen(fd.as_raw_fd(), libc::RTLD_NOW | libc::RTLD_LOCAL) })
    }
}

#[cfg(test)]
#[cfg(not(target_feature = "crt-static"))]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::process::Command;

    fn shared_object(dir: &Path, function: &str) -> File {
        let source = dir.join(format!("{function}.c"));
        std::fs::write(&source, format!("int {function}(void) {{ return 42; }}\n")).unwrap();
        let object = dir.join(format!("{function}.so"));
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&object)
            .arg(&source)
            .status()
            .unwrap();
        assert!(built.success());
        File::open(object).unwrap()
    }

    fn has(handle: *mut c_void, symbol: &CStr) -> bool {
        // SAFETY: a handle of the loader and a valid C string.
        unsafe { !libc::dlsym(handle, symbol.as_ptr()).is_null() }
    }

    #[test]
    fn two_libraries_through_one_descriptor_number_stay_two() {
        let dir = tempfile::tempdir().unwrap();
        let first = shared_object(dir.path(), "first_function");
        let one = load_library(first.as_fd()).unwrap();
        drop(first);
        let second = shared_object(dir.path(), "second_function");
        let two = load_library(second.as_fd()).unwrap();
        drop(second);
        assert!(has(one, c"first_function") && !has(one, c"second_function"));
        assert!(has(two, c"second_function") && !has(two, c"first_function"));
    }

    #[test]
    fn what_is_no_library_is_refused_with_the_loaders_words() {
        let text = File::open("/etc/passwd").unwrap();
        let e = load_library(text.as_fd()).unwrap_err();
        assert!(!e.is_empty());
    }
}
