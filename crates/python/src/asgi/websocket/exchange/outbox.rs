//! The messages of `send()` on their way to the connection.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{Head, Message, Outgoing, Response, ResponseBody};
use http::{HeaderMap, StatusCode};

use super::inbox::length;
use super::{Exchange, Stage, State};
use crate::asgi::awaitable::{Waiters, keep};
use crate::asgi::unsendable::Unsendable;
use crate::asgi::websocket::conversation::Talking;

/// How much is taken from the application before `send()` waits for the client.
const AHEAD: usize = 64 * 1024;

/// How many bytes the response may have with which a WebSocket is declined: it is kept until it is whole.
const LONGEST_REFUSAL: usize = 1024 * 1024;

/// What a message costs beside its bytes.
const MESSAGE: usize = 64;

/// What a message counts for.
fn weight(message: &Message) -> usize {
    length(message) + MESSAGE
}

impl Exchange {
    /// Whether the application has accepted, and not closed since.
    pub(in crate::asgi::websocket) fn is_open(&self) -> bool {
        matches!(self.lock().stage, Stage::Open)
    }

    /// `websocket.accept`.
    pub(in crate::asgi::websocket) fn accept(self: &Arc<Self>, headers: HeaderMap) -> Result<(), Unsendable> {
        self.step(|state| match state.stage {
            Stage::Connecting => {
                state.stage = Stage::Open;
                let head = Head { status: StatusCode::SWITCHING_PROTOCOLS, reason: None, headers };
                let talking = ResponseBody::WebSocket(Box::new(Talking::new(self.clone())));
                Ok(Some(Box::new(Response::new(head, talking))))
            }
            Stage::Open => Err("the WebSocket has been accepted already"),
            Stage::Denying(..) | Stage::Closed => Err("the WebSocket has been closed or declined"),
        })
    }

    /// `websocket.close`.
    pub(in crate::asgi::websocket) fn close(&self, code: u16, reason: String) -> Result<(), Unsendable> {
        self.step(|state| match state.stage {
            Stage::Connecting => {
                state.stage = Stage::Closed;
                let head = Head { status: StatusCode::FORBIDDEN, reason: None, headers: HeaderMap::new() };
                Ok(Some(Box::new(Response::new(head, ResponseBody::Empty))))
            }
            Stage::Open => {
                state.stage = Stage::Closed;
                state.outbox.push_back(Outgoing::Close { code, reason });
                Ok(None)
            }
            Stage::Denying(..) | Stage::Closed => Err("the WebSocket has been closed or declined already"),
        })
    }

    /// `websocket.http.response.start`.
    pub(in crate::asgi::websocket) fn decline(&self, head: Head) -> Result<(), Unsendable> {
        self.step(|state| match state.stage {
            Stage::Connecting => {
                state.stage = Stage::Denying(Box::new(head), Vec::new());
                Ok(None)
            }
            _ => Err("the WebSocket has been accepted, closed or declined already"),
        })
    }

    /// `websocket.http.response.body`.
    pub(in crate::asgi::websocket) fn decline_body(
        &self,
        data: &Bytes,
        more: bool,
    ) -> Result<(), Unsendable> {
        self.step(|state| match mem::replace(&mut state.stage, Stage::Closed) {
            Stage::Denying(head, mut body) => {
                if body.len() + data.len() > LONGEST_REFUSAL {
                    state.stage = Stage::Denying(head, body);
                    return Err("the response is longer than 1 MiB");
                }
                body.extend_from_slice(data);
                if more {
                    state.stage = Stage::Denying(head, body);
                    return Ok(None);
                }
                let body =
                    if body.is_empty() { ResponseBody::Empty } else { ResponseBody::Full(body.into()) };
                Ok(Some(Box::new(Response::new(*head, body))))
            }
            stage => {
                state.stage = stage;
                Err("no websocket.http.response.start was sent before it")
            }
        })
    }

    /// `websocket.send`. True if there is room for more.
    pub(in crate::asgi::websocket) fn send(&self, message: Message) -> Result<bool, Unsendable> {
        let mut room = true;
        self.step(|state| match state.stage {
            Stage::Open => {
                state.unsent += weight(&message);
                state.outbox.push_back(Outgoing::Message(message));
                room = state.unsent < AHEAD;
                Ok(None)
            }
            Stage::Connecting => Err("the WebSocket has not been accepted"),
            Stage::Denying(..) | Stage::Closed => Err("the WebSocket has been closed or declined"),
        })?;
        Ok(room)
    }

    /// Whether there is room for another message.
    pub(in crate::asgi::websocket) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Unsendable>> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Poll::Ready(Err(Unsendable::Gone));
        }
        if state.unsent < AHEAD {
            return Poll::Ready(Ok(()));
        }
        state.senders.add(cx);
        Poll::Pending
    }

    /// Takes a step that may give the connection its answer, and wakes it.
    fn step(
        &self,
        step: impl FnOnce(&mut State) -> Result<Option<Box<Response>>, &'static str>,
    ) -> Result<(), Unsendable> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Err(Unsendable::Gone);
        }
        let answer = step(&mut state).map_err(Unsendable::Order)?;
        if let Some(answer) = answer {
            state.answer = Some(Ok(answer));
        }
        let connection = state.connection.take();
        drop(state);
        if let Some(waker) = connection {
            waker.wake();
        }
        Ok(())
    }

    /// What the application says next.
    pub(in crate::asgi::websocket) fn poll_outbox(&self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        let mut state = self.lock();
        let Some(outgoing) = state.outbox.pop_front() else {
            keep(&mut state.connection, cx);
            return Poll::Pending;
        };
        let mut senders = Waiters::default();
        if let Outgoing::Message(message) = &outgoing {
            state.unsent -= weight(message);
            if state.unsent < AHEAD {
                senders = state.senders.take();
            }
        }
        drop(state);
        senders.wake();
        Poll::Ready(outgoing)
    }
}
