//! A request and its response between the application's task and the connection.
//!
//! The task calls `receive()` and `send()`; the connection polls for the answer and then for its body. Both leave
//! here what the other needs, and wake it. Both are on one thread, so the lock is never waited for; nothing of Python
//! is made or dropped under it, since that could run the application's code.

mod connection;
mod receiving;
mod sending;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::Waker;

use bytes::Bytes;
use ferricorn_protocol::{AppFault, Connection, Head, Hints, Request, Response};
use http::{HeaderMap, Method, Uri};
use pyo3::prelude::*;

use crate::asgi::agenda::Agenda;
use crate::asgi::awaitable::{Source, Waiters};
use crate::asgi::call;
use crate::asgi::tasks::Ending;
use crate::hosted::{Inflow, lock};

pub(super) use receiving::Received;

/// See the module's first line.
pub(in crate::asgi) struct Exchange {
    pub(in crate::asgi) agenda: Arc<Agenda>,
    pub(in crate::asgi) ending: Ending,
    pub(in crate::asgi) hints: Option<Arc<dyn Hints>>,
    /// The connection, which ends when its client has left.
    of: Weak<Connection>,
    method: Method,
    uri: Uri,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// The request body, until it has ended.
    body: Inflow,
    /// Whether the application has got the end of the body.
    body_told: bool,
    /// What the connection is to get as its answer.
    answer: Option<Result<Box<Response>, AppFault>>,
    /// What has been sent of a body that streams, and was not taken by the connection.
    pieces: VecDeque<Bytes>,
    /// How many bytes that is.
    ahead: usize,
    /// How a body that streams ends, once that is known.
    end: Option<Result<Option<HeaderMap>, AppFault>>,
    /// Whether the client has left.
    gone: bool,
    /// Whether the response says that the server has failed.
    refused: bool,
    /// Whether the response has no body, whatever the application sends.
    bodiless: bool,
    /// How many bytes of a body that streams are left of the length that its head told, if it did.
    left: Option<u64>,
    /// Whether the connection has all it wants, though the application has not said that its body ends.
    settled: bool,
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
        let body = Inflow::of(request);
        Arc::new(Self {
            agenda: agenda.clone(),
            ending,
            hints: request.hints.take(),
            of: Arc::downgrade(&request.connection),
            method: request.head.method.clone(),
            uri: request.head.uri.clone(),
            state: Mutex::new(State {
                stage: Stage::Fresh,
                body,
                body_told: false,
                answer: None,
                pieces: VecDeque::new(),
                ahead: 0,
                end: None,
                gone: false,
                refused: false,
                bodiless: request.head.method == Method::HEAD,
                left: None,
                settled: false,
                ended: false,
                connection: None,
                receivers: Waiters::default(),
                senders: Waiters::default(),
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Source for Exchange {
    fn forget(&self, waker: &Waker) {
        let mut state = self.lock();
        let forgotten = (state.receivers.remove(waker), state.senders.remove(waker));
        // The body wakes only the one who asked last, which may have been this one. The others ask again.
        let others = match &forgotten.0 {
            Some(_) if !state.body_told => state.receivers.take(),
            _ => Waiters::default(),
        };
        drop(state);
        drop(forgotten);
        others.wake();
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

    fn request(&self) -> String {
        format!("{} {}", self.method, self.uri.path())
    }

    /// Frameworks answer an error with a response of their own, and raise it again after that.
    fn place(&self) -> String {
        let place = if self.lock().refused { "handling request" } else { "after the response to" };
        format!("{place} {}", call::Exchange::request(self))
    }

    fn is_gone(&self) -> bool {
        self.lock().gone
    }

    fn let_go(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        // What goes on after a response is complete runs to its end.
        let complete = matches!(self.lock().stage, Stage::Complete);
        if complete { Ok(()) } else { self.ending.let_go(event_loop) }
    }

    fn ended(&self, fault: Option<AppFault>) -> Option<AppFault> {
        let mut state = self.lock();
        state.ended = true;
        let (receivers, senders) = (state.receivers.take(), state.senders.take());
        let untold = match (&state.stage, fault) {
            (Stage::Complete, fault) => fault,
            (_, fault) if state.gone || state.settled => fault,
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
