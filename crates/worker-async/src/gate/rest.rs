//! A connection at rest: it keeps its socket and gives up hyper's buffers.
//!
//! hyper holds two buffers of 8 KiB for as long as a connection lives. Most kept-alive connections wait most of
//! the time, so one that has waited for a while is taken out of hyper, and put into a new one when its next
//! bytes have come.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::{End, Gate, Phase, Shared};

/// How much is read at once on waking up; an ordinary head fits.
const FIRST_READ: usize = 1024;

impl Shared {
    /// Lets the connection rest, if it still waits for a request. For the sweeper.
    pub(crate) fn rest(&self) {
        self.may_rest.store(true, Relaxed);
        self.wake_reader();
    }

    /// Whether the connection may rest: somebody said so, nothing is on its way in either direction, and
    /// nothing is unanswered. For the connection's task, after hyper found nothing to do.
    pub(crate) fn rests(&self) -> bool {
        self.may_rest.load(Relaxed)
            && self.phase().0 == Phase::Idle
            && !self.is_answering()
            && self.write_blocked().is_none()
            && self.may_rest.swap(false, Relaxed)
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Waits until there is something for hyper: a whole head, or the end of the connection.
    pub(crate) fn poll_awake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.keep_waker(cx);
        while self.clear == 0 && self.end.is_none() {
            let mut bytes = [0; FIRST_READ];
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    if !self.grant_wishes() {
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Err(_)) => self.end = Some(End::Closed),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => self.client_closed(),
                Poll::Ready(Ok(())) => {
                    self.inbox.extend_from_slice(buf.filled());
                    self.admit_inbox();
                }
            }
        }
        Poll::Ready(())
    }
}
