//! The gate: an I/O wrapper between the socket and hyper that lets a request pass only if it obeys the rules.
//!
//! hyper alone is laxer than gunicorn and hides the evidence. The gate therefore reads every request head
//! before hyper does, holds it back until it is whole, refuses it with an answer of its own if it breaks a
//! rule, and follows the framing of the body to find the next head. Bytes that pass are not copied: they stay
//! in hyper's buffer, into which the socket was read. Only a head that arrived in parts, or that hyper needs
//! in another form, goes through the gate's `inbox`.
//!
//! The pure parts are [`head`] (with [`target`], [`fields`] and [`mend`]), [`chunked`] (with [`trailer`]),
//! [`track`], which joins them, and the parser in [`preface`], the PROXY protocol before the first head;
//! [`io`], [`hints`] and [`finish`] do the reading and writing, [`uptake`] sees whether the client reads, and
//! [`departure`] whether it is still there;
//! [`descriptor`] shows the socket to the app; [`hold`] keeps what follows a request for a WebSocket; [`shared`] is what service and sweeper see of it. A refusal is not an error to hyper but the end of the
//! stream, so that the requests before it are still answered; [`Gate::finish`] then sends its answer. A broken
//! body is an error to hyper, and so to whoever reads the body.
//!
//! hyper runs with `half_close(true)`, and so reads nothing behind a request that it has not answered. That a client
//! leaves meanwhile is seen by the gate, if the application can do something about it.

mod chunked;
mod departure;
mod descriptor;
mod fields;
mod finish;
mod head;
mod hints;
mod hold;
mod io;
mod lexis;
mod mend;
mod preface;
mod refusal;
mod rest;
mod rules;
mod shared;
mod target;
mod track;
mod trailer;
mod uptake;

#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
pub(crate) mod tests;

use std::io::{Error, ErrorKind};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Waker;

use bytes::BytesMut;
use ferricorn_unix::{peer, queue};

pub(crate) use hints::{MOST_HINTS, early_hints};
pub(crate) use refusal::{Refusal, Refused};
pub(crate) use rules::HeadRules;
pub(crate) use shared::{HeadFacts, Phase, Shared};

use crate::doze::Doze;
use chunked::Fault;
use descriptor::Posted;
use track::{Rest, Track};

/// A socket that carries only sound requests.
#[derive(Debug)]
pub(crate) struct Gate<S> {
    /// Taken back before the socket is closed.
    posted: Option<Posted>,
    socket: S,
    shared: Arc<Shared>,
    track: Track,
    /// Bytes that hyper has not got: `clear` ones that may pass, then the beginning of a head.
    inbox: BytesMut,
    clear: usize,
    /// Why nothing more is read.
    end: Option<End>,
    /// The waker that `shared` holds, to see whether it is still the right one.
    waker: Option<Waker>,
    /// A count that grows with the bytes written, or taken by the client.
    uptake: u32,
    /// Whether the last write found the socket full.
    blocked: bool,
    /// How many bytes the socket holds that the client has not taken, if that can be known.
    queue: fn(&S) -> Option<usize>,
    /// What it was at the last look, if there was one since the write that found the socket full.
    queued: Option<usize>,
    /// Whether the client has left, if that can be known without reading.
    left: fn(&S) -> bool,
    /// What `uptake` was when the client was last looked for.
    sought: u32,
    /// Whether it matters that the client leaves while a request is not answered; see [`departure`].
    watches: bool,
}

/// Why nothing more is read from the socket.
#[derive(Debug)]
enum End {
    /// The client will send no more.
    Closed,
    /// No other request is wanted; that is what was read of one.
    Over(Box<[u8]>),
    /// A request was refused, of which so much was read. `told` once hyper has seen the end: all before it is answered
    /// then.
    Refused { refusal: Refusal, unread: Box<[u8]>, told: bool },
    /// A body is broken.
    Broken(ErrorKind, &'static str),
}

impl<S> Gate<S> {
    /// A gate in front of a socket on which nothing has been read, and what others may know of it.
    pub(crate) fn new(socket: S, rules: HeadRules) -> (Self, Arc<Shared>) {
        Self::watched(socket, rules, Arc::default())
    }

    /// The same, with a sweeper that is stirred when it has something to watch.
    pub(crate) fn watched(socket: S, rules: HeadRules, doze: Arc<Doze>) -> (Self, Arc<Shared>) {
        let shared = Arc::new(Shared::watched(doze));
        let gate = Self {
            posted: None,
            socket,
            shared: Arc::clone(&shared),
            track: Track::new(rules),
            inbox: BytesMut::new(),
            clear: 0,
            end: None,
            waker: None,
            uptake: 0,
            blocked: false,
            queue: |_| None,
            queued: None,
            left: |_| false,
            sought: 0,
            watches: false,
        };
        (gate, shared)
    }

    /// Lets the gate ask the kernel about its socket: what it still holds (else only a write that succeeds is progress),
    /// and whether the client has left (else only reading tells).
    pub(crate) fn with_kernel(mut self) -> Self
    where
        S: AsFd,
    {
        self.queue = |socket| queue::untaken(socket.as_fd()).ok();
        self.left = |socket| peer::has_left(socket.as_fd());
        self.posted = Some(Posted::new(&self.shared, self.socket.as_fd()));
        self
    }

    /// Ends the connection when the client leaves before its request is answered, if that matters.
    pub(crate) fn watching(self, watches: bool) -> Self {
        Self { watches, ..self }
    }

    /// What the gate refused, if it did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self.end {
            Some(End::Refused { refusal, .. }) => Some(refusal),
            _ => None,
        }
    }

    /// Gives the socket away, and what was read and not passed on. The sweeper leaves the connection alone from now on.
    pub(crate) fn release(mut self) -> (S, BytesMut) {
        let mut held = self.switch();
        if let Some(End::Refused { unread, .. } | End::Over(unread)) = self.end {
            held.extend_from_slice(&unread);
        }
        (self.socket, held)
    }

    /// What the connection waits for when the socket has nothing to read.
    fn awaited(&self) -> Phase {
        if self.track.in_body() {
            Phase::Body
        } else if self.shared.is_answering() {
            Phase::App
        } else if head::begun(&self.inbox) {
            Phase::Head
        } else {
            Phase::Idle
        }
    }

    /// Judges the bytes behind the clear ones of the inbox.
    fn admit_inbox(&mut self) {
        loop {
            let admitted = self.track.admit(&self.inbox[self.clear..], &self.shared);
            self.clear += admitted.pass;
            match admitted.rest {
                Rest::Unfinished => break,
                Rest::Rewrite(rewrite) => {
                    let bytes = self.inbox.split_off(self.clear);
                    self.inbox.extend_from_slice(&rewrite.head);
                    self.clear = self.inbox.len();
                    self.inbox.extend_from_slice(&bytes[rewrite.length..]);
                }
                rest => {
                    let unread = self.inbox.split_off(self.clear);
                    self.stop(rest, &unread);
                    break;
                }
            }
        }
    }

    /// Reads no more; `unread` is what may not pass.
    fn stop(&mut self, why: Rest, unread: &[u8]) {
        self.end = match why {
            Rest::Refused(refusal) => Some(End::Refused { refusal, unread: unread.into(), told: false }),
            Rest::Broken(Fault(why)) => Some(self.broken(ErrorKind::InvalidData, why)),
            Rest::Surplus => Some(End::Over(unread.into())),
            Rest::Unfinished | Rest::Rewrite(_) => None,
        };
    }

    /// The end that a broken body is.
    fn broken(&self, kind: ErrorKind, why: &'static str) -> End {
        self.shared.note_broken();
        End::Broken(kind, why)
    }

    /// What hyper gets if nothing more is read.
    fn ended(&mut self) -> Option<Result<(), Error>> {
        match &mut self.end {
            None if !self.track.is_sealed() => None,
            Some(End::Broken(kind, why)) => Some(Err(Error::new(*kind, *why))),
            Some(End::Refused { told, .. }) => {
                *told = true;
                Some(Ok(()))
            }
            None | Some(End::Closed | End::Over(_)) => Some(Ok(())),
        }
    }
}
