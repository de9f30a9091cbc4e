//! The connection's side of a call: its answer as a future, and a body that streams.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{AppFault, BodyError, Response};
use http_body::{Body, Frame};

/// What the application answers: a request, or the handshake of a WebSocket.
pub(crate) trait Answered: Send + Sync {
    /// The answer, once there is one.
    fn poll_answer(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Box<Response>, AppFault>>;

    /// The connection wants nothing more.
    fn abandoned(self: &Arc<Self>);
}

/// An answer whose body may stream.
pub(crate) trait Streamed: Answered {
    /// The next piece of the body, or none at its end.
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>>;

    /// Whether all of the body was taken.
    fn is_taken(&self) -> bool;
}

/// The answer, once the application has given it. Dropping it before says that the client has left.
pub(crate) struct Answering<E: Answered>(Option<Arc<E>>);

impl<E: Answered> Answering<E> {
    pub(crate) fn new(exchange: Arc<E>) -> Self {
        Self(Some(exchange))
    }
}

impl<E: Answered> Future for Answering<E> {
    type Output = Result<Box<Response>, AppFault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(exchange) = &self.0 else {
            return Poll::Ready(Err(AppFault::new("the answer was taken already")));
        };
        let answer = exchange.poll_answer(cx);
        if answer.is_ready() {
            self.0 = None;
        }
        answer
    }
}

impl<E: Answered> Drop for Answering<E> {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.abandoned();
        }
    }
}

/// A body that streams. Dropping it before its end says that the client has left.
pub(crate) struct Outgoing<E: Streamed>(pub(crate) Arc<E>);

impl<E: Streamed> Body for Outgoing<E> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_taken()
    }
}

impl<E: Streamed> Drop for Outgoing<E> {
    fn drop(&mut self) {
        if !self.0.is_taken() {
            self.0.abandoned();
        }
    }
}
