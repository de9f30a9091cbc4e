//! The way of bytes that an app sends before its call has returned (PEP 3333's `write`).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferricorn_protocol::{Answer, AppFault, ClientGone};

use crate::job::dispose_answer;
use crate::worker::Worker;

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
    /// The piece that was taken has not been written to the socket yet.
    under_way: bool,
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
        let state = State { piece: Some(first), ending: None, under_way: false, closed: false, waker: None };
        Self { state: Mutex::new(state), room: Condvar::new() }
    }

    /// Puts a piece in, once the one before it was written, which may take as long as `patience`. `driven` has
    /// the loop driven meanwhile.
    ///
    /// # Errors
    /// [`ClientGone`] once nobody takes the pieces any more, or the client did not read for so long.
    pub(crate) fn write(
        &self,
        piece: Bytes,
        patience: Duration,
        driven: impl Fn(),
    ) -> Result<(), ClientGone> {
        let mut state = self.lock();
        let deadline = Instant::now() + patience;
        while !state.closed && (state.piece.is_some() || state.under_way) {
            driven();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!(
                    "A client has read nothing of what the app wrote for {} s; giving up on it",
                    patience.as_secs()
                );
                state.closed = true;
                wake(state);
                return Err(ClientGone);
            }
            state = self.room.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
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
    pub(crate) fn end(&self, worker: &Arc<Worker>, answer: Answer) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return dispose_answer(worker, answer);
        }
        state.ending = Some(answer);
        wake(state);
    }

    /// The next piece, or what the call returned. Calling it says that the piece before was written.
    pub(crate) fn poll_flow(&self, cx: &mut Context<'_>) -> Poll<Flow> {
        let mut state = self.lock();
        state.under_way = false;
        self.room.notify_one();
        if let Some(piece) = state.piece.take() {
            state.under_way = true;
            return Poll::Ready(Flow::Piece(piece));
        }
        match state.ending.take() {
            Some(answer) => Poll::Ready(Flow::Ending(answer)),
            None if state.closed => {
                Poll::Ready(Flow::Ending(Answer::Fault(AppFault::new("the client does not read"))))
            }
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Says that nobody takes pieces any more.
    pub(crate) fn close(&self, worker: &Arc<Worker>) {
        let mut state = self.lock();
        state.closed = true;
        state.piece = None;
        self.room.notify_one();
        let ending = state.ending.take();
        drop(state);
        if let Some(answer) = ending {
            dispose_answer(worker, answer);
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
