//! A request body as it arrives.

use std::mem;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_protocol::{BodyError, Head, Request, RequestBody, Response, ResponseBody, Stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// See the module's first line.
pub(crate) struct Inflow {
    /// None once it has ended, and for a request without one.
    stream: Option<Stream>,
    /// What has come of it before the application asked.
    early: Option<Result<Bytes, BodyError>>,
}

impl Inflow {
    /// Takes the body of a request, and asks for it before the application does, so that the connection gets it ready;
    /// not if the client waits for a sign that it is wanted (RFC 9110 section 10.1.1).
    pub(crate) fn of(request: &mut Request) -> Self {
        let mut stream = match mem::replace(&mut request.body, RequestBody::Empty) {
            RequestBody::Stream(stream) => Some(stream),
            _ => None,
        };
        let mut early = None;
        if let Some(body) = stream.as_mut().filter(|_| !request.head.headers.contains_key(header::EXPECT))
            && let Poll::Ready(frame) = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
        {
            early = frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()));
            if early.is_none() {
                stream = None;
            }
        }
        Self { stream, early }
    }

    /// The next piece, or none at the end.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(early) = self.early.take() {
            return Poll::Ready(Some(early));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        loop {
            match stream.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Some(Ok(data))),
                    // Trailers of requests have no place in ASGI, nor in WSGI.
                    _ => {}
                },
                Poll::Ready(last) => return Poll::Ready(last.map(|last| last.map(|_| Bytes::new()))),
            }
        }
    }

    /// Whether nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.early.is_none() && self.stream.as_ref().is_none_or(|stream| stream.is_end_stream())
    }

    /// What is left of it, which is nobody's: the connection need not keep it. To be dropped when no lock is held.
    #[must_use]
    pub(crate) fn take(&mut self) -> Self {
        Self { stream: self.stream.take(), early: self.early.take() }
    }
}

/// The answer in the application's place when its request body cannot come.
pub(crate) fn refusal(error: &BodyError) -> Box<Response> {
    let status = match error {
        BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::Timeout => StatusCode::REQUEST_TIMEOUT,
        BodyError::Broken(_) | BodyError::App(_) => StatusCode::BAD_REQUEST,
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let body = ResponseBody::Full(Bytes::from(format!("{error}.\n")));
    Box::new(Response::new(Head { status, reason: None, headers }, body))
}
