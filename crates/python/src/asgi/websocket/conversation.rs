//! The connection's side of a WebSocket that the application has accepted: the conversation.

use std::sync::Arc;
use std::task::{Context, Poll};

use ferricorn_protocol::{Conversation, End, Message, Outgoing};

use super::exchange::Exchange;
use crate::hosted::Answered;

/// An open WebSocket. Dropping it before it was told of the end is an end too.
pub(super) struct Talking(Arc<Exchange>);

impl Talking {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        Self(exchange)
    }
}

impl Conversation for Talking {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_inbox(cx)
    }

    fn receive(&mut self, message: Message) {
        self.0.deliver(message);
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        self.0.poll_outbox(cx)
    }

    fn ended(&mut self, end: End) {
        self.0.over(end);
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        self.0.abandoned();
    }
}
