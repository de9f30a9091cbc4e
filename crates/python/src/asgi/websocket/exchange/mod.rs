//! A WebSocket between the application's task and the connection.
//!
//! As with HTTP, both leave here what the other needs, and wake it; both are on one thread, and nothing of Python is
//! made or dropped under the lock.

mod inbox;
mod outbox;

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use ferricorn_protocol::{AppFault, End, Head, Message, Outgoing, Request, Response, ResponseBody};
use http::Uri;

use crate::asgi::agenda::Agenda;
use crate::asgi::awaitable::{Source, Waiters, keep};
use crate::asgi::call;
use crate::asgi::tasks::Ending;
use crate::hosted::{Answered, lock};

/// The close code of a WebSocket that ended without a close frame (RFC 6455 section 7.1.5).
const ABNORMAL: u16 = 1006;

pub(in crate::asgi::websocket) use inbox::Received;

/// See the module's first line.
pub(in crate::asgi) struct Exchange {
    pub(in crate::asgi) agenda: Arc<Agenda>,
    ending: Ending,
    uri: Uri,
    /// What the client offered.
    pub(in crate::asgi::websocket) subprotocols: Vec<String>,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    connect_told: bool,
    /// What the connection is to get as its answer.
    answer: Option<Result<Box<Response>, AppFault>>,
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

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// For the connection.
impl Answered for Exchange {
    fn poll_answer(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Box<Response>, AppFault>> {
        let mut state = self.lock();
        let Some(answer) = state.answer.take() else {
            keep(&mut state.connection, cx);
            return Poll::Pending;
        };
        drop(state);
        if !matches!(&answer, Ok(response) if matches!(response.body, ResponseBody::WebSocket(_))) {
            self.abandoned();
        }
        Poll::Ready(answer)
    }

    /// It has ended without a close frame, or has not begun.
    fn abandoned(self: &Arc<Self>) {
        self.over(End { code: ABNORMAL, reason: String::new() });
    }
}

impl Exchange {
    /// The WebSocket has ended, or the request before it could become one.
    pub(in crate::asgi::websocket) fn over(self: &Arc<Self>, end: End) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        let closed = matches!(state.stage, Stage::Closed);
        let abnormal = end.code == ABNORMAL && !closed;
        state.end = Some(end);
        // An answer that nobody took holds this exchange, if it is a consent.
        let answer = state.answer.take();
        let outbox = mem::take(&mut state.outbox);
        // What the client said before it vanished is still for the application, unless that has closed.
        let inbox = if closed { mem::take(&mut state.inbox) } else { VecDeque::new() };
        let receivers = state.receivers.take();
        let senders = state.senders.take();
        let running = !state.ended;
        drop(state);
        drop((answer, outbox, inbox));
        receivers.wake();
        senders.wake();
        // Who was told of the end in good order, or has made it, may take its time.
        if running && abnormal {
            self.agenda.let_go(self.clone());
        }
    }
}

impl Source for Exchange {
    fn forget(&self, waker: &Waker) {
        let forgotten = {
            let mut state = self.lock();
            (state.receivers.remove(waker), state.senders.remove(waker))
        };
        drop(forgotten);
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
        format!("the WebSocket {}", self.uri.path())
    }

    fn place(&self) -> String {
        format!("in {}", call::Exchange::request(self))
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
