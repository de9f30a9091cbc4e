//! The connection's side of a WebSocket: the answer to the handshake as a future, and the conversation.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferricorn_protocol::{AppFault, Conversation, End, Message, Outgoing, Response, ResponseBody};

use super::exchange::{ABNORMAL, Exchange};

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
        if let Poll::Ready(answer) = &answer
            && let Some(exchange) = self.0.take()
            && !matches!(answer, Ok(Response { body: ResponseBody::WebSocket(_), .. }))
        {
            exchange.over(abnormal());
        }
        answer
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.over(abnormal());
        }
    }
}

fn abnormal() -> End {
    End { code: ABNORMAL, reason: String::new() }
}

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
        self.0.over(abnormal());
    }
}
