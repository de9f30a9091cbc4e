//! What an app thread does out of the seat: it runs calls, one after the other for a while.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{NOBODY, STANDBY, Shared, Work, lock};

/// How long queued calls may run one after the other before the loop is driven in between, so that the
/// first ones' answers do not wait for the last ones' calls.
const BATCH: Duration = Duration::from_micros(200);

impl<W: Work> Shared<W> {
    /// Runs queued calls until there are none or their time is up, and puts their results on the list.
    pub(super) fn run_batch(&self, number: usize) {
        let mut pool = lock(&self.pool);
        let (first, mut at_door) = match pool.take_own(number) {
            Some(own) => (own, false),
            None => {
                let Some(open) = pool.take_open() else { return };
                (open, pool.send_to_door())
            }
        };
        drop(pool);
        let around = W::surroundings(&first);
        let mut next = Some(first);
        W::around(around, &mut || {
            if std::mem::take(&mut at_door) {
                self.enter();
            }
            let (began, look) = (Instant::now(), self.standby.looks());
            let mut run = 0_u32;
            while let Some(work) = next.take() {
                self.calls.fetch_add(1, Ordering::Relaxed);
                self.run(work);
                run += 1;
                // Reading the clock costs about as much as a lock; every few calls is often enough.
                let over = run.is_multiple_of(4) && began.elapsed() > BATCH;
                next = self.another(number, over || look != self.standby.looks());
            }
        });
        // It was not let in.
        if at_door {
            self.enter();
        }
    }

    /// Runs one call.
    fn run(&self, work: W) {
        let since = (self.pace.is_slow() && work.home().is_none()).then(Instant::now);
        let done = work.run();
        if since.is_some_and(|since| self.pace.took(since.elapsed())) {
            // The standby is to give the seat back.
            self.wake_driver();
        }
        self.publish(done);
    }

    /// A further call for an app thread that is in the app already. If nobody drives, it is to do that itself soon, and
    /// `over` says that it is time. Beside another app thread that drives it only gets its own: that one runs the others.
    fn another(&self, number: usize, over: bool) -> Option<W> {
        let driver = self.driver.load(Ordering::SeqCst);
        let mut pool = lock(&self.pool);
        if let own @ Some(_) = pool.take_own(number) {
            return own;
        }
        let may = match driver {
            NOBODY => !over && !self.is_tied(number),
            STANDBY => self.pace.is_slow() && !self.is_tied(number),
            _ => false,
        };
        let open = if may { pool.take_open() } else { None };
        drop(pool);
        if open.is_some() && driver == STANDBY {
            self.lull();
        }
        open
    }

    /// Sees to the calls that were held up by the one who has just entered the app.
    fn enter(&self) {
        let mut pool = lock(&self.pool);
        let more = pool.enter();
        let mut called = None;
        if more && self.driver.load(Ordering::SeqCst) == STANDBY && self.pace.is_slow() {
            called = pool.call_untied(|number| self.is_tied(number));
        }
        drop(pool);
        self.unblock();
        match called {
            Some(guest) => guest.thread.unpark(),
            None if more && self.driver.load(Ordering::SeqCst) != NOBODY => self.wake_driver(),
            None => {}
        }
    }

    /// Runs queued calls for a while, on the thread of a loop that is a guest.
    pub(crate) fn run_here(&self) {
        if self.has_calls(0) {
            self.run_batch(0);
            self.deliver();
            if self.has_calls(0) {
                self.wake_driver();
            }
        }
    }

    /// Whether this app thread could run a call now.
    fn has_calls(&self, number: usize) -> bool {
        let pool = lock(&self.pool);
        pool.has_own(number) || pool.is_open()
    }
}
