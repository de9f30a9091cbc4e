//! Process 1 of a container, which the kernel lets alone with every signal that it does not handle.

use std::io;
use std::os::raw::c_int;

use super::master::act_as_default;
use super::reset::{action_of, set_action};

/// Signals at which other processes end.
const ENDS: [c_int; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGHUP];

/// Has signals end this process if it is process 1, as they end every other, until a master handles them. One that has a
/// handler already, such as Python's for INT, keeps it.
///
/// # Errors
/// What sigaction(2) reports.
pub fn end_first_process() -> io::Result<()> {
    if std::process::id() != 1 {
        return Ok(());
    }
    for number in ENDS {
        if action_of(number)?.sa_sigaction == libc::SIG_DFL {
            set_action(number, on_end as extern "C" fn(c_int) as libc::sighandler_t)?;
        }
    }
    Ok(())
}

/// Runs in signal context: nothing but getpid, signal, raise and _exit.
extern "C" fn on_end(number: c_int) {
    if nix::unistd::getpid().as_raw() == 1 {
        // SAFETY: _exit is async-signal-safe and only ends the process.
        unsafe { libc::_exit(128 + number) }
    }
    act_as_default(number);
}
