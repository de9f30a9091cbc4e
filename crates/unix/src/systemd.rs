//! systemd, or anything like it: listeners that it opened before it started this process, and what it wants to hear.

mod notify;

pub use notify::{Manager, is_main_process, is_notified, monotonic_us, watchdog};

use std::env;
use std::io;
use std::os::fd::{AsFd, RawFd};

use crate::listener::{BindError, Listener};
use crate::upgrade::keep;

/// A variable of the environment, and its value.
pub type Variable = (&'static str, String);

/// The first descriptor that is passed (sd_listen_fds(3)).
const FIRST: RawFd = 3;

/// Takes the sockets that this process was started with, if there are any, and removes `LISTEN_FDS`,
/// `LISTEN_PID` and `LISTEN_FDNAMES` from the environment, so that no child takes them for its own.
///
/// Call it once, early, from the only thread: it changes the environment.
///
/// # Errors
/// [`BindError::Failed`] if one of the descriptors is no listening socket.
pub fn take_listeners() -> Result<Vec<Listener>, BindError> {
    let read = |name| env::var(name).ok();
    let count = passed(read("LISTEN_PID").as_deref(), read("LISTEN_FDS").as_deref(), std::process::id());
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        if env::var_os(name).is_some() {
            // SAFETY: the master calls this before it has made any thread, so nobody reads the environment now.
            unsafe { env::remove_var(name) };
        }
    }
    (FIRST..FIRST + count).map(Listener::inherit).collect()
}

/// Passes the sockets on to the program that this process is about to execute, and returns the variable that differs
/// from what this process was started with. They have to be the sockets that it was started with.
///
/// # Errors
/// What fcntl(2) reports.
pub fn bequeath<'a>(listeners: impl Iterator<Item = &'a Listener>) -> io::Result<Variable> {
    for listener in listeners {
        keep(listener.as_fd())?;
    }
    Ok(("LISTEN_PID", std::process::id().to_string()))
}

/// Has the program that this process is about to execute heed the watchdog, if this one does.
#[must_use]
pub fn bequeath_watchdog() -> Option<Variable> {
    env::var_os("WATCHDOG_PID").map(|_| ("WATCHDOG_PID", std::process::id().to_string()))
}

/// How many descriptors were passed to the process `pid`.
fn passed(listen_pid: Option<&str>, listen_fds: Option<&str>, pid: u32) -> RawFd {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u32>().ok());
    match (number(listen_pid), number(listen_fds)) {
        (Some(target), Some(count)) if target == pid => RawFd::try_from(count).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn sockets_count_only_for_the_process_they_were_meant_for() {
        assert_eq!(passed(Some("42"), Some("2"), 42), 2);
        assert_eq!(passed(Some("41"), Some("2"), 42), 0);
        assert_eq!(passed(None, Some("2"), 42), 0);
        assert_eq!(passed(Some("42"), None, 42), 0);
        assert_eq!(passed(Some("42"), Some("-1"), 42), 0);
    }
}
