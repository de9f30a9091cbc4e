//! Frames of the server (RFC 6455 section 5): gathered, so that one write carries all that is ready.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use ferricorn_protocol::Message;
use tokio::io::AsyncWrite;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Agreed;
use super::decode::CONTROL;
use super::deflate::deflate;

/// A message of so many bytes is written from where it lies; copying a shorter one costs less.
const LARGE: usize = 16 * 1024;

/// How many bytes are gathered before they are written.
const FULL: usize = 64 * 1024;

/// What is to be written. Empty, it holds no memory.
#[derive(Default)]
pub(super) struct Outbox {
    /// Whole frames, and at the end perhaps the header of `body`.
    frames: Vec<u8>,
    /// How many bytes of `frames` were written.
    written: usize,
    /// A large message.
    body: Bytes,
    /// The answer to the last ping, for which there was no room (RFC 6455 section 5.5.3 wants no others).
    pong: Option<Bytes>,
}

impl Outbox {
    /// Whether nothing more should be added before what is there was written.
    pub(super) fn is_full(&self) -> bool {
        !self.body.is_empty() || self.frames.len() >= FULL
    }

    /// Whether all was written.
    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty() && self.frames.is_empty()
    }

    /// Adds a message, compressed if that was agreed to and makes it shorter.
    pub(super) fn message(&mut self, message: Message, agreed: Option<Agreed>) {
        let (data, bytes) = match message {
            Message::Text(bytes) => (Data::Text, bytes),
            Message::Binary(bytes) => (Data::Binary, bytes),
        };
        let deflated = agreed.and_then(|agreed| deflate(&bytes, agreed));
        let rsv1 = deflated.is_some();
        let payload = deflated.map_or(bytes, Bytes::from);
        self.header(OpCode::Data(data), rsv1, payload.len());
        if payload.len() < LARGE {
            self.frames.extend_from_slice(&payload);
        } else {
            self.body = payload;
        }
    }

    /// Adds a ping without payload.
    pub(super) fn ping(&mut self) {
        self.control(Control::Ping, &[]);
    }

    /// Answers a ping; an answer to one before that has no room yet falls away.
    pub(super) fn pong(&mut self, payload: Bytes) {
        if self.is_full() {
            self.pong = Some(payload);
        } else {
            self.control(Control::Pong, &payload);
        }
    }

    /// Adds a close frame; behind it nothing is to be added. A reason that is too long is cut.
    pub(super) fn close(&mut self, code: Option<u16>, reason: &str) {
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(cut(reason, CONTROL - 2).as_bytes());
        }
        self.pong = None;
        self.control(Control::Close, &payload);
    }

    /// A control frame goes behind a large message; nobody adds more of them than one ping and one close frame then.
    fn control(&mut self, control: Control, payload: &[u8]) {
        if !self.body.is_empty() {
            self.frames.extend_from_slice(&std::mem::take(&mut self.body));
        }
        self.header(OpCode::Control(control), false, payload.len());
        self.frames.extend_from_slice(payload);
    }

    fn header(&mut self, opcode: OpCode, rsv1: bool, length: usize) {
        let header = FrameHeader { rsv1, opcode, ..FrameHeader::default() };
        self.frames.reserve(header.len(length as u64) + if length < LARGE { length } else { 0 });
        // A vector takes all that is written to it.
        let _ = header.format(length as u64, &mut self.frames);
    }

    /// Writes all there is.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let frames = &self.frames[self.written..];
            if frames.is_empty() && self.body.is_empty() {
                self.frames = Vec::new();
                self.written = 0;
                match self.pong.take() {
                    Some(payload) => self.control(Control::Pong, &payload),
                    None => return Poll::Ready(Ok(())),
                }
                continue;
            }
            let slices = [IoSlice::new(frames), IoSlice::new(&self.body)];
            let socket = Pin::new(&mut *socket);
            let count = ready!(if self.body.is_empty() {
                socket.poll_write(cx, frames)
            } else {
                socket.poll_write_vectored(cx, &slices)
            })?;
            if count == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            let of_frames = count.min(frames.len());
            self.written += of_frames;
            self.body.advance(count - of_frames);
        }
    }
}

/// At most `most` bytes of a text, in whole characters.
fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}
