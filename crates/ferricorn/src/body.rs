//! The request body as a Rust app reads it.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{BodyError, RequestBody};
use http_body::{Frame, SizeHint};

/// How much of a body that lies in a file is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// A request body. It streams as it arrives; what is not read is dropped by the server.
pub struct Body(RequestBody);

impl Body {
    pub(crate) fn new(body: RequestBody) -> Self {
        Self(body)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = match &mut self.0 {
            RequestBody::Empty => return Poll::Ready(None),
            RequestBody::Stream(stream) => return stream.as_mut().poll_frame(cx),
            RequestBody::Memory(bytes) => Ok(std::mem::take(bytes)),
            RequestBody::File { file, length } => read(file, length),
        };
        match piece {
            Ok(bytes) if bytes.is_empty() => {
                self.0 = RequestBody::Empty;
                Poll::Ready(None)
            }
            Ok(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Err(error) => {
                self.0 = RequestBody::Empty;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            RequestBody::Empty => true,
            RequestBody::Memory(bytes) => bytes.is_empty(),
            RequestBody::File { length, .. } => *length == 0,
            RequestBody::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
            RequestBody::File { length, .. } => SizeHint::with_exact(*length),
            RequestBody::Stream(stream) => stream.size_hint(),
        }
    }
}

/// The next piece of a file that holds `length` more bytes; empty at the end.
fn read(file: &mut File, length: &mut u64) -> Result<Bytes, BodyError> {
    let mut piece = vec![0; PIECE.min(usize::try_from(*length).unwrap_or(PIECE))];
    file.read_exact(&mut piece).map_err(|error| BodyError::Broken(error.to_string()))?;
    *length -= piece.len() as u64;
    Ok(piece.into())
}
