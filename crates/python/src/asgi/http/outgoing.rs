//! The connection's side of an exchange whose answer has a body that streams.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::BodyError;
use http_body::{Body, Frame};

use super::exchange::Exchange;
use crate::asgi::answering::Answered;

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
