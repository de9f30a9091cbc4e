//! Panics: each costs its request or its connection, and never the worker.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{Answer, App, AppFault, BodyError, Drive, Guest, Request, Response, ResponseBody};
use http_body::Frame;

use super::app::{Fate, TestApp, answer, full, head, pulled};
use super::host::host;
use super::{Server, body};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

#[test]
fn an_app_that_blocks_may_panic() {
    let fate = Arc::new(Fate::default());
    let server = Server::new(TestApp::new(move |request| match request.head.uri.path() {
        "/call" => panic!("in the call"),
        "/piece" => answer(head(200, &[]), pulled("begun", &fate, |_| panic!("in a piece"))),
        _ => full("served"),
    }));
    assert!(server.exchange(&get("/call")).starts_with("HTTP/1.1 500 "));
    let cut = server.exchange(&get("/piece"));
    assert!(cut.ends_with("5\r\nbegun\r\n"), "{cut}");
    assert_eq!(body(&server.exchange(GET)), "served");
    server.wait_until_empty();
}

/// Panics where its path says, in the task of the connection.
struct Panicking(Drive);

impl App for Panicking {
    fn drive(&self) -> Drive {
        self.0
    }

    fn host(&self, guest: Rc<dyn Guest>) -> Result<(), AppFault> {
        host(&guest, None, || {});
        Ok(())
    }

    fn call(&self, request: Box<Request>) -> Answer {
        let place = request.head.uri.path().to_owned();
        assert_ne!(place, "/call", "as asked for");
        Answer::Later(Box::pin(async move {
            tokio::task::yield_now().await;
            assert_ne!(place, "/future", "as asked for");
            let body = match place.as_str() {
                "/body" => ResponseBody::Stream(Box::pin(Broken)),
                _ => ResponseBody::Full("served".into()),
            };
            let status = if place == "/status" { 103 } else { 200 };
            let mut head = head(status, &[]);
            if place == "/headers" {
                for number in 0..24_000 {
                    let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
                    head.headers.insert(name, http::HeaderValue::from_static("x"));
                }
            }
            Ok(Box::new(Response::new(head, body)))
        }))
    }
}

struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        panic!("in the body");
    }
}

#[test]
fn an_app_in_tasks_may_panic_or_answer_what_cannot_be_sent() {
    for drive in [Drive::Task, Drive::Hosted] {
        let server = Server::new(Panicking(drive));
        for place in ["/call", "/future", "/status", "/headers"] {
            let received = server.exchange(&get(place));
            assert!(received.starts_with("HTTP/1.1 500 "), "{place}: {received}");
        }
        let received = server.exchange(&get("/body"));
        assert!(!received.contains("\r\n0\r\n\r\n"), "a broken body looks whole: {received}");
        assert_eq!(body(&server.exchange(GET)), "served");
        server.wait_until_empty();
    }
}
