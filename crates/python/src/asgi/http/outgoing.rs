//! The connection's side of an exchange: the answer as a future, and a body that streams.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{AppFault, BodyError, Response};
use http_body::{Body, Frame};

use super::exchange::Exchange;

/// The answer, once the application has given it. Dropping it before says that the client has left.
pub(in crate::asgi) struct Answering(Option<Arc<Exchange>>);

impl Answering {
    pub(in crate::asgi) fn new(exchange: Arc<Exchange>) -> Self {
        Self(Some(exchange))
    }
}

impl Future for Answering {
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

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.abandoned();
        }
    }
}

/// A body that streams. Dropping it before its end says that the client has left.
pub(super) struct Outgoing(pub(super) Arc<Exchange>);

impl Body for Outgoing {
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

impl Drop for Outgoing {
    fn drop(&mut self) {
        if !self.0.is_taken() {
            self.0.abandoned();
        }
    }
}
