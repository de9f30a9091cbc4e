//! The standby thread: sees a call that lasts, and has the loop driven meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::drive::Role;
use super::pace::Overruns;
use super::{NOBODY, Seat, Work, lock};

/// How often the standby looks, while there is traffic. A call that is still the same at the next look has
/// lasted at least this long and at most twice as long.
const TICK: Duration = Duration::from_millis(1);

/// After so many looks without a new call the standby sleeps until there is traffic again.
const IDLE_TICKS: u32 = 3;

/// How the standby is told of traffic.
#[derive(Default)]
pub(super) struct Standby {
    /// Whether it looks at intervals, or sleeps.
    ticking: AtomicBool,
    /// How often it has looked.
    looks: AtomicU32,
    orders: Mutex<Orders>,
    bell: Condvar,
}

#[derive(Default)]
struct Orders {
    /// An app thread waits for the loop: take the seat without waiting for the next look.
    hand_over: bool,
}

impl Standby {
    /// Says that an app thread left the seat to run calls. Costs a load while the standby ticks already.
    pub(super) fn traffic(&self) {
        if !self.ticking.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    pub(super) fn hand_over(&self) {
        lock(&self.orders).hand_over = true;
        self.ring();
    }

    pub(super) fn ring(&self) {
        let _orders = lock(&self.orders);
        self.ticking.store(true, Ordering::SeqCst);
        self.bell.notify_one();
    }

    /// How often it has looked. It counts on about once in a millisecond while there is traffic.
    pub(super) fn looks(&self) -> u32 {
        self.looks.load(Ordering::Relaxed)
    }

    /// It drives now, as it may have been asked to.
    pub(super) fn takes_over(&self) {
        lock(&self.orders).hand_over = false;
    }

    /// Sleeps until there is traffic, or until `stop` holds.
    fn sleep(&self, stop: impl Fn() -> bool) {
        let mut orders = lock(&self.orders);
        while !self.ticking.load(Ordering::SeqCst) && !stop() {
            orders = self.bell.wait(orders).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the next look; true if an app thread asked for the loop to be driven.
    fn tick(&self) -> bool {
        let mut orders = lock(&self.orders);
        if !orders.hand_over {
            orders = self.bell.wait_timeout(orders, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut orders.hand_over)
    }
}

/// The standby's life.
pub(super) fn stand_by<W: Work>(seat: &Seat<W>) {
    let shared = &seat.shared;
    let mut overruns = Overruns::default();
    while !shared.stopping() {
        shared.standby.sleep(|| shared.stopping());
        watch(seat, &mut overruns);
        shared.standby.ticking.store(false, Ordering::SeqCst);
        // A call may have begun after the last look and before the flag fell; its thread saw the flag up.
        if shared.driver.load(Ordering::SeqCst) == NOBODY {
            shared.standby.ticking.store(true, Ordering::SeqCst);
        }
    }
}

/// Looks at intervals until no call was begun for a while.
fn watch<W: Work>(seat: &Seat<W>, overruns: &mut Overruns) {
    let shared = &seat.shared;
    let mut seen = shared.calls.load(Ordering::Relaxed);
    let mut idle = 0;
    while idle < IDLE_TICKS && !shared.stopping() {
        let asked = shared.standby.tick();
        shared.standby.looks.fetch_add(1, Ordering::Relaxed);
        let calls = shared.calls.load(Ordering::Relaxed);
        if shared.driver.load(Ordering::SeqCst) == NOBODY {
            idle = 0;
            if calls == seen && !asked {
                shared.pace.overrun(overruns, calls);
            }
            if (calls == seen || asked) && (shared.pace.is_slow() || !shared.ring_lobby()) {
                seat.drive(Role::Standby);
            }
        } else if calls == seen {
            idle += 1;
        } else {
            idle = 0;
        }
        seen = calls;
    }
}
