//! Early hints (103, RFC 8297), which hyper's server cannot write: the gate does, between two of its writes.
//!
//! The service gives them to [`Shared`], or an app that answers with a future does, and nothing is answered until
//! they have left. hyper flushes whenever it has no bytes of its own left, so at a flush all responses before are
//! written and this one has not begun.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Context, Poll, ready};

use ferricorn_protocol::Hints;
use http::HeaderMap;
use tokio::io::AsyncWrite;

use super::shared::lock;
use super::{Gate, Shared};

/// How many bytes of informational responses wait for a client that does not read.
pub(crate) const MOST_HINTS: usize = 64 * 1024;

/// The bytes of an informational response with these headers.
pub(crate) fn early_hints(headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = b"HTTP/1.1 103 Early Hints\r\n".to_vec();
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

impl Shared {
    /// Sends informational responses. For the service, before it answers.
    pub(crate) async fn send_hints(&self, bytes: Vec<u8>) {
        *lock(&self.hints) = bytes;
        self.hinted.store(true, Relaxed);
        self.all_left().await;
    }

    /// Lets the app send informational responses itself, until [`Shared::end_hints`].
    pub(crate) fn begin_hints(&self) {
        self.may_hint.store(true, SeqCst);
    }

    /// The answer is there: what the app hinted before leaves first, and what it hints from now on is too late.
    #[inline]
    pub(crate) async fn end_hints(&self) {
        self.may_hint.store(false, SeqCst);
        if self.hinted.load(SeqCst) {
            self.all_left().await;
        }
    }

    /// Returns when all that hyper has, and the hints behind it, were written. For the service, before it answers.
    pub(crate) async fn all_left(&self) {
        self.expect_flush();
        let mut asked = false;
        poll_fn(|cx| {
            // hyper does not flush after every look at its service; it does when it is woken.
            if !std::mem::replace(&mut asked, true) {
                cx.waker().wake_by_ref();
            }
            self.poll_flushed(cx)
        })
        .await;
    }
}

/// From an app that answers with a future, on any thread.
impl Hints for Shared {
    fn hint(&self, headers: &HeaderMap) {
        let mut hints = lock(&self.hints);
        // Before the look whether it is too late, while the service looks the other way round: one of both sees it.
        self.hinted.store(true, SeqCst);
        if !self.may_hint.load(SeqCst) {
            self.hinted.store(!hints.is_empty(), SeqCst);
            return;
        }
        // Hints are advice: those that a client is too slow for are left out.
        if hints.len() < MOST_HINTS {
            hints.extend(early_hints(headers));
        }
        drop(hints);
        self.wake_reader();
    }
}

impl<S: AsyncWrite + Unpin> Gate<S> {
    /// Writes what the service wants to be written here. To be called when hyper has written all it had.
    #[cold]
    pub(super) fn poll_hints(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = self.shared.clone();
        let mut hints = lock(&shared.hints);
        while !hints.is_empty() {
            let outcome = Pin::new(&mut self.socket).poll_write(cx, &hints);
            match ready!(self.note_write(outcome))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => drop(hints.drain(..count)),
            }
        }
        shared.hinted.store(false, Relaxed);
        Poll::Ready(Ok(()))
    }
}
