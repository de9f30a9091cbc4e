//! The client's connection itself, for an application that goes on with it alone.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use crate::Connection;

/// What an application may do with the connection of the request that it is called for, until its call has returned or its
/// future is ready (gunicorn's `environ['gunicorn.socket']`).
pub trait Takeover: Send + Sync {
    /// The connection that this is about.
    fn connection(&self) -> &Connection;

    /// A second descriptor for the client's socket, to ask the kernel about it. It does not block, and the server goes on
    /// with the connection: what the application read or wrote there would upset it.
    ///
    /// # Errors
    /// The connection is closed, or the process has no descriptor left.
    fn look(&self) -> io::Result<OwnedFd>;

    /// Ends HTTP on the connection, once all responses before were written, and lends the connection to the application for
    /// the rest of its call: the server neither reads nor writes until then, and sends no answer.
    ///
    /// On the seat it blocks the calling thread until the server has let go, while other requests are served, and is ready
    /// then. An application that answers with a future polls this as one; once it has begun to, the answer is read by
    /// nobody.
    ///
    /// # Errors
    /// The response has begun, the client has left, or there is no descriptor left.
    fn take_over(&self, cx: &mut Context<'_>) -> Poll<io::Result<Taken>>;
}

/// A connection that an application has taken over.
pub struct Taken {
    /// A stream socket that blocks. The first bytes to be read are those behind the request.
    pub descriptor: OwnedFd,
    /// To be dropped when the application has closed its descriptor: the server ends the connection then, and otherwise
    /// when the call has returned.
    pub lease: Box<dyn Send + Sync>,
}
