//! A response body that the app produces piece by piece.
//!
//! The body asks for more only when all before was written, so a client that does not read holds up the
//! production. An app thread that is asked goes on while pieces come quickly, because each trip to the app
//! thread and each write to the socket costs more than a short piece. What it has is there for the connection
//! to take at any time: should a piece be long in coming, the loop is driven by another thread meanwhile, and
//! sends those before it (PEP 3333 forbids to hold them back).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ferricorn_protocol::{AppFault, Pieces};
use ferricorn_unix::scoreboard::{Noted, Ticket};

use crate::gate::Shared;
use crate::job::{Done, Ending, Job, blame, close, close_later, guarded, heed, warn_too_long};
use crate::record::method_and_path;
use crate::tie::{Place, Ties};
use crate::worker::Worker;

/// How long an app thread goes on without being asked again.
const STRETCH: Duration = Duration::from_micros(100);
/// How many bytes it gathers.
const STRETCH_BYTES: usize = 16 * 1024;

/// Where an app thread leaves pieces.
pub(crate) struct Pull {
    worker: Arc<Worker>,
    ticket: Ticket,
    /// The app thread that produces, if it must be a certain one.
    home: Option<usize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: Gathered,
    /// The producer, while no app thread has it.
    pieces: Option<Box<dyn Pieces>>,
    /// An app thread was asked and has not begun yet.
    asked: bool,
    /// How the production ended.
    end: Option<Result<(), AppFault>>,
    waker: Option<Waker>,
    /// A wake-up is on its way to the body.
    told: bool,
    /// The client has proved slow while an app thread had the producer.
    loose: bool,
    /// How the body ended before the production did, and for which request it was.
    left: Option<(Ending, Option<Noted>)>,
}

impl Pull {
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// The app thread that must produce, by its number.
    pub(crate) fn home(&self) -> Option<usize> {
        self.home
    }

    /// Produces pieces for a while, on an app thread.
    pub(crate) fn run(self: Arc<Self>) -> Done {
        let Some(mut pieces) = self.take_over() else { return Done::Nothing };
        let began = Instant::now();
        loop {
            let piece = self.worker.timed(Some(self.ticket), || guarded(|| pieces.next()));
            let mut state = self.lock();
            match (piece, state.left) {
                (Ok(Some(piece)), None) => state.ready.push(piece),
                (ended, None) => {
                    drop(state);
                    if let Err(fault) = &ended {
                        heed(&self.worker, fault);
                    }
                    // Once the body has ended, another request may have the ticket.
                    let request = self.worker.slot.request(self.ticket);
                    self.lock().end = Some(ended.map(|_| ()));
                    // The client does not wait for close(), which follows in the same step.
                    self.worker.seat.publish(Done::Pieces(self.clone()));
                    close(&self.worker, pieces, Ending::Abandoned, request);
                    return Done::Nothing;
                }
                (piece, Some((ending, request))) => {
                    drop(state);
                    self.end_unheard(piece, ending, request);
                    close(&self.worker, pieces, Ending::Abandoned, request);
                    return Done::Nothing;
                }
            }
            if state.ready.bytes >= STRETCH_BYTES || began.elapsed() >= STRETCH {
                if std::mem::take(&mut state.loose) {
                    pieces.loosen();
                }
                state.pieces = Some(pieces);
                drop(state);
                return Done::Pieces(self);
            }
            let first = !std::mem::replace(&mut state.told, true);
            drop(state);
            if first {
                self.worker.seat.publish(Done::Pieces(self.clone()));
            }
        }
    }

    /// Tells of what the app gave after the body had ended.
    fn end_unheard(&self, piece: Result<Option<Bytes>, AppFault>, ending: Ending, request: Option<Noted>) {
        match (piece, ending) {
            (Ok(Some(_)), Ending::Complete) => warn_too_long(&method_and_path(request)),
            (Err(fault), Ending::Complete) => {
                let line = method_and_path(request);
                blame(&self.worker, &format!("Error after the end of the response to {line}"), &fault);
            }
            (Err(fault), Ending::Abandoned) => heed(&self.worker, &fault),
            (Ok(_), _) => {}
        }
    }

    fn take_over(&self) -> Option<Box<dyn Pieces>> {
        let mut state = self.lock();
        state.asked = false;
        state.pieces.take()
    }

    /// The client is slow: the app thread may begin other calls.
    pub(crate) fn loosen(&self) {
        let mut state = self.lock();
        match &mut state.pieces {
            Some(pieces) => pieces.loosen(),
            None => state.loose = true,
        }
    }

    /// Wakes the body, or ends the production if the body is gone. Called inside the runtime.
    pub(crate) fn deliver(&self) {
        let mut state = self.lock();
        state.told = false;
        if let Some((ending, request)) = state.left {
            let pieces = state.pieces.take();
            drop(state);
            if let Some(pieces) = pieces {
                close_later(&self.worker, pieces, ending, request);
            }
        } else if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body's side: asks for pieces, and sees to it that `close` is called.
pub(crate) struct Puller {
    pull: Arc<Pull>,
    /// Among those that have tied an app thread, if it has.
    _place: Option<Place>,
}

impl Puller {
    /// `ticket` names the request in the scoreboard while the app is asked for more.
    pub(crate) fn new(
        worker: &Arc<Worker>,
        ticket: Ticket,
        pieces: Box<dyn Pieces>,
        gate: &Arc<Shared>,
    ) -> Self {
        let home = pieces.home().map(|home| home.0);
        let state = State { pieces: Some(pieces), ..State::default() };
        let pull = Arc::new(Pull { worker: worker.clone(), ticket, home, state: Mutex::new(state) });
        let _place = home.map(|_| Ties::enter(worker, pull.clone(), gate.clone()));
        Self { pull, _place }
    }

    /// What was produced since the last time, or `None` at the end. Calling it says that what it gave before
    /// has been written.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, AppFault>> {
        let mut state = self.pull.lock();
        if let Some(bytes) = state.ready.take() {
            return Poll::Ready(Ok(Some(bytes)));
        }
        if let Some(end) = state.end.take() {
            state.end = Some(Ok(()));
            return Poll::Ready(end.map(|()| None));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        let ask = state.pieces.is_some() && !std::mem::replace(&mut state.asked, true);
        drop(state);
        if ask {
            self.pull.worker.seat.submit(Job::Pull(self.pull.clone()));
        }
        Poll::Pending
    }

    /// Says that all bytes that count have been sent.
    pub(crate) fn complete(&mut self) {
        self.end(Ending::Complete);
    }

    fn end(&mut self, ending: Ending) {
        let mut state = self.pull.lock();
        if state.left.is_some() {
            return;
        }
        // Pieces that nobody takes are what the response has too much.
        let ending = if state.ready.bytes > 0 { Ending::Abandoned } else { ending };
        // Once its books are closed, another request may have its ticket.
        let request = self.pull.worker.slot.request(self.pull.ticket);
        state.left = Some((ending, request));
        let pieces = state.pieces.take();
        drop(state);
        if let Some(pieces) = pieces {
            close_later(&self.pull.worker, pieces, ending, request);
        }
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        self.end(Ending::Abandoned);
    }
}

/// Pieces in a row; a single one is not copied.
#[derive(Default)]
struct Gathered {
    first: Bytes,
    more: BytesMut,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.more.extend_from_slice(&piece);
        }
    }

    fn take(&mut self) -> Option<Bytes> {
        let Self { first, more, bytes } = std::mem::take(self);
        if more.is_empty() {
            return (bytes > 0).then_some(first);
        }
        let mut joined = BytesMut::with_capacity(bytes);
        joined.extend_from_slice(&first);
        joined.extend_from_slice(&more);
        Some(joined.freeze())
    }
}
