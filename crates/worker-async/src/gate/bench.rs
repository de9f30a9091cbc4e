//! Doors to the gate's parts for `benches/gate.rs`; not an interface.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};

use super::chunked::ChunkScanner;
use super::head::{HeadScanner, Scan};
use super::{Gate, HeadRules, Shared};

/// Scans one whole head; gives its length.
#[must_use]
pub fn scan_head(bytes: &[u8]) -> usize {
    match HeadScanner::default().scan(bytes, &HeadRules::standard()) {
        Scan::Whole(head) => head.length,
        Scan::Incomplete | Scan::Refused(_) => 0,
    }
}

/// Follows one chunked body; gives its length.
#[must_use]
pub fn follow_chunks(bytes: &[u8]) -> usize {
    ChunkScanner::new().consume(bytes, &HeadRules::standard()).unwrap_or(0)
}

/// A gate whose client sends the same bytes again and again.
pub struct Reader {
    gate: Gate<Feed>,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
}

impl Reader {
    #[must_use]
    /// Its client sends these bytes.
    pub fn new(bytes: &'static [u8]) -> Self {
        let (gate, shared) = Gate::new(Feed(bytes), HeadRules::standard());
        Self { gate, shared, buffer: vec![0; 8192] }
    }

    /// One read as hyper does it, and the service's part; gives the number of bytes.
    pub fn read(&mut self) -> usize {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.gate).poll_read(&mut cx, &mut buffer);
        black_box(self.shared.next_head());
        self.shared.answered();
        buffer.filled().len()
    }

    /// The same without a gate.
    pub fn bare(&mut self) -> usize {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.gate.socket).poll_read(&mut cx, &mut buffer);
        buffer.filled().len()
    }
}

struct Feed(&'static [u8]);

impl AsyncRead for Feed {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        buffer.put_slice(self.0);
        Poll::Ready(Ok(()))
    }
}
