//! Request bodies: in memory, in a file, too large, broken.

use super::app::{TestApp, full, read};
use super::{Server, body};
use ferricorn_protocol::RequestBody;

#[test]
fn a_body_comes_whole_in_memory_or_in_a_file() {
    let server = Server::new(TestApp::new(|mut request| {
        let kind = match request.body {
            RequestBody::Empty => "empty",
            RequestBody::Memory(_) => "memory",
            RequestBody::File { .. } => "file",
            RequestBody::Stream(_) => "stream",
        };
        let sum: u64 = read(&mut request.body).iter().map(|&byte| u64::from(byte)).sum();
        full(format!("{kind} {sum}"))
    }));
    for (size, kind) in [(0, "empty"), (10, "memory"), (64 * 1024, "memory"), (300_000, "file")] {
        let mut sent =
            format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n")
                .into_bytes();
        sent.extend(std::iter::repeat_n(2, size));
        assert_eq!(body(&server.exchange(&sent)), format!("{kind} {}", 2 * size));
    }
}

#[test]
fn a_chunked_body_is_put_together() {
    let server = Server::new(TestApp::echo());
    let received = server.exchange(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;x=y\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    );
    assert_eq!(body(&received), "POST / hello world");
}

#[test]
fn a_body_over_the_limit_is_refused_before_and_while_it_comes() {
    let server = Server::with(TestApp::echo(), |settings| settings.limits.request_body = Some(10));
    let declared = server.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world");
    assert!(declared.starts_with("HTTP/1.1 413 "), "{declared}");
    let chunked = server.exchange(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n123456\r\n5\r\n12345\r\n0\r\n\r\n",
    );
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
    let fits = server
        .exchange(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\n1234567890");
    assert_eq!(body(&fits), "POST / 1234567890");
}

#[test]
fn a_broken_body_never_reaches_the_app() {
    let server = Server::new(TestApp::new(|_| panic!("the app was called")));
    let received = server
        .exchange(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n");
    assert!(received.starts_with("HTTP/1.1 400 "), "{received}");
    let mut client = server.client();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let received = client.read_to_end();
    assert!(received.is_empty() || received.starts_with("HTTP/1.1 400 "), "{received}");
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let server = Server::new(TestApp::echo());
    let mut client = server.client();
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"ok");
    assert_eq!(body(&client.read_to_end()), "POST / ok");
}
