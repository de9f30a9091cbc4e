//! One deadline as a descriptor: timerfd_create(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Becomes readable when its time has come. It has one deadline at a time; a new one takes the place of the one
/// before, also if that has passed.
#[derive(Debug)]
pub struct Alarm(TimerFd);

impl Alarm {
    /// Makes one without a deadline.
    ///
    /// # Errors
    /// What timerfd_create(2) reports (`EMFILE`, `ENFILE`).
    pub fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        Ok(Self(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?))
    }

    /// Sets the deadline, counted from now; never before that much time has passed on the clock of
    /// [`Instant`](std::time::Instant).
    ///
    /// # Errors
    /// What timerfd_settime(2) reports.
    pub fn set(&self, after: Duration) -> io::Result<()> {
        // None at all would take the deadline away.
        let after = TimeSpec::from_duration(after).max(TimeSpec::nanoseconds(1));
        Ok(self.0.set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    use super::Alarm;
    use crate::poll;

    fn rings(alarm: &Alarm, patience_ms: u64) -> bool {
        poll::readable(&[alarm.as_fd()], Some(patience_ms)).unwrap() == [true]
    }

    #[test]
    fn it_rings_at_its_time_and_not_before() {
        let alarm = Alarm::new().unwrap();
        assert!(!rings(&alarm, 0));
        let before = Instant::now();
        alarm.set(Duration::from_millis(5)).unwrap();
        assert!(rings(&alarm, 10_000));
        assert!(before.elapsed() >= Duration::from_millis(5));
    }

    #[test]
    fn a_new_deadline_takes_the_place_of_the_one_before() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Duration::ZERO).unwrap();
        assert!(rings(&alarm, 10_000));
        alarm.set(Duration::from_secs(3600)).unwrap();
        assert!(!rings(&alarm, 0));
    }
}
