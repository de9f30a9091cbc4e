//! Reading and writing through the gate.

use std::io::{self, Error, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::shared::Granted;
use super::track::Rest;
use super::{End, Gate, Refusal};

/// Up to this many bytes, a copy costs less than what writev(2) costs more than write(2).
const SHORT: usize = 512;

/// The slices as one, if they are short.
fn join<'a>(slices: &[IoSlice<'_>], joined: &'a mut [u8; SHORT]) -> Option<&'a [u8]> {
    let mut length = 0;
    for slice in slices {
        joined.get_mut(length..length + slice.len())?.copy_from_slice(slice);
        length += slice.len();
    }
    Some(&joined[..length])
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        gate.keep_waker(cx);
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if gate.clear > 0 {
                gate.hand_over(buf);
                return Poll::Ready(Ok(()));
            }
            if gate.track.is_held() && gate.holds_on() {
                return Poll::Pending;
            }
            if gate.clear > 0 {
                continue;
            }
            if let Some(end) = gate.ended() {
                return Poll::Ready(end);
            }
            let before = buf.filled().len();
            match Pin::new(&mut gate.socket).poll_read(cx, buf) {
                Poll::Pending => {
                    if !gate.grant_wishes() {
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if buf.filled().len() == before => gate.client_closed(),
                Poll::Ready(Ok(())) => gate.take_in(buf, before),
            }
            if buf.filled().len() > before {
                gate.shared.received(buf.filled().len() - before);
                gate.shared.note_owing(gate.track.in_body());
                gate.shared.progress();
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S> Gate<S> {
    /// Judges what was read into hyper's buffer behind `before`, and takes out what may not stay there.
    #[inline]
    fn take_in(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        if self.inbox.is_empty() {
            let bytes = &buf.filled()[before..];
            let admitted = self.track.admit(bytes, &self.shared);
            if admitted.pass == bytes.len() {
                return;
            }
            self.keep_rest(bytes, admitted.pass, admitted.rest);
            buf.set_filled(before + admitted.pass);
        } else {
            self.inbox.extend_from_slice(&buf.filled()[before..]);
            buf.set_filled(before);
            self.admit_inbox();
        }
    }

    /// Keeps what may not pass yet, and drops what never may.
    fn keep_rest(&mut self, bytes: &[u8], pass: usize, rest: Rest) {
        match rest {
            Rest::Unfinished => {
                self.inbox.extend_from_slice(&bytes[pass..]);
            }
            Rest::Rewrite(rewrite) => {
                let bytes = &bytes[pass..];
                self.inbox.extend_from_slice(&rewrite.head);
                self.clear = self.inbox.len();
                self.inbox.extend_from_slice(&bytes[rewrite.length..]);
                self.admit_inbox();
            }
            rest => self.stop(rest, &bytes[pass..]),
        }
    }

    /// Gives hyper clear bytes of the inbox.
    fn hand_over(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.clear.min(buf.remaining());
        buf.put_slice(&self.inbox[..count]);
        self.inbox.advance(count);
        self.clear -= count;
        if self.inbox.is_empty() {
            // An idle connection keeps no memory here.
            self.inbox = BytesMut::new();
        }
        self.shared.received(count);
        self.shared.progress();
    }

    /// The client will send no more.
    pub(super) fn client_closed(&mut self) {
        self.end = Some(if self.track.in_body() {
            self.broken(
                ErrorKind::UnexpectedEof,
                "the client closed the connection in the middle of a request",
            )
        } else {
            // Before a request, and also in the middle of a head, there is nobody to tell.
            End::Closed
        });
    }

    /// Tells `shared` what the connection waits for, and ends it if somebody wished that. True if so.
    #[inline]
    pub(super) fn grant_wishes(&mut self) -> bool {
        self.shared.wait(self.awaited());
        let Some(granted) = self.shared.granted() else { return false };
        self.end = Some(match granted {
            Granted::Fin => End::Over(Box::default()),
            Granted::Expire => {
                let unread = self.inbox[self.clear..].into();
                End::Refused { refusal: Refusal::timeout(), unread, told: false }
            }
            Granted::FailBody(kind) => self.broken(kind, "the request body did not arrive in time"),
        });
        true
    }

    /// Lets wishes wake the task that reads. Cheap as long as it is the same one.
    #[inline]
    pub(super) fn keep_waker(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.shared.set_reader(cx.waker().clone());
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Notes whether the client takes what is written.
    #[inline]
    pub(super) fn note_write(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Pending => {
                if !self.blocked {
                    self.blocked = true;
                    self.queued = None;
                    self.shared.set_blocked(Some(self.uptake));
                } else if self.shared.look.load(Relaxed) {
                    self.look_at_queue();
                }
            }
            Poll::Ready(_) => {
                self.uptake = self.uptake.wrapping_add(1);
                if self.blocked {
                    self.blocked = false;
                    self.shared.set_blocked(None);
                }
            }
        }
        outcome
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let outcome = Pin::new(&mut gate.socket).poll_write(cx, bytes);
        gate.note_write(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let mut joined = [0; SHORT];
        let outcome = match join(slices, &mut joined) {
            Some(bytes) => Pin::new(&mut gate.socket).poll_write(cx, bytes),
            None => Pin::new(&mut gate.socket).poll_write_vectored(cx, slices),
        };
        gate.note_write(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper flushes when it has no bytes left, so a flush that is done means that all it had is written. It does so at
    /// the end of each of its turns.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if gate.shared.hinted.load(Relaxed) {
            ready!(gate.poll_hints(cx))?;
        }
        if gate.shared.seek.load(Relaxed) && gate.has_left() {
            return Poll::Ready(Err(Error::new(ErrorKind::ConnectionReset, "the client has left")));
        }
        ready!(Pin::new(&mut gate.socket).poll_flush(cx))?;
        gate.shared.flushed();
        Poll::Ready(gate.watch(cx))
    }

    /// Flushes only: the socket stays open for [`Gate::finish`], which may have an answer to send.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
