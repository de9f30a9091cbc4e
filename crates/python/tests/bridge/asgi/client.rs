//! The connection's part: bodies that come in pieces both ways, and a WebSocket's conversation.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use ferricorn_protocol::{
    BodyError, Conversation, End, Hints, Message, Offer, Outgoing, Request, RequestBody, Response,
    ResponseBody, Stream,
};
use http::HeaderMap;
use http_body::{Body, Frame};

use crate::support::get;

/// A request body that comes when the test says so.
#[derive(Clone, Default)]
pub(super) struct Upload(Arc<Mutex<Coming>>);

#[derive(Default)]
struct Coming {
    frames: VecDeque<Result<Frame<Bytes>, BodyError>>,
    ended: bool,
    asked: bool,
    waker: Option<Waker>,
    /// The script, which waits for the body to be asked for.
    script: Option<Waker>,
}

impl Upload {
    /// A `POST` whose body is this one.
    pub(super) fn request(&self) -> Request {
        let mut request = get("/");
        request.head.method = http::Method::POST;
        request.body = RequestBody::Stream(Box::pin(Self(self.0.clone())));
        request
    }

    /// A further piece.
    pub(super) fn piece(&self, bytes: &'static [u8]) {
        self.come(|coming| coming.frames.push_back(Ok(Frame::data(Bytes::from_static(bytes)))));
    }

    /// The last piece of a body whose length was told.
    pub(super) fn last(&self, bytes: &'static [u8]) {
        self.come(|coming| {
            coming.frames.push_back(Ok(Frame::data(Bytes::from_static(bytes))));
            coming.ended = true;
        });
    }

    /// The end of a body that is chunked, with trailers.
    pub(super) fn end(&self) {
        self.come(|coming| {
            coming.frames.push_back(Ok(Frame::trailers(HeaderMap::new())));
            coming.ended = true;
        });
    }

    pub(super) fn fail(&self, error: BodyError) {
        self.come(|coming| coming.frames.push_back(Err(error)));
    }

    /// Whether a piece has been asked for.
    pub(super) fn is_asked_for(&self) -> bool {
        self.0.lock().unwrap().asked
    }

    /// Waits until a piece is asked for.
    pub(super) async fn asked_for(&self) {
        poll_fn(|cx| {
            let mut coming = self.0.lock().unwrap();
            coming.script = Some(cx.waker().clone());
            if coming.asked { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether the application's side has let go of the body.
    pub(super) fn is_let_go(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn come(&self, what: impl FnOnce(&mut Coming)) {
        let mut coming = self.0.lock().unwrap();
        what(&mut coming);
        let waker = coming.waker.take();
        drop(coming);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut coming = self.0.lock().unwrap();
        coming.asked = true;
        if let Some(script) = coming.script.take() {
            script.wake();
        }
        match coming.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if coming.ended => Poll::Ready(None),
            None => {
                coming.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let coming = self.0.lock().unwrap();
        coming.ended && coming.frames.is_empty()
    }
}

/// A response body that streams.
pub(super) struct Download(Stream);

impl Download {
    pub(super) fn of(response: Response) -> Self {
        match response.body {
            ResponseBody::Stream(stream) => Self(stream),
            _ => panic!("the body does not stream"),
        }
    }

    /// The next piece, which is data.
    pub(super) async fn piece(&mut self) -> Bytes {
        match self.frame().await {
            Some(Ok(frame)) => frame.into_data().unwrap(),
            Some(Err(error)) => panic!("{error}"),
            None => panic!("the body has ended"),
        }
    }

    pub(super) async fn frame(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        poll_fn(|cx| self.0.as_mut().poll_frame(cx)).await
    }

    /// All that is left of the body, and its trailers.
    pub(super) async fn rest(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let (mut all, mut trailers) = (Vec::new(), None);
        while let Some(frame) = self.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => all.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        (all, trailers)
    }

    /// Why the body has no end.
    pub(super) async fn failure(&mut self) -> String {
        loop {
            match self.frame().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.to_string(),
                None => panic!("the body has ended well"),
            }
        }
    }
}

/// The bytes of a body that does not stream.
pub(super) fn whole(response: Response) -> Bytes {
    match response.body {
        ResponseBody::Empty => Bytes::new(),
        ResponseBody::Full(bytes) => bytes,
        _ => panic!("the body is not whole"),
    }
}

/// Early hints as the client got them.
#[derive(Default)]
pub(super) struct Hinted(pub(super) Mutex<Vec<String>>);

impl Hints for Hinted {
    fn hint(&self, headers: &HeaderMap) {
        let fields = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        self.0.lock().unwrap().push(fields.collect::<Vec<_>>().join(", "));
    }
}

/// A handshake, with these subprotocols offered.
pub(super) fn handshake(target: &str, subprotocols: &[&str]) -> Request {
    let mut request = get(target);
    let subprotocols = subprotocols.iter().map(|&name| name.to_owned()).collect();
    request.websocket = Some(Box::new(Offer { subprotocols }));
    request
}

/// The client's part in a WebSocket that the application has accepted.
pub(super) struct Talk(Box<dyn Conversation>);

impl Talk {
    pub(super) fn of(response: Response) -> Self {
        match response.body {
            ResponseBody::WebSocket(conversation) => Self(conversation),
            _ => panic!("the application did not accept: {}", response.head.status),
        }
    }

    pub(super) fn text(&mut self, text: &'static str) {
        self.0.receive(Message::Text(Bytes::from_static(text.as_bytes())));
    }

    pub(super) fn binary(&mut self, bytes: impl Into<Bytes>) {
        self.0.receive(Message::Binary(bytes.into()));
    }

    pub(super) async fn next(&mut self) -> Outgoing {
        poll_fn(|cx| self.0.poll_next(cx)).await
    }

    /// Waits until the application takes another message.
    pub(super) async fn room(&mut self) {
        poll_fn(|cx| self.0.poll_room(cx)).await;
    }

    pub(super) fn has_room(&mut self) -> bool {
        self.0.poll_room(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    pub(super) fn end(&mut self, code: u16, reason: &str) {
        self.0.ended(End { code, reason: reason.to_owned() });
    }
}

pub(super) fn text(text: &'static str) -> Outgoing {
    Outgoing::Message(Message::Text(Bytes::from_static(text.as_bytes())))
}

pub(super) fn close(code: u16, reason: &str) -> Outgoing {
    Outgoing::Close { code, reason: reason.to_owned() }
}
