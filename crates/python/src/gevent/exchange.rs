//! A request and its response between a greenlet and the connection.
//!
//! Both are on one thread, so the lock is never waited for; nothing of Python is made or dropped under it, since that
//! could run the application's code.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_protocol::{
    AppFault, BodyError, ClientGone, Deadline, Head, Hints, Request, Response, ResponseBody,
};
use http::{HeaderMap, Method, Uri};
use http_body::Frame;
use pyo3::exceptions::PyBrokenPipeError;
use pyo3::prelude::*;

use super::agenda::Agenda;
use super::waiting::wait;
use crate::fields::content_length;
use crate::hosted::{Answered, Inflow, Outgoing, Streamed, lock, refusal};
use crate::wsgi::Cooperative;

/// See the module's first line.
pub(super) struct Exchange {
    agenda: Arc<Agenda>,
    hints: Option<Arc<dyn Hints>>,
    method: Method,
    uri: Uri,
    deadline: Option<Arc<dyn Deadline>>,
    state: Mutex<State>,
}

struct State {
    /// The request body.
    body: Inflow,
    stage: Stage,
    client: Client,
    /// What the connection is to get as its answer.
    answer: Option<Result<Response, AppFault>>,
    /// What was given of a body that streams, and not taken by the connection.
    piece: Option<Bytes>,
    /// Whether the connection has asked for another one since.
    asked: bool,
    /// How a body that streams ends, once that is known.
    end: Option<Result<(), AppFault>>,
    /// How many bytes of a body that streams are left of the length that its head told, if it did.
    left: Option<u64>,
    /// Whether the greenlet was killed for the end of its worker, or of its request's time.
    cancelled: bool,
    connection: Option<Waker>,
    writer: Option<Waker>,
}

/// How far the response is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was given.
    Fresh,
    /// A head and a body that streams.
    Streaming,
    Complete,
}

/// What the connection wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// More, when it has taken what there is.
    Takes,
    /// Nothing more: it has all that the response's head has told of.
    HasAll,
    /// Nothing more: it has left, or was told what is wrong with its request.
    Gone,
}

impl Exchange {
    /// Takes the body and the hints from the request.
    pub(super) fn new(agenda: &Arc<Agenda>, request: &mut Request) -> Arc<Self> {
        Arc::new(Self {
            agenda: agenda.clone(),
            hints: request.hints.take(),
            method: request.head.method.clone(),
            uri: request.head.uri.clone(),
            deadline: request.deadline.take(),
            state: Mutex::new(State {
                body: Inflow::of(request),
                stage: Stage::Fresh,
                client: Client::Takes,
                answer: None,
                piece: None,
                asked: false,
                end: None,
                left: None,
                cancelled: false,
                connection: None,
                writer: None,
            }),
        })
    }

    pub(super) fn agenda(&self) -> &Arc<Agenda> {
        &self.agenda
    }

    pub(super) fn deadline(&self) -> Option<&Arc<dyn Deadline>> {
        self.deadline.as_ref()
    }

    /// The request, for the log: `GET /`.
    pub(super) fn request(&self) -> String {
        format!("{} {}", self.method, self.uri.path())
    }

    pub(super) fn is_gone(&self) -> bool {
        lock(&self.state).client == Client::Gone
    }

    /// The greenlet is killed for the end of its worker, or of its request's time.
    pub(super) fn cancel(&self) {
        lock(&self.state).cancelled = true;
    }

    /// Gives the answer. What nobody wants is dropped.
    pub(super) fn respond(&self, answer: Result<Response, AppFault>) {
        let mut state = lock(&self.state);
        if state.stage != Stage::Fresh || state.client == Client::Gone {
            drop(state);
            return drop(answer);
        }
        state.stage = Stage::Complete;
        state.answer = Some(answer);
        wake(state.connection.take(), state);
    }

    /// Gives a head, and the first piece of a body of which more may come.
    ///
    /// # Errors
    /// Nobody wants it.
    pub(super) fn begin(
        self: &Arc<Self>,
        head: Head,
        log_environ: Vec<Option<String>>,
        first: Bytes,
    ) -> Result<(), ClientGone> {
        let mut state = lock(&self.state);
        if state.stage != Stage::Fresh || state.client == Client::Gone {
            return Err(ClientGone);
        }
        state.stage = Stage::Streaming;
        state.left = content_length(&head);
        state.piece = Some(first);
        let body = ResponseBody::Stream(Box::pin(Outgoing(self.clone())));
        state.answer = Some(Ok(Response { head, body, log_environ }));
        wake(state.connection.take(), state);
        Ok(())
    }

    /// Gives another piece, which must not be empty, when the one before was taken.
    pub(super) fn give(&self, piece: Bytes) {
        let mut state = lock(&self.state);
        if state.stage == Stage::Streaming && state.client == Client::Takes {
            state.piece = Some(piece);
            state.asked = false;
            wake(state.connection.take(), state);
        }
    }

    /// Has the greenlet wait until what it gave was written, and more is wanted or will never be.
    ///
    /// # Errors
    /// What was thrown into the greenlet.
    pub(super) fn written(&self, py: Python<'_>) -> PyResult<Client> {
        wait(py, &self.agenda, |cx| {
            let mut state = lock(&self.state);
            if state.stage != Stage::Streaming {
                return Poll::Ready(Client::Gone);
            }
            if state.client != Client::Takes || (state.asked && state.piece.is_none()) {
                return Poll::Ready(state.client);
            }
            let before = state.writer.replace(cx.waker().clone());
            drop(state);
            drop(before);
            Poll::Pending
        })
    }

    /// Ends a body that streams.
    pub(super) fn end(&self, end: Result<(), AppFault>) {
        let mut state = lock(&self.state);
        if state.stage == Stage::Streaming {
            state.stage = Stage::Complete;
            state.end = Some(end);
            wake(state.connection.take(), state);
        }
    }

    /// The call has failed. If nobody else hears of it, at least the application's wish to leave is heeded.
    pub(super) fn fail(&self, fault: AppFault) {
        let (stage, client, cancelled) = {
            let state = lock(&self.state);
            (state.stage, state.client, state.cancelled)
        };
        if cancelled || client != Client::Takes {
            tracing::debug!("An error in the call of {}, which nobody waits for: {fault}", self.request());
            if let Some(status) = fault.exit {
                self.agenda.leave(status);
            }
        }
        match stage {
            Stage::Streaming => self.end(Err(fault)),
            Stage::Fresh | Stage::Complete => self.respond(Err(fault)),
        }
    }

    /// The greenlet has ended. What is left of the request body is nobody's, and the connection need not keep it.
    pub(super) fn ended(&self) {
        let body = lock(&self.state).body.take();
        drop(body);
        let fault = || AppFault::new("the call of the application ended without an answer");
        let stage = lock(&self.state).stage;
        match stage {
            Stage::Fresh => self.respond(Err(fault())),
            Stage::Streaming => self.end(Err(fault())),
            Stage::Complete => {}
        }
    }

    /// The next piece of the request body, or none at its end. If it cannot come that is the answer, unless there is
    /// one.
    pub(super) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut state = lock(&self.state);
        let polled = state.body.poll(cx);
        if let Poll::Ready(Some(Err(error))) = &polled {
            match state.stage {
                Stage::Fresh => state.answer = Some(Ok(refusal(error))),
                // The client is to blame, and the log need not tell of it.
                Stage::Streaming => {
                    state.end = Some(Err(AppFault { told: true, ..AppFault::new(error.to_string()) }));
                }
                Stage::Complete => {}
            }
            state.stage = Stage::Complete;
            state.client = Client::Gone;
            wake(state.connection.take(), state);
        }
        polled
    }
}

/// Gives up the lock, and then wakes.
fn wake<T>(waker: Option<Waker>, state: T) {
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Answered for Exchange {
    fn poll_answer(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Response, AppFault>> {
        let mut state = lock(&self.state);
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.connection = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn abandoned(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.client != Client::Takes {
            return;
        }
        let sent = state.left == Some(0) && state.answer.is_none() && state.stage != Stage::Fresh;
        state.client = if sent { Client::HasAll } else { Client::Gone };
        // An answer that nobody took holds this exchange, if its body streams.
        let unwanted = (state.answer.take(), state.piece.take(), state.connection.take());
        let writer = state.writer.take();
        wake(writer, state);
        drop(unwanted);
    }
}

impl Streamed for Exchange {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = lock(&self.state);
        if let Some(piece) = state.piece.take() {
            state.left = state.left.map(|left| left.saturating_sub(piece.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match state.end.take() {
            Some(end) => {
                state.end = Some(Ok(()));
                Poll::Ready(end.err().map(|fault| Err(BodyError::App(fault))))
            }
            None => {
                state.connection = Some(cx.waker().clone());
                state.asked = true;
                wake(state.writer.take(), state);
                Poll::Pending
            }
        }
    }

    fn is_taken(&self) -> bool {
        let state = lock(&self.state);
        state.piece.is_none() && matches!(state.end, Some(Ok(())))
    }
}

/// For `write()` and early hints.
impl Cooperative for Exchange {
    fn begin(self: Arc<Self>, py: Python<'_>, head: Head, first: Bytes) -> PyResult<()> {
        Self::begin(&self, head, Vec::new(), first)
            .map_err(|gone| PyBrokenPipeError::new_err(gone.to_string()))?;
        self.written(py).map(drop)
    }

    fn write(self: Arc<Self>, py: Python<'_>, piece: Bytes) -> PyResult<()> {
        if self.written(py)? != Client::Takes {
            return Err(PyBrokenPipeError::new_err(ClientGone.to_string()));
        }
        self.give(piece);
        self.written(py).map(drop)
    }

    fn hint(&self, headers: &HeaderMap) {
        if let Some(hints) = &self.hints {
            hints.hint(headers);
        }
    }
}
