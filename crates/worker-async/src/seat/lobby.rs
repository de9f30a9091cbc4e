//! Where app threads wait that neither drive nor run a call.

use std::sync::atomic::Ordering;
use std::thread;

use super::pool::Pool;
use super::{NOBODY, STANDBY, Shared, Work, app_thread, lock};

/// What an app thread does next.
pub(super) enum Next {
    /// Try to take the seat.
    Seat,
    /// Run calls.
    Run,
    /// Nothing more.
    Stop,
}

impl<W: Work> Shared<W> {
    /// Parks an app thread until there is something for it to do.
    pub(super) fn wait_in_lobby(&self, number: usize) -> Next {
        let thread = thread::current();
        loop {
            let mut pool = lock(&self.pool);
            // Nobody need have called it.
            pool.leave_lobby(number);
            if let Some(next) = self.next(&pool, number) {
                return next;
            }
            let left = pool.is_open();
            pool.enter_lobby(number, &thread);
            drop(pool);
            self.unblock();
            let wanted = match self.driver.load(Ordering::SeqCst) {
                NOBODY => false,
                // It gives the seat back.
                STANDBY if !self.pace.is_slow() => true,
                // It finds somebody for the call that was left.
                _ => left,
            };
            if wanted {
                self.wake_driver();
            }
            thread::park();
        }
    }

    /// What there is to do for an app thread that does not drive.
    fn next(&self, pool: &Pool<W>, number: usize) -> Option<Next> {
        if self.stopping() {
            return Some(Next::Stop);
        }
        if pool.has_own(number) {
            return Some(Next::Run);
        }
        match self.driver.load(Ordering::SeqCst) {
            NOBODY => Some(Next::Seat),
            given if given == app_thread(number) => Some(Next::Seat),
            STANDBY if self.pace.is_slow() && pool.is_open() && !self.is_tied(number) => Some(Next::Run),
            _ => None,
        }
    }

    /// Wakes an app thread in the lobby, and says whether there was one.
    pub(super) fn ring_lobby(&self) -> bool {
        let called = lock(&self.pool).call(|number| self.is_tied(number));
        called.map(|thread| thread.unpark()).is_some()
    }
}
