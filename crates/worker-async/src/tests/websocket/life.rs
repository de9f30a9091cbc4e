//! A WebSocket in the life of its worker: the books, pings, and the end.

use std::time::{Duration, Instant};

use crate::tests::wait_for;

use super::*;

fn pings(interval: u64, timeout: Option<u64>) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.websocket.ping_interval = Some(Duration::from_millis(interval));
        settings.websocket.ping_timeout = timeout.map(Duration::from_millis);
    }
}

#[test]
fn an_open_websocket_is_a_connection_and_no_request_in_flight() {
    let script = Script::echo();
    let server = script.serve();
    let mut client = server.websocket("");
    client.send(&frame(FIN | TEXT, b"hello"));
    client.expect(FIN | TEXT, "hello");
    let seen = server.worker.slot.snapshot();
    assert!(seen.in_flight.is_empty());
    assert_eq!(server.worker.connections.count(), 1);
    client.send(&close_frame(1000, ""));
    client.expect_close(1000);
    drop(client);
    server.wait_until_empty();
}

#[test]
fn a_silent_client_is_pinged_and_lives_as_long_as_it_answers() {
    let script = Script::default();
    let server = script.serve_with(pings(100, Some(1500)));
    let mut client = server.websocket("");
    for _ in 0..8 {
        let (first, payload) = client.read_frame();
        assert_eq!(first, FIN | PING);
        client.send(&frame(FIN | PONG, &payload));
    }
    assert!(script.words().ended.is_empty());
    // No answer any more.
    client.expect(FIN | PING, "");
    client.expect_close(1011);
    assert_eq!(script.end().0, 1011);
}

#[test]
fn without_a_time_limit_a_ping_may_stay_unanswered() {
    let script = Script::default();
    let server = script.serve_with(pings(60, None));
    let mut client = server.websocket("");
    for _ in 0..4 {
        client.expect(FIN | PING, "");
    }
    assert!(script.words().ended.is_empty());
}

#[test]
fn a_client_is_not_held_to_its_pings_while_the_app_has_no_room() {
    let script = Script::default();
    let server = script.serve_with(pings(100, Some(200)));
    let mut client = server.websocket("");
    script.change(|words| words.full = true);
    // It is noticed when the next message would be read.
    client.send(&[frame(FIN | TEXT, b"one"), frame(FIN | TEXT, b"two")].concat());
    std::thread::sleep(Duration::from_millis(900));
    assert!(script.words().ended.is_empty());
    script.change(|words| words.full = false);
    script.wait_until("both messages", |words| words.heard.len() == 2);
}

#[test]
fn a_drain_closes_with_1012_and_tells_the_app_at_once() {
    let script = Script::default();
    let server = script.serve();
    let mut client = server.websocket("");
    let mut late = server.client();
    late.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    late.read_until("no WebSocket");
    server.worker.lifecycle.drain();
    assert_eq!(script.end(), (1012, "Service Restart".to_owned()));
    client.expect(FIN | CLOSE, b"\x03\xf4Service Restart");
    client.send(&close_frame(1012, ""));
    assert_eq!(client.read_to_end(), "");
    drop(client);
    server.wait_until_empty();
}

#[test]
fn a_websocket_that_opens_while_the_worker_drains_is_closed_at_once() {
    let script = Script::default();
    let server = script.serve();
    let mut client = server.client();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until("no WebSocket");
    server.worker.lifecycle.drain();
    client.send(request("").as_bytes());
    assert!(client.read_head().starts_with("HTTP/1.1 101 "));
    client.send(&close_frame(1012, ""));
    client.expect_close(1012);
    assert_eq!(script.end().0, 1012);
}

#[test]
fn a_worker_that_ends_at_once_tells_the_app() {
    let script = Script::default();
    let server = script.serve();
    let _client = server.websocket("");
    drop(server);
    assert_eq!(script.end().0, 1006);
}

#[test]
fn a_client_that_does_not_close_holds_up_a_drain_no_longer_than_its_limit() {
    let script = Script::default();
    let server = script.serve_with(|settings| settings.graceful_timeout = Duration::from_secs(1));
    let mut client = server.websocket("");
    let began = Instant::now();
    server.worker.lifecycle.drain();
    client.expect(FIN | CLOSE, b"\x03\xf4Service Restart");
    wait_for("the end of the worker", || server.thread.as_ref().is_some_and(|thread| thread.is_finished()));
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(script.end().0, 1012);
}
