//! Whether a client has left while the application is at work on its request.
//!
//! hyper could look for that by reading on, but each time with a buffer of its own, which costs more than all else that
//! the gate does. So the gate reads on by itself, once hyper has nothing to do: an end tells that the client has left,
//! and what it sends meanwhile, which is the beginning of another request, waits in the inbox.
//!
//! What nobody takes may stand before the end: a body that the application does not read, what is in the inbox already,
//! messages for which a WebSocket's application has no room. An application that waits would then serve nobody, so the
//! sweeper has the gate ask the kernel.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use super::{End, Gate, Phase, Shared};

/// How much is read at once behind a request that is not answered; an ordinary head fits.
const AHEAD: usize = 1024;

impl Shared {
    /// Has the connection's task look for the client, and end the connection if it has left. For the sweeper, while the
    /// socket is not read.
    pub(crate) fn seek(&self) {
        self.seek.store(true, Relaxed);
        self.wake_reader();
    }
}

impl<S> Gate<S> {
    /// Whether the client has left, if the sweeper asks. A client to which something could be written since it last asked
    /// is there, though it may have closed its writing side; if it is not, the next write tells.
    pub(crate) fn has_left(&mut self) -> bool {
        if !self.shared.seek.swap(false, Relaxed) {
            return false;
        }
        let silent = std::mem::replace(&mut self.sought, self.uptake) == self.uptake;
        silent && (self.left)(&self.socket)
    }

    /// Says whether the client of a WebSocket is read.
    pub(crate) fn listens(&self, listens: bool) {
        self.shared.wait(if listens { Phase::App } else { Phase::Deaf });
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Reads on while the application is at work.
    ///
    /// # Errors
    /// The client has left.
    #[inline]
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if self.watches && self.shared.is_answering() && !self.track.in_body() && self.end.is_none() {
            self.read_on(cx)
        } else {
            Ok(())
        }
    }

    fn read_on(&mut self, cx: &mut Context<'_>) -> Result<()> {
        // What came at once is enough; of what a WebSocket's client sends more is kept.
        while self.end.is_none() && (self.inbox.is_empty() || (self.track.is_held() && !self.holds_on())) {
            let mut bytes = [std::mem::MaybeUninit::uninit(); AHEAD];
            let mut buf = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    self.shared.wait(Phase::App);
                    return Ok(());
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    self.end = Some(End::Closed);
                    return Err(Error::new(ErrorKind::ConnectionReset, "the client has left"));
                }
                Poll::Ready(Ok(())) => {
                    self.inbox.extend_from_slice(buf.filled());
                    self.admit_inbox();
                }
            }
        }
        self.shared.wait(Phase::Deaf);
        Ok(())
    }
}
