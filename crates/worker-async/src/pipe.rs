//! The way of bytes that an app sends before its call has returned (PEP 3333's `write`).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferricorn_protocol::{Answer, AppFault, ClientGone};
use ferricorn_unix::scoreboard::Ticket;

use crate::job::dispose_answer;
use crate::worker::Worker;

/// How often an app thread that waits says so: to the master, which would take a wait for a hang.
const LOOK: Duration = Duration::from_millis(100);

/// Holds one piece between the app thread that writes and the connection that sends.
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// Rung when the app thread may write on.
    room: Condvar,
}

struct State {
    piece: Option<Bytes>,
    /// What the call returned; further bytes come from there.
    ending: Option<Answer>,
    /// The length of the piece that was taken and has not been written to the socket yet.
    under_way: Option<usize>,
    /// Bytes of pieces that were written whole.
    sent: u64,
    /// For how long the app has waited in all.
    waited: Duration,
    closed: bool,
    waker: Option<Waker>,
}

/// What a body finds in the pipe.
pub(crate) enum Flow {
    /// A piece that the app wrote.
    Piece(Bytes),
    /// What the call returned.
    Ending(Answer),
}

impl Pipe {
    pub(crate) fn new(first: Bytes) -> Self {
        let state = State {
            piece: Some(first),
            ending: None,
            under_way: None,
            sent: 0,
            waited: Duration::ZERO,
            closed: false,
            waker: None,
        };
        Self { state: Mutex::new(state), room: Condvar::new() }
    }

    /// Puts a piece in, once the one before it was written. The app waits as long as `patience` for one client,
    /// in all its calls of this together: also a client that reads steadily may not hold the app for ever.
    /// `driven` has the loop driven meanwhile, and `waits` hears of the milliseconds that were spent waiting.
    ///
    /// # Errors
    /// [`ClientGone`] once nobody takes the pieces any more, or patience is at an end.
    pub(crate) fn write(
        &self,
        piece: Bytes,
        patience: Duration,
        driven: impl Fn(),
        waits: impl Fn(u64),
    ) -> Result<(), ClientGone> {
        let mut state = self.lock();
        while !state.closed && (state.piece.is_some() || state.under_way.is_some()) {
            driven();
            let left = patience.saturating_sub(state.waited);
            if left.is_zero() {
                tracing::warn!(
                    "The app has waited {} s in write() for a client that reads slowly or not at all; giving up on it. \
                     At least {} bytes were sent to it",
                    patience.as_secs(),
                    state.sent,
                );
                state.closed = true;
                wake(state);
                return Err(ClientGone);
            }
            let (since, before) = (Instant::now(), state.waited.as_millis());
            state = self.room.wait_timeout(state, left.min(LOOK)).unwrap_or_else(PoisonError::into_inner).0;
            state.waited += since.elapsed();
            waits(u64::try_from(state.waited.as_millis() - before).unwrap_or(u64::MAX));
        }
        if state.closed {
            return Err(ClientGone);
        }
        state.piece = Some(piece);
        wake(state);
        driven();
        Ok(())
    }

    /// Leaves what the call returned.
    pub(crate) fn end(&self, worker: &Arc<Worker>, answer: Answer, ticket: Ticket) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return dispose_answer(worker, answer, ticket);
        }
        state.ending = Some(answer);
        wake(state);
    }

    /// The next piece, or what the call returned. Calling it says that the piece before was written.
    pub(crate) fn poll_flow(&self, cx: &mut Context<'_>) -> Poll<Flow> {
        let mut state = self.lock();
        if let Some(length) = state.under_way.take() {
            state.sent += length as u64;
        }
        self.room.notify_one();
        if let Some(piece) = state.piece.take() {
            state.under_way = Some(piece.len());
            return Poll::Ready(Flow::Piece(piece));
        }
        match state.ending.take() {
            Some(answer) => Poll::Ready(Flow::Ending(answer)),
            None if state.closed => {
                Poll::Ready(Flow::Ending(Answer::Fault(AppFault::new("the client was given up on"))))
            }
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Says that nobody takes pieces any more.
    pub(crate) fn close(&self, worker: &Arc<Worker>, ticket: Ticket) {
        let mut state = self.lock();
        state.closed = true;
        state.piece = None;
        self.room.notify_one();
        let ending = state.ending.take();
        drop(state);
        if let Some(answer) = ending {
            dispose_answer(worker, answer, ticket);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
