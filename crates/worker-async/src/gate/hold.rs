//! What follows a request for a WebSocket: held until it is answered, for it may be frames or another request.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::{Gate, Phase, Shared};

/// How many bytes are held at most. A client that waits for the answer, as it must, sends none.
const HELD: usize = 64 * 1024;

impl Shared {
    /// The request that was answered last begins a WebSocket, so nothing behind it is a request. For the service,
    /// before the answer is out.
    pub(crate) fn switch(&self) {
        self.switched.store(true, Relaxed);
    }

    /// Whether all that hyper had was written, if [`Shared::expect_flush`] asked for that.
    pub(crate) fn is_flushed(&self) -> bool {
        !self.awaits_flush()
    }
}

impl<S> Gate<S> {
    /// While the request for a WebSocket is not answered: whether so much is held that nothing more is read. Once
    /// it was answered otherwise, the bytes that were held are judged as all others are.
    #[cold]
    pub(super) fn holds_on(&mut self) -> bool {
        if self.shared.is_answering() || self.shared.switched.load(Relaxed) {
            return self.inbox.len() >= HELD;
        }
        self.track.resume();
        self.admit_inbox();
        false
    }

    /// Whether the request that is not answered asks for a WebSocket.
    pub(crate) fn asks_websocket(&self) -> bool {
        self.track.is_held()
    }

    /// Takes the connection for a WebSocket, with the bytes that were held. The sweeper leaves it alone from now
    /// on, unless the client does not read, or is not read.
    pub(crate) fn switch(&mut self) -> BytesMut {
        self.shared.wait(Phase::App);
        std::mem::take(&mut self.inbox)
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Reads what the gate does not judge.
    pub(crate) fn poll_read_unjudged(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.keep_waker(cx);
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}
