//! A tower service as an application.

use std::error::Error;
use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};

use bytes::Buf;
use ferricorn_protocol::{
    Answer, App, AppFault, BodyError, Drive, Head, Request, Response, ResponseBody, Stream,
};
use http_body_util::BodyExt;
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

    fn call(&self, request: Request) -> Answer {
        let mut service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut parts = request.head;
        // What the app may want to know of the connection, by type, as axum's extractors look for it.
        parts.extensions.insert(request.connection);
        let request = http::Request::from_parts(parts, Body::new(request.body));
        Answer::Later(Box::pin(async move {
            poll_fn(|cx| service.poll_ready(cx)).await.map_err(fault)?;
            service.call(request).await.map(response).map_err(fault)
        }))
    }
}

fn response<B>(response: http::Response<B>) -> Response
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = response.into_parts();
    let body = if body.is_end_stream() { ResponseBody::Empty } else { ResponseBody::Stream(stream(body)) };
    Response::new(Head { status: parts.status, reason: None, headers: parts.headers }, body)
}

fn stream<B>(body: B) -> Stream
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body = body.map_frame(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
    Box::pin(body.map_err(|error| BodyError::App(fault(error))))
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
