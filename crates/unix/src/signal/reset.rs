//! The state of signals in which a worker starts: as if nobody had touched them.

use std::io;
use std::os::raw::c_int;

use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

use super::master::{act_as_default, take_early};
use super::worker::HANDLED;
use super::{STACK, Signal};

/// Signals whose disposition belongs to the interpreter: faults, which `faulthandler` reports, and those that
/// Python and Rust ignore so that a write returns an error.
const KEPT: [c_int; 9] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGABRT,
    libc::SIGSYS,
    libc::SIGTRAP,
    libc::SIGPIPE,
    libc::SIGXFSZ,
];

/// Puts every other signal back to its default action, so that a child runs foreign code with no handler of its
/// master's, and unblocks all. [`STACK`] and WINCH (a terminal that is resized) are ignored.
///
/// The handlers of [`WorkerSignals`](super::WorkerSignals) stay; install them first, so that there is no moment
/// at which TERM would kill.
///
/// # Errors
/// What sigaction(2) reports.
pub fn reset_for_foreign_code() -> io::Result<()> {
    for number in 1..=libc::SIGRTMAX() {
        // The C library keeps the first real-time signals for itself.
        let private = number >= 32 && number < libc::SIGRTMIN();
        let untouchable = number == libc::SIGKILL || number == libc::SIGSTOP;
        if private || untouchable || KEPT.contains(&number) || HANDLED.contains(&number) {
            continue;
        }
        let ignored = number == STACK || number == libc::SIGWINCH;
        set_action(number, if ignored { libc::SIG_IGN } else { libc::SIG_DFL })?;
    }
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

/// Puts the signals that a master or a worker handles back to their default actions, in a process that is about to
/// execute another program. One that came since the fork, and is to end it, does so now.
///
/// # Errors
/// What sigaction(2) reports.
pub fn reset_for_exec() -> io::Result<()> {
    for signal in Signal::ALL {
        set_action(signal.number(), libc::SIG_DFL)?;
    }
    unblock(Signal::ALL.map(Signal::number))?;
    if take_early() & (1 << libc::SIGTERM) != 0 {
        act_as_default(libc::SIGTERM);
    }
    Ok(())
}

/// Sets a signal's action to a handler, `SIG_DFL` or `SIG_IGN`, and returns the action before.
pub(super) fn set_action(number: c_int, handler: libc::sighandler_t) -> io::Result<libc::sigaction> {
    // SAFETY: sigaction is plain data, for which all zeros is a valid value (no flags, empty mask).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: as above.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: both point to valid structures; our handlers are async-signal-safe.
    match unsafe { libc::sigaction(number, &raw const action, &raw mut before) } {
        0 => Ok(before),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A signal's action.
pub(super) fn action_of(number: c_int) -> io::Result<libc::sigaction> {
    // SAFETY: as in `set_action`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action the call only stores the present one.
    match unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) } {
        0 => Ok(action),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives a signal the action back that [`set_action`] returned.
pub(super) fn restore_action(number: c_int, action: &libc::sigaction) {
    // SAFETY: `action` came from sigaction(2) itself.
    unsafe { libc::sigaction(number, action, std::ptr::null_mut()) };
}

/// Lets the signals through that whoever started this process may have blocked.
pub(super) fn unblock(numbers: impl IntoIterator<Item = c_int>) -> io::Result<()> {
    let mut set = SigSet::empty();
    for number in numbers {
        set.add(nix::sys::signal::Signal::try_from(number)?);
    }
    pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&set), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{reset_for_foreign_code, set_action};
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    extern "C" fn nothing(_number: std::os::raw::c_int) {}

    fn handler() -> libc::sighandler_t {
        nothing as extern "C" fn(std::os::raw::c_int) as libc::sighandler_t
    }

    #[test]
    fn handlers_and_masks_of_the_master_do_not_reach_foreign_code() {
        let end = in_child(|| {
            for number in [libc::SIGCHLD, libc::SIGTTIN, libc::SIGTTOU, libc::SIGSEGV] {
                set_action(number, handler()).unwrap();
            }
            nix::sys::signal::SigSet::all().thread_block().unwrap();
            reset_for_foreign_code().unwrap();
            for number in [libc::SIGCHLD, libc::SIGTTIN, libc::SIGTTOU] {
                assert_eq!(set_action(number, libc::SIG_DFL).unwrap().sa_sigaction, libc::SIG_DFL);
            }
            // faulthandler's own handler lives on.
            assert_eq!(set_action(libc::SIGSEGV, libc::SIG_DFL).unwrap().sa_sigaction, handler());
            let blocked = nix::sys::signal::SigSet::thread_get_mask().unwrap();
            i32::from(blocked.iter().next().is_some())
        });
        assert_eq!(end, Change::Exited(0));
    }
}
