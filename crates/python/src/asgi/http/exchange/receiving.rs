//! The request body on its way to `receive()`.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{AppFault, BodyError, Head, Response, ResponseBody};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{Exchange, Stage, State, Wakes};
use crate::asgi::awaitable::Waiters;

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
        match state.poll_body(cx) {
            Poll::Pending => {
                state.receivers.add(cx);
                Poll::Pending
            }
            Poll::Ready(Some(Ok(data))) => {
                let more = state.body.as_ref().is_some_and(|body| !body.is_end_stream());
                if !more {
                    state.body = None;
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
                state.body = None;
                state.body_told = true;
                Poll::Ready(Received::Body(Bytes::new(), false))
            }
            Poll::Ready(Some(Err(error))) => {
                state.body = None;
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
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(early) = self.early.take() {
            return Poll::Ready(Some(early));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    // Trailers of requests have no place in ASGI.
                    _ => {}
                },
            }
        }
    }

    /// Answers in the application's place, if it has not begun to, when its request body cannot come.
    fn refuse(&mut self, error: &BodyError) -> Wakes {
        let status = match error {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Timeout => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken(_) | BodyError::App(_) => StatusCode::BAD_REQUEST,
        };
        if matches!(self.stage, Stage::Fresh | Stage::Begun(..)) {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            let head = Head { status, reason: None, headers };
            let body = ResponseBody::Full(Bytes::from(format!("{error}.\n")));
            self.answer = Some(Ok(Response::new(head, body)));
            self.stage = Stage::Complete;
        } else {
            // The client is to blame, and the log need not tell of it.
            self.end = Some(Err(AppFault { told: true, ..AppFault::new(error.to_string()) }));
        }
        Wakes(self.receivers.take(), self.connection.take())
    }
}
