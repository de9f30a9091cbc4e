//! From a checked request to its response: policy, body, head. What is between them is the matter of [`call`].

use std::convert::Infallible;
use std::sync::Arc;

use ferricorn_protocol::{
    AppFault, BodyError, Connection, Head, Request, RequestBody, Response, ResponseBody,
};
use ferricorn_telemetry::tell_fault;
use ferricorn_unix::scoreboard::ErrorClass;
use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_VERSION, SERVER, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use crate::answer;
use crate::call::{self, Given};
use crate::deadline::Limit;
use crate::gate::{HeadFacts, Shared};
use crate::inbound::{ReadError, Share, Streaming, read_whole};
use crate::job::dispose;
use crate::newcomers::Newcomer;
use crate::outbound::OutBody;
use crate::policy::{self, Forbidden};
use crate::real_ip;
use crate::record::Record;
use crate::takeover::{Lent, Wish};
use crate::websocket::{Accepted, Handshake, NotMet, Opening, Party, VERSION, switch};
use crate::worker::Worker;

/// What every request of one connection shares.
pub(crate) struct Context {
    pub(crate) worker: Arc<Worker>,
    pub(crate) connection: Arc<Connection>,
    pub(crate) gate: Arc<Shared>,
    /// Tells the acceptor that the first request has come.
    pub(crate) newcomer: Newcomer,
    /// The WebSocket that the answer before the last byte of HTTP has begun.
    pub(crate) accepted: Accepted,
    /// The wish of an app that answers with a future to take the connection over.
    pub(crate) wish: Wish,
    /// The loan of the connection to an app that takes it over.
    pub(crate) lent: Lent,
}

/// Why a request is answered without the app.
struct Refusal {
    status: StatusCode,
    /// What was wrong, for the log and for the answer. It never repeats bytes of the client.
    why: String,
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

/// Answers one request. It never fails: whatever goes wrong is a response.
pub(crate) async fn handle(
    context: Arc<Context>,
    request: http::Request<Incoming>,
) -> Result<http::Response<OutBody>, Infallible> {
    let (head, incoming) = request.into_parts();
    let worker = &context.worker;
    context.gate.number(worker.lifecycle.count_request());
    let asked_head = head.method == Method::HEAD;
    let asked_tunnel = head.method == Method::CONNECT;
    let ticket = worker.request_begins(&head);
    let mut request = Box::new(Request::new(head, context.connection.clone(), RequestBody::Empty));
    let facts = context.gate.next_head();
    let close = facts.last;
    // What blocks cannot have a conversation, but it may take the connection over for one.
    let asked_websocket = facts.websocket && worker.app.converses();
    let mut handshake = None;
    let mut admitted = admit(&context, &mut request, facts);
    if asked_websocket && admitted.is_ok() {
        match begin_handshake(&context, &mut request, &incoming) {
            Ok(begun) => handshake = Some(begun),
            Err(refusal) => admitted = Err(refusal),
        }
    }
    let capture = worker.access_log.as_ref().map(|log| Box::new(log.begin(&request)));
    let mut record = Record::open(worker, ticket, capture);
    // The share of the memory for bodies is held until the call is over.
    let mut share = worker.body_memory.share();
    let calling = match admitted {
        Err(refusal) => Err(refusal),
        Ok(()) if incoming.is_end_stream() => Ok(call::begin(&context, &mut record, request)),
        Ok(()) => match take_body(&context, &request.head.headers, incoming, &mut share).await {
            Err(refusal) => Err(refusal),
            Ok(body) => {
                request.body = body;
                Ok(call::begin(&context, &mut record, request))
            }
        },
    };
    let mut limit = None;
    let given = match calling {
        Err(refusal) => Given::Whole(refuse(&context, &mut record, &refusal)),
        Ok(begun) => {
            limit = begun.limit;
            call::finish(&context, &mut record, begun.calling, &mut limit).await
        }
    };
    let given = if asked_tunnel { refuse_tunnel(worker, &record, given) } else { given };
    Ok(match given {
        Given::Whole(response) if matches!(response.body, ResponseBody::WebSocket(_)) => {
            open(&context, record, *response, handshake)
        }
        given => respond(&context, record, given, limit, asked_head, close),
    })
}

/// Holds a request for a WebSocket against the rules, and puts the offer into it.
#[cold]
fn begin_handshake(
    context: &Context,
    request: &mut Request,
    incoming: &Incoming,
) -> Result<Box<Handshake>, Refusal> {
    let deflate = context.worker.settings.websocket.per_message_deflate;
    match Handshake::read(&request.head, !incoming.is_end_stream(), deflate) {
        Ok(handshake) => {
            request.websocket = Some(Box::new(handshake.offer()));
            Ok(Box::new(handshake))
        }
        Err(NotMet { status, why }) => Err(Refusal::new(status, why)),
    }
}

/// Answers with the app's consent to a WebSocket, if it was asked for.
#[cold]
fn open(
    context: &Context,
    record: Record,
    response: Response,
    handshake: Option<Box<Handshake>>,
) -> http::Response<OutBody> {
    let Response { head, body: ResponseBody::WebSocket(conversation), log_environ } = response else {
        return respond(context, record, Given::Whole(Box::new(response)), None, false, false);
    };
    let party = Party::new(conversation);
    let consent = match handshake {
        Some(handshake) => check_headers(&head).map(|()| handshake),
        None => Err(AppFault::new("the app accepts a WebSocket that the client did not ask for")),
    };
    match consent {
        Ok(handshake) => {
            context.accepted.put(Opening { party, deflate: handshake.deflate() });
            let server = context.worker.server.as_ref();
            switch(&context.gate, record, &handshake, head, server, log_environ)
        }
        Err(fault) => {
            let page = Given::Whole(call::fail(&context.worker, &record, &fault));
            respond(context, record, page, None, false, true)
        }
    }
}

/// Applies what the gate found and what the operator allows.
fn admit(context: &Context, request: &mut Request, facts: HeadFacts) -> Result<(), Refusal> {
    let trust = &context.worker.settings.trust;
    let trusted = context.connection.trusted;
    request.raw_target = facts.raw_target;
    request.sent_version = facts.sent_version;
    let headers = &mut request.head.headers;
    // As in gunicorn the scheme's headers count before any is dropped.
    let scheme = policy::scheme(headers, trust, trusted);
    let result = if facts.underscores { policy::underscores(headers, trust, trusted) } else { Ok(()) };
    match result.and(scheme) {
        Ok(scheme) => {
            request.scheme = scheme;
            if let Some(real_ip) = trust.real_ip.as_ref().filter(|_| trusted) {
                request.client = real_ip::client(headers, real_ip);
            }
            Ok(())
        }
        Err(Forbidden::Underscore) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, "a header name contains an underscore"))
        }
        Err(Forbidden::Scheme) => {
            Err(Refusal::new(StatusCode::BAD_REQUEST, "the scheme headers contradict each other"))
        }
    }
}

/// Reads the body, if the app wants it whole, or lets it stream.
async fn take_body(
    context: &Context,
    headers: &HeaderMap,
    incoming: Incoming,
    share: &mut Share<'_>,
) -> Result<RequestBody, Refusal> {
    let limit = context.worker.settings.limits.request_body;
    if declared_length(headers).ok().flatten().zip(limit).is_some_and(|(length, limit)| length > limit) {
        return Err(refuse_body(&BodyError::TooLarge));
    }
    if !context.worker.app.drive().blocks() {
        return Ok(RequestBody::Stream(Box::pin(Streaming::new(incoming, limit))));
    }
    read_whole(incoming, limit, share).await.map_err(|error| match error {
        ReadError::Client(error) => refuse_body(&error),
        ReadError::Disk(error) => {
            tracing::error!("No room for a request body in {}: {error}", std::env::temp_dir().display());
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server has no room for the request body")
        }
    })
}

fn refuse_body(error: &BodyError) -> Refusal {
    let status = match error {
        BodyError::Timeout => StatusCode::REQUEST_TIMEOUT,
        BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::Broken(_) | BodyError::App(_) => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, error.to_string())
}

/// The answer to a request that the app does not get. If the client is to blame the log tells of it.
#[cold]
fn refuse(context: &Context, record: &mut Record, refusal: &Refusal) -> Box<Response> {
    let Refusal { status, why } = refusal;
    if status.is_server_error() {
        record.failed(ErrorClass::Server);
    } else {
        let peer = context.connection.peer.map(|peer| peer.ip());
        context.worker.complaints.tell(peer, why, record.raw_line().as_bytes());
    }
    let mut page = answer::error(*status, &format!("{why}."));
    if *status == StatusCode::UPGRADE_REQUIRED {
        // RFC 9110 section 15.5.22 and RFC 6455 section 4.4.
        let headers = &mut page.head.headers;
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
    }
    page
}

/// Puts a 501 in the place of an app's consent to CONNECT: what follows would be a tunnel, which a server that is
/// no proxy does not have (RFC 9110 section 9.3.6).
fn refuse_tunnel(worker: &Arc<Worker>, record: &Record, given: Given) -> Given {
    let ticket = record.ticket();
    match given {
        Given::Whole(response) if response.head.status.is_success() => dispose(worker, response.body, ticket),
        Given::Begun(head, pipe) if head.status.is_success() => pipe.close(worker, ticket),
        other => return other,
    }
    Given::Whole(answer::error(StatusCode::NOT_IMPLEMENTED, "This server opens no tunnels."))
}

/// Makes what hyper sends.
fn respond(
    context: &Context,
    mut record: Record,
    given: Given,
    limit: Option<Box<Limit>>,
    asked_head: bool,
    close: bool,
) -> http::Response<OutBody> {
    let (mut head, log_environ, body) = match given {
        Given::Whole(response) => {
            let Response { head, body, log_environ } = *response;
            (head, log_environ, Ok(body))
        }
        Given::Begun(head, pipe) => (*head, Vec::new(), Err(pipe)),
    };
    // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5; of these a 304 alone may tell a length (section 8.6).
    let lengthless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    let without_content = lengthless || head.status == StatusCode::NOT_MODIFIED;
    let bodiless = asked_head || without_content;
    if lengthless {
        head.headers.remove(CONTENT_LENGTH);
    }
    let length = match check(&head) {
        Ok(length) => length,
        Err(fault) => {
            tell_fault(&format!("Error handling request {}", record.request_line()), &fault);
            match body {
                Ok(body) => dispose(&context.worker, body, record.ticket()),
                Err(pipe) => pipe.close(&context.worker, record.ticket()),
            }
            let page = Given::Whole(answer::error(StatusCode::INTERNAL_SERVER_ERROR, ""));
            return respond(context, record, page, None, asked_head, close);
        }
    };
    if let (true, None, Ok(ResponseBody::Full(bytes))) = (asked_head && !without_content, length, &body) {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    match &context.worker.server {
        Some(server) => drop(head.headers.insert(SERVER, server.clone())),
        None => drop(head.headers.remove(SERVER)),
    }
    // Whoever answers in pieces may read on meanwhile.
    let unread = context.gate.is_owing() && !matches!(body, Ok(ResponseBody::Stream(_)));
    if close || unread || context.gate.is_broken() || context.worker.ends_connections() {
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    record.head(head.status, &head.headers, log_environ);
    record.answered(&head);
    let gate = context.gate.clone();
    let mut body = match body {
        Ok(body) if bodiless => OutBody::none(body, length, gate, record),
        Ok(body) => OutBody::new(body, length, gate, record),
        Err(pipe) => OutBody::piped(pipe, length, gate, record, bodiless),
    };
    if limit.is_some() {
        body.limit(limit);
    }
    let mut response = http::Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if let Some(reason) = head.reason.and_then(|reason| ReasonPhrase::try_from(reason).ok()) {
        response.extensions_mut().insert(reason);
    }
    response
}

/// What HTTP can carry, and hyper: the Content-Length that the head declares.
fn check(head: &Head) -> Result<Option<u64>, AppFault> {
    if head.status.is_informational() {
        return Err(AppFault::new(format!("the status {} is not that of a final response", head.status)));
    }
    check_headers(head)?;
    declared_length(&head.headers)
}

/// How many headers hyper and its map can carry.
fn check_headers(head: &Head) -> Result<(), AppFault> {
    if head.headers.len() > Head::MOST_HEADERS {
        return Err(AppFault::new(format!("the response has more than {} headers", Head::MOST_HEADERS)));
    }
    Ok(())
}

/// The Content-Length that a head declares.
fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, AppFault> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else { return Ok(None) };
    let length = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match length.and_then(|text| text.parse().ok()) {
        Some(length) if values.all(|other| other == first) => Ok(Some(length)),
        _ => Err(AppFault::new(format!("the response has an invalid Content-Length: {first:?}"))),
    }
}
