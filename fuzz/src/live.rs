//! A connection in memory: a client that sends pieces, the gate, hyper, and a service that notes what it gets.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_worker_async::gate_fuzz::{Guarded, Rules, Side, Told};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::socket::{Bell, Socket};

/// How the connection is run.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether the socket has nothing to read for a moment after each piece.
    pub pauses: bool,
    /// Whether the connection is put to rest whenever it is idle.
    pub rests: bool,
    /// Whether the service reads bodies.
    pub reads: bool,
    /// How often the service has to wait before it answers.
    pub waits: usize,
    /// hyper's `half_close`.
    pub half_close: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    pub seen: Vec<Seen>,
    /// All that the client got.
    pub answers: Vec<u8>,
    /// The status of the gate's own answer, which is not among the answers.
    pub refused: Option<u16>,
    /// Whether hyper ended with an error.
    pub failed: bool,
}

/// A request as the service got it.
#[derive(Debug)]
pub struct Seen {
    pub method: Method,
    /// As hyper gives it.
    pub target: String,
    pub version: Version,
    pub fields: Vec<(String, Vec<u8>)>,
    pub told: Told,
    pub data: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    pub body: BodyEnd,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    Unread,
    Whole,
    Broken,
}

/// Sends the pieces, then closes the writing side, and lets the server do its work.
///
/// # Panics
/// The server neither ends nor makes progress, waits for nothing, or a resting connection loses bytes.
pub fn run(pieces: &[&[u8]], rules: Rules, manner: Manner) -> Outcome {
    let patience = 200 + 20 * pieces.len() + pieces.iter().map(|piece| piece.len()).sum::<usize>();
    let socket = Socket::new(pieces, manner.pauses);
    let (mut guarded, side) = Guarded::new(socket, rules);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    let mut polls = 0..patience;
    let mut turn = || assert!(polls.next().is_some(), "the connection goes round in circles");
    let woken = || assert!(bell.rang(), "nobody would wake the connection");
    loop {
        let service = service_fn(|request| answer(request, side.clone(), Rc::clone(&seen), manner));
        let mut connection = http1::Builder::new()
            .half_close(manner.half_close)
            .header_read_timeout(None)
            .serve_connection(TokioIo::new(guarded), service);
        let ended = loop {
            turn();
            match Pin::new(&mut connection).poll(&mut cx) {
                Poll::Ready(ended) => break Some(ended),
                Poll::Pending if manner.rests && side.rests() => break None,
                Poll::Pending => woken(),
            }
        };
        let parts = connection.into_parts();
        guarded = parts.io.into_inner();
        if let Some(ended) = ended {
            let (socket, refused) = guarded.into_parts();
            let seen = seen.take();
            return Outcome { seen, answers: socket.written, refused, failed: ended.is_err() };
        }
        assert!(parts.read_buf.is_empty(), "bytes are lost at rest: {:?}", parts.read_buf);
        while guarded.poll_awake(&mut cx).is_pending() {
            turn();
            woken();
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    side: Side,
    seen: Rc<RefCell<Vec<Seen>>>,
    manner: Manner,
) -> Result<Response<Answer>, Infallible> {
    let told = side.next_head();
    let last = told.last;
    let (head, incoming) = request.into_parts();
    let mut noted = Seen {
        method: head.method,
        target: head.uri.path_and_query().map(|target| target.to_string()).unwrap_or_default(),
        version: head.version,
        fields: listed(&head.headers),
        told,
        data: Vec::new(),
        trailers: Vec::new(),
        body: BodyEnd::Unread,
    };
    if manner.reads {
        read(incoming, &mut noted).await;
    }
    for _ in 0..manner.waits {
        a_moment().await;
    }
    let broken = noted.body == BodyEnd::Broken;
    seen.borrow_mut().push(noted);
    let mut response = Response::new(Answer(Full::new(Bytes::from_static(b"ok")), side));
    if broken {
        *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    if broken || last {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// Is woken once, and does nothing meanwhile.
async fn a_moment() {
    let mut over = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut over, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn read(incoming: Incoming, noted: &mut Seen) {
    let mut incoming = pin!(incoming);
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            noted.body = BodyEnd::Broken;
            return;
        };
        match frame.into_data() {
            Ok(data) => noted.data.extend_from_slice(&data),
            Err(frame) => noted.trailers = frame.trailers_ref().map(listed).unwrap_or_default(),
        }
    }
    noted.body = BodyEnd::Whole;
}

/// Fields in the order of their names, then as sent.
fn listed(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let field = |(name, value): (&header::HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), value.as_bytes().to_vec())
    };
    let mut fields: Vec<_> = headers.iter().map(field).collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

/// A body that tells the gate when hyper is done with it.
struct Answer(Full<Bytes>, Side);

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.1.answered();
    }
}
