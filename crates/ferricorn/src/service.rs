//! A tower service as an application.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use ferricorn_protocol::{
    Answer, App, AppFault, BodyError, ClientAddress, Drive, Head, Request, Response, ResponseBody,
};
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use tower_service::Service;

use crate::Body;

/// A service that answers requests, each with a clone of its own.
///
/// The lock is there for services that are not `Sync`; it is held for the time of a clone.
pub(crate) struct ServiceApp<S>(Mutex<S>);

impl<S> ServiceApp<S> {
    pub(crate) fn new(service: S) -> Self {
        Self(Mutex::new(service))
    }
}

impl<S, B> App for ServiceApp<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: Send,
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn drive(&self) -> Drive {
        Drive::Task
    }

    fn call(&self, request: Box<Request>) -> Answer {
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let request = *request;
        let mut parts = request.head;
        // What the app may want to know of the connection, by type, as axum's extractors look for it.
        parts.extensions.insert(request.connection);
        if let Some(client) = request.client {
            parts.extensions.insert(ClientAddress(client));
        }
        let request = http::Request::from_parts(parts, Body::new(request.body));
        Answer::Later(Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(fault)?;
            service.call(request).await.map(response).map_err(fault)
        }))
    }
}

fn response<B>(response: http::Response<B>) -> Box<Response>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact();
    let body = if body.is_end_stream() {
        ResponseBody::Empty
    } else {
        // A length that is known is told, so that the body need not be chunked.
        if let Some(length) = length {
            parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        ResponseBody::Stream(Box::pin(Outgoing(Box::pin(body))))
    };
    Box::new(Response::new(Head { status: parts.status, reason: None, headers: parts.headers }, body))
}

/// A response body with its data and errors as the server knows them.
struct Outgoing<B>(Pin<Box<B>>);

impl<B> http_body::Body for Outgoing<B>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = self.0.as_mut().poll_frame(cx);
        frame.map(|frame| {
            let frame = frame?.map_err(|error| BodyError::App(fault(error)));
            Some(frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The error with all its causes, in one line.
fn fault(error: impl Into<Box<dyn Error + Send + Sync>>) -> AppFault {
    let error = error.into();
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    AppFault::new(message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::extract::Request as AxumRequest;
    use axum::routing::{get, post};
    use ferricorn_protocol::{Connection, Local, RequestBody};
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn app() -> ServiceApp<Router> {
        ServiceApp::new(
            Router::new()
                .route("/", get(async || "hello"))
                .route("/empty", get(async || ()))
                .route("/echo", post(async |request: AxumRequest| request.into_body()))
                .route(
                    "/peer",
                    get(async |request: AxumRequest| {
                        let connection: Option<&Arc<Connection>> = request.extensions().get();
                        let peer = connection.and_then(|connection| connection.peer);
                        format!("{peer:?} {:?}", request.extensions().get::<ClientAddress>())
                    }),
                ),
        )
    }

    fn answer(method: &str, path: &str, body: RequestBody) -> Result<Box<Response>, AppFault> {
        let (head, ()) = http::Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
        let peer = Some("192.0.2.1:5".parse().unwrap());
        let connection = Connection::new(peer, Local::Tcp("127.0.0.1:80".parse().unwrap()), false);
        let mut request = Request::new(head, Arc::new(connection), body);
        request.client = Some("198.51.100.7".parse().unwrap());
        match app().call(Box::new(request)) {
            Answer::Later(future) => block_on(future),
            _ => panic!("a service answers with a future"),
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// The whole body, or why it has no end.
    fn bytes(response: Box<Response>) -> Result<Bytes, BodyError> {
        match response.body {
            ResponseBody::Empty => Ok(Bytes::new()),
            ResponseBody::Stream(stream) => block_on(stream.collect()).map(|body| body.to_bytes()),
            _ => panic!("a service's body streams"),
        }
    }

    #[test]
    fn a_service_answers() {
        let response = answer("GET", "/", RequestBody::Empty).unwrap();
        assert_eq!(response.head.status, 200);
        assert_eq!(response.head.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(bytes(response).unwrap(), "hello");
        assert_eq!(answer("GET", "/nowhere", RequestBody::Empty).unwrap().head.status, 404);
    }

    #[test]
    fn a_length_that_is_known_is_told() {
        let full = || http::Response::builder().status(200);
        let told =
            |answer: http::Response<Full<Bytes>>| response(answer).head.headers["content-length"].clone();
        assert_eq!(told(full().body("hello".into()).unwrap()), "5");
        assert_eq!(told(full().header("content-length", "7").body("hello".into()).unwrap()), "7");
    }

    #[test]
    fn no_body_is_told_as_none() {
        assert!(matches!(answer("GET", "/empty", RequestBody::Empty).unwrap().body, ResponseBody::Empty));
    }

    #[test]
    fn a_body_of_every_kind_can_be_read() {
        let echoed = |body| bytes(answer("POST", "/echo", body).unwrap()).unwrap();
        assert_eq!(echoed(RequestBody::Empty), "");
        assert_eq!(echoed(RequestBody::Memory("in memory".into())), "in memory");
        let text = vec![b'x'; 200_000];
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &text).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(echoed(RequestBody::File { file, length: 200_000 }), text);
    }

    #[test]
    fn a_body_cut_short_is_an_error_and_not_its_end() {
        let broken = Box::pin(Failing(vec![Err(BodyError::Broken("gone".to_owned())), Ok("begin".into())]));
        let response = answer("POST", "/echo", RequestBody::Stream(broken)).unwrap();
        let error = bytes(response).unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"short").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let response = answer("POST", "/echo", RequestBody::File { file, length: 10 }).unwrap();
        assert!(bytes(response).is_err());
    }

    #[test]
    fn the_connection_and_the_clients_address_are_among_the_extensions() {
        let response = answer("GET", "/peer", RequestBody::Empty).unwrap();
        assert_eq!(bytes(response).unwrap(), "Some(192.0.2.1:5) Some(ClientAddress(198.51.100.7))");
    }

    /// A body of these pieces, the last one first.
    struct Failing(Vec<Result<Bytes, BodyError>>);

    impl http_body::Body for Failing {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop().map(|piece| piece.map(Frame::data)))
        }
    }
}
