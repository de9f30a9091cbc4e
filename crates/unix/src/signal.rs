//! Signals, translated at the door: nobody inward sees a signal's number.
//!
//! Signals are caught by handlers and never blocked by a mask, because children inherit a mask. A handler notes
//! what came and writes to a pipe that the loop watches.

mod first;
mod master;
mod reset;
mod send;
mod worker;

pub use first::end_first_process;
pub(crate) use master::Forking;
pub use master::Signals;
pub use reset::{reset_for_exec, reset_for_foreign_code};
pub use send::{Kill, name, send};
pub use worker::WorkerSignals;

use std::os::raw::c_int;

/// The signal at which a worker writes its stacks: a real-time signal, the same on every C library, that neither
/// apps nor gunicorn use. A worker ignores it until somebody registers a handler.
pub const STACK: c_int = 50;

/// The signal at which a worker leaves: at once while it loads the app, else as at TERM. A real-time signal like [`STACK`],
/// which a master ignores.
pub(crate) const WITHDRAW: c_int = 51;

/// The kernel's number of SIGKILL, for whoever tells why a process ended.
pub const KILL: c_int = libc::SIGKILL;
/// The kernel's number of SIGQUIT.
pub const QUIT: c_int = libc::SIGQUIT;
/// The kernel's number of SIGTERM.
pub const TERM: c_int = libc::SIGTERM;

/// What a master can be told by a signal. The words are gunicorn's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Stop gracefully.
    Term,
    /// Stop now.
    Int,
    /// Stop now.
    Quit,
    /// Reload.
    Hup,
    /// One worker more.
    Ttin,
    /// One worker less.
    Ttou,
    /// Open the log files again.
    Usr1,
    /// Upgrade the program.
    Usr2,
    /// Stop the workers, keep the master.
    Winch,
    /// Something happened to a child.
    Chld,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Term,
        Self::Int,
        Self::Quit,
        Self::Hup,
        Self::Ttin,
        Self::Ttou,
        Self::Usr1,
        Self::Usr2,
        Self::Winch,
        Self::Chld,
    ];

    /// The kernel's number.
    #[must_use]
    pub fn number(self) -> c_int {
        match self {
            Self::Term => libc::SIGTERM,
            Self::Int => libc::SIGINT,
            Self::Quit => libc::SIGQUIT,
            Self::Hup => libc::SIGHUP,
            Self::Ttin => libc::SIGTTIN,
            Self::Ttou => libc::SIGTTOU,
            Self::Usr1 => libc::SIGUSR1,
            Self::Usr2 => libc::SIGUSR2,
            Self::Winch => libc::SIGWINCH,
            Self::Chld => libc::SIGCHLD,
        }
    }

    /// The signal of a number, if it is one of these.
    #[must_use]
    pub fn from_number(number: c_int) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }

    /// The name in log lines, as gunicorn writes it: `term`, `hup` …
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Term => "term",
            Self::Int => "int",
            Self::Quit => "quit",
            Self::Hup => "hup",
            Self::Ttin => "ttin",
            Self::Ttou => "ttou",
            Self::Usr1 => "usr1",
            Self::Usr2 => "usr2",
            Self::Winch => "winch",
            Self::Chld => "chld",
        }
    }
}
