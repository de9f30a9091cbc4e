//! The response body as hyper pulls it: one piece at a time, held to its Content-Length.

use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ferricorn_protocol::{Answer, AppFault, FileBody, ResponseBody};
use ferricorn_unix::scoreboard::{ErrorClass, Ticket};
use http_body::{Body, Frame, SizeHint};

use crate::deadline::{Limit, Outcome};
use crate::gate::Shared;
use crate::job::{Ending, blame, close_later, dispose, warn_too_long};
use crate::outflow::Outflow;
use crate::pipe::{Flow, Pipe};
use crate::pull::Puller;
use crate::record::Record;
use crate::worker::Worker;

/// How much of a file is read at once, and so how much of it a connection holds.
const FILE_PIECE: u64 = 128 * 1024;

/// How many bytes of a body that streams hyper may hold. Larger writes cost less: a piece of 64 KiB and its framing do
/// not fit into one segment of the loopback's.
const STREAM_PENDING: usize = 128 * 1024;

/// See the module's first line.
pub(crate) struct OutBody {
    source: Source,
    /// Bytes that the declared Content-Length has left; `None` if none was declared.
    left: Option<u64>,
    /// A piece was handed to hyper and has not been seen to leave: nothing further is produced before.
    unwritten: bool,
    /// How many bytes hyper got since it was last seen to have written all.
    pending: usize,
    /// Set when the response cannot be completed: the connection ends once all before it was written.
    broken: Option<Box<AppFault>>,
    /// Whether the end was given to hyper.
    ended: bool,
    /// Until when the app must have given all of it.
    limit: Option<Box<Limit>>,
    gate: Arc<Shared>,
    record: Record,
}

/// What is rare is boxed, since a body is moved often.
enum Source {
    End,
    Once(Bytes),
    /// A first piece, and a producer behind it.
    Pulled(Option<Bytes>, Puller),
    Piped(Arc<Pipe>, Arc<Worker>, Ticket),
    File(Box<FileBody>, Arc<Worker>, Ticket),
    Stream(Box<Outflow>),
}

impl OutBody {
    /// A body under a head that declares `length` bytes, if it declares any.
    pub(crate) fn new(body: ResponseBody, length: Option<u64>, gate: Arc<Shared>, record: Record) -> Self {
        let source = Source::of(body, record.worker(), record.ticket(), &gate);
        let mut body = Self::of(source, length, gate, record);
        if body.left == Some(0) {
            body.complete();
        }
        body
    }

    /// A body of which some bytes have been written by the app during its call.
    pub(crate) fn piped(
        pipe: Arc<Pipe>,
        length: Option<u64>,
        gate: Arc<Shared>,
        record: Record,
        bodiless: bool,
    ) -> Self {
        let source = Source::Piped(pipe, record.worker().clone(), record.ticket());
        let mut body = Self::of(source, length, gate, record);
        if bodiless {
            body.ended = true;
            body.complete();
        }
        body
    }

    /// No body, for answers to HEAD and for statuses that have none; what the app offered is closed. hyper keeps a
    /// declared length only if it is that of the body, of which it then sends nothing.
    pub(crate) fn none(
        offered: ResponseBody,
        length: Option<u64>,
        gate: Arc<Shared>,
        record: Record,
    ) -> Self {
        dispose(record.worker(), offered, record.ticket());
        let mut body = Self::of(Source::End, length, gate, record);
        body.ended = true;
        body
    }

    /// Sets a deadline for the app to give the rest, if it has not given all yet.
    #[cold]
    pub(crate) fn limit(&mut self, limit: Option<Box<Limit>>) {
        self.limit = limit
            .filter(|_| matches!(self.source, Source::Pulled(..) | Source::Piped(..) | Source::Stream(_)));
    }

    /// A body of which nothing was given to hyper yet.
    fn of(source: Source, left: Option<u64>, gate: Arc<Shared>, record: Record) -> Self {
        Self {
            source,
            left,
            unwritten: false,
            pending: 0,
            broken: None,
            ended: false,
            limit: None,
            gate,
            record,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AppFault>>> {
        loop {
            if self.unwritten {
                ready!(self.gate.poll_flushed(cx));
                self.unwritten = false;
                if let Some(limit) = &mut self.limit {
                    limit.go_on();
                }
            }
            if let Some(fault) = self.broken.take() {
                return Poll::Ready(Some(Err(*fault)));
            }
            let next = match (self.source.poll_next(&self.gate, cx), self.limit.as_mut()) {
                (Poll::Ready(next), _) => next,
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(limit)) => {
                    ready!(limit.poll_over(cx));
                    self.interrupt();
                    continue;
                }
            };
            match next {
                Ok(Some(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
                Ok(Some(frame)) if frame.is_data() || self.left.is_none() => {
                    return Poll::Ready(Some(Ok(frame)));
                }
                // A body of a length that was told has no trailers.
                Ok(_) => match self.left {
                    None | Some(0) => return Poll::Ready(None),
                    Some(left) => {
                        let told = format!("The response is {left} bytes shorter than its Content-Length");
                        tracing::error!("{told}; closing the connection: {}", self.record.request_line());
                        self.break_off(AppFault::new(told));
                    }
                },
                Err(fault) => {
                    // What the app wrote by itself came out of its call, which goes on until it returns.
                    let place = match self.source {
                        Source::Piped(..) => "Error handling request",
                        _ => "Error in the body of",
                    };
                    let what = format!("{place} {}", self.record.request_line());
                    blame(self.record.worker(), &what, &fault);
                    self.break_off(fault);
                }
            }
        }
    }

    /// Has hyper write all it has before it gets more. The time until then is none of the app's.
    fn expect_flush(&mut self) {
        self.pending = 0;
        self.unwritten = true;
        self.gate.expect_flush();
        if let Some(limit) = &mut self.limit {
            limit.pause();
        }
    }

    /// The app has had its time.
    #[cold]
    fn interrupt(&mut self) {
        if let Some(limit) = self.limit.take() {
            limit.interrupt(self.record.worker(), self.record.request_line(), Outcome::Closed);
        }
        self.break_off(AppFault {
            told: true,
            ..AppFault::new("the app has taken too long for its response")
        });
    }

    /// Ends the connection, once all before was written.
    fn break_off(&mut self, fault: AppFault) {
        self.broken = Some(Box::new(fault));
        if self.pending > 0 {
            self.expect_flush();
        }
    }

    /// Whether hyper must have written all it has, this piece included, before it gets another. What the app sends by
    /// itself is there or not: hyper writes at once what it has when there is no more.
    fn must_leave(&self, piece: &Bytes) -> bool {
        match self.source {
            Source::Stream(_) => self.pending >= STREAM_PENDING,
            Source::Pulled(..) | Source::Piped(..) | Source::File(..) => true,
            Source::End | Source::Once(_) => self.left.is_some_and(|left| left > piece.len() as u64),
        }
    }

    /// Counts a piece against the Content-Length and cuts what is too much.
    fn measure(&mut self, mut piece: Bytes) -> Bytes {
        if let Some(left) = &mut self.left {
            if piece.len() as u64 > *left {
                warn_too_long(&self.record.request_line());
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            }
            *left -= piece.len() as u64;
            if *left == 0 {
                self.complete();
            }
        }
        self.record.add(piece.len() as u64);
        piece
    }

    /// All bytes that count are known: the producer may end.
    fn complete(&mut self) {
        if let Source::Pulled(_, puller) = &mut self.source {
            puller.complete();
        }
        self.source.close(Ending::Complete);
        self.source = Source::End;
    }
}

impl Source {
    /// `ticket` names the request in the scoreboard.
    fn of(body: ResponseBody, worker: &Arc<Worker>, ticket: Ticket, gate: &Arc<Shared>) -> Self {
        match body {
            ResponseBody::Empty | ResponseBody::WebSocket(_) => Self::End,
            ResponseBody::Full(bytes) => Self::Once(bytes),
            ResponseBody::Pulled { first, rest } => {
                Self::Pulled(Some(first), Puller::new(worker, ticket, rest, gate))
            }
            ResponseBody::File(file) => Self::File(Box::new(file), worker.clone(), ticket),
            ResponseBody::Stream(stream) => Self::Stream(Box::new(Outflow::new(stream, worker.app.drive()))),
        }
    }

    fn poll_next(
        &mut self,
        gate: &Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, AppFault>> {
        match self {
            Self::Stream(stream) => stream.poll_next(cx),
            _ => self.poll_piece(gate, cx).map_ok(|piece| piece.map(Frame::data)),
        }
    }

    fn poll_piece(
        &mut self,
        gate: &Arc<Shared>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, AppFault>> {
        match self {
            Self::End | Self::Stream(_) => Poll::Ready(Ok(None)),
            Self::Once(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::End;
                Poll::Ready(Ok(Some(bytes)))
            }
            Self::Pulled(first, puller) => match first.take() {
                Some(first) => Poll::Ready(Ok(Some(first))),
                None => puller.poll_next(cx),
            },
            Self::Piped(pipe, worker, ticket) => match ready!(pipe.poll_flow(cx)) {
                Flow::Piece(piece) => Poll::Ready(Ok(Some(piece))),
                Flow::Ending(Answer::Fault(fault)) => Poll::Ready(Err(fault)),
                Flow::Ending(Answer::Begun(body)) => {
                    *self = Self::of(body, &worker.clone(), *ticket, gate);
                    Poll::Ready(Ok(Some(Bytes::new())))
                }
                Flow::Ending(_) => Poll::Ready(Err(AppFault::new("a second head after the first"))),
            },
            Self::File(file, ..) => Poll::Ready(read_piece(file)),
        }
    }

    fn close(&mut self, ending: Ending) {
        match self {
            Self::Piped(pipe, worker, ticket) => pipe.close(worker, *ticket),
            Self::File(file, worker, ticket) => {
                if let Some(rest) = file.rest.take() {
                    close_later(worker, rest, ending, worker.slot.request(*ticket));
                }
            }
            // The others end what they hold when they are dropped.
            Self::End | Self::Once(_) | Self::Pulled(..) | Self::Stream(_) => {}
        }
    }
}

/// Reads at a position of its own. The read is from the page cache or a local disk, as nginx's is.
fn read_piece(body: &mut FileBody) -> Result<Option<Bytes>, AppFault> {
    let wanted = usize::try_from(body.length.min(FILE_PIECE)).unwrap_or(usize::MAX);
    if wanted == 0 {
        return Ok(None);
    }
    let mut piece = vec![0; wanted];
    let read = body
        .file
        .read_at(&mut piece, body.offset)
        .map_err(|error| AppFault::new(format!("cannot read the file of the response: {error}")))?;
    piece.truncate(read);
    body.offset += read as u64;
    body.length = if read == 0 { 0 } else { body.length - read as u64 };
    Ok((read > 0).then(|| Bytes::from(piece)))
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = AppFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AppFault>>> {
        let frame = match ready!(self.poll_next(cx)) {
            None => {
                self.ended = true;
                return Poll::Ready(None);
            }
            Some(Err(fault)) => {
                self.record.failed(ErrorClass::App);
                return Poll::Ready(Some(Err(fault)));
            }
            Some(Ok(frame)) => frame,
        };
        let piece = match frame.into_data() {
            Ok(piece) => piece,
            // hyper sends those that it may to a client that takes them, and asks for nothing more.
            Err(trailers) => {
                self.ended = true;
                return Poll::Ready(Some(Ok(trailers)));
            }
        };
        self.pending += piece.len();
        if self.must_leave(&piece) {
            self.expect_flush();
        }
        let piece = self.measure(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::End) && matches!(self.left, None | Some(0)) && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.source, self.left) {
            (_, Some(left)) => SizeHint::with_exact(left),
            (Source::End, None) => SizeHint::with_exact(0),
            (Source::Once(bytes), None) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for OutBody {
    fn drop(&mut self) {
        self.gate.answered();
        if !self.ended && !self.is_end_stream() {
            // Unless the app is to blame, which was said then, the client has left.
            self.record.failed(ErrorClass::Client);
        }
        self.source.close(Ending::Abandoned);
    }
}
