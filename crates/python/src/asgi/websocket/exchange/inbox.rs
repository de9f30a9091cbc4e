//! The client's messages on their way to `receive()`.

use std::mem;
use std::task::{Context, Poll};

use ferricorn_protocol::{End, Message};

use super::Exchange;
use crate::asgi::awaitable::keep;

/// How many bytes of messages, and how many messages, are read from the client before the application takes one.
const AHEAD_IN: usize = 64 * 1024;
const MESSAGES_IN: usize = 32;

/// What `receive()` gives.
pub(in crate::asgi::websocket) enum Received {
    /// `websocket.connect`.
    Connect,
    /// `websocket.receive`.
    Message(Message),
    /// `websocket.disconnect`.
    Disconnect(End),
}

impl Exchange {
    pub(in crate::asgi::websocket) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Received> {
        let mut state = self.lock();
        if !mem::replace(&mut state.connect_told, true) {
            return Poll::Ready(Received::Connect);
        }
        if let Some(message) = state.inbox.pop_front() {
            state.unread -= length(&message);
            let reader = state.reader.take();
            drop(state);
            if let Some(waker) = reader {
                waker.wake();
            }
            return Poll::Ready(Received::Message(message));
        }
        if let Some(end) = &state.end {
            return Poll::Ready(Received::Disconnect(end.clone()));
        }
        state.receivers.add(cx);
        Poll::Pending
    }

    /// Whether there is room for another message.
    pub(in crate::asgi::websocket) fn poll_inbox(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if (state.unread < AHEAD_IN && state.inbox.len() < MESSAGES_IN) || state.ended {
            return Poll::Ready(());
        }
        keep(&mut state.reader, cx);
        Poll::Pending
    }

    /// Takes a message of the client.
    pub(in crate::asgi::websocket) fn deliver(&self, message: Message) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        state.unread += length(&message);
        state.inbox.push_back(message);
        let receivers = state.receivers.take();
        drop(state);
        receivers.wake();
    }
}

pub(super) fn length(message: &Message) -> usize {
    match message {
        Message::Text(bytes) | Message::Binary(bytes) => bytes.len(),
    }
}
