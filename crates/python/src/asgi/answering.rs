//! The connection's side of a call: its answer, as a future.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferricorn_protocol::{AppFault, Response};

/// What the application answers: a request, or the handshake of a WebSocket.
pub(super) trait Answered: Send + Sync {
    /// The answer, once there is one.
    fn poll_answer(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Response, AppFault>>;

    /// The connection wants nothing more.
    fn abandoned(self: &Arc<Self>);
}

/// The answer, once the application has given it. Dropping it before says that the client has left.
pub(super) struct Answering<E: Answered>(Option<Arc<E>>);

impl<E: Answered> Answering<E> {
    pub(super) fn new(exchange: Arc<E>) -> Self {
        Self(Some(exchange))
    }
}

impl<E: Answered> Future for Answering<E> {
    type Output = Result<Response, AppFault>;

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
