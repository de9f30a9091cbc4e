//! A worker whose loop is the guest of the app's own: it serves as any other does.

use super::app::{TestApp, full};
use super::{Server, body};

#[test]
fn requests_are_answered_one_after_the_other_and_many_at_a_time() {
    let server = Server::new(TestApp::hosted(|request| full(request.head.uri.path().to_owned())));
    let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    for round in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /{round}/{number}/ HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            client.read_until(&format!("\r\n\r\n/{round}/{number}/"));
        }
    }
    let received = server.exchange(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(body(&received), "/last");
}
