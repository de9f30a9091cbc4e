//! How long to wait before the next worker, when workers fail again and again.

use super::Millis;

const FIRST: Millis = 100;
const LONGEST: Millis = 30_000;
/// Failures that are this far apart have nothing to do with each other.
const FORGET: Millis = 60_000;

/// Doubles the pause at each failure, from 0.1 s to 30 s. Workers that fail together count once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Millis,
}

impl Backoff {
    /// When a worker may be spawned again.
    pub(super) fn not_before(&self) -> Millis {
        self.not_before
    }

    /// A worker failed early. Returns how long spawning pauses from now.
    pub(super) fn failed(&mut self, now: Millis) -> Millis {
        if now >= self.not_before + FORGET {
            self.failures = 0;
        }
        if now >= self.not_before {
            let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
            self.failures += 1;
            self.not_before = now + pause;
        }
        self.not_before - now
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, FORGET, LONGEST};

    #[test]
    fn pauses_double_up_to_a_limit_and_start_anew_after_a_good_while() {
        let mut backoff = Backoff::default();
        let mut now = 1_000_000;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            pauses.push(backoff.failed(now));
            now = backoff.not_before();
        }
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[11], LONGEST);
        assert_eq!(backoff.failed(now + FORGET), 100);
    }

    #[test]
    fn workers_that_fail_together_count_once() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.failed(1_000_000), 100);
        assert_eq!(backoff.failed(1_000_010), 90);
        assert_eq!(backoff.failed(1_000_100), 200);
    }
}
