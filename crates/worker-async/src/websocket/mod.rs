//! WebSockets over HTTP/1.1 (RFC 6455), with permessage-deflate (RFC 7692).
//!
//! A request for one passes the gate and the service as any other; [`handshake`] holds it against its rules, and makes
//! the 101 of an app that consents. Then hyper lets go of the connection, and its task runs a [`session`]: frames in
//! through [`decode`], frames out through [`outbox`], with [`deflate`] under both as far as [`extension`] agreed to it.
//! [`party`] is the app, and [`pulse`] looks after all WebSockets of a worker: pings, and the end of the worker.
//!
//! An open WebSocket that is idle holds no buffers: what is read at once lies in memory that the sessions of a thread
//! share, and so do the states of zlib, since no message is compressed with those before it.

mod decode;
mod deflate;
mod extension;
mod handshake;
mod outbox;
mod party;
mod pulse;
mod scratch;
mod session;
mod switch;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use extension::Agreed;
pub(crate) use handshake::{Handshake, NotMet, VERSION};
pub(crate) use party::Party;
pub(crate) use pulse::Pulse;
pub(crate) use session::Session;
pub(crate) use switch::switch;

/// A WebSocket that was accepted, on its way from the service to the connection's task.
pub(crate) struct Opening {
    /// The app's side.
    pub(crate) party: Party,
    /// The extension that was agreed to.
    pub(crate) deflate: Option<Agreed>,
}

/// Where the service leaves a WebSocket for the connection's task.
#[derive(Default)]
pub(crate) struct Accepted(Mutex<Option<Opening>>);

impl Accepted {
    pub(crate) fn put(&self, opening: Opening) {
        self.lock().replace(opening);
    }

    pub(crate) fn take(&self) -> Option<Opening> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Opening>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a WebSocket ends that the server ends: a code of RFC 6455 section 7.4.1, and what to tell the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    code: u16,
    reason: &'static str,
}

impl Fault {
    const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    const fn data(reason: &'static str) -> Self {
        Self { code: 1007, reason }
    }

    const fn too_big(reason: &'static str) -> Self {
        Self { code: 1009, reason }
    }
}
