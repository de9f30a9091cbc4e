//! Signals that a master sends to its workers.

use std::io;
use std::os::raw::c_int;

use super::{STACK, WITHDRAW};
use crate::control::Order;

/// What is sent to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// The signal that means the same as an order: TERM, QUIT, ABRT, USR1 or one of our own; none for [`Order::Ask`]
    /// and [`Order::Close`].
    Order(Order),
    /// Write your stacks ([`STACK`]).
    Stack,
    /// SIGKILL: no more to say.
    Kill,
}

impl Kill {
    fn number(self) -> c_int {
        match self {
            Self::Order(Order::Graceful) => libc::SIGTERM,
            Self::Order(Order::Withdraw) => WITHDRAW,
            Self::Order(Order::Quick) => libc::SIGQUIT,
            Self::Order(Order::Abort) => libc::SIGABRT,
            Self::Order(Order::Reopen) => libc::SIGUSR1,
            // kill(2) only looks whether there is such a process.
            Self::Order(Order::Ask | Order::Close) => 0,
            Self::Stack => STACK,
            Self::Kill => libc::SIGKILL,
        }
    }
}

/// Sends a signal to a child that has not been reaped yet.
///
/// # Errors
/// `InvalidInput` for a pid that would mean more than one process, else what kill(2) reports (`ESRCH`).
pub fn send(pid: i32, what: Kill) -> io::Result<()> {
    if pid <= 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{pid} is not a worker's pid")));
    }
    // SAFETY: kill takes two numbers and touches no memory of ours.
    match unsafe { libc::kill(pid, what.number()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A signal's name as log lines have it, such as `SIGKILL`; for one without a name its number.
#[must_use]
pub fn name(number: c_int) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kill, name, send};

    #[test]
    fn nothing_can_be_sent_to_a_group_or_to_everybody() {
        for pid in [-1, 0, 1, -7] {
            assert_eq!(send(pid, Kill::Kill).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn signals_are_named_as_people_know_them() {
        assert_eq!(name(9), "SIGKILL");
        assert_eq!(name(11), "SIGSEGV");
        assert_eq!(name(50), "signal 50");
    }
}
