//! The worker's signals: each means an order of the master's.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};

use super::WITHDRAW;
use super::master::{act_as_default, is_forking, note_early, take_early, write_byte};
use super::reset::{set_action, unblock};
use crate::control::Order;

/// What a worker, or a mold, handles. HUP and USR2 are the master's; somebody may send them to the whole group.
pub(super) const HANDLED: [c_int; 7] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGHUP, libc::SIGUSR2, WITHDRAW];

static OWNER: AtomicI32 = AtomicI32::new(0);
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// Whether an order to leave at once can wait for the loop. It cannot while the app is being imported.
static BOOTED: AtomicBool = AtomicBool::new(false);
/// Signals (bit n: number n) that came and were not taken yet.
static PENDING: AtomicU64 = AtomicU64::new(0);

/// Handlers for TERM, INT, QUIT and USR1, and for HUP and USR2, which say nothing to it. One at a time.
///
/// Until [`WorkerSignals::booted`] INT, QUIT and [`WITHDRAW`] end the process at once, since an import cannot be interrupted
/// otherwise; TERM is remembered. A process that the app forks gets these signals as if no handler were there.
#[derive(Debug)]
pub struct WorkerSignals {
    pipe: OwnedFd,
    _write: OwnedFd,
}

impl WorkerSignals {
    /// Installs the handlers and takes over what came since the fork.
    ///
    /// # Errors
    /// What pipe2(2) and sigaction(2) report.
    pub fn install() -> io::Result<Self> {
        let (pipe, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        BOOTED.store(false, Ordering::SeqCst);
        PENDING.store(0, Ordering::SeqCst);
        OWNER.store(nix::unistd::getpid().as_raw(), Ordering::SeqCst);
        PIPE.store(write.as_raw_fd(), Ordering::SeqCst);
        for number in HANDLED {
            set_action(number, on_signal as extern "C" fn(c_int) as libc::sighandler_t)?;
        }
        unblock(HANDLED.into_iter().filter(|&number| number != WITHDRAW))?;
        if PENDING.fetch_or(take_early(), Ordering::SeqCst) != 0 || PENDING.load(Ordering::SeqCst) != 0 {
            write_byte(write.as_raw_fd(), 0);
        }
        Ok(Self { pipe, _write: write })
    }

    /// Says that the loop runs and looks here: from now on INT and QUIT are taken like any other order.
    pub fn booted(&self) {
        BOOTED.store(true, Ordering::SeqCst);
    }

    /// Takes the orders that came by signal since the last call, the most urgent first, each once.
    #[must_use]
    pub fn take(&self) -> Vec<Order> {
        let mut bytes = [0_u8; 64];
        // Read to the end first: a signal in between makes the pipe readable again.
        while matches!(read(&self.pipe, &mut bytes), Ok(1..) | Err(Errno::EINTR)) {}
        let pending = PENDING.swap(0, Ordering::SeqCst);
        let came = |number: c_int| pending & (1 << number) != 0;
        let mut orders = Vec::new();
        if came(libc::SIGQUIT) || came(libc::SIGINT) {
            orders.push(Order::Quick);
        }
        if came(libc::SIGTERM) || came(WITHDRAW) {
            orders.push(Order::Graceful);
        }
        if came(libc::SIGUSR1) {
            orders.push(Order::Reopen);
        }
        orders
    }
}

impl AsFd for WorkerSignals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl AsRawFd for WorkerSignals {
    fn as_raw_fd(&self) -> RawFd {
        self.pipe.as_raw_fd()
    }
}

impl Drop for WorkerSignals {
    /// From here the worker is on its way out, and no signal may cut Python's finalization short. INT and QUIT repeat what
    /// the master has said by message, and it sees to it that the end does not last.
    fn drop(&mut self) {
        if OWNER.load(Ordering::SeqCst) != nix::unistd::getpid().as_raw() {
            return;
        }
        for number in HANDLED {
            // Fails only for numbers that are no signals.
            let _ = set_action(number, libc::SIG_IGN);
        }
        PIPE.store(-1, Ordering::SeqCst);
        OWNER.store(0, Ordering::SeqCst);
    }
}

/// Runs in signal context: nothing but atomics, getpid, write, signal, raise and _exit.
extern "C" fn on_signal(number: c_int) {
    let errno = Errno::last_raw();
    if nix::unistd::getpid().as_raw() != OWNER.load(Ordering::SeqCst) {
        // A mold's child is a worker that has no handlers of its own yet.
        if is_forking() {
            note_early(number);
        } else {
            act_as_default(number);
        }
    } else if !BOOTED.load(Ordering::SeqCst) && [libc::SIGINT, libc::SIGQUIT, WITHDRAW].contains(&number) {
        // SAFETY: _exit is async-signal-safe and only ends the process.
        unsafe { libc::_exit(0) }
    } else {
        PENDING.fetch_or(1 << number, Ordering::SeqCst);
        write_byte(PIPE.load(Ordering::SeqCst), 0);
    }
    Errno::set_raw(errno);
}

#[cfg(test)]
mod tests {
    use super::{HANDLED, WorkerSignals};
    use crate::control::Order;
    use crate::fork::tests::in_child;
    use crate::poll;
    use crate::signal::{Signals, reset_for_foreign_code};
    use crate::wait::Change;
    use std::os::fd::AsFd;

    fn raise(number: i32) {
        // SAFETY: raise takes a number.
        assert_eq!(unsafe { libc::raise(number) }, 0);
    }

    #[test]
    fn a_booted_worker_takes_each_signal_as_an_order() {
        let end = in_child(|| {
            let signals = WorkerSignals::install().unwrap();
            reset_for_foreign_code().unwrap();
            signals.booted();
            assert_eq!(poll::readable(&[signals.as_fd()], Some(0)).unwrap(), [false]);
            for number in [libc::SIGUSR1, libc::SIGTERM, libc::SIGTERM, libc::SIGINT] {
                raise(number);
            }
            assert_eq!(poll::readable(&[signals.as_fd()], Some(0)).unwrap(), [true]);
            assert_eq!(signals.take(), [Order::Quick, Order::Graceful, Order::Reopen]);
            assert_eq!(poll::readable(&[signals.as_fd()], Some(0)).unwrap(), [false]);
            0
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn one_that_is_withdrawn_leaves_at_once_while_it_boots_and_gracefully_after_that() {
        for booted in [false, true] {
            let end = in_child(move || {
                let signals = WorkerSignals::install().unwrap();
                reset_for_foreign_code().unwrap();
                if booted {
                    signals.booted();
                }
                raise(super::WITHDRAW);
                i32::from(signals.take() == [Order::Graceful]) * 6
            });
            assert_eq!(end, Change::Exited(if booted { 6 } else { 0 }));
        }
    }

    #[test]
    fn what_is_for_the_master_alone_does_nothing_to_a_worker() {
        let end = in_child(|| {
            let signals = WorkerSignals::install().unwrap();
            reset_for_foreign_code().unwrap();
            raise(libc::SIGHUP);
            signals.booted();
            raise(libc::SIGUSR2);
            i32::from(!signals.take().is_empty())
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn while_it_boots_term_is_remembered_and_quit_ends_it() {
        let end = in_child(|| {
            let signals = WorkerSignals::install().unwrap();
            raise(libc::SIGTERM);
            assert_eq!(signals.take(), [Order::Graceful]);
            raise(libc::SIGQUIT);
            5
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn a_signal_between_fork_and_install_is_not_lost_and_does_not_reach_the_master() {
        let end = in_child(|| {
            let master = Signals::install().unwrap();
            let worker = in_child(|| {
                raise(libc::SIGTERM);
                let signals = WorkerSignals::install().unwrap();
                let readable = poll::readable(&[signals.as_fd()], Some(0)).unwrap();
                i32::from(readable != [true] || signals.take() != [Order::Graceful])
            });
            assert_eq!(worker, Change::Exited(0));
            i32::from(master.take() != [crate::signal::Signal::Chld])
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn a_process_that_the_app_forks_can_be_terminated() {
        let end = in_child(|| {
            let signals = WorkerSignals::install().unwrap();
            signals.booted();
            // SAFETY: the child does nothing but raise and exit.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                raise(libc::SIGTERM);
                return 9;
            }
            assert_eq!(crate::wait::until_gone(pid).unwrap(), Change::Killed(libc::SIGTERM));
            i32::from(!signals.take().is_empty())
        });
        assert_eq!(end, Change::Exited(0));
    }

    #[test]
    fn no_order_cuts_the_finalization_short() {
        for number in HANDLED {
            let end = in_child(|| {
                drop(WorkerSignals::install().unwrap());
                raise(number);
                4
            });
            assert_eq!(end, Change::Exited(4));
        }
    }
}
