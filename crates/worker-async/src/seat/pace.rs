//! Whether calls are slow now, so that it pays to have the loop driven by a thread that runs none.
//!
//! A single call that lasts says little: it costs a look of the standby, and the next calls are fast again. If one after
//! the other does, looks would come too late each time. Then the standby goes on driving, and app threads only run
//! calls. It is ended by calls that are fast, one after the other.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Two calls that last, and no more than so many calls between them, count as one after the other.
const CLOSE: u64 = 8;
/// So many calls that last, one after the other, are slow traffic.
const SLOW: u32 = 3;
/// A call that takes no longer is fast.
const FAST_CALL: Duration = Duration::from_micros(500);
/// So many fast calls, one after the other, are fast traffic.
const FAST: u32 = 16;

/// See the module's first line.
#[derive(Default)]
pub(super) struct Pace {
    slow: AtomicBool,
    /// Fast calls since the last one that was not, while traffic is slow.
    fast: AtomicU32,
}

/// Calls that lasted, as the standby saw them.
#[derive(Default)]
pub(super) struct Overruns {
    /// How many calls had begun when the last one was seen.
    at: u64,
    row: u32,
}

impl Pace {
    /// Whether traffic is slow.
    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::SeqCst)
    }

    /// The standby saw a call that lasts, which is number `calls`.
    pub(super) fn overrun(&self, overruns: &mut Overruns, calls: u64) {
        if calls == overruns.at {
            return;
        }
        overruns.row = if calls - overruns.at <= CLOSE { overruns.row + 1 } else { 1 };
        overruns.at = calls;
        if overruns.row >= SLOW {
            overruns.row = 0;
            self.fast.store(0, Ordering::Relaxed);
            self.slow.store(true, Ordering::SeqCst);
        }
    }

    /// In slow traffic a call took so long. True if that makes it fast traffic.
    pub(super) fn took(&self, time: Duration) -> bool {
        if time > FAST_CALL {
            self.fast.store(0, Ordering::Relaxed);
            return false;
        }
        self.fast.fetch_add(1, Ordering::Relaxed) + 1 >= FAST && self.slow.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_last_one_after_the_other_are_slow_traffic_until_as_many_are_fast() {
        let (pace, mut seen) = (Pace::default(), Overruns::default());
        for calls in [100, 200, 300, 302] {
            pace.overrun(&mut seen, calls);
            assert!(!pace.is_slow());
        }
        pace.overrun(&mut seen, 303);
        assert!(pace.is_slow());
        let fast = Duration::from_micros(50);
        let in_a_row = || (0..FAST - 1).all(|_| !pace.took(fast));
        assert!(in_a_row() && !pace.took(Duration::from_millis(10)) && in_a_row() && pace.is_slow());
        assert!(pace.took(fast) && !pace.is_slow());
    }
}
