//! A WebSocket as an application has it (RFC 6455): messages in, messages out, an end.

use std::task::{Context, Poll};

use bytes::Bytes;

/// What a client offers that asks for a WebSocket. Its request has met the rules of the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The subprotocols, in the client's order: tokens of ASCII (RFC 6455 section 4.1).
    pub subprotocols: Vec<String>,
}

/// The application's side of an open WebSocket. The server calls it from the connection's task, and drops it when
/// the WebSocket has ended.
pub trait Conversation: Send {
    /// Whether the application takes another message. Until it does, the client is not read any further.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Hands over a message of the client, after [`Conversation::poll_room`] was ready.
    fn receive(&mut self, message: Message);

    /// The application's next word. The server gathers up to 64 KiB for one write, and asks again once that was written
    /// to the socket, so an application that sends faster than its client reads is held up here.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Outgoing>;

    /// The WebSocket has ended. Called once; the application's close is answered by it too.
    fn ended(&mut self, end: End);
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Valid UTF-8.
    Text(Bytes),
    /// Any bytes.
    Binary(Bytes),
}

/// What an application says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// A message.
    Message(Message),
    /// The end, with a code that may stand in a close frame (RFC 6455 section 7.4) and at most 123 bytes of reason.
    Close {
        /// The code.
        code: u16,
        /// The reason; may be empty.
        reason: String,
    },
    /// The application has gone without a close.
    Gone,
}

/// How a WebSocket ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The code of the close frame that ended it: the client's, or else the server's own. 1005 if it had none, 1006 if
    /// there was no close frame.
    pub code: u16,
    /// The reason that came with it.
    pub reason: String,
}
