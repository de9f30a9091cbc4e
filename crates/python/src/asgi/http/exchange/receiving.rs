//! The request body on its way to `receive()`.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{AppFault, BodyError};

use super::{Exchange, Stage, State, Wakes};
use crate::asgi::awaitable::Waiters;
use crate::hosted::refusal;

/// What `receive()` gives.
pub(in crate::asgi::http) enum Received {
    /// `http.request`: a piece of the body, and whether more comes.
    Body(Bytes, bool),
    /// `http.disconnect`.
    Disconnect,
}

impl Exchange {
    pub(in crate::asgi::http) fn poll_receive(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Received> {
        let mut state = self.lock();
        if state.gone || matches!(state.stage, Stage::Complete) {
            return Poll::Ready(Received::Disconnect);
        }
        if state.body_told {
            state.receivers.add(cx);
            return Poll::Pending;
        }
        match state.body.poll(cx) {
            Poll::Pending => {
                state.receivers.add(cx);
                Poll::Pending
            }
            Poll::Ready(Some(Ok(data))) => {
                let more = !state.body.has_ended();
                if !more {
                    drop(state.body.take());
                    state.body_told = true;
                }
                let own = state.receivers.remove(cx.waker());
                // The body wakes only the one who asked last. The others ask again.
                let others = if more { state.receivers.take() } else { Waiters::default() };
                drop(state);
                drop(own);
                others.wake();
                Poll::Ready(Received::Body(data, more))
            }
            Poll::Ready(None) => {
                drop(state.body.take());
                state.body_told = true;
                Poll::Ready(Received::Body(Bytes::new(), false))
            }
            Poll::Ready(Some(Err(error))) => {
                drop(state.body.take());
                state.gone = true;
                let refused = state.refuse(&error);
                drop(state);
                refused.wake();
                self.agenda.let_go(self.clone());
                Poll::Ready(Received::Disconnect)
            }
        }
    }
}

impl State {
    /// Answers in the application's place, if it has not begun to, when its request body cannot come.
    fn refuse(&mut self, error: &BodyError) -> Wakes {
        if matches!(self.stage, Stage::Fresh | Stage::Begun(..)) {
            self.answer = Some(Ok(refusal(error)));
            self.stage = Stage::Complete;
        } else {
            // The client is to blame, and the log need not tell of it.
            self.end = Some(Err(AppFault { told: true, ..AppFault::new(error.to_string()) }));
        }
        Wakes(self.receivers.take(), self.connection.take())
    }
}
