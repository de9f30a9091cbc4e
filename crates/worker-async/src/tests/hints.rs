//! Early hints: informational responses that leave while the app still works.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};

use ferricorn_protocol::{Answer, Request, ResponseBody};
use http::HeaderMap;

use super::app::{TestApp, answer, full, head};
use super::{PATIENCE, Server};

fn link(target: &str) -> HeaderMap {
    [(http::header::LINK, target.parse().unwrap())].into_iter().collect()
}

fn hint(request: &Request, target: &str) {
    request.early.as_ref().unwrap().hint(&link(target));
}

/// An app that hints its target and does not answer before it is let go.
fn waiting() -> (TestApp, Sender<()>) {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let app = TestApp::new(move |request| {
        let target = String::from_utf8(request.target().to_vec()).unwrap();
        hint(&request, &format!("{target}a"));
        hint(&request, &format!("{target}b"));
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        full(target)
    });
    (app, go)
}

fn hints(target: &str) -> String {
    let one = |letter| format!("HTTP/1.1 103 Early Hints\r\nlink: {target}{letter}\r\n\r\n");
    one('a') + &one('b')
}

#[test]
fn hints_arrive_while_the_app_works_and_before_its_answer() {
    let (app, go) = waiting();
    let server = Server::new(app);
    let mut client = server.client();
    client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_until("link: /1b\r\n\r\n"), hints("/1"));
    go.send(()).unwrap();
    let received = client.read_to_end();
    assert!(received.starts_with("HTTP/1.1 200 OK\r\n") && received.ends_with("\r\n\r\n/1"), "{received}");
}

#[test]
fn hints_of_pipelined_requests_stand_before_their_own_answers() {
    let (app, go) = waiting();
    let server = Server::new(app);
    let mut client = server.client();
    client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.read_until("link: /1b\r\n\r\n"), hints("/1"));
    go.send(()).unwrap();
    let received = client.read_until("link: /2b\r\n\r\n");
    let (first, second) = received.split_once("\r\n\r\n/1").unwrap();
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n"), "{first}");
    assert_eq!(second, hints("/2"));
    go.send(()).unwrap();
    assert!(client.read_to_end().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn hints_of_an_app_that_answers_at_once_are_not_lost() {
    let server = Server::new(TestApp::new(|request| {
        hint(&request, "/a");
        hint(&request, "/b");
        full("done")
    }));
    let mut client = server.client();
    for _ in 0..200 {
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        for _ in 0..2 {
            let received = client.read_until_contains("\r\n\r\ndone");
            let (one, rest) = received.split_once("\r\n\r\ndone").unwrap();
            assert!(
                one.starts_with(&hints("/")) && one[hints("/").len()..].starts_with("HTTP/1.1 200 "),
                "{one}"
            );
            client.read = rest.as_bytes().to_vec();
        }
    }
}

#[test]
fn hints_go_before_the_head_that_write_sends() {
    let server = Server::new(TestApp::new(|request| {
        hint(&request, "/a");
        let early = request.early.as_ref().unwrap();
        early.begin(head(200, &[]), "written".into()).unwrap();
        Answer::Begun(ResponseBody::Empty)
    }));
    let received = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(
        received.starts_with("HTTP/1.1 103 Early Hints\r\nlink: /a\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{received}"
    );
    assert!(received.contains("written"), "{received}");
}

#[test]
fn a_client_that_does_not_read_gets_whole_hints_and_a_bounded_number_of_them() {
    const CALLS: usize = 20_000;
    let filler = Arc::new("x".repeat(1000));
    let server = Server::new(TestApp::new(move |request| {
        for _ in 0..CALLS {
            hint(&request, &filler);
        }
        answer(head(200, &[]), ResponseBody::Full("done".into()))
    }));
    let received = server.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (hints, rest) = received.split_once("HTTP/1.1 200 OK\r\n").unwrap();
    let one = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "x".repeat(1000));
    assert_eq!(hints.replace(&one, ""), "", "a hint is not whole");
    assert!((1..=CALLS).contains(&(hints.len() / one.len())));
    assert!(rest.ends_with("done"), "{rest}");
}
