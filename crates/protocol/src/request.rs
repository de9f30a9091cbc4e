//! The request as an application receives it.

use std::any::Any;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::request::Parts;

use crate::{Deadline, Early, Hints, Offer, Stream, Takeover};

/// One HTTP request. Its head has passed the server's rules: framing is sound, headers that a client may not
/// set are gone, and the scheme is the one that a trusted proxy gave.
pub struct Request {
    /// Method, URI, version and headers.
    pub head: Parts,
    /// The request-target exactly as the client sent it, where [`Parts::uri`] could not hold it as it was.
    pub raw_target: Option<Bytes>,
    /// The version as major and minor digit, where [`Parts::version`] could not hold it as it was.
    pub sent_version: Option<(u8, u8)>,
    /// `http` or `https`, after the trusted proxy's headers.
    pub scheme: Scheme,
    /// The client's address as a trusted proxy tells it (`real_ip_header`), where that is not the peer's.
    pub client: Option<IpAddr>,
    /// Facts that every request of this connection shares.
    pub connection: Arc<Connection>,
    /// The body.
    pub body: RequestBody,
    /// How an application that runs on the seat sends bytes before it returns (the `write` callable of
    /// PEP 3333). Absent for applications that answer with a future.
    pub early: Option<Arc<dyn Early>>,
    /// How an application that answers with a future sends informational responses before its answer. Absent for
    /// a client of HTTP/1.0, and for applications on the seat, which have [`Early::hint`].
    pub hints: Option<Arc<dyn Hints>>,
    /// How an application with [`Drive::Hosted`](crate::Drive::Hosted) that does not
    /// [converse](crate::App::converses) goes on with the connection alone. One on the seat has [`Early::takeover`].
    pub takeover: Option<Arc<dyn Takeover>>,
    /// What the client offers, if it asks for a WebSocket. The application may consent with
    /// [`ResponseBody::WebSocket`](crate::ResponseBody::WebSocket), or answer as usual.
    pub websocket: Option<Box<Offer>>,
    /// Until when the request must be answered, if the operator bounds that.
    pub deadline: Option<Arc<dyn Deadline>>,
}

impl Request {
    /// A plain request: http, from the peer itself, and with nothing that its head could not hold.
    #[must_use]
    pub fn new(head: Parts, connection: Arc<Connection>, body: RequestBody) -> Self {
        Self {
            head,
            raw_target: None,
            sent_version: None,
            scheme: Scheme::Http,
            client: None,
            connection,
            body,
            early: None,
            hints: None,
            takeover: None,
            websocket: None,
            deadline: None,
        }
    }

    /// The client's address: what a trusted proxy tells, else the peer's; `None` on a Unix socket.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client.or_else(|| self.connection.peer.map(|peer| peer.ip()))
    }

    /// The request-target as sent, query and fragment included (gunicorn's `RAW_URI`).
    #[must_use]
    pub fn target(&self) -> &[u8] {
        match (&self.raw_target, self.head.uri.path_and_query()) {
            (Some(raw), _) => raw,
            (None, Some(target)) => target.as_str().as_bytes(),
            (None, None) => b"",
        }
    }

    /// The path, still percent-encoded, as sent; for an absolute-form target the part behind the authority.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        split_target(self.target()).0
    }

    /// The query without its `?`, as sent; empty if there is none.
    #[must_use]
    pub fn query(&self) -> &[u8] {
        split_target(self.target()).1
    }
}

/// Splits a request-target (RFC 9112 section 3.2) into path and query and drops a fragment.
#[must_use]
pub fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let target = match target.iter().position(|&byte| byte == b'#') {
        Some(at) => &target[..at],
        None => target,
    };
    let (before, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &b""[..]),
    };
    if before.first() == Some(&b'/') || before == b"*" {
        return (before, query);
    }
    let authority = match before.windows(3).position(|window| window == b"://") {
        Some(at) => at + 3,
        None => return (before, query),
    };
    match before[authority..].iter().position(|&byte| byte == b'/') {
        Some(at) => (&before[authority + at..], query),
        None => (b"/", query),
    }
}

/// The scheme under which the client asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, ended here or at a trusted proxy.
    Https,
}

impl Scheme {
    /// `"http"` or `"https"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    /// The client's address; `None` on a Unix socket. It is the socket's, unless the PROXY protocol gave
    /// another.
    pub peer: Option<SocketAddr>,
    /// The listener's own address.
    pub local: Local,
    /// Whether the socket's peer is a proxy whose headers count (`forwarded_allow_ips`, or any peer of a Unix
    /// socket).
    pub trusted: bool,
    /// What the PROXY protocol said, if it was spoken.
    pub proxied: Option<Proxied>,
    /// A place where the application's bridge keeps what it derives once a connection.
    pub notes: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl Connection {
    /// A connection without the PROXY protocol.
    #[must_use]
    pub fn new(peer: Option<SocketAddr>, local: Local, trusted: bool) -> Self {
        Self { peer, local, trusted, proxied: None, notes: OnceLock::new() }
    }
}

/// What a header of the PROXY protocol says beside the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// `TCP4` or `TCP6`; without addresses `UNKNOWN` (version 1), `LOCAL` or `UNSPEC` (version 2).
    pub protocol: &'static str,
    /// The address at which the proxy was asked.
    pub destination: Option<SocketAddr>,
}

/// The client's address as a trusted proxy tells it (`real_ip_header`): an extension of the requests that a
/// Rust app gets, present only where it is not the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The address that a listener is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket's path; empty for an unnamed one.
    Unix(PathBuf),
}

/// A request body.
pub enum RequestBody {
    /// There is none.
    Empty,
    /// The whole body, in memory.
    Memory(Bytes),
    /// The whole body, in an unlinked file that stands at its beginning.
    File {
        /// The file.
        file: File,
        /// How many bytes it holds.
        length: u64,
    },
    /// The body as it arrives; dropping it unread is allowed. Only for applications that answer with a future.
    Stream(Stream),
}

#[cfg(test)]
mod tests {
    use super::split_target;

    fn split(target: &str) -> (&str, &str) {
        let (path, query) = split_target(target.as_bytes());
        (std::str::from_utf8(path).unwrap(), std::str::from_utf8(query).unwrap())
    }

    #[test]
    fn targets_of_every_form_split_into_path_and_query() {
        assert_eq!(split("/a/b?c=d?e"), ("/a/b", "c=d?e"));
        assert_eq!(split("/a#f?g"), ("/a", ""));
        assert_eq!(split("/a?b#c"), ("/a", "b"));
        assert_eq!(split("*"), ("*", ""));
        assert_eq!(split("http://host:80/a?b"), ("/a", "b"));
        assert_eq!(split("http://host?b"), ("/", "b"));
        assert_eq!(split("/http://x/"), ("/http://x/", ""));
        assert_eq!(split("host:80"), ("host:80", ""));
    }
}
