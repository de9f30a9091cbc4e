//! Changes the environment of the process.

use std::env;
use std::ffi::OsStr;

/// Sets a variable, or removes it.
///
/// Call it only from a process with a single thread. The name is not empty, and has neither `=` nor NUL in it.
#[expect(clippy::disallowed_methods, reason = "only a program without Python calls this")]
pub fn set(name: &str, value: Option<&OsStr>) {
    match value {
        // SAFETY: the only thread is here, so nobody reads the environment now.
        Some(value) => unsafe { env::set_var(name, value) },
        // SAFETY: as above.
        None => unsafe { env::remove_var(name) },
    }
}
