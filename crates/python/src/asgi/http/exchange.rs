//! A request and its response between the application's task and the connection.
//!
//! The task calls `receive()` and `send()`; the connection polls for the answer and then for its body. Both leave
//! here what the other needs, and wake it. Both are on one thread, so the lock is never waited for; nothing of Python
//! is made or dropped under it, since that could run the application's code.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_protocol::{
    AppFault, BodyError, Head, Hints, Request, RequestBody, Response, ResponseBody, Stream,
};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use http_body::Frame;
use pyo3::prelude::*;

use super::outgoing::Outgoing;
use crate::asgi::agenda::{Abandoned, Agenda, lock};
use crate::asgi::call;
use crate::asgi::tasks::Ending;
use crate::asgi::waiting::Waiters;

/// How many bytes of a response that streams are taken from the application before `send()` waits for the client.
const AHEAD: usize = 64 * 1024;

/// See the module's first line.
pub(in crate::asgi) struct Exchange {
    pub(in crate::asgi) agenda: Arc<Agenda>,
    pub(in crate::asgi) ending: Ending,
    pub(in crate::asgi) hints: Option<Arc<dyn Hints>>,
    method: Method,
    uri: Uri,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// The request body, until it has ended.
    body: Option<Stream>,
    /// What has come of it before the application asked.
    early: Option<Result<Bytes, BodyError>>,
    /// Whether the application has got the end of the body.
    body_told: bool,
    /// What the connection is to get as its answer.
    answer: Option<Result<Response, AppFault>>,
    /// What has been sent of a body that streams, and was not taken by the connection.
    pieces: VecDeque<Bytes>,
    /// How many bytes that is.
    ahead: usize,
    /// How a body that streams ends, once that is known.
    end: Option<Result<Option<HeaderMap>, AppFault>>,
    /// Whether the client has left.
    gone: bool,
    /// Whether the response has no body, whatever the application sends.
    bodiless: bool,
    /// Whether the task has ended.
    ended: bool,
    connection: Option<Waker>,
    receivers: Waiters,
    senders: Waiters,
}

/// How far the application is with its response.
#[derive(Debug)]
enum Stage {
    /// Nothing has been sent.
    Fresh,
    /// The head, which leaves with the first piece of the body. Whether trailers are to come.
    Begun(Box<Head>, bool),
    /// The head and at least one piece. Whether trailers are to come.
    Streaming(bool),
    /// All of the body; the trailers are to come.
    Trailers(HeaderMap),
    /// Everything.
    Complete,
}

/// Why a message cannot be sent.
pub(super) enum Unsendable {
    /// The client has left.
    Gone,
    /// It is out of order.
    Order(&'static str),
}

/// What `receive()` gives.
pub(super) enum Received {
    /// `http.request`: a piece of the body, and whether more comes.
    Body(Bytes, bool),
    /// `http.disconnect`.
    Disconnect,
}

/// Whom a change wakes; they are woken when the lock is given up.
#[derive(Default)]
struct Wakes(Waiters, Option<Waker>);

impl Wakes {
    fn wake(self) {
        self.0.wake();
        if let Some(waker) = self.1 {
            waker.wake();
        }
    }
}

impl Exchange {
    /// Takes the body and the hints from the request.
    pub(in crate::asgi) fn new(agenda: &Arc<Agenda>, ending: Ending, request: &mut Request) -> Arc<Self> {
        let mut body = match mem::replace(&mut request.body, RequestBody::Empty) {
            RequestBody::Stream(stream) => Some(stream),
            _ => None,
        };
        let mut early = None;
        // Asked before the application asks, so that the connection gets the body ready; not if the client waits
        // for a sign that its body is wanted (RFC 9110 section 10.1.1).
        if let Some(stream) = body.as_mut().filter(|_| !request.head.headers.contains_key(header::EXPECT)) {
            let mut cx = Context::from_waker(Waker::noop());
            if let Poll::Ready(frame) = stream.as_mut().poll_frame(&mut cx) {
                early = frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()));
                if early.is_none() {
                    body = None;
                }
            }
        }
        Arc::new(Self {
            agenda: agenda.clone(),
            ending,
            hints: request.hints.take(),
            method: request.head.method.clone(),
            uri: request.head.uri.clone(),
            state: Mutex::new(State {
                stage: Stage::Fresh,
                body,
                early,
                body_told: false,
                answer: None,
                pieces: VecDeque::new(),
                ahead: 0,
                end: None,
                gone: false,
                bodiless: request.head.method == Method::HEAD,
                ended: false,
                connection: None,
                receivers: Waiters::default(),
                senders: Waiters::default(),
            }),
        })
    }

    /// Nobody waits with this waker any more.
    pub(super) fn forget(&self, waker: &Waker) {
        let forgotten = {
            let mut state = self.lock();
            (state.receivers.remove(waker), state.senders.remove(waker))
        };
        drop(forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// For `receive()`.
impl Exchange {
    pub(super) fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<Received> {
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
                self.agenda.bell().ring();
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
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
            let head = Head { status, reason: None, headers };
            let body = ResponseBody::Full(Bytes::from(format!("{error}.\n")));
            self.answer = Some(Ok(Response::new(head, body)));
            self.stage = Stage::Complete;
        } else {
            self.end = Some(Err(AppFault::new(error.to_string())));
        }
        Wakes(self.receivers.take(), self.connection.take())
    }
}

/// For `send()`.
impl Exchange {
    /// `http.response.start`.
    pub(super) fn begin(&self, head: Head, trailers: bool) -> Result<(), Unsendable> {
        let mut state = self.lock();
        if state.gone {
            return Err(Unsendable::Gone);
        }
        match state.stage {
            Stage::Fresh => {
                // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
                state.bodiless |= matches!(head.status.as_u16(), 204 | 205 | 304);
                state.stage = Stage::Begun(Box::new(head), trailers);
                Ok(())
            }
            _ => Err(Unsendable::Order("the response has been started already")),
        }
    }

    /// `http.response.body`. True if there is room for more.
    pub(super) fn body(self: &Arc<Self>, data: Bytes, more: bool) -> Result<bool, Unsendable> {
        let mut state = self.lock();
        if state.gone {
            return Err(Unsendable::Gone);
        }
        let wakes = match mem::replace(&mut state.stage, Stage::Complete) {
            Stage::Begun(head, false) if !more => {
                let body = if data.is_empty() { ResponseBody::Empty } else { ResponseBody::Full(data) };
                state.answer = Some(Ok(Response::new(*head, body)));
                Wakes(state.receivers.take(), state.connection.take())
            }
            Stage::Begun(head, trailers) => {
                state.push(data);
                let stream = ResponseBody::Stream(Box::pin(Outgoing(self.clone())));
                state.answer = Some(Ok(Response::new(*head, stream)));
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
        let room = !more || state.ahead < AHEAD;
        drop(state);
        wakes.wake();
        Ok(room)
    }

    /// `http.response.trailers`.
    pub(super) fn trailers(&self, fields: HeaderMap, more: bool) -> Result<(), Unsendable> {
        let mut state = self.lock();
        if state.gone {
            return Err(Unsendable::Gone);
        }
        let Stage::Trailers(mut all) = mem::replace(&mut state.stage, Stage::Complete) else {
            return Err(Unsendable::Order("no trailers were announced, or the body has not ended"));
        };
        all.extend(fields);
        if more {
            state.stage = Stage::Trailers(all);
            return Ok(());
        }
        state.end = Some(Ok(Some(all)));
        let wakes = Wakes(state.receivers.take(), state.connection.take());
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// Whether there is room for another piece.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Unsendable>> {
        let mut state = self.lock();
        if state.gone {
            return Poll::Ready(Err(Unsendable::Gone));
        }
        if state.ahead < AHEAD || matches!(state.stage, Stage::Complete) {
            return Poll::Ready(Ok(()));
        }
        state.senders.add(cx);
        Poll::Pending
    }

    /// Whether a head has not been sent yet, so that hints may go before it.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self.lock().stage, Stage::Fresh)
    }
}

impl State {
    fn push(&mut self, data: Bytes) {
        if !data.is_empty() && !self.bodiless {
            self.ahead += data.len();
            self.pieces.push_back(data);
        }
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

/// For the connection.
impl Exchange {
    pub(super) fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<Response, AppFault>> {
        let mut state = self.lock();
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.wait(cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.lock();
        if let Some(piece) = state.pieces.pop_front() {
            state.ahead -= piece.len();
            let senders = match state.ahead {
                ahead if ahead < AHEAD => state.senders.take(),
                _ => Waiters::default(),
            };
            drop(state);
            senders.wake();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match state.end.take() {
            None => {
                state.wait(cx);
                Poll::Pending
            }
            Some(Err(fault)) => {
                state.end = Some(Ok(None));
                Poll::Ready(Some(Err(BodyError::App(fault))))
            }
            Some(Ok(trailers)) => {
                state.end = Some(Ok(None));
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    /// Whether all of a body that streams was taken.
    pub(super) fn is_taken(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && matches!(state.end, Some(Ok(None)))
    }

    /// The connection wants nothing more: the client has left, unless the response has no body anyway.
    pub(super) fn abandoned(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.gone {
            return;
        }
        if state.bodiless && state.answer.is_none() && !matches!(state.stage, Stage::Fresh | Stage::Begun(..))
        {
            state.ahead = 0;
            let (pieces, senders) = (mem::take(&mut state.pieces), state.senders.take());
            drop(state);
            drop(pieces);
            return senders.wake();
        }
        state.gone = true;
        let body = state.body.take();
        let pieces = mem::take(&mut state.pieces);
        let wakes = Wakes(state.receivers.take(), None);
        let senders = state.senders.take();
        let running = !state.ended;
        drop(state);
        drop((body, pieces));
        wakes.wake();
        senders.wake();
        if running {
            self.agenda.let_go(self.clone());
        }
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.connection {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Abandoned for Exchange {
    fn let_go(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        self.ending.let_go(event_loop)
    }
}

/// For the task.
impl call::Exchange for Exchange {
    fn agenda(&self) -> &Agenda {
        &self.agenda
    }

    fn ending(&self) -> &Ending {
        &self.ending
    }

    fn place(&self) -> String {
        format!("after the response to {} {}", self.method, self.uri.path())
    }

    fn is_gone(&self) -> bool {
        self.lock().gone
    }

    fn ended(&self, fault: Option<AppFault>) -> Option<AppFault> {
        let mut state = self.lock();
        state.ended = true;
        let (receivers, senders) = (state.receivers.take(), state.senders.take());
        let untold = match (&state.stage, fault) {
            (Stage::Complete, fault) => fault,
            (_, fault) if state.gone => fault,
            (Stage::Fresh, fault) => {
                state.answer = Some(Err(fault.unwrap_or_else(|| {
                    AppFault::new("the ASGI application returned without starting a response")
                })));
                None
            }
            (Stage::Begun(..), fault) => {
                state.answer = Some(Err(fault.unwrap_or_else(|| {
                    AppFault::new("the ASGI application returned without completing its response")
                })));
                None
            }
            (Stage::Streaming(_) | Stage::Trailers(_), fault) => {
                state.end = Some(Err(fault.unwrap_or_else(|| {
                    AppFault::new("the ASGI application returned without completing its response")
                })));
                None
            }
        };
        state.stage = Stage::Complete;
        let connection = state.connection.take();
        drop(state);
        // Nobody of the application is left to be woken; what they hold goes.
        drop((receivers, senders));
        if let Some(waker) = connection {
            waker.wake();
        }
        untold
    }
}
