//! The app's side of a WebSocket: it hears of the end once, whatever happens, and a panic in it costs one WebSocket.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

use ferricorn_protocol::{Conversation, End, Message, Outgoing};

use crate::job::panicked;

/// See the module's first line.
pub(crate) struct Party(Option<Box<dyn Conversation>>);

/// The app has panicked, and was dropped.
pub(super) struct Panicked;

impl Party {
    pub(crate) fn new(conversation: Box<dyn Conversation>) -> Self {
        Self(Some(conversation))
    }

    /// Whether the app takes another message.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Panicked> {
        self.guarded(|app| app.poll_room(cx)).map(|room| room.unwrap_or(Poll::Pending))
    }

    /// Hands over a message.
    pub(super) fn receive(&mut self, message: Message) -> Result<(), Panicked> {
        self.guarded(|app| app.receive(message)).map(|_| ())
    }

    /// The app's next word.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Result<Poll<Outgoing>, Panicked> {
        self.guarded(|app| app.poll_next(cx)).map(|next| next.unwrap_or(Poll::Pending))
    }

    /// Tells the app that the WebSocket has ended, if it has not heard so before, and lets go of it.
    pub(super) fn end(&mut self, end: End) {
        // A panic here has nobody left to concern.
        let _ = self.guarded(|app| app.ended(end));
        self.0 = None;
    }

    fn guarded<T>(&mut self, step: impl FnOnce(&mut dyn Conversation) -> T) -> Result<Option<T>, Panicked> {
        let Some(app) = &mut self.0 else { return Ok(None) };
        match catch_unwind(AssertUnwindSafe(|| step(&mut **app))) {
            Ok(result) => Ok(Some(result)),
            Err(panic) => {
                tracing::error!("Error in a WebSocket: {}", panicked(&*panic));
                let app = self.0.take();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(app)));
                Err(Panicked)
            }
        }
    }
}

impl Drop for Party {
    /// The connection was cut, or the handshake failed after the app's consent.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end(End { code: 1006, reason: String::new() });
        }
    }
}
