//! What a client sends behind its request for a WebSocket, before that is answered.

use std::sync::mpsc::{self, Sender};

use ferricorn_protocol::{Answer, Response};

use super::*;

/// An app that consents once the test says so.
fn waiting(script: &Script) -> (Server, Sender<()>) {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Arc::new(Mutex::new(gone));
    let script = script.clone();
    let server = Server::new(TestApp::in_task(move |request| {
        let Some(_) = request.websocket else { return full("served") };
        let (script, gone) = (script.clone(), gone.clone());
        let denied = request.head.uri.path() == "/denied";
        Answer::Later(Box::pin(async move {
            while gone.lock().unwrap().try_recv().is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            let body = if denied { ResponseBody::Full("denied".into()) } else { script.consent() };
            Ok(Box::new(Response::new(head(if denied { 403 } else { 200 }, &[]), body)))
        }))
    }));
    (server, go)
}

#[test]
fn frames_that_come_too_early_are_not_lost() {
    let script = Script::echo();
    let server = script.serve();
    for at_once in [true, false] {
        let mut client = server.client();
        let frames = [frame(FIN | TEXT, b"early"), frame(FIN | PING, b"bird")].concat();
        if at_once {
            client.send(&[request("").as_bytes(), &frames].concat());
        } else {
            client.send(request("").as_bytes());
            client.send(&frames);
        }
        assert!(client.read_head().starts_with("HTTP/1.1 101 "));
        let mut received = [client.read_frame(), client.read_frame()];
        received.sort();
        assert_eq!(received, [(FIN | TEXT, b"early".to_vec()), (FIN | PONG, b"bird".to_vec())]);
    }
}

#[test]
fn frames_that_come_while_the_app_thinks_are_not_lost_nor_taken_for_a_request() {
    let script = Script::echo();
    let (server, go) = waiting(&script);
    let mut client = server.client();
    client.send(request("").as_bytes());
    for _ in 0..3 {
        client.send(&frame(FIN | TEXT, b"early"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Half a frame, and more than is held at once.
    let long = frame(FIN | TEXT, "x".repeat(100_000).as_bytes());
    client.send(&long[..70_000]);
    go.send(()).unwrap();
    assert!(client.read_head().starts_with("HTTP/1.1 101 "));
    client.send(&long[70_000..]);
    for _ in 0..3 {
        client.expect(FIN | TEXT, "early");
    }
    assert_eq!(client.read_frame().1.len(), 100_000);
}

#[test]
fn requests_behind_one_that_is_denied_are_judged_and_answered() {
    let script = Script::echo();
    let (server, go) = waiting(&script);
    let denied = request("").replace("/chat", "/denied");
    for late in [false, true] {
        let mut client = server.client();
        let next = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbroken\r\n\r\n";
        if late {
            client.send(denied.as_bytes());
            std::thread::sleep(std::time::Duration::from_millis(20));
            client.send(next);
        } else {
            client.send(&[denied.as_bytes(), next].concat());
        }
        go.send(()).unwrap();
        let received = client.read_to_end();
        let (first, rest) = received.split_once("denied").unwrap();
        let (second, third) = rest.split_once("served").unwrap();
        assert!(first.starts_with("HTTP/1.1 403 "), "{received}");
        assert!(second.starts_with("HTTP/1.1 200 "), "{received}");
        assert!(third.starts_with("HTTP/1.1 400 "), "{received}");
    }
}

#[test]
fn a_client_that_leaves_while_the_app_thinks_is_noticed() {
    let script = Script::echo();
    let (server, _go) = waiting(&script);
    let mut client = server.client();
    client.send(&[request("").as_bytes(), &frame(FIN | TEXT, b"early")].concat());
    drop(client);
    server.wait_until_empty();
    assert!(script.words().heard.is_empty());
}

#[test]
fn a_websocket_may_follow_other_requests() {
    let server = Script::echo().serve();
    let mut client = server.client();
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("{get}{get}{}", request("")).as_bytes());
    let received = client.read_while(|read| {
        let read = String::from_utf8_lossy(read);
        !(read.contains("HTTP/1.1 101 ") && read.ends_with("\r\n\r\n"))
    });
    assert_eq!(received.matches("no WebSocket").count(), 2, "{received}");
}
