//! What the connection takes: the answer, and the pieces of a body that streams.

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use ferricorn_protocol::{AppFault, BodyError, Response};
use http_body::Frame;

use super::sending::{LOW, weight};
use super::{Exchange, Stage, State, Wakes};
use crate::asgi::awaitable::{Waiters, keep};
use crate::asgi::notes::Notes;
use crate::hosted::{Answered, Streamed};

/// Up to this many bytes pieces are joined that wait for the connection.
const JOINED: usize = 16 * 1024;

impl Answered for Exchange {
    fn poll_answer(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Box<Response>, AppFault>> {
        let mut state = self.lock();
        match state.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                keep(&mut state.connection, cx);
                Poll::Pending
            }
        }
    }

    /// It has all there is to be sent if the response has no body, or has got its whole length; then the application goes
    /// on, for its client is still there. Else the client has left.
    fn abandoned(self: &Arc<Self>) {
        let mut state = self.lock();
        let sent = state.bodiless || state.left == Some(0);
        if !sent || state.answer.is_some() || !matches!(state.stage, Stage::Streaming(_) | Stage::Trailers(_))
        {
            drop(state);
            return self.left();
        }
        state.settled = true;
        state.ahead = 0;
        let (pieces, senders) = (mem::take(&mut state.pieces), state.senders.take());
        drop(state);
        drop(pieces);
        senders.wake();
        match self.of.upgrade().as_deref().and_then(Notes::of) {
            Some(notes) => notes.outlives(self),
            None => self.left(),
        }
    }
}

impl Exchange {
    /// The client has left.
    pub(in crate::asgi) fn left(self: &Arc<Self>) {
        let mut state = self.lock();
        if mem::replace(&mut state.gone, true) {
            return;
        }
        // An answer that nobody took holds this exchange, if its body streams.
        let answer = state.answer.take();
        let body = state.body.take();
        let pieces = mem::take(&mut state.pieces);
        let wakes = Wakes(state.receivers.take(), None);
        let senders = state.senders.take();
        let running = !state.ended;
        drop(state);
        drop((answer, body, pieces));
        wakes.wake();
        senders.wake();
        if running {
            self.agenda.let_go(self.clone());
        }
    }
}

impl Streamed for Exchange {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = self.lock();
        if let Some(piece) = state.next_piece() {
            state.left = state.left.map(|left| left.saturating_sub(piece.len() as u64));
            let senders = match state.ahead {
                ahead if ahead <= LOW => state.senders.take(),
                _ => Waiters::default(),
            };
            drop(state);
            senders.wake();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match state.end.take() {
            None => {
                keep(&mut state.connection, cx);
                Poll::Pending
            }
            Some(Err(fault)) => {
                state.end = Some(Ok(None));
                Poll::Ready(Some(Err(BodyError::App(fault))))
            }
            Some(Ok(trailers)) => {
                state.end = Some(Ok(None));
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_taken(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && matches!(state.end, Some(Ok(None)))
    }
}

impl State {
    /// The next piece, or several that are short in one: each is written by itself, which costs more than a copy.
    fn next_piece(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front()?;
        self.ahead -= weight(&first);
        let mut joined: Option<BytesMut> = None;
        while let Some(next) = self.pieces.front() {
            let length = joined.as_ref().map_or(first.len(), BytesMut::len);
            if length + next.len() > JOINED {
                break;
            }
            let joined = joined.get_or_insert_with(|| BytesMut::from(&first[..]));
            joined.extend_from_slice(next);
            self.ahead -= weight(next);
            self.pieces.pop_front();
        }
        Some(joined.map_or(first, BytesMut::freeze))
    }
}
