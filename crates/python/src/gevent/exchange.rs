//! A request and its response between a greenlet and the connection.
//!
//! Both are on one thread, so the lock is never waited for; nothing of Python is made or dropped under it, since that
//! could run the application's code.

use std::io::{self, ErrorKind};
use std::mem;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_protocol::{
    AppFault, BodyError, ClientGone, Deadline, Head, Hints, Request, Response, ResponseBody, Takeover,
};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body::Frame;
use pyo3::prelude::*;

use super::agenda::Agenda;
use super::waiting::wait;
use crate::fields::content_length;
use crate::hosted::{Answered, Inflow, Outgoing, Streamed, lock, refusal};

/// See the module's first line.
pub(super) struct Exchange {
    agenda: Arc<Agenda>,
    hints: Option<Arc<dyn Hints>>,
    takeover: Option<Arc<dyn Takeover>>,
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
    answer: Option<Result<Box<Response>, AppFault>>,
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
    /// Whether the greenlet of the request has ended.
    ended: bool,
    connection: Option<Waker>,
    /// Greenlets that wait until they may give another piece.
    writers: Vec<Waker>,
    /// One that waits for more of the request body.
    reader: Option<Waker>,
}

/// How far the response is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was given.
    Fresh,
    /// Nothing either; the connection was asked for.
    Asking,
    /// A head and a body that streams.
    Streaming,
    /// The connection, for which there is no answer then.
    Taken,
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
    /// Takes from the request what its call uses later.
    pub(super) fn new(agenda: &Arc<Agenda>, request: &mut Request) -> Arc<Self> {
        Arc::new(Self {
            agenda: agenda.clone(),
            hints: request.hints.take(),
            takeover: request.takeover.take(),
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
                ended: false,
                connection: None,
                writers: Vec::new(),
                reader: None,
            }),
        })
    }

    pub(super) fn agenda(&self) -> &Arc<Agenda> {
        &self.agenda
    }

    pub(super) fn deadline(&self) -> Option<&Arc<dyn Deadline>> {
        self.deadline.as_ref()
    }

    /// Whether it is that of the request with this number, by which its deadline knows it.
    pub(super) fn answers(&self, number: u64) -> bool {
        self.deadline.as_ref().is_some_and(|deadline| deadline.number() == number)
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
    pub(super) fn respond(&self, answer: Result<Box<Response>, AppFault>) {
        let mut state = lock(&self.state);
        if !matches!(state.stage, Stage::Fresh | Stage::Asking | Stage::Taken) || state.client == Client::Gone
        {
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
        state.answer = Some(Ok(Box::new(Response { head, body, log_environ })));
        wake(state.connection.take(), state);
        Ok(())
    }

    /// Gives another piece, which must not be empty. To be called when [`Exchange::written`] has just said that the client
    /// takes it.
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
            state.writers.push(cx.waker().clone());
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
            Stage::Fresh | Stage::Asking | Stage::Taken | Stage::Complete => self.respond(Err(fault)),
        }
    }

    /// The application asks for the connection, in place of an answer.
    ///
    /// # Errors
    /// It cannot be had any more.
    pub(super) fn ask(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        let why = match (state.stage, state.client) {
            (Stage::Fresh, Client::Takes) => {
                state.stage = Stage::Asking;
                return Ok(());
            }
            (Stage::Fresh, _) => return Err(ErrorKind::BrokenPipe.into()),
            (Stage::Asking | Stage::Taken, _) => "the connection was taken over already",
            (Stage::Streaming, _) => "the response has begun, so the connection cannot be taken over",
            (Stage::Complete, _) => "the request is over, so the connection cannot be taken over",
        };
        Err(io::Error::other(why))
    }

    /// Whether it has got it.
    pub(super) fn asked(&self, granted: bool) {
        let mut state = lock(&self.state);
        if state.stage == Stage::Asking {
            state.stage = if granted { Stage::Taken } else { Stage::Fresh };
        }
    }

    /// How it is asked for, while the call goes on.
    pub(super) fn takeover(&self) -> Option<&Arc<dyn Takeover>> {
        let ended = lock(&self.state).ended;
        self.takeover.as_ref().filter(|_| !ended)
    }

    /// Sends an informational response, if the client takes any.
    pub(super) fn hint(&self, headers: &HeaderMap) {
        if let Some(hints) = &self.hints {
            hints.hint(headers);
        }
    }

    /// The greenlet has ended. What is left of the request body is nobody's, and the connection need not keep it: a
    /// greenlet of the application's own that waits for it hears so.
    pub(super) fn ended(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        let body = state.body.take();
        wake(state.reader.take(), state);
        drop(body);
        let fault = || AppFault::new("the call of the application ended without an answer");
        let stage = lock(&self.state).stage;
        match stage {
            Stage::Fresh | Stage::Asking => self.respond(Err(fault())),
            Stage::Streaming => self.end(Err(fault())),
            // That nobody reads: it says that the call is over.
            Stage::Taken => {
                let head = Head { status: StatusCode::OK, reason: None, headers: HeaderMap::new() };
                self.respond(Ok(Box::new(Response::new(head, ResponseBody::Empty))));
            }
            Stage::Complete => {}
        }
    }

    /// The next piece of the request body, or none at its end. If it cannot come that is the answer, unless there is
    /// one.
    pub(super) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut state = lock(&self.state);
        if state.ended {
            let why = "its request is over, and nobody has read it".to_owned();
            return Poll::Ready(Some(Err(BodyError::Broken(why))));
        }
        let polled = state.body.poll(cx);
        if polled.is_pending() {
            let before = state.reader.replace(cx.waker().clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        if let Poll::Ready(Some(Err(error))) = &polled {
            match state.stage {
                Stage::Fresh | Stage::Asking => state.answer = Some(Ok(refusal(error))),
                // The client is to blame, and the log need not tell of it.
                Stage::Streaming => {
                    state.end = Some(Err(AppFault { told: true, ..AppFault::new(error.to_string()) }));
                }
                // It was left behind.
                Stage::Taken => return polled,
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
fn wake<T>(wakers: impl IntoIterator<Item = Waker>, state: T) {
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

impl Answered for Exchange {
    fn poll_answer(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Box<Response>, AppFault>> {
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
        let writers = mem::take(&mut state.writers);
        wake(writers, state);
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
                wake(mem::take(&mut state.writers), state);
                Poll::Pending
            }
        }
    }

    fn is_taken(&self) -> bool {
        let state = lock(&self.state);
        state.piece.is_none() && matches!(state.end, Some(Ok(())))
    }
}
