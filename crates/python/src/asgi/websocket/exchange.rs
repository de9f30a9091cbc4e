//! A WebSocket between the application's task and the connection.
//!
//! As with HTTP, both leave here what the other needs, and wake it; both are on one thread, and nothing of Python is
//! made or dropped under the lock.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_protocol::{AppFault, End, Head, Message, Outgoing, Request, Response, ResponseBody};
use http::{HeaderMap, StatusCode, Uri};
use pyo3::prelude::*;

use super::conversation::Talking;
use crate::asgi::agenda::{Abandoned, Agenda, lock};
use crate::asgi::call;
use crate::asgi::tasks::Ending;
use crate::asgi::waiting::Waiters;

/// How many bytes of messages are taken from the application before `send()` waits for the client.
const AHEAD_OUT: usize = 64 * 1024;

/// How many bytes of messages, and how many messages, are read from the client before the application takes one.
const AHEAD_IN: usize = 64 * 1024;
const MESSAGES_IN: usize = 32;

/// The close code of a WebSocket that ended without a close frame (RFC 6455 section 7.1.5).
pub(super) const ABNORMAL: u16 = 1006;

/// See the module's first line.
pub(in crate::asgi) struct Exchange {
    pub(in crate::asgi) agenda: Arc<Agenda>,
    ending: Ending,
    uri: Uri,
    /// What the client offered.
    pub(super) subprotocols: Vec<String>,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    connect_told: bool,
    /// What the connection is to get as its answer.
    answer: Option<Result<Response, AppFault>>,
    /// Messages of the client that the application has not taken, and how many bytes they have.
    inbox: VecDeque<Message>,
    unread: usize,
    /// What the connection has not taken, and how many bytes of messages that is.
    outbox: VecDeque<Outgoing>,
    unsent: usize,
    /// How the WebSocket ended.
    end: Option<End>,
    /// Whether the task has ended.
    ended: bool,
    connection: Option<Waker>,
    /// Who waits for room in the inbox.
    reader: Option<Waker>,
    receivers: Waiters,
    senders: Waiters,
}

/// What the application has said.
enum Stage {
    /// Nothing.
    Connecting,
    /// It declines, with this head; so much of the body is there.
    Denying(Box<Head>, Vec<u8>),
    /// It accepted.
    Open,
    /// It closed the WebSocket, or has declined it.
    Closed,
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
    /// `websocket.connect`.
    Connect,
    /// `websocket.receive`.
    Message(Message),
    /// `websocket.disconnect`.
    Disconnect(End),
}

impl Exchange {
    pub(in crate::asgi) fn new(agenda: &Arc<Agenda>, ending: Ending, request: &Request) -> Arc<Self> {
        let subprotocols = request.websocket.as_ref().map(|offer| offer.subprotocols.clone());
        Arc::new(Self {
            agenda: agenda.clone(),
            ending,
            uri: request.head.uri.clone(),
            subprotocols: subprotocols.unwrap_or_default(),
            state: Mutex::new(State {
                stage: Stage::Connecting,
                connect_told: false,
                answer: None,
                inbox: VecDeque::new(),
                unread: 0,
                outbox: VecDeque::new(),
                unsent: 0,
                end: None,
                ended: false,
                connection: None,
                reader: None,
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
}

/// For `send()`.
impl Exchange {
    /// Whether the application has accepted, and not closed since.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.lock().stage, Stage::Open)
    }

    /// `websocket.accept`.
    pub(super) fn accept(self: &Arc<Self>, headers: HeaderMap) -> Result<(), Unsendable> {
        self.step(|state| match state.stage {
            Stage::Connecting => {
                state.stage = Stage::Open;
                let head = Head { status: StatusCode::SWITCHING_PROTOCOLS, reason: None, headers };
                let talking = ResponseBody::WebSocket(Box::new(Talking::new(self.clone())));
                Ok(Some(Response::new(head, talking)))
            }
            Stage::Open => Err("the WebSocket has been accepted already"),
            Stage::Denying(..) | Stage::Closed => Err("the WebSocket has been closed or declined"),
        })
    }

    /// `websocket.close`.
    pub(super) fn close(&self, code: u16, reason: String) -> Result<(), Unsendable> {
        self.step(|state| match state.stage {
            Stage::Connecting => {
                state.stage = Stage::Closed;
                let head = Head { status: StatusCode::FORBIDDEN, reason: None, headers: HeaderMap::new() };
                Ok(Some(Response::new(head, ResponseBody::Empty)))
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
    pub(super) fn decline(&self, head: Head) -> Result<(), Unsendable> {
        self.step(|state| match state.stage {
            Stage::Connecting => {
                state.stage = Stage::Denying(Box::new(head), Vec::new());
                Ok(None)
            }
            _ => Err("the WebSocket has been accepted, closed or declined already"),
        })
    }

    /// `websocket.http.response.body`.
    pub(super) fn decline_body(&self, data: &Bytes, more: bool) -> Result<(), Unsendable> {
        self.step(|state| match mem::replace(&mut state.stage, Stage::Closed) {
            Stage::Denying(head, mut body) => {
                body.extend_from_slice(data);
                if more {
                    state.stage = Stage::Denying(head, body);
                    return Ok(None);
                }
                let body =
                    if body.is_empty() { ResponseBody::Empty } else { ResponseBody::Full(body.into()) };
                Ok(Some(Response::new(*head, body)))
            }
            stage => {
                state.stage = stage;
                Err("no websocket.http.response.start was sent before it")
            }
        })
    }

    /// `websocket.send`. True if there is room for more.
    pub(super) fn send(&self, message: Message) -> Result<bool, Unsendable> {
        let mut room = true;
        self.step(|state| match state.stage {
            Stage::Open => {
                state.unsent += length(&message);
                state.outbox.push_back(Outgoing::Message(message));
                room = state.unsent < AHEAD_OUT;
                Ok(None)
            }
            Stage::Connecting => Err("the WebSocket has not been accepted"),
            Stage::Denying(..) | Stage::Closed => Err("the WebSocket has been closed or declined"),
        })?;
        Ok(room)
    }

    /// Whether there is room for another message.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), Unsendable>> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Poll::Ready(Err(Unsendable::Gone));
        }
        if state.unsent < AHEAD_OUT {
            return Poll::Ready(Ok(()));
        }
        state.senders.add(cx);
        Poll::Pending
    }

    /// Takes a step that may give the connection its answer, and wakes it.
    fn step(
        &self,
        step: impl FnOnce(&mut State) -> Result<Option<Response>, &'static str>,
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
}

/// For the connection.
impl Exchange {
    pub(super) fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<Response, AppFault>> {
        let mut state = self.lock();
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                keep(&mut state.connection, cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_inbox(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if (state.unread < AHEAD_IN && state.inbox.len() < MESSAGES_IN) || state.ended {
            return Poll::Ready(());
        }
        keep(&mut state.reader, cx);
        Poll::Pending
    }

    pub(super) fn deliver(&self, message: Message) {
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

    pub(super) fn poll_outbox(&self, cx: &mut Context<'_>) -> Poll<Outgoing> {
        let mut state = self.lock();
        let Some(outgoing) = state.outbox.pop_front() else {
            keep(&mut state.connection, cx);
            return Poll::Pending;
        };
        let mut senders = Waiters::default();
        if let Outgoing::Message(message) = &outgoing {
            state.unsent -= length(message);
            if state.unsent < AHEAD_OUT {
                senders = state.senders.take();
            }
        }
        drop(state);
        senders.wake();
        Poll::Ready(outgoing)
    }

    /// The WebSocket has ended, or the request before it could become one.
    pub(super) fn over(self: &Arc<Self>, end: End) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let abnormal = end.code == ABNORMAL;
        state.end = Some(end);
        let outbox = mem::take(&mut state.outbox);
        let receivers = state.receivers.take();
        let senders = state.senders.take();
        let running = !state.ended;
        drop(state);
        drop(outbox);
        receivers.wake();
        senders.wake();
        // Who was told of the end in good order may take its time.
        if running && abnormal {
            self.agenda.let_go(self.clone());
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
        format!("in the WebSocket {}", self.uri.path())
    }

    fn is_gone(&self) -> bool {
        self.lock().end.is_some()
    }

    fn ended(&self, fault: Option<AppFault>) -> Option<AppFault> {
        let mut state = self.lock();
        state.ended = true;
        let dropped = (state.receivers.take(), state.senders.take(), mem::take(&mut state.inbox));
        let untold = match (mem::replace(&mut state.stage, Stage::Closed), fault) {
            (_, fault) if state.end.is_some() => fault,
            (Stage::Connecting, fault) => {
                state.answer = Some(Err(fault.unwrap_or_else(|| {
                    AppFault::new("the ASGI application returned without accepting or closing the WebSocket")
                })));
                None
            }
            (Stage::Denying(..), fault) => {
                state.answer = Some(Err(fault.unwrap_or_else(|| {
                    AppFault::new("the ASGI application returned without completing its response")
                })));
                None
            }
            (Stage::Open, fault) => {
                // RFC 6455 section 7.4.1: 1011 is an unexpected condition.
                let code = if fault.is_some() { 1011 } else { 1000 };
                state.outbox.push_back(Outgoing::Close { code, reason: String::new() });
                fault
            }
            (Stage::Closed, fault) => fault,
        };
        let wakers = [state.connection.take(), state.reader.take()];
        drop(state);
        drop(dropped);
        wakers.into_iter().flatten().for_each(Waker::wake);
        untold
    }
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(bytes) | Message::Binary(bytes) => bytes.len(),
    }
}

fn keep(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}
