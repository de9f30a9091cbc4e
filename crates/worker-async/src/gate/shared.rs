//! What a connection's gate, its service and the sweeper of deadlines know of each other.
//!
//! The gate and the service run in the connection's own task, so the values here have one writer at a time;
//! they are atomic because the sweeper, and an app thread that took the driver's seat, read them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::doze::Doze;

/// What the connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// The first byte of the first request.
    Fresh = 0,
    /// The first byte of another request.
    Idle = 1,
    /// The rest of a request head.
    Head = 2,
    /// More of a request body.
    Body = 3,
    /// Nothing of the client: the application is at work, or the response is being written. That the client leaves shows
    /// in the socket, which is read on.
    App = 4,
    /// The same, but the socket is not read, for what came before was not taken. See [`departure`](super::departure).
    Deaf = 5,
}

/// How many low bits of the state hold the phase.
const PHASE_BITS: u32 = 3;

/// What a request head says that hyper does not pass on. Ordinary heads say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadFacts {
    /// The request-target as it was sent, where hyper's URI cannot give it back.
    pub(crate) raw_target: Option<Bytes>,
    /// The two digits of the version, where hyper got another.
    pub(crate) sent_version: Option<(u8, u8)>,
    /// Whether the name of a header contains `_`.
    pub(crate) underscores: bool,
    /// Whether this is the connection's last request, so that the answer must say `Connection: close`.
    pub(crate) last: bool,
    /// Whether it asks for a WebSocket.
    pub(crate) websocket: bool,
}

/// A wish of the sweeper, or of a drain, that the gate meets when it next waits for the client.
mod wish {
    pub(super) const NONE: u8 = 0;
    pub(super) const FIN: u8 = 1;
    pub(super) const EXPIRE: u8 = 2;
    pub(super) const FAIL_BODY: u8 = 4;
    pub(super) const GIVE_WAY: u8 = 8;
}

/// The state that gate, service and sweeper share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Hears of each new phase, and of writes that block.
    pub(super) doze: Arc<Doze>,
    /// The phase, and above it a count of turns.
    state: AtomicU32,
    /// Zero, or an odd number that changes whenever a blocked write made progress.
    blocked: AtomicU32,
    /// Whether the gate is to look for progress; see [`uptake`](super::uptake).
    pub(super) look: AtomicBool,
    /// Whether the gate is to look for the client; see [`departure`](super::departure).
    pub(super) seek: AtomicBool,
    wishes: AtomicU8,
    /// Whether somebody waits for the place of this connection, which ends.
    hurried: AtomicBool,
    /// Whether the connection may give up hyper's buffers; see [`rest`](super::rest).
    pub(super) may_rest: AtomicBool,
    /// Request heads that the gate let through.
    passed: AtomicU32,
    /// Request heads that the service took.
    taken: AtomicU32,
    /// Requests whose responses hyper has taken whole.
    answered: AtomicU32,
    last_request: AtomicU64,
    /// Bytes of requests that hyper got.
    received: AtomicU64,
    /// Whether the body behind the head that passed last is broken.
    broken: AtomicBool,
    /// Whether hyper has not got all of that body.
    owing: AtomicBool,
    /// Whether the connection belongs to a WebSocket now; see [`hold`](super::hold).
    pub(super) switched: AtomicBool,
    /// Whether `facts` holds any.
    noted: AtomicBool,
    facts: Mutex<VecDeque<(u32, HeadFacts)>>,
    reader: Mutex<Option<Waker>>,
    awaiting_flush: AtomicBool,
    flusher: Mutex<Option<Waker>>,
    /// Whether `hints` holds any; see [`hints`](super::hints).
    pub(super) hinted: AtomicBool,
    pub(super) hints: Mutex<Vec<u8>>,
    /// Whether the app may add to them.
    pub(super) may_hint: AtomicBool,
    /// The socket's, while it is open; see [`descriptor`](super::descriptor).
    pub(super) descriptor: Mutex<Option<RawFd>>,
}

/// No holder of these locks runs code that can panic half-way; a poisoned one is as good as new.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For the service.
impl Shared {
    /// As new, with the sweeper that watches it.
    pub(super) fn watched(doze: Arc<Doze>) -> Self {
        Self { doze, ..Self::default() }
    }

    /// Notes the number that the worker gave to a request.
    pub(crate) fn number(&self, request: u64) {
        self.last_request.store(request, Relaxed);
    }

    /// Takes the facts of the request that hyper has just given to the service. To be called once for each.
    pub(crate) fn next_head(&self) -> HeadFacts {
        let number = self.taken.load(Relaxed).wrapping_add(1);
        self.taken.store(number, Relaxed);
        if !self.noted.load(Relaxed) {
            return HeadFacts::default();
        }
        let mut facts = lock(&self.facts);
        let found = facts.front().is_some_and(|(of, _)| *of == number);
        let taken = if found { facts.pop_front() } else { None };
        self.noted.store(!facts.is_empty(), Relaxed);
        taken.map(|(_, facts)| facts).unwrap_or_default()
    }

    /// The response to a request, which may still be on its way to the socket, is complete. To be called once
    /// for each request: when the response's body is dropped. Without it the gate takes the connection for
    /// busy, and no wish ends it.
    pub(crate) fn answered(&self) {
        self.answered.store(self.answered.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Whether the body of the request that the service took last is broken, so that the answer must say
    /// `Connection: close`.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed) && self.passed.load(Relaxed) == self.taken.load(Relaxed)
    }

    /// Whether some of the body of the request that the service took last has not been read. hyper ends the connection
    /// if nobody reads it, and the answer must say so.
    pub(crate) fn is_owing(&self) -> bool {
        self.owing.load(Relaxed) && self.passed.load(Relaxed) == self.taken.load(Relaxed)
    }

    /// Asks the gate to tell when the bytes that hyper holds now, and those that it gets before it next
    /// flushes, have all been written to the socket.
    pub(crate) fn expect_flush(&self) {
        self.awaiting_flush.store(true, Relaxed);
    }

    /// Whether that flush is still to come.
    pub(super) fn awaits_flush(&self) -> bool {
        self.awaiting_flush.load(Relaxed)
    }

    /// Waits for the flush that [`Shared::expect_flush`] asked for; ready at once if there is none.
    pub(crate) fn poll_flushed(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.awaiting_flush.load(Relaxed) {
            return Poll::Ready(());
        }
        lock(&self.flusher).replace(cx.waker().clone());
        // The gate clears the mark before it looks for the waker.
        if self.awaiting_flush.load(Relaxed) { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// For the sweeper.
impl Shared {
    /// The phase, and a number that changes when its clock restarts.
    pub(crate) fn phase(&self) -> (Phase, u32) {
        let state = self.state.load(Relaxed);
        let phase = match state & ((1 << PHASE_BITS) - 1) {
            0 => Phase::Fresh,
            1 => Phase::Idle,
            2 => Phase::Head,
            3 => Phase::Body,
            4 => Phase::App,
            _ => Phase::Deaf,
        };
        (phase, state >> PHASE_BITS)
    }

    /// If the client does not take what is written: a number that changes when it has taken some.
    pub(crate) fn write_blocked(&self) -> Option<u32> {
        Some(self.blocked.load(Relaxed)).filter(|&mark| mark != 0)
    }

    /// How many bytes of requests have come, heads and bodies.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Ends the connection when it next waits for a request of which nothing has arrived.
    pub(crate) fn fin(&self) {
        self.wish(wish::FIN);
    }

    /// Ends the connection if it waits, now, for a request of which nothing has arrived.
    pub(crate) fn give_way(&self) {
        self.wish(wish::GIVE_WAY);
    }

    /// The number that the worker gave to the connection's last request; 0 if there was none.
    pub(crate) fn last_request(&self) -> u64 {
        self.last_request.load(Relaxed)
    }

    /// Answers 408 if the connection waits for the rest of a head, and ends it if nothing has come at all.
    pub(crate) fn expire(&self) {
        self.wish(wish::EXPIRE);
    }

    /// The same, for one who waits for the connection's place: the client gets its answer, but no time to read it.
    pub(crate) fn expire_at_once(&self) {
        self.wish(wish::EXPIRE | wish::GIVE_WAY);
    }

    /// Fails a request body that the connection waits for, with [`io::ErrorKind::TimedOut`].
    pub(crate) fn fail_body(&self) {
        self.wish(wish::FAIL_BODY);
    }

    fn wish(&self, wish: u8) {
        self.wishes.fetch_or(wish, Relaxed);
        self.wake_reader();
    }

    /// Wakes the connection's task, if it waits to read.
    pub(super) fn wake_reader(&self) {
        let waker = lock(&self.reader).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// For the gate.
impl Shared {
    pub(super) fn set_reader(&self, waker: Waker) {
        lock(&self.reader).replace(waker);
    }

    /// The gate waits for the client in this phase; the clock runs on if it already did. The first head's
    /// clock began with the connection.
    #[inline]
    pub(super) fn wait(&self, phase: Phase) {
        let state = self.state.load(Relaxed);
        let now = state & ((1 << PHASE_BITS) - 1);
        let fresh = Phase::Fresh as u32;
        if now == phase as u32 || (now == fresh && phase == Phase::Idle) {
            return;
        }
        let turn = (state >> PHASE_BITS).wrapping_add(u32::from(now != fresh));
        self.state.store(turn << PHASE_BITS | phase as u32, Relaxed);
        self.doze.stir();
    }

    /// The client sent what was waited for. Wishes that blamed it for not doing so are void. Whether the socket is read on
    /// is still to be seen.
    #[inline]
    pub(super) fn progress(&self) {
        self.wait(Phase::Deaf);
        if self.wishes.load(Relaxed) != wish::NONE {
            self.wishes.fetch_and(wish::FIN, Relaxed);
        }
    }

    /// Counts bytes that hyper got.
    #[inline]
    pub(super) fn received(&self, count: usize) {
        self.received.store(self.received.load(Relaxed) + count as u64, Relaxed);
    }

    /// Counts a head that passes, and notes what it says.
    #[inline]
    pub(super) fn pass(&self, facts: Option<HeadFacts>) {
        let number = self.passed.load(Relaxed).wrapping_add(1);
        self.passed.store(number, Relaxed);
        if let Some(facts) = facts {
            lock(&self.facts).push_back((number, facts));
            self.noted.store(true, Relaxed);
        }
    }

    /// The body behind the head that passed last is broken.
    pub(super) fn note_broken(&self) {
        self.broken.store(true, Relaxed);
    }

    /// Notes whether hyper has not got all of the body behind the head that passed last.
    #[inline]
    pub(super) fn note_owing(&self, owing: bool) {
        self.owing.store(owing, Relaxed);
    }

    /// Whether heads passed that are not answered yet.
    #[inline]
    pub(super) fn is_answering(&self) -> bool {
        self.passed.load(Relaxed) != self.answered.load(Relaxed)
    }

    /// The marks of `uptake`, a count that grows with the bytes written or taken: blocked at it, or not.
    pub(super) fn set_blocked(&self, uptake: Option<u32>) {
        self.blocked.store(uptake.map_or(0, |uptake| uptake << 1 | 1), Relaxed);
        self.doze.stir();
    }

    #[inline]
    pub(super) fn flushed(&self) {
        if self.awaiting_flush.load(Relaxed) {
            self.awaiting_flush.store(false, Relaxed);
            if let Some(waker) = lock(&self.flusher).take() {
                waker.wake();
            }
        }
    }

    /// Whether the connection's place is wanted at once.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried.load(Relaxed)
    }

    /// The outcome of the wishes for a gate that waits.
    #[inline]
    pub(super) fn granted(&self) -> Option<Granted> {
        let wishes = self.wishes.load(Relaxed);
        if wishes == wish::NONE {
            return None;
        }
        // What does not fit what the connection waits for came too late; only a FIN can wait.
        self.wishes.fetch_and(wish::FIN, Relaxed);
        let is = |wish| wishes & wish != 0;
        match self.phase().0 {
            Phase::Body if is(wish::FAIL_BODY) => Some(Granted::FailBody(io::ErrorKind::TimedOut)),
            Phase::Head if is(wish::EXPIRE) => {
                self.hurried.store(is(wish::GIVE_WAY), Relaxed);
                Some(Granted::Expire)
            }
            Phase::Fresh if is(wish::EXPIRE | wish::FIN | wish::GIVE_WAY) => Some(Granted::Fin),
            Phase::Idle if is(wish::FIN | wish::GIVE_WAY) => Some(Granted::Fin),
            _ => None,
        }
    }
}

/// A wish that fits what the connection waits for.
#[derive(Debug)]
pub(super) enum Granted {
    /// End here.
    Fin,
    /// Refuse the half-sent head.
    Expire,
    /// Fail the body.
    FailBody(io::ErrorKind),
}
