//! The response as an application gives it.

use std::fs::File;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{AppFault, AppThread, BodyError, ClientGone, Conversation, Takeover};

/// A body that streams, with back-pressure: nothing is produced before the one who reads polls for it.
pub type Stream = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>;

/// Status, reason and headers.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status code, 200 to 999.
    pub status: StatusCode,
    /// The reason phrase, where it is not the usual one of the status.
    pub reason: Option<Bytes>,
    /// The headers in the application's order. Hop-by-hop headers, `Server` and `Date` are the server's own
    /// and are replaced.
    pub headers: HeaderMap,
}

impl Head {
    /// How many headers a response may have. It leaves room for the server's own in a map that panics when it
    /// is full (`http` holds 24,576 names at most).
    pub const MOST_HEADERS: usize = 16_384;
}

/// One response.
pub struct Response {
    /// Status, reason and headers.
    pub head: Head,
    /// The body.
    pub body: ResponseBody,
    /// Values for the access log's `%({name}e)s` atoms, for the names in
    /// [`WorkerInfo::log_environ`](crate::WorkerInfo::log_environ), in that order.
    pub log_environ: Vec<Option<String>>,
}

impl Response {
    /// A response without notes for the access log.
    #[must_use]
    pub fn new(head: Head, body: ResponseBody) -> Self {
        Self { head, body, log_environ: Vec::new() }
    }
}

/// A response body. The server holds every kind to the `Content-Length` that the head declares: more is cut,
/// less ends the connection, and both are logged.
pub enum ResponseBody {
    /// No bytes.
    Empty,
    /// All bytes.
    Full(Bytes),
    /// A first piece, and a producer of more whose every step is an app call.
    Pulled {
        /// The first piece; not empty.
        first: Bytes,
        /// Where the others come from.
        rest: Box<dyn Pieces>,
    },
    /// A part of a file (`wsgi.file_wrapper`).
    File(FileBody),
    /// A body that streams by itself. Only from applications that answer with a future. Trailers in it are sent if
    /// the client takes them (RFC 9110 section 6.5.1).
    Stream(Stream),
    /// Consent to a WebSocket: the head is that of a 101, to which the server adds what the handshake needs. Only in
    /// answer to a request with an [`Offer`](crate::Offer).
    WebSocket(Box<dyn Conversation>),
}

/// A part of an open file that is the body.
pub struct FileBody {
    /// The file; read with positions of its own, so that the file's offset stays where it was.
    pub file: File,
    /// The first byte to send.
    pub offset: u64,
    /// How many bytes to send at most.
    pub length: u64,
    /// What to close when the body is done; its `next` is not called.
    pub rest: Option<Box<dyn Pieces>>,
}

/// The rest of a response that is produced piece by piece on an app thread.
pub trait Pieces: Send {
    /// The next piece that is not empty, or `None` at the end. Blocks as long as the application does.
    ///
    /// # Errors
    /// The application's exception.
    fn next(&mut self) -> Result<Option<Bytes>, AppFault>;

    /// Ends the production (the iterable's `close()`, PEP 3333). The server calls it exactly once, on an app
    /// thread, also when the client has left.
    ///
    /// # Errors
    /// The application's exception. The response is what it is without it.
    fn close(self: Box<Self>) -> Result<(), AppFault>;

    /// The client is slow to take what it was given, so whoever keeps something for the production alone shares it now.
    /// Not for applications.
    fn loosen(&mut self) {}

    /// The app thread on which the others of these calls are to be made, where that matters: what a Python view has
    /// opened, such as a database connection or a context, often belongs to its thread.
    fn home(&self) -> Option<AppThread> {
        None
    }
}

/// What reaches the client before the application's call has returned.
///
/// `begin` and `write` block the calling app thread; other requests are served meanwhile.
pub trait Early: Send + Sync {
    /// Sends the head and a first piece.
    ///
    /// # Errors
    /// [`ClientGone`] once the connection is closed.
    fn begin(&self, head: Head, first: Bytes) -> Result<(), ClientGone>;

    /// Sends a further piece, and returns when the one before it has been written to the socket.
    ///
    /// # Errors
    /// [`ClientGone`] once the connection is closed.
    fn write(&self, piece: Bytes) -> Result<(), ClientGone>;

    /// Sends an informational response with these headers (103, RFC 8297), if the client still waits for the
    /// head. It returns at once. Not for a client of HTTP/1.0, which knows no such responses.
    fn hint(&self, headers: &HeaderMap);

    /// How the application gets the connection itself, where it can.
    fn takeover(&self) -> Option<&dyn Takeover> {
        None
    }
}

/// Informational responses before the answer, from an application that answers with a future.
pub trait Hints: Send + Sync {
    /// Sends an informational response with these headers (103, RFC 8297), if the client still waits for the head. It
    /// returns at once.
    fn hint(&self, headers: &HeaderMap);
}
