//! Every rule over a real socket, for apps of both kinds: what the client gets, and what the app sees.

use std::sync::{Arc, Mutex};

use ferricorn_protocol::{Answer, Drive, RequestBody, Response, ResponseBody};
use http_body_util::BodyExt;

use super::app::{TestApp, full, head, read};
use super::{Client, DRIVES, Server};
use crate::gate::tests::corpus::{BAD, BAD_CHUNKS, GOOD, GOOD_BODIES};

const BEFORE: &str = "GET /before HTTP/1.1\r\nHost: a\r\n\r\n";
const CANARY: &str = "GET /canary HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// The targets and bodies that an app has seen, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// An app that blocks and gets whole bodies.
    fn blocking(&self) -> TestApp {
        let seen = self.clone();
        TestApp::new(move |mut request| {
            let target = String::from_utf8_lossy(request.target()).into_owned();
            let body = read(&mut request.body);
            seen.note(format!("{target} {}", String::from_utf8_lossy(&body)));
            full("seen")
        })
    }

    /// An app that gets its bodies as its kind does.
    fn app(&self, drive: Drive) -> TestApp {
        if drive.blocks() { self.blocking() } else { self.streaming(drive) }
    }

    /// An app that reads its bodies as they come, and answers 422 to a broken one.
    fn streaming(&self, drive: Drive) -> TestApp {
        let seen = self.clone();
        TestApp::of(drive, move |request| {
            let seen = seen.clone();
            let target = String::from_utf8_lossy(request.target()).into_owned();
            Answer::Later(Box::pin(async move {
                let body = match request.body {
                    RequestBody::Stream(stream) => stream.collect().await.map(|body| body.to_bytes()),
                    _ => Ok(Default::default()),
                };
                let (status, body) = match body {
                    Ok(body) => (200, String::from_utf8_lossy(&body).into_owned()),
                    Err(_) => (422, "broken".to_owned()),
                };
                seen.note(format!("{target} {body}"));
                Ok(Box::new(Response::new(head(status, &[]), ResponseBody::Full("seen".into()))))
            }))
        })
    }
}

/// A server of each kind, the status with which it answers a broken body, and what its apps see.
fn servers() -> [(Server, u16, Seen); 3] {
    DRIVES.map(|drive| {
        let seen = Seen::default();
        (Server::new(seen.app(drive)), if drive.blocks() { 400 } else { 422 }, seen)
    })
}

/// The statuses of the responses in a stream.
fn statuses(received: &str) -> Vec<u16> {
    received.split("HTTP/1.").skip(1).filter_map(|part| part.get(2..5)?.parse().ok()).collect()
}

/// Sends and reads to the end, which the server must make.
fn exchange(server: &Server, bytes: &str) -> String {
    let mut client: Client = server.client();
    client.send(bytes.as_bytes());
    client.read_to_end()
}

/// One good request before is answered; then comes this refusal, and nothing after it is a request.
fn is_refused(server: &Server, seen: &Seen, text: &str, status: u16, also: &[&str]) {
    let received = exchange(server, &format!("{BEFORE}{text}{CANARY}"));
    assert_eq!(statuses(&received), [200, status], "{text:?}: {received}");
    let refusal = received.rsplit("HTTP/1.1 ").next().unwrap().to_ascii_lowercase();
    assert!(refusal.contains("\r\nconnection: close\r\n"), "{text:?}: {received}");
    let mut expected = vec!["/before "];
    expected.extend(also);
    assert_eq!(seen.take(), expected, "{text:?}");
}

#[test]
fn bad_heads_are_refused_and_close() {
    for (server, _, seen) in servers() {
        for (text, status) in BAD {
            is_refused(&server, &seen, text, *status, &[]);
        }
    }
}

#[test]
fn heads_over_the_limits_are_refused_and_close() {
    for (server, _, seen) in servers() {
        for (text, status) in [
            (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(4081)), 414),
            (format!("GET /{}", "a".repeat(70_000)), 414),
            (format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(8186)), 431),
            (format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(500_000)), 431),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(101)), 431),
            ("\r\n".repeat(1 << 19), 400),
        ] {
            is_refused(&server, &seen, &text, status, &[]);
        }
        for text in [
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(4080)),
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(8185)),
            format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(100)),
        ] {
            assert_eq!(statuses(&exchange(&server, &format!("{text}{LAST}"))), [200, 200]);
        }
    }
}

#[test]
fn broken_chunks_are_an_error_and_close() {
    for (server, status, seen) in servers() {
        let also: &[&str] = if status == 400 { &[] } else { &["/chunks broken"] };
        let zeros = format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(1 << 20));
        let extensions = format!("{}0\r\n\r\n", format!("1;{}\r\na\r\n", "x".repeat(99)).repeat(100));
        let trailers = format!("0\r\n{}\r\n", "X: a\r\n".repeat(101));
        let trailer = format!("0\r\nX: {}\r\n\r\n", "a".repeat(17_000));
        let large = [zeros.as_str(), &extensions, &trailers, &trailer];
        for text in BAD_CHUNKS.iter().chain(&large) {
            let post =
                format!("POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{text}");
            is_refused(&server, &seen, &post, status, also);
        }
    }
}

#[test]
fn a_body_that_is_cut_short_is_an_error_and_no_request_follows() {
    for (server, status, seen) in servers() {
        let also: &[&str] = if status == 400 { &[] } else { &["/cut broken"] };
        for text in ["Content-Length: 90\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n90\r\nabc"] {
            let mut client = server.client();
            client.send(format!("{BEFORE}POST /cut HTTP/1.1\r\n{text}{CANARY}").as_bytes());
            client.stream.shutdown(std::net::Shutdown::Write).unwrap();
            let received = client.read_to_end();
            // An app whose client has left may be dropped without an answer.
            assert!([vec![200], vec![200, status]].contains(&statuses(&received)), "{received}");
            let mut seen = seen.take();
            seen.retain(|seen| !also.contains(&seen.as_str()));
            assert_eq!(seen, ["/before "], "{text:?}");
        }
    }
}

#[test]
fn good_heads_and_bodies_pass_and_the_next_request_follows() {
    for (server, _, seen) in servers() {
        for (text, target) in GOOD {
            let received = exchange(&server, &format!("{BEFORE}{text}{LAST}"));
            let ends = text.starts_with("CONNECT") || text.contains("HTTP/1.0");
            let status = if text.starts_with("CONNECT") { 501 } else { 200 };
            let wanted = if ends { vec![200, status] } else { vec![200, status, 200] };
            assert_eq!(statuses(&received), wanted, "{text:?}: {received}");
            assert_eq!(seen.take()[1], format!("{target} "), "{text:?}");
        }
        for (text, body) in GOOD_BODIES {
            let received = exchange(&server, &format!("POST /b HTTP/1.1\r\n{text}{LAST}"));
            // A body that is still coded cannot be followed by what the server understands.
            let closes = text.contains("gzip") || text.contains("deflate");
            let wanted = if closes { vec![200] } else { vec![200, 200] };
            assert_eq!(statuses(&received), wanted, "{text:?}: {received}");
            assert_eq!(seen.take()[0], format!("/b {body}"), "{text:?}");
        }
    }
}

#[test]
fn a_policy_refuses_and_closes_too() {
    for drive in DRIVES {
        let seen = Seen::default();
        let server = Server::with(seen.app(drive), |settings| {
            settings.trust.header_map = ferricorn_config::HeaderMapPolicy::Refuse;
            settings.grammar.require_host = true;
        });
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\nX_Y: b\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
        ] {
            is_refused(&server, &seen, text, 400, &[]);
        }
    }
}
