//! The master's signals: handlers that write each signal into a pipe.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};

use super::reset::{restore_action, set_action, unblock};
use super::{Signal, WITHDRAW};

/// The process whose handlers these are, and where they write; 0 and -1 if there is none.
static OWNER: AtomicI32 = AtomicI32::new(0);
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// Set from before a fork of ours until the child has handlers of its own.
static FORKING: AtomicBool = AtomicBool::new(false);
/// Signals (bit n: number n) that reached such a child in between.
static EARLY: AtomicU64 = AtomicU64::new(0);

/// Handlers for all of [`Signal::ALL`], as long as this value lives; then the old actions are back. In a child
/// dropping it changes nothing. One at a time.
pub struct Signals {
    pipe: OwnedFd,
    _write: OwnedFd,
    before: Vec<(c_int, libc::sigaction)>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// What pipe2(2) and sigaction(2) report.
    pub fn install() -> io::Result<Self> {
        let (pipe, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        OWNER.store(nix::unistd::getpid().as_raw(), Ordering::SeqCst);
        PIPE.store(write.as_raw_fd(), Ordering::SeqCst);
        FORKING.store(false, Ordering::SeqCst);
        let mut signals = Self { pipe, _write: write, before: Vec::new() };
        for signal in Signal::ALL {
            let handler = on_signal as extern "C" fn(c_int) as libc::sighandler_t;
            let before = set_action(signal.number(), handler)?;
            signals.before.push((signal.number(), before));
        }
        // A worker hears of it by message as well, should it have no handler yet.
        signals.before.push((WITHDRAW, set_action(WITHDRAW, libc::SIG_IGN)?));
        unblock(Signal::ALL.map(Signal::number))?;
        Ok(signals)
    }

    /// Takes the signals that came since the last call, in their order.
    #[must_use]
    pub fn take(&self) -> Vec<Signal> {
        let mut signals = Vec::new();
        let mut numbers = [0_u8; 64];
        loop {
            match read(&self.pipe, &mut numbers) {
                Ok(0) => return signals,
                Ok(count) => {
                    let known = numbers[..count].iter().filter_map(|&n| Signal::from_number(c_int::from(n)));
                    signals.extend(known);
                }
                Err(Errno::EINTR) => {}
                Err(_) => return signals,
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Orders that a process on its way out has no use for.
const RETIRED: [Signal; 6] =
    [Signal::Term, Signal::Hup, Signal::Usr1, Signal::Usr2, Signal::Ttin, Signal::Ttou];

impl Signals {
    /// Ignores repeated orders from now on, for a process that is leaving: a second TERM must not kill it half-way.
    /// INT and QUIT get their old actions back when this value is dropped, and can still end it.
    pub fn retire(mut self) {
        for number in RETIRED.map(Signal::number) {
            // Fails only for numbers that are no signals.
            let _ = set_action(number, libc::SIG_IGN);
        }
        self.before.retain(|(number, _)| !RETIRED.map(Signal::number).contains(number));
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if OWNER.load(Ordering::SeqCst) != nix::unistd::getpid().as_raw() {
            return;
        }
        for (number, action) in &self.before {
            restore_action(*number, action);
        }
        PIPE.store(-1, Ordering::SeqCst);
        OWNER.store(0, Ordering::SeqCst);
    }
}

/// Runs in signal context: nothing but atomics, getpid, write, signal, raise and _exit.
extern "C" fn on_signal(number: c_int) {
    let errno = Errno::last_raw();
    if nix::unistd::getpid().as_raw() == OWNER.load(Ordering::SeqCst) {
        let byte = u8::try_from(number).unwrap_or(0);
        // A full pipe holds thousands of signals that were not looked at yet; one more says nothing new.
        write_byte(PIPE.load(Ordering::SeqCst), byte);
    } else if is_forking() {
        note_early(number);
    } else {
        act_as_default(number);
    }
    Errno::set_raw(errno);
}

/// In a worker that has no handlers of its own yet: leave at once, or remember.
pub(super) fn note_early(number: c_int) {
    if number == libc::SIGINT || number == libc::SIGQUIT {
        // SAFETY: _exit is async-signal-safe and only ends the process.
        unsafe { libc::_exit(0) }
    }
    EARLY.fetch_or(1 << number, Ordering::SeqCst);
}

/// In a process that somebody else forked from this one (a config file's `multiprocessing`, say): the signal was
/// meant for it, not for us.
pub(super) fn act_as_default(number: c_int) {
    // SAFETY: signal and raise are async-signal-safe and take numbers only.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
        libc::raise(number);
    }
}

pub(super) fn write_byte(fd: c_int, byte: u8) {
    // SAFETY: one byte from a valid place; a closed or full pipe is an error that may be passed over.
    let _ = unsafe { libc::write(fd, (&raw const byte).cast(), 1) };
}

/// Whether this is a child of ours that has no handlers of its own yet (or its parent, in the midst of the fork).
pub(super) fn is_forking() -> bool {
    FORKING.load(Ordering::SeqCst)
}

/// Whether a signal came between the fork and now; ends the in-between.
pub(super) fn take_early() -> u64 {
    FORKING.store(false, Ordering::SeqCst);
    EARLY.swap(0, Ordering::SeqCst)
}

/// Marks the time around a fork. In the parent it ends by Drop.
pub(crate) struct Forking;

impl Forking {
    pub(crate) fn begin() -> Self {
        FORKING.store(true, Ordering::SeqCst);
        Self
    }
}

impl Drop for Forking {
    fn drop(&mut self) {
        FORKING.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{Signal, Signals};
    use crate::fork::tests::in_child;
    use crate::wait::Change;

    fn raise(signal: Signal) {
        // SAFETY: raise takes a number.
        assert_eq!(unsafe { libc::raise(signal.number()) }, 0);
    }

    #[test]
    fn signals_arrive_in_their_order_and_as_often_as_they_were_sent() {
        let end = in_child(|| {
            let signals = Signals::install().unwrap();
            let sent = [Signal::Ttin, Signal::Ttin, Signal::Hup, Signal::Term];
            sent.into_iter().for_each(raise);
            assert_eq!(signals.take(), sent);
            i32::from(!signals.take().is_empty())
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn the_old_action_is_back_after_drop() {
        let end = in_child(|| {
            drop(Signals::install().unwrap());
            raise(Signal::Term);
            0
        });
        assert_eq!(end, Change::Killed(libc::SIGTERM));
    }

    #[test]
    fn a_process_forked_by_somebody_else_neither_swallows_nor_forwards() {
        let end = in_child(|| {
            let signals = Signals::install().unwrap();
            // SAFETY: the child does nothing but raise and exit.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                raise(Signal::Term);
                return 9;
            }
            assert_eq!(crate::wait::until_gone(pid).unwrap(), Change::Killed(libc::SIGTERM));
            i32::from(signals.take() != [Signal::Chld])
        });
        assert_eq!(end, Change::Exited(0));
    }
}
