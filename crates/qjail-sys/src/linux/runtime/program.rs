//! A program that a child of a helper becomes: made before the fork, so that nothing is left to fail between.

use std::ffi::{CString, NulError};
use std::io;
use std::ptr;

use super::raw;

/// The status for a program that could not be executed, as sh(1) and env(1) give it.
const NOT_EXECUTABLE: i32 = 126;
/// The status for a program that was not found.
const NOT_FOUND: i32 = 127;

/// What to execute.
#[derive(Debug)]
pub(super) struct Program {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

impl Program {
    /// `argv[0]` is looked for in the PATH of `env` unless it has a `/`; it is called `arg0` where that is given.
    pub(super) fn new(
        argv: &[String],
        arg0: Option<&str>,
        env: &[(String, String)],
    ) -> Result<Program, NulError> {
        let file = argv.first().map_or("", String::as_str);
        let path = env
            .iter()
            .rev()
            .find(|(name, _)| name == "PATH")
            .map_or("", |(_, value)| value);
        let candidates = candidates(file, path)
            .into_iter()
            .map(CString::new)
            .collect::<Result<_, _>>()?;
        let names = arg0
            .into_iter()
            .chain(argv.iter().skip(usize::from(arg0.is_some())).map(String::as_str));
        let argv = names.map(CString::new).collect::<Result<_, _>>()?;
        let envp = env
            .iter()
            .map(|(name, value)| CString::new(format!("{name}={value}")));
        Ok(Program {
            candidates,
            argv,
            envp: envp.collect::<Result<_, _>>()?,
        })
    }

    /// Becomes the program. Returns the status to end with, and why, when that fails.
    pub(super) fn execute(&self) -> (i32, io::Error) {
        let argv: Vec<_> = self
            .argv
            .iter()
            .map(|a| a.as_ptr())
            .chain([ptr::null()])
            .collect();
        let envp: Vec<_> = self
            .envp
            .iter()
            .map(|e| e.as_ptr())
            .chain([ptr::null()])
            .collect();
        let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
        for path in &self.candidates {
            let error = raw::execute(path, &argv, &envp);
            if !missing(&error) {
                worst = error;
            }
        }
        (
            if missing(&worst) {
                NOT_FOUND
            } else {
                NOT_EXECUTABLE
            },
            worst,
        )
    }
}

fn candidates(file: &str, path: &str) -> Vec<String> {
    if file.is_empty() {
        return Vec::new();
    }
    if file.contains('/') {
        return vec![file.to_owned()];
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| format!("{dir}/{file}"))
        .collect()
}

fn missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ELOOP)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_searched_for_plain_names_only() {
        assert_eq!(candidates("ls", "/bin:/usr/bin"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(candidates("./ls", "/bin"), ["./ls"]);
        assert_eq!(candidates("ls", ":.:/bin"), ["/bin/ls"]);
        assert!(candidates("", "/bin").is_empty());
    }

    #[test]
    fn a_name_with_a_nul_is_refused() {
        assert!(Program::new(&["a\0b".to_owned()], None, &[]).is_err());
    }
}
