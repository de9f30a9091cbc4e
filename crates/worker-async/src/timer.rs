//! Waiting by time, the same in every loop: all of this crate waits through this module.
//!
//! A loop of our own sleeps in the kernel until its next deadline, which is the runtime's matter (`tokio::time`). A
//! loop that is another's guest sleeps in that one's poll, which knows nothing of our deadlines, so there they stand
//! in a list of the thread's, and one [`Alarm`] carries the earliest: see [`alarms`].

mod alarms;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub(crate) use alarms::{Alarms, Installed};

use alarms::Wait;

/// A wait that ends at its deadline, and not before. It is `Unpin` and may be kept, as for pings.
pub(crate) struct Sleep(Kind);

enum Kind {
    Runtime(Pin<Box<tokio::time::Sleep>>),
    Guest(Wait),
}

/// Waits for so long. To be called in the loop, as everything here.
pub(crate) fn sleep(time: Duration) -> Sleep {
    if Alarms::are_installed() {
        // A time that no clock will reach is as good as never.
        sleep_until(Instant::now() + time.min(FOR_EVER))
    } else {
        Sleep(Kind::Runtime(Box::pin(tokio::time::sleep(time))))
    }
}

/// Thirty years.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Waits until then.
pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    Sleep(if Alarms::are_installed() {
        Kind::Guest(Wait::new(deadline))
    } else {
        Kind::Runtime(Box::pin(tokio::time::sleep_until(deadline.into())))
    })
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.get_mut().0 {
            Kind::Runtime(sleep) => sleep.as_mut().poll(cx),
            Kind::Guest(wait) => wait.poll(cx),
        }
    }
}

/// The time was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// What the future gives, if it does within that time. It is polled once even if there is no time at all.
pub(crate) async fn timeout<F: Future>(time: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    // Most need not wait at all.
    let mut limit = None;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => Pin::new(limit.get_or_insert_with(|| sleep(time))).poll(cx).map(|()| Err(Elapsed)),
    })
    .await
}

/// Lets the loop look what the kernel has to tell, and returns after that.
pub(crate) async fn turn() {
    if Alarms::are_installed() {
        Wait::for_a_turn().await;
    } else {
        tokio::task::yield_now().await;
    }
}
