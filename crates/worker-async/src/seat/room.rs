//! Whether an app thread is left for a further call, and who hears of it.
//!
//! One that has begun a response is not, until the end of that: what another call does to the thread's own state, such as
//! its database connection, could harm it.

use std::sync::atomic::Ordering;

use ferricorn_unix::clock;
use tokio::sync::Notify;

use super::{NOBODY, STANDBY, Shared, Work, lock};

impl<W: Work> Shared<W> {
    /// Whether no app thread could begin another call now, for as long as calls and responses last.
    pub(crate) fn blocked(&self) -> bool {
        let pool = lock(&self.pool);
        // Before the look, so that a change after it is told of.
        let told = self.told_blocked.swap(true, Ordering::SeqCst);
        let busy = self.may_be_blocked() && pool.waiting() >= pool.free(|number| self.is_tied(number));
        let blocked = busy || pool.is_held_up();
        // If somebody was told so earlier, whoever has changed it since then is about to tell that.
        if !blocked && !told {
            self.told_blocked.store(false, Ordering::SeqCst);
        }
        blocked
    }

    /// Whether an app thread is left for one more call, beside those that wait and so many that are expected. It is never
    /// so for the app of a loop that is a guest, or in tasks.
    pub(crate) fn has_room(&self, expected: usize) -> bool {
        let driver = self.driver.load(Ordering::SeqCst);
        let drives = driver != NOBODY && driver != STANDBY && !self.is_tied(driver as usize - 1);
        let pool = lock(&self.pool);
        pool.free(|number| self.is_tied(number)) + usize::from(drives) > pool.waiting() + expected
    }

    /// Whether calls wait that any app thread could begin.
    pub(crate) fn has_open_calls(&self) -> bool {
        lock(&self.pool).is_open()
    }

    /// Whether [`Shared::blocked`] could tell of a call or a response that lasts. Costs two loads.
    pub(crate) fn may_be_blocked(&self) -> bool {
        match self.driver.load(Ordering::SeqCst) {
            STANDBY => true,
            NOBODY => false,
            app_thread => self.is_tied(app_thread as usize - 1),
        }
    }

    /// Whether all app threads are in calls that last, so that none would come to do something else.
    pub(crate) fn in_calls(&self) -> bool {
        let pool = lock(&self.pool);
        let busy = self.standby_drives() && pool.is_lobby_empty() && !pool.may_hire();
        busy || pool.is_held_up()
    }

    fn standby_drives(&self) -> bool {
        self.driver.load(Ordering::SeqCst) == STANDBY
    }

    /// How many lulls there were: calls after which an app thread went on with the next one, while all are busy. Without
    /// them clients that are there already could keep newcomers out for ever. [`Shared::freed`] tells of them.
    pub(crate) fn lulls(&self) -> u32 {
        self.lulls.load(Ordering::SeqCst)
    }

    /// Says that a lull was of no use. For the next few milliseconds [`Shared::freed`] tells of no other: where many calls
    /// end and nobody waits to be let in, each would cost a look.
    pub(crate) fn lull_in_vain(&self) {
        self.vain_lull.store(clock::coarse_ms(), Ordering::Relaxed);
    }

    pub(super) fn lull(&self) {
        self.lulls.fetch_add(1, Ordering::SeqCst);
        if self.vain_lull.load(Ordering::Relaxed) != clock::coarse_ms() {
            self.unblocked.store(true, Ordering::SeqCst);
            self.wake_driver();
        }
    }

    /// Notified when [`Shared::blocked`] may have ended, and at each lull.
    pub(crate) fn freed(&self) -> &Notify {
        &self.freed
    }

    /// Says that an app thread may be free now. Whoever drives tells those who wait for it: to wake them from here would
    /// cost a system call for each.
    pub(super) fn unblock(&self) {
        if self.note_unblocked() && self.driver.load(Ordering::SeqCst) != NOBODY {
            self.wake_driver();
        }
    }

    /// Leaves that to whoever drives next. True if there is somebody to be told.
    pub(super) fn note_unblocked(&self) -> bool {
        let told =
            self.told_blocked.load(Ordering::SeqCst) && self.told_blocked.swap(false, Ordering::SeqCst);
        if told {
            self.unblocked.store(true, Ordering::SeqCst);
        }
        told
    }

    /// Tells them, from inside the runtime.
    pub(super) fn tell_unblocked(&self) {
        if self.unblocked.load(Ordering::SeqCst) && self.unblocked.swap(false, Ordering::SeqCst) {
            self.freed.notify_waiters();
        }
    }

    /// Notified when [`Shared::is_short`] may have become true.
    pub(crate) fn short(&self) -> &Notify {
        &self.short
    }

    /// Whether calls wait, or clients may, for app threads that have responses to go on with.
    pub(crate) fn is_short(&self) -> bool {
        let waits = self.has_open_calls();
        (0..self.ties.len()).any(|number| self.is_tied(number)) && (waits || self.blocked())
    }

    /// Says that an app thread has a response to go on with, until [`Shared::untie`]. It begins no other call meanwhile.
    pub(crate) fn tie(&self, number: usize) {
        if let Some(ties) = self.ties.get(number) {
            ties.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes that back.
    pub(crate) fn untie(&self, number: usize) {
        let Some(ties) = self.ties.get(number) else { return };
        if ties.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        self.unblock();
        // Whoever drives has left calls to this thread, maybe.
        let wanted = lock(&self.pool).is_open();
        if wanted && self.driver.load(Ordering::SeqCst) != NOBODY {
            self.wake_driver();
        }
    }

    pub(super) fn is_tied(&self, number: usize) -> bool {
        self.ties.get(number).is_some_and(|ties| ties.load(Ordering::Relaxed) > 0)
    }
}
