//! A response body that streams by itself, taken frame by frame.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use ferricorn_protocol::{AppFault, BodyError, Drive, Stream};
use http_body::{Body, Frame};

/// How many bytes of small pieces are gathered.
const GATHERED: usize = 16 * 1024;

/// See the module's first line.
pub(crate) struct Outflow {
    stream: Stream,
    /// Whether pieces that are there already go out together. A hosted app takes the wish for a piece as word that the
    /// one before has left.
    gathers: bool,
    /// What came behind pieces that were gathered.
    next: Option<Option<Result<Frame<Bytes>, BodyError>>>,
}

impl Outflow {
    pub(crate) fn new(stream: Stream, drive: Drive) -> Self {
        Self { stream, gathers: drive == Drive::Task, next: None }
    }

    /// The next frame, or none at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, AppFault>> {
        let next = match self.next.take() {
            Some(next) => next,
            None => ready!(self.stream.as_mut().poll_frame(cx)),
        };
        let next = next.transpose().map_err(|error| match error {
            BodyError::App(fault) => fault,
            error => AppFault::new(error.to_string()),
        })?;
        Poll::Ready(Ok(match next.map(Frame::into_data) {
            Some(Ok(piece)) => Some(Frame::data(self.gather(piece, cx))),
            Some(Err(other)) => Some(other),
            None => None,
        }))
    }

    /// Adds what is there already to a piece: each write to the socket costs more than a short piece.
    fn gather(&mut self, piece: Bytes, cx: &mut Context<'_>) -> Bytes {
        if !self.gathers || piece.len() >= GATHERED {
            return piece;
        }
        let mut more = BytesMut::new();
        while piece.len() + more.len() < GATHERED {
            match Pin::new(&mut self.stream).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(next) => match next.map(|next| next.map(Frame::into_data)) {
                    Some(Ok(Ok(further))) if further.len() < GATHERED => {
                        if more.is_empty() {
                            more.extend_from_slice(&piece);
                        }
                        more.extend_from_slice(&further);
                    }
                    next => {
                        let frame =
                            |data: Result<Bytes, Frame<Bytes>>| data.map_or_else(|other| other, Frame::data);
                        self.next = Some(next.map(|next| next.map(frame)));
                        break;
                    }
                },
            }
        }
        if more.is_empty() { piece } else { more.freeze() }
    }
}
