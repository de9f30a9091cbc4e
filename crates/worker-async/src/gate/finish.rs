//! The end of a connection, once hyper is done with it.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::refusal::first_line;
use super::{End, Gate, Refused};
use crate::timer::{timeout, turn};

/// How long the client has to take the answer to a refused request.
const ANSWER: Duration = Duration::from_secs(2);
/// How long the gate reads what nobody wants, so that the client reads its answer before a reset.
const LINGER: Duration = Duration::from_secs(2);
/// How much of it: more than a proxy still sends of an upload whose answer it will only then read.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// Ends the connection: sends the answer to a refused request, closes the writing side, and reads and
    /// drops what the client still sends, for at most 2 s and 64 MiB; if somebody waits for the place, only what
    /// has come already. `refused` is told of the refusal once its
    /// answer was sent, or could not be.
    ///
    /// A refusal is not answered if hyper ended the connection before it came to it: the answer would be
    /// taken for a part of the response before.
    pub(crate) async fn finish(mut self, refused: impl FnOnce(Refused)) {
        if let Some(End::Refused { refusal, unread, told: true }) = &self.end {
            let (refusal, line, page) = (*refusal, first_line(unread), refusal.page());
            let answer = refusal.answer(&page, self.track.rules().server);
            let sent = matches!(timeout(ANSWER, self.socket.write_all(&answer)).await, Ok(Ok(())));
            refused(Refused { refusal, line, bytes: if sent { page.len() as u64 } else { 0 } });
            if !sent {
                return;
            }
        }
        self.hang_up(false).await;
    }

    /// Closes the writing side and, if the client is likely to send or close yet, reads and drops what it sends.
    pub(crate) async fn hang_up(mut self, expects: bool) {
        let shut = matches!(timeout(ANSWER, self.socket.shutdown()).await, Ok(Ok(())));
        if shut && (expects || self.is_unread().await) {
            let linger = if self.shared.is_hurried() { Duration::ZERO } else { LINGER };
            let _ = timeout(linger, self.drop_input()).await;
        }
    }

    /// Whether the client has sent, or is likely to send, what was not read. Most have not, and need not be
    /// waited for.
    async fn is_unread(&mut self) -> bool {
        if self.track.in_body() || !self.inbox.is_empty() || self.refusal().is_some() {
            return true;
        }
        if matches!(self.end, Some(End::Over(_))) {
            // Nobody but us wanted the end. A turn of the loop, and the runtime knows of bytes that came meanwhile.
            turn().await;
        }
        let mut scrap = [0; 16];
        matches!(timeout(Duration::ZERO, self.socket.read(&mut scrap)).await, Ok(Ok(1..)))
    }

    /// Reads until the client closes too.
    async fn drop_input(&mut self) {
        let mut scrap = vec![0; 16 * 1024];
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match self.socket.read(&mut scrap).await {
                Ok(count @ 1..) => dropped += count,
                _ => return,
            }
        }
    }
}
