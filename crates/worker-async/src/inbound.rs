//! The request body: read whole before an app that blocks is called, first into memory, then into a file.

use std::error::Error;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use ferricorn_protocol::{BodyError, RequestBody};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How much of one body stays in memory.
const MEMORY_PER_REQUEST: usize = 64 * 1024;

/// How much of all bodies of a worker stays in memory.
const MEMORY_PER_WORKER: usize = 16 * 1024 * 1024;

/// Why a body could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The client is to blame.
    Client(BodyError),
    /// There is no room for it on the disk.
    Disk(io::Error),
}

/// Memory that bodies of this worker occupy.
#[derive(Default)]
pub(crate) struct BodyMemory(AtomicUsize);

/// A share of the memory; given back when dropped.
pub(crate) struct Share<'a>(&'a BodyMemory, usize);

impl BodyMemory {
    /// An empty share.
    pub(crate) fn share(&self) -> Share<'_> {
        Share(self, 0)
    }
}

impl Share<'_> {
    /// Takes `bytes` more, if they are there to be taken.
    fn grow(&mut self, bytes: usize) -> bool {
        let room = self.1 + bytes <= MEMORY_PER_REQUEST
            && self.0.0.fetch_add(bytes, Ordering::Relaxed) + bytes <= MEMORY_PER_WORKER;
        if room {
            self.1 += bytes;
        } else if self.1 + bytes <= MEMORY_PER_REQUEST {
            self.0.0.fetch_sub(bytes, Ordering::Relaxed);
        }
        room
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Reads a body to its end, however long the client takes within the deadlines that the sweeper keeps.
pub(crate) async fn read_whole(
    mut incoming: Incoming,
    limit: Option<u64>,
    share: &mut Share<'_>,
) -> Result<RequestBody, ReadError> {
    let mut pieces = Pieces::default();
    let mut spool: Option<File> = None;
    let mut length = 0_u64;
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| ReadError::Client(body_error(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len() as u64;
        if limit.is_some_and(|limit| length > limit) {
            return Err(ReadError::Client(BodyError::TooLarge));
        }
        if spool.is_none() && share.grow(data.len()) {
            pieces.push(data);
            continue;
        }
        let file = match &mut spool {
            Some(file) => file,
            none => none.insert(spill(&mut pieces).map_err(ReadError::Disk)?),
        };
        file.write_all(&data).map_err(ReadError::Disk)?;
    }
    match spool {
        None if length == 0 => Ok(RequestBody::Empty),
        None => Ok(RequestBody::Memory(pieces.join())),
        Some(mut file) => {
            file.rewind().map_err(ReadError::Disk)?;
            Ok(RequestBody::File { file, length })
        }
    }
}

/// Opens an unlinked file and moves there what was read so far.
fn spill(pieces: &mut Pieces) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&std::mem::take(pieces).join())?;
    Ok(file)
}

/// What a failed read means: the gate's own errors come through hyper as causes.
fn body_error(error: &hyper::Error) -> BodyError {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => BodyError::Timeout,
        _ => BodyError::Broken(cause.map_or_else(|| error.to_string(), ToString::to_string)),
    }
}

/// Pieces of a body; a single one, the usual case, is not copied.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    more: BytesMut,
}

impl Pieces {
    fn push(&mut self, data: Bytes) {
        if self.first.is_empty() {
            self.first = data;
            return;
        }
        if self.more.is_empty() {
            self.more.extend_from_slice(&self.first);
        }
        self.more.extend_from_slice(&data);
    }

    fn join(self) -> Bytes {
        if self.more.is_empty() { self.first } else { self.more.freeze() }
    }
}

/// A body that streams into an app that answers with a future.
pub(crate) struct Streaming {
    incoming: Incoming,
    left: Option<u64>,
}

impl Streaming {
    pub(crate) fn new(incoming: Incoming, limit: Option<u64>) -> Self {
        Self { incoming, left: limit }
    }
}

impl Body for Streaming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(body_error(&error)))),
            Some(Ok(frame)) => frame,
        };
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(size) else {
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            };
            *left = rest;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
