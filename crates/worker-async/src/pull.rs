//! A response body that the app produces piece by piece, each when the one before it was written.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ferricorn_protocol::{AppFault, Pieces};
use ferricorn_unix::scoreboard::Ticket;

use crate::job::{Ending, Job, close_later};
use crate::slot::Slot;
use crate::worker::Worker;

type Step = (Option<Box<dyn Pieces>>, Result<Option<Bytes>, AppFault>);

/// Where an app thread leaves the next piece.
pub(crate) struct Pull {
    worker: Arc<Worker>,
    ticket: Option<Ticket>,
    slot: Slot<Step>,
}

impl Pull {
    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(crate) fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }

    /// Hands a step to the body, or ends the production if the body is gone.
    pub(crate) fn deliver(&self, rest: Option<Box<dyn Pieces>>, piece: Result<Option<Bytes>, AppFault>) {
        if let Err((Some(rest), _)) = self.slot.put((rest, piece)) {
            close_later(&self.worker, rest, Ending::Abandoned);
        }
    }
}

/// The body's side: asks for pieces, and sees to it that `close` is called.
pub(crate) struct Puller {
    pull: Arc<Pull>,
    /// The producer, while no step is under way.
    pieces: Option<Box<dyn Pieces>>,
    asked: bool,
}

impl Puller {
    pub(crate) fn new(worker: Arc<Worker>, ticket: Option<Ticket>, pieces: Box<dyn Pieces>) -> Self {
        let pull = Arc::new(Pull { worker, ticket, slot: Slot::new() });
        Self { pull, pieces: Some(pieces), asked: false }
    }

    /// The next piece, or `None` at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, AppFault>> {
        if !self.asked {
            let Some(pieces) = self.pieces.take() else {
                return Poll::Ready(Ok(None));
            };
            self.asked = true;
            self.pull.worker.seat.submit(Job::Next(self.pull.clone(), pieces));
        }
        let (rest, piece) = ready!(self.pull.slot.poll_take(cx));
        self.pieces = rest;
        self.asked = false;
        Poll::Ready(piece)
    }

    /// Says that all bytes that count have been sent.
    pub(crate) fn complete(&mut self) {
        self.end(Ending::Complete);
    }

    fn end(&mut self, ending: Ending) {
        let lying = if self.asked { self.pull.slot.abandon().and_then(|(rest, _)| rest) } else { None };
        if let Some(pieces) = self.pieces.take().or(lying) {
            close_later(&self.pull.worker, pieces, ending);
        }
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        self.end(Ending::Abandoned);
    }
}
