//! Responses of every kind, held to what their heads say.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use ferricorn_protocol::{Answer, AppFault, FileBody, ResponseBody};

use super::app::{Fate, TestApp, answer, full, head, pulled};
use super::{PATIENCE, Server, body, wait_for};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const TWO: &[u8] =
    b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn a_piece_is_delivered_before_the_next_exists() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = Arc::new(std::sync::Mutex::new(gone));
    let fate = Arc::new(Fate::default());
    let kept = fate.clone();
    let server = Server::new(TestApp::new(move |_| {
        let gone = gone.clone();
        answer(
            head(200, &[]),
            pulled("first", &kept, move |number| {
                gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
                Ok((number < 3).then(|| Bytes::from(format!("piece{number}"))))
            }),
        )
    }));
    let mut client = server.client();
    client.send(GET);
    client.read_until("5\r\nfirst\r\n");
    for number in 1..3 {
        go.send(()).unwrap();
        client.read_until(&format!("piece{number}\r\n"));
        assert!(fate.produced.load(SeqCst) <= number + 1, "the server runs ahead of its client");
    }
    go.send(()).unwrap();
    client.read_until("0\r\n\r\n");
    wait_for("close()", || fate.closed.load(SeqCst) == 1);
}

#[test]
fn a_client_that_leaves_ends_the_production() {
    let fate = Arc::new(Fate::default());
    let kept = fate.clone();
    let server = Server::new(TestApp::new(move |_| {
        answer(head(200, &[]), pulled("first", &kept, |_| Ok(Some(Bytes::from(vec![b'x'; 10_000])))))
    }));
    let mut client = server.client();
    client.send(GET);
    client.read_until_contains("first");
    drop(client);
    wait_for("close()", || fate.closed.load(SeqCst) == 1);
}

#[test]
fn an_endless_body_waits_for_a_client_that_does_not_read() {
    let fate = Arc::new(Fate::default());
    let kept = fate.clone();
    let server = Server::new(TestApp::new(move |_| {
        answer(head(200, &[]), pulled("first", &kept, |_| Ok(Some(Bytes::from(vec![b'x'; 64 * 1024])))))
    }));
    let mut client = server.client();
    client.send(GET);
    wait_for("back-pressure", || {
        let before = fate.produced.load(SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        before > 0 && fate.produced.load(SeqCst) == before
    });
    drop(client);
    wait_for("close()", || fate.closed.load(SeqCst) == 1);
}

#[test]
fn too_long_a_body_is_cut_and_the_connection_lives() {
    let server = Server::new(TestApp::new(|_| {
        answer(head(200, &[("content-length", "3")]), ResponseBody::Full(Bytes::from_static(b"abcdef")))
    }));
    let received = server.exchange(TWO);
    assert_eq!(received.matches("\r\n\r\nabc").count(), 2, "{received}");
    assert!(!received.contains("abcd"), "{received}");
}

#[test]
fn too_short_a_body_closes_the_connection() {
    let server = Server::new(TestApp::new(|_| {
        answer(head(200, &[("content-length", "10")]), ResponseBody::Full(Bytes::from_static(b"abc")))
    }));
    let received = server.exchange(TWO);
    assert_eq!(body(&received), "abc");
}

#[test]
fn pieces_are_held_to_the_content_length() {
    for (length, expected) in [("8", "firstsec"), ("20", "firstsecond")] {
        let fate = Arc::new(Fate::default());
        let kept = fate.clone();
        let server = Server::new(TestApp::new(move |_| {
            let second = |number| Ok((number == 1).then(|| Bytes::from_static(b"second")));
            answer(head(200, &[("content-length", length)]), pulled("first", &kept, second))
        }));
        assert_eq!(body(&server.exchange(GET)), expected);
        wait_for("close()", || fate.closed.load(SeqCst) == 1);
    }
}

#[test]
fn head_and_bodiless_statuses_send_no_body() {
    let server = Server::new(TestApp::new(|request| {
        let status = request.head.uri.path()[1..].parse().unwrap();
        answer(head(status, &[]), ResponseBody::Full(Bytes::from_static(b"body")))
    }));
    let received = server.exchange(b"HEAD /200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(body(&received), "");
    assert!(received.contains("content-length: 4\r\n"), "{received}");
    for status in ["204", "304"] {
        let sent = format!("GET /{status} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let received = server.exchange(sent.as_bytes());
        assert!(received.starts_with(&format!("HTTP/1.1 {status} ")), "{received}");
        assert_eq!(body(&received), "");
        assert!(!received.contains("transfer-encoding"), "{received}");
    }
}

#[test]
fn a_length_is_told_only_where_it_may_be() {
    // Status, what the app declares, and what a GET and a HEAD are told.
    let cases: [(u16, &[_], Option<&str>, Option<&str>); 8] = [
        (200, &[], Some("4"), Some("4")),
        (200, &[("content-length", "4")], Some("4"), Some("4")),
        (204, &[], None, None),
        (204, &[("content-length", "4")], None, None),
        (205, &[], Some("0"), None),
        (205, &[("content-length", "4")], Some("0"), None),
        (304, &[], None, None),
        (304, &[("content-length", "4")], Some("4"), Some("4")),
    ];
    for (status, headers, get, asked_head) in cases {
        for early in [false, true] {
            let server = Server::new(TestApp::new(move |mut request| {
                let body = Bytes::from_static(b"body");
                if early && request.head.uri.path() == "/1" {
                    request.early.take().unwrap().begin(head(status, headers), body).unwrap();
                    return Answer::Begun(ResponseBody::Empty);
                }
                answer(head(status, headers), ResponseBody::Full(body))
            }));
            for (method, told) in [("GET", get), ("HEAD", asked_head)] {
                let sent = format!(
                    "{method} /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                );
                let received = server.exchange(sent.as_bytes());
                let (first, second) = received.split_once("\r\n\r\n").unwrap();
                let length = first.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
                // What is written early has a length only if the app declares it.
                let told = if early && status == 200 && headers.is_empty() { None } else { told };
                assert_eq!(length, told, "{method} {status} {headers:?} {early}: {received}");
                assert_eq!(second.starts_with("HTTP/1.1 "), method == "HEAD" || status != 200, "{received}");
            }
        }
    }
}

#[test]
fn a_body_of_unknown_length_is_chunked_or_ends_with_the_connection() {
    let server = Server::new(TestApp::new(|_| {
        answer(
            head(200, &[]),
            pulled("one", &Arc::default(), |n| Ok((n == 1).then(|| Bytes::from_static(b"two")))),
        )
    }));
    assert_eq!(body(&server.exchange(GET)), "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(body(&server.exchange(b"GET / HTTP/1.0\r\n\r\n")), "onetwo");
}

#[test]
fn a_fault_is_a_500_before_the_head_and_a_closed_connection_after_it() {
    let server = Server::new(TestApp::new(|request| match request.head.uri.path() {
        "/early" => Answer::Fault(AppFault::new("boom")),
        "/panic" => panic!("boom"),
        _ => answer(head(200, &[]), pulled("first", &Arc::default(), |_| Err(AppFault::new("boom")))),
    }));
    for path in ["/early", "/panic"] {
        let received = server.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        assert!(received.starts_with("HTTP/1.1 500 "), "{received}");
        assert!(!received.contains("boom"), "{received}");
    }
    assert_eq!(body(&server.exchange(GET)), "5\r\nfirst\r\n");
}

#[test]
fn early_bytes_leave_before_the_call_returns() {
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let server = Server::new(TestApp::new(move |mut request| {
        let early = request.early.take().unwrap();
        early.begin(head(200, &[]), Bytes::from_static(b"first")).unwrap();
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        early.write(Bytes::from_static(b"second")).unwrap();
        early.write(Bytes::from_static(b"third")).unwrap();
        Answer::Begun(ResponseBody::Full(Bytes::from_static(b"fourth")))
    }));
    let mut client = server.client();
    client.send(GET);
    client.read_until("5\r\nfirst\r\n");
    go.send(()).unwrap();
    client.read_until("6\r\nsecond\r\n5\r\nthird\r\n6\r\nfourth\r\n0\r\n\r\n");
}

#[test]
fn a_file_is_sent_from_its_offset() {
    let server = Server::new(TestApp::new(|_| {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &vec![b'x'; 300_000]).unwrap();
        let body = FileBody { file, offset: 100, length: 299_900, rest: None };
        answer(head(200, &[("content-length", "299900")]), ResponseBody::File(body))
    }));
    assert_eq!(body(&server.exchange(GET)).len(), 299_900);
}

#[test]
fn an_invalid_content_length_is_the_apps_fault() {
    let server =
        Server::new(TestApp::new(|_| answer(head(200, &[("content-length", "3x")]), ResponseBody::Empty)));
    assert!(server.exchange(GET).starts_with("HTTP/1.1 500 "));
}

#[test]
fn a_large_body_arrives_whole() {
    let server = Server::new(TestApp::new(|_| full(vec![b'x'; 4 << 20])));
    assert_eq!(body(&server.exchange(GET)).len(), 4 << 20);
}

#[test]
fn an_app_that_consents_to_connect_opens_no_tunnel() {
    let server = Server::new(TestApp::echo());
    let received = server
        .exchange(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(received.starts_with("HTTP/1.1 501 "), "{received}");
    assert_eq!(received.matches("HTTP/1.1").count(), 1, "{received}");
}
