//! Early hints (103, RFC 8297), which hyper's server cannot write: the gate does, between two of its writes.
//!
//! The service gives them to [`Shared`] and answers nothing until they have left. hyper flushes whenever it
//! has no bytes of its own left, so at a flush all responses before are written and this one has not begun.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use http::HeaderMap;
use tokio::io::AsyncWrite;

use super::shared::lock;
use super::{Gate, Shared};

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
