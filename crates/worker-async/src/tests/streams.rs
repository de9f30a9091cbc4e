//! Bodies that stream by themselves: from Rust apps in tasks, and from apps that host the loop.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use ferricorn_protocol::{Answer, BodyError, Request, Response, ResponseBody};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::app::{TestApp, answer, head};
use super::{Server, wait_for};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

type Polled = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

/// A body out of a closure, which counts how often it was asked.
struct Source<F> {
    step: F,
    asked: Arc<AtomicUsize>,
}

impl<F: FnMut(&mut Context<'_>) -> Polled + Unpin> Body for Source<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        self.asked.fetch_add(1, SeqCst);
        (self.step)(cx)
    }
}

fn stream(
    asked: &Arc<AtomicUsize>,
    step: impl FnMut(&mut Context<'_>) -> Polled + Send + Unpin + 'static,
) -> ResponseBody {
    ResponseBody::Stream(Box::pin(Source { step, asked: asked.clone() }))
}

/// A body of what is sent.
fn sent(mut pieces: UnboundedReceiver<Frame<Bytes>>) -> ResponseBody {
    stream(&Arc::default(), move |cx| pieces.poll_recv(cx).map(|piece| piece.map(Ok)))
}

type Call = Box<dyn Fn(Request) -> Answer + Send + Sync>;

/// Both kinds of apps whose bodies stream.
const KINDS: [fn(Call) -> TestApp; 2] = [|call| TestApp::in_task(call), |call| TestApp::hosted(call)];

/// An app with a body of what the sender sends.
fn with_sender(headers: &'static [(&'static str, &'static str)]) -> (Call, UnboundedSender<Frame<Bytes>>) {
    let (sender, pieces) = unbounded_channel();
    let pieces = Mutex::new(Some(pieces));
    let call = move |_| {
        let pieces = pieces.lock().unwrap().take().unwrap();
        answer(head(200, headers), sent(pieces))
    };
    (Box::new(call), sender)
}

fn data(piece: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(piece.as_bytes()))
}

#[test]
fn each_piece_leaves_when_it_is_there() {
    for kind in KINDS {
        let (call, sender) = with_sender(&[]);
        let server = Server::new(kind(call));
        let mut client = server.client();
        client.send(GET);
        for piece in ["one", "two", "three"] {
            sender.send(data(piece)).unwrap();
            client.read_until(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        }
        drop(sender);
        client.read_until("0\r\n\r\n");
    }
}

#[test]
fn an_endless_stream_waits_for_a_client_that_does_not_read() {
    for kind in KINDS {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let server = Server::new(kind(Box::new(move |_| {
            let piece = Bytes::from(vec![b'x'; 64 * 1024]);
            answer(
                head(200, &[]),
                stream(&counted, move |_| Poll::Ready(Some(Ok(Frame::data(piece.clone()))))),
            )
        })));
        let mut client = server.client();
        client.send(GET);
        wait_for("back-pressure", || {
            let before = asked.load(SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(200));
            before > 0 && asked.load(SeqCst) == before
        });
        drop(client);
        server.wait_until_empty();
    }
}

#[test]
fn the_next_piece_is_asked_for_when_the_one_before_was_written() {
    const PIECE: usize = 32 << 20;
    for kind in KINDS {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let server = Server::new(kind(Box::new(move |_| {
            let mut piece = Some(Bytes::from(vec![b'x'; PIECE]));
            let step =
                move |_: &mut Context<'_>| Poll::Ready(piece.take().map(|piece| Ok(Frame::data(piece))));
            answer(head(200, &[]), stream(&counted, step))
        })));
        let mut client = server.client();
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.read_until_contains("\r\n\r\n");
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(asked.load(SeqCst), 1);
        assert!(client.read_to_end().len() > PIECE / 2);
        assert_eq!(asked.load(SeqCst), 2);
    }
}

/// What a client gets that sends these headers, of an app whose body ends with a trailer.
fn trailing(headers: &'static [(&'static str, &'static str)], request: &str) -> Vec<String> {
    let exchange = |kind: fn(Box<_>) -> TestApp| {
        let (call, sender) = with_sender(headers);
        let server = Server::new(kind(call));
        let trailers: HeaderMap = [("x-sum", "7"), ("content-length", "3"), ("x-other", "8")]
            .into_iter()
            .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        sender.send(data("body")).unwrap();
        sender.send(Frame::trailers(trailers)).unwrap();
        let received = server.exchange(request.as_bytes());
        wait_for("the end of the request", || server.scoreboard.snapshot(0).unwrap().requests == 1);
        assert_eq!(server.scoreboard.snapshot(0).unwrap().errors, Default::default());
        received
    };
    KINDS.map(exchange).to_vec()
}

#[test]
fn trailers_go_to_a_client_that_takes_them_if_they_were_announced() {
    let announced = &[("trailer", "x-sum, content-length")];
    let takes = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n";
    for received in trailing(announced, takes) {
        assert!(received.ends_with("4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n"), "{received}");
    }
    for received in trailing(&[], takes) {
        assert!(received.ends_with("4\r\nbody\r\n0\r\n\r\n"), "{received}");
    }
    for received in trailing(announced, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
        assert!(received.ends_with("4\r\nbody\r\n0\r\n\r\n"), "{received}");
    }
    for received in trailing(announced, "GET / HTTP/1.0\r\nTE: trailers\r\n\r\n") {
        assert!(received.ends_with("\r\n\r\nbody"), "{received}");
    }
}

#[test]
fn a_told_length_has_no_trailers() {
    let takes = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n";
    for received in trailing(&[("trailer", "x-sum"), ("content-length", "4")], takes) {
        assert!(received.ends_with("\r\n\r\nbody"), "{received}");
    }
}

fn link(target: &str) -> HeaderMap {
    [(http::header::LINK, target.parse().unwrap())].into_iter().collect()
}

#[test]
fn hints_of_an_app_that_answers_later_arrive_before_its_answer_and_none_after_it() {
    for kind in KINDS {
        let (go, gone) = unbounded_channel::<()>();
        let gone = Arc::new(tokio::sync::Mutex::new(gone));
        let kept = Arc::new(Mutex::new(None));
        let keeps = kept.clone();
        let server = Server::new(kind(Box::new(move |request| {
            let hints = request.hints.clone().unwrap();
            hints.hint(&link("/at-once"));
            *keeps.lock().unwrap() = Some(hints.clone());
            let gone = gone.clone();
            Answer::Later(Box::pin(async move {
                gone.lock().await.recv().await;
                hints.hint(&link("/last"));
                Ok(Box::new(Response::new(head(200, &[]), ResponseBody::Full("done".into()))))
            }))
        })));
        let mut client = server.client();
        for _ in 0..3 {
            client.send(GET);
            let one = |target: &str| format!("HTTP/1.1 103 Early Hints\r\nlink: {target}\r\n\r\n");
            assert_eq!(client.read_until("\r\n\r\n"), one("/at-once"));
            kept.lock().unwrap().as_ref().unwrap().hint(&link("/elsewhere"));
            assert_eq!(client.read_until("\r\n\r\n"), one("/elsewhere"));
            go.send(()).unwrap();
            let received = client.read_until("\r\n\r\ndone");
            assert!(received.starts_with(&(one("/last") + "HTTP/1.1 200 OK\r\n")), "{received}");
            kept.lock().unwrap().as_ref().unwrap().hint(&link("/late"));
        }
    }
}

#[test]
fn a_client_of_http_1_0_gets_no_hints() {
    for kind in KINDS {
        let server = Server::new(kind(Box::new(|request| {
            let known = request.hints.is_some();
            answer(head(200, &[]), ResponseBody::Full(format!("hints: {known}").into()))
        })));
        assert!(server.exchange(b"GET / HTTP/1.0\r\n\r\n").ends_with("hints: false"));
    }
}
