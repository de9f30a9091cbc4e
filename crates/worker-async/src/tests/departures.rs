//! Clients that leave behind what nobody reads: an app that waits hears of it all the same.

use std::net::Shutdown;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use ferricorn_protocol::{Answer, Request, Response, ResponseBody};

use super::app::{TestApp, full, head};
use super::{Client, PATIENCE, Server, wait_for};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// More than so many bytes may not fit into a socket that is not read, and keep back the end behind them.
const HELD: usize = 100_000;

/// Longer than a client may be gone before it is looked for.
const LONG: Duration = Duration::from_millis(2500);

/// Tells that it was dropped, and which call it was.
struct Told(Sender<usize>, usize);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(self.1);
    }
}

/// What clients leave behind.
fn remains() -> Vec<Vec<u8>> {
    let post = |lines: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
    let websocket = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    [
        GET.to_owned(),
        format!("{GET}{GET}"),
        format!("{GET}no request"),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        post("Content-Length: 100\r\n", "0123456789"),
        post("Content-Length: 100\r\nExpect: 100-continue\r\n", ""),
        post("Content-Length: 300000\r\n", &"x".repeat(300_000)),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        websocket.to_owned(),
        websocket.to_owned() + &"x".repeat(70_000),
    ]
    .map(String::into_bytes)
    .to_vec()
}

#[test]
fn the_call_of_a_client_that_leaves_is_dropped_whatever_stands_behind_its_request() {
    for kind in [TestApp::in_task, TestApp::hosted] {
        let (begins, begun) = channel();
        let (drops, dropped) = channel();
        let (begins, drops) = (Mutex::new(begins), Mutex::new((drops, 0)));
        let server = Server::new(kind(move |request: Request| {
            let told = {
                let mut drops = drops.lock().unwrap();
                drops.1 += 1;
                Told(drops.0.clone(), drops.1 - 1)
            };
            begins.lock().unwrap().send(()).unwrap();
            Answer::Later(Box::pin(async move {
                let _held = (request, told);
                std::future::pending().await
            }))
        }));
        let mut sent = Vec::new();
        for remains in remains() {
            let ways = if remains.len() > HELD {
                &[Client::reset as fn(Client)][..]
            } else {
                &[Client::reset, drop]
            };
            for leave in ways {
                let mut client = server.client();
                client.send(&remains);
                begun.recv_timeout(PATIENCE).unwrap();
                leave(client);
                sent.push(String::from_utf8_lossy(&remains[..remains.len().min(200)]).into_owned());
            }
        }
        let mut serving: Vec<_> = (0..sent.len()).collect();
        while !serving.is_empty() {
            let Ok(number) = dropped.recv_timeout(PATIENCE) else {
                let sent: Vec<_> = serving.iter().map(|&number| &sent[number]).collect();
                panic!("calls go on whose clients have left: {sent:#?}");
            };
            serving.retain(|&serving| serving != number);
        }
        server.wait_until_empty();
    }
}

#[test]
fn a_client_that_stays_gets_the_answer_to_what_was_not_read_for_long() {
    for kind in [TestApp::in_task, TestApp::hosted] {
        let server = Server::new(kind(|request: Request| {
            Answer::Later(Box::pin(async move {
                let body = ResponseBody::Full(request.head.uri.path().to_owned().into());
                if request.head.uri.path() == "/slow" {
                    crate::timer::sleep(LONG).await;
                }
                Ok(Box::new(Response::new(head(200, &[]), body)))
            }))
        }));
        let mut client = server.client();
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let received = client.read_until("\r\n\r\n/next");
        assert!(received.contains("\r\n\r\n/slow"), "{received}");
        // One that says no more is answered, if that does not take long.
        client.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /last HTTP/1.1\r\nHost: a\r\n\r\n");
        client.stream.shutdown(Shutdown::Write).unwrap();
        let received = client.read_to_end();
        assert!(received.contains("\r\n\r\n/first"), "{received}");
    }
}

#[test]
fn a_client_that_half_closes_waits_for_an_app_that_blocks() {
    let (go, gone) = channel::<()>();
    let gone = Arc::new(Mutex::new(gone));
    let server = Server::new(TestApp::new(move |_| {
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        full("ok")
    }));
    let mut client = server.client();
    client.send(format!("{GET}{GET}").as_bytes());
    client.stream.shutdown(Shutdown::Write).unwrap();
    wait_for("the call", || server.worker.slot.is_busy());
    sleep(LONG);
    go.send(()).unwrap();
    go.send(()).unwrap();
    let received = client.read_to_end();
    assert_eq!(received.matches("\r\n\r\nok").count(), 2, "{received}");
}
