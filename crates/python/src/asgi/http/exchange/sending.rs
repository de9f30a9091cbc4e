//! The messages of `send()` on their way to the connection.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{Head, Response, ResponseBody};
use http::HeaderMap;

use super::{Exchange, Stage, State, Wakes};
use crate::asgi::awaitable::Waiters;
use crate::asgi::unsendable::Unsendable;
use crate::fields::content_length;
use crate::hosted::Outgoing;

/// How much of a response that streams is taken from the application before `send()` waits for the client.
const AHEAD: usize = 128 * 1024;

/// How little of it must be left before `send()` goes on: each time that it waits costs as much as many pieces.
pub(super) const LOW: usize = 32 * 1024;

/// How much is dropped of what nobody wants before `send()` waits for the end of the connection.
const DROPPED: usize = 16 * 1024 * 1024;

/// What a piece costs beside its bytes.
const PIECE: usize = 64;

/// What a piece counts for.
pub(super) fn weight(piece: &Bytes) -> usize {
    piece.len() + PIECE
}

impl Exchange {
    /// `http.response.start`.
    pub(in crate::asgi::http) fn begin(&self, head: Head, trailers: bool) -> Result<(), Unsendable> {
        let mut state = self.lock();
        if state.gone {
            return Err(Unsendable::Gone);
        }
        match state.stage {
            Stage::Fresh => {
                // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
                state.bodiless |= matches!(head.status.as_u16(), 204 | 205 | 304);
                state.refused = head.status.is_server_error();
                state.stage = Stage::Begun(Box::new(head), trailers);
                Ok(())
            }
            _ => Err(Unsendable::Order("the response has been started already")),
        }
    }

    /// `http.response.body`. True if there is room for more.
    pub(in crate::asgi::http) fn body(self: &Arc<Self>, data: Bytes, more: bool) -> Result<bool, Unsendable> {
        let mut state = self.lock();
        if state.gone {
            return Err(Unsendable::Gone);
        }
        let wakes = match mem::replace(&mut state.stage, Stage::Complete) {
            Stage::Begun(head, false) if !more => {
                let body = if data.is_empty() { ResponseBody::Empty } else { ResponseBody::Full(data) };
                state.answer = Some(Ok(Box::new(Response::new(*head, body))));
                Wakes(state.receivers.take(), state.connection.take())
            }
            Stage::Begun(head, trailers) => {
                state.left = content_length(&head);
                state.push(data);
                let stream = ResponseBody::Stream(Box::pin(Outgoing(self.clone())));
                state.answer = Some(Ok(Box::new(Response::new(*head, stream))));
                state.go_on(more, trailers)
            }
            Stage::Streaming(trailers) => {
                state.push(data);
                state.go_on(more, trailers)
            }
            stage @ Stage::Fresh => {
                state.stage = stage;
                return Err(Unsendable::Order("the response has not been started"));
            }
            stage @ (Stage::Complete | Stage::Trailers(_)) => {
                state.stage = stage;
                return Err(Unsendable::Order("the response body has ended already"));
            }
        };
        let room = !more || state.has_room();
        let complete = matches!(state.stage, Stage::Complete);
        // What is left of the request body is nobody's, and the connection need not keep it.
        let unread = complete.then(|| state.body.take());
        drop(state);
        drop(unread);
        wakes.wake();
        Ok(room)
    }

    /// `http.response.trailers`.
    pub(in crate::asgi::http) fn trailers(&self, fields: HeaderMap, more: bool) -> Result<(), Unsendable> {
        let mut state = self.lock();
        if state.gone {
            return Err(Unsendable::Gone);
        }
        let Stage::Trailers(all) = &mut state.stage else {
            return Err(Unsendable::Order("no trailers were announced, or the body has not ended"));
        };
        if all.len() + fields.len() > Head::MOST_HEADERS {
            return Err(Unsendable::Order("there are too many trailers"));
        }
        all.extend(fields);
        if more {
            return Ok(());
        }
        state.end = Some(Ok(Some(mem::take(all))));
        state.stage = Stage::Complete;
        let wakes = Wakes(state.receivers.take(), state.connection.take());
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// Whether there is room for another piece.
    pub(in crate::asgi::http) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Unsendable>> {
        let mut state = self.lock();
        if state.gone {
            return Poll::Ready(Err(Unsendable::Gone));
        }
        if state.has_room() || matches!(state.stage, Stage::Complete) {
            return Poll::Ready(Ok(()));
        }
        state.senders.add(cx);
        Poll::Pending
    }

    /// Whether a head has not been sent yet, so that hints may go before it.
    pub(in crate::asgi::http) fn is_fresh(&self) -> bool {
        matches!(self.lock().stage, Stage::Fresh)
    }
}

impl State {
    fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.ahead += weight(&data);
        if !self.is_unwanted() {
            self.pieces.push_back(data);
        }
    }

    /// Whether nobody wants what is sent.
    fn is_unwanted(&self) -> bool {
        self.bodiless || self.settled
    }

    fn has_room(&self) -> bool {
        self.ahead < if self.is_unwanted() { DROPPED } else { AHEAD }
    }

    /// What follows a piece of a body that streams.
    fn go_on(&mut self, more: bool, trailers: bool) -> Wakes {
        let mut receivers = Waiters::default();
        self.stage = match (more, trailers) {
            (true, trailers) => Stage::Streaming(trailers),
            (false, true) => Stage::Trailers(HeaderMap::new()),
            (false, false) => {
                self.end = Some(Ok(None));
                receivers = self.receivers.take();
                Stage::Complete
            }
        };
        Wakes(receivers, self.connection.take())
    }
}
