//! Doors to the gate, and to what else reads foreign bytes, for the targets in `fuzz/` and for tests; not an
//! interface.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferricorn_config::{Grammar, Limits, ProxyProtocol, Trust};
use ferricorn_protocol::{Proxied, Scheme};
use http::{HeaderMap, HeaderName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::preface::{self, Preface};
use super::track::{Rest, Track};
use super::{Gate, HeadFacts, HeadRules, Shared};
use crate::policy;

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub struct Rules(HeadRules);

impl Rules {
    /// The grammar of the defaults, with these limits: bytes of the request line, fields, bytes of a field.
    #[must_use]
    pub fn new(request_line: usize, request_fields: usize, request_field_size: usize) -> Self {
        let limits = Limits { request_line, request_fields, request_field_size, request_body: None };
        Self(HeadRules::new(&limits, Grammar::default()))
    }

    /// The same limits with this grammar.
    #[must_use]
    pub fn under(self, grammar: Grammar) -> Self {
        Self(HeadRules { grammar, ..self.0 })
    }

    /// gunicorn's limits with this grammar.
    #[must_use]
    pub fn with(grammar: Grammar) -> Self {
        Self(HeadRules::with(grammar))
    }
}

impl Default for Rules {
    /// gunicorn's defaults.
    fn default() -> Self {
        Self::new(4094, 100, 8190)
    }
}

/// What the gate let through of the bytes of a connection, as one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// The bytes that hyper gets.
    pub bytes: Vec<u8>,
    /// What the service is told of each request.
    pub told: Vec<Told>,
    /// What the gate said of the bytes that did not pass.
    pub end: End,
}

/// What the service is told of a request beside what hyper tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The target, where hyper's cannot give it back.
    pub raw_target: Option<Vec<u8>>,
    /// The two digits of the version, where hyper gets another one.
    pub sent_version: Option<(u8, u8)>,
    /// Whether the name of a header contains `_`.
    pub underscores: bool,
    /// Whether the connection ends with this request.
    pub last: bool,
}

impl From<HeadFacts> for Told {
    fn from(facts: HeadFacts) -> Self {
        let HeadFacts { raw_target, sent_version, underscores, last, websocket: _ } = facts;
        Self { raw_target: raw_target.map(Vec::from), sent_version, underscores, last }
    }
}

/// What was said of the bytes that did not pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// There are none, or they can still become a head.
    #[default]
    Unfinished,
    /// They are no request: the status of the answer.
    Refused(u16),
    /// The body of the last request is broken.
    Broken,
    /// They came behind the connection's last request.
    Surplus,
}

/// A request that passed, and where it ends in the eyes of the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The head as the client sent it.
    pub sent: Vec<u8>,
    /// The head as hyper gets it.
    pub head: Vec<u8>,
    /// The body with its framing, as far as it passed.
    pub body: Vec<u8>,
    /// Whether the body is complete.
    pub whole: bool,
    /// Whether no other request may follow; known once the body is complete.
    pub sealed: bool,
}

/// Shows bytes to the gate in these pieces.
#[must_use]
pub fn pass<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, rules: Rules) -> Passage {
    let shared = Shared::default();
    let mut track = Track::new(rules.0);
    let mut passage = Passage::default();
    let mut kept = Vec::new();
    for piece in pieces {
        kept.extend_from_slice(piece);
        if !step(&mut track, &shared, &mut kept, &mut passage, |_, _| ()) {
            break;
        }
    }
    passage
}

/// Shows bytes to the gate one by one, and gives also the requests that it sees in them.
#[must_use]
pub fn requests(bytes: &[u8], rules: Rules) -> (Vec<Passed>, Passage) {
    let shared = Shared::default();
    let mut track = Track::new(rules.0);
    let mut passage = Passage::default();
    let mut requests = Vec::<Passed>::new();
    let mut kept = Vec::new();
    for &byte in bytes {
        kept.push(byte);
        let in_body = track.in_body();
        let goes_on = step(&mut track, &shared, &mut kept, &mut passage, |sent, passed| {
            if !in_body {
                requests.push(Passed { sent: sent.to_vec(), head: passed.to_vec(), ..Passed::default() });
            } else if let Some(request) = requests.last_mut() {
                request.body.extend_from_slice(passed);
            }
        });
        if let Some(request) = requests.last_mut().filter(|_| goes_on) {
            request.whole |= !track.in_body();
            request.sealed = track.is_sealed();
        }
        if !goes_on {
            break;
        }
    }
    (requests, passage)
}

/// Judges what is kept; false if nothing more can pass. `each` gets what was sent and what passes for it.
fn step(
    track: &mut Track,
    shared: &Shared,
    kept: &mut Vec<u8>,
    passage: &mut Passage,
    mut each: impl FnMut(&[u8], &[u8]),
) -> bool {
    loop {
        let admitted = track.admit(kept, shared);
        if admitted.pass > 0 {
            let passed = &kept[..admitted.pass];
            each(passed, passed);
            passage.bytes.extend_from_slice(passed);
            kept.drain(..admitted.pass);
        }
        let rewritten = match admitted.rest {
            Rest::Rewrite(rewrite) => {
                let sent: Vec<u8> = kept.drain(..rewrite.length).collect();
                each(&sent, &rewrite.head);
                passage.bytes.extend_from_slice(&rewrite.head);
                true
            }
            rest => {
                passage.end = match rest {
                    Rest::Refused(refusal) => End::Refused(refusal.status.as_u16()),
                    Rest::Broken(_) => End::Broken,
                    Rest::Surplus => End::Surplus,
                    Rest::Unfinished | Rest::Rewrite(_) => End::Unfinished,
                };
                false
            }
        };
        passage.hear(shared);
        if !rewritten {
            return passage.end == End::Unfinished;
        }
    }
}

impl Passage {
    /// Takes what was noted of the heads that have passed.
    fn hear(&mut self, shared: &Shared) {
        self.told.extend(answer_all(shared));
    }
}

/// Answers all requests that have passed, and gives what the service is told of them.
fn answer_all(shared: &Shared) -> Vec<Told> {
    let mut told = Vec::new();
    while shared.is_answering() {
        told.push(shared.next_head().into());
        shared.answered();
    }
    told
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Not yet clear.
    Incomplete,
    /// A request; the PROXY protocol is not spoken.
    Absent,
    /// A header of so many bytes, the client's address if it tells one, and what else it says.
    Header(usize, Option<SocketAddr>, Proxied),
    /// A header that is wrong or forbidden: the status of the answer.
    Refused(u16),
}

/// Looks for a header of the PROXY protocol at the beginning of a connection.
#[must_use]
pub fn preface(bytes: &[u8], mode: ProxyProtocol, allowed: bool) -> First {
    match preface::parse(bytes, mode, allowed) {
        Preface::Incomplete => First::Incomplete,
        Preface::Absent => First::Absent,
        Preface::Whole(header) => First::Header(header.length, header.source, header.proxied),
        Preface::Refused(refusal) => First::Refused(refusal.status.as_u16()),
    }
}

/// The scheme that a peer's headers tell; `None` if they contradict each other.
#[must_use]
pub fn scheme(headers: &HeaderMap, trust: &Trust, trusted: bool) -> Option<Scheme> {
    policy::scheme(headers, trust, trusted).ok()
}

/// Takes out the headers whose names contain `_`, as far as the policy wants it; false if it refuses them.
#[must_use]
pub fn underscores(headers: &mut HeaderMap, trust: &Trust, trusted: bool) -> bool {
    policy::underscores(headers, trust, trusted).is_ok()
}

/// The client's address in the fields of a header such as X-Forwarded-For or Forwarded, so many places from
/// the right, 1 or more.
#[must_use]
pub fn client_address(header: &HeaderName, fields: &[&[u8]], hops: usize) -> Option<IpAddr> {
    crate::real_ip::from_fields(header, fields.iter().copied(), hops)
}

/// A gate in front of a socket, for hyper.
#[derive(Debug)]
pub struct Guarded<S>(Gate<S>);

/// The service's side of a gate.
#[derive(Clone, Debug)]
pub struct Side(Arc<Shared>);

impl<S> Guarded<S> {
    /// A gate in front of a socket on which nothing has been read.
    pub fn new(socket: S, rules: Rules) -> (Self, Side) {
        let (gate, shared) = Gate::new(socket, rules.0);
        (Self(gate), Side(shared))
    }

    /// The socket, and the status of the answer if a request was refused.
    pub fn into_parts(self) -> (S, Option<u16>) {
        let status = self.0.refusal().map(|refusal| refusal.status.as_u16());
        (self.0.socket, status)
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Reads the header of the PROXY protocol, before anything else is read.
    pub fn poll_preface(
        &mut self,
        cx: &mut Context<'_>,
        mode: ProxyProtocol,
        allowed: bool,
    ) -> Poll<Option<(Option<SocketAddr>, Proxied)>> {
        self.0.poll_preface(cx, mode, allowed)
    }

    /// Waits at rest until there is something for hyper.
    pub fn poll_awake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_awake(cx)
    }
}

impl Side {
    /// What the service is told of the request that hyper has just given it.
    #[must_use]
    pub fn next_head(&self) -> Told {
        self.0.next_head().into()
    }

    /// The response to a request is complete.
    pub fn answered(&self) {
        self.0.answered();
    }

    /// Answers all requests that have passed.
    pub fn answer_all(&self) -> Vec<Told> {
        answer_all(&self.0)
    }

    /// Lets the connection rest, if it waits for a request; true if it does.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.0.rest();
        self.0.rests()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
