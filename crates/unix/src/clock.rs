//! The clocks: milliseconds that never jump back, the same in every process of one machine.

use nix::time::{ClockId, clock_gettime};

/// Milliseconds of `CLOCK_MONOTONIC`. Never 0.
#[must_use]
pub fn now_ms() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// The same clock as of the last tick of the kernel (1 to 10 ms ago), which is cheaper to read. Never 0.
#[must_use]
pub fn coarse_ms() -> u64 {
    read(ClockId::CLOCK_MONOTONIC_COARSE)
}

fn read(clock: ClockId) -> u64 {
    // The kernel has both clocks since 2.6.32, so the call cannot fail; 1 keeps 0 free for "never".
    clock_gettime(clock).map_or(1, |time| {
        let millis = time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000;
        u64::try_from(millis).unwrap_or(1).max(1)
    })
}

#[cfg(test)]
mod tests {
    use super::{coarse_ms, now_ms};

    #[test]
    fn both_clocks_tell_the_same_time_and_do_not_run_back() {
        let coarse = coarse_ms();
        let exact = now_ms();
        assert!(exact >= coarse, "{exact} < {coarse}");
        assert!(exact - coarse < 1000, "{exact} is far from {coarse}");
        assert!(coarse_ms() >= coarse);
    }
}
