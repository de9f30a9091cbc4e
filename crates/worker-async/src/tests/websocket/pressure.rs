//! Back-pressure: either side waits for the other, and what waits is bounded.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use super::*;

#[test]
fn an_app_without_room_leaves_its_client_unread_and_loses_nothing() {
    let script = Script::default();
    script.change(|words| words.full = true);
    let server = script.serve();
    let client = server.websocket("");
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let message = frame(FIN | BINARY, &[7; 60_000]);
    let mut stream = &client.stream;
    let mut sent = Vec::new();
    // As much as the two sockets hold, and then no more.
    let mut waits = || loop {
        match stream.write(&message[sent.len() % message.len()..]) {
            Ok(count) => sent.resize(sent.len() + count, 0),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return sent.len();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent.len() < 256 << 20, "the client is read without end");
    };
    let held = waits();
    assert!(script.words().heard.is_empty());
    script.change(|words| words.full = false);
    script.wait_until("all messages", |words| words.heard.len() == held / message.len());
}

#[test]
fn a_client_that_leaves_while_the_app_has_no_room_is_let_go() {
    for pings in [None, Some(Duration::from_millis(200))] {
        for leave in [Client::reset, drop] {
            let script = Script::default();
            script.change(|words| words.full = true);
            let server = script.serve_with(|settings| settings.websocket.ping_interval = pings);
            let mut client = server.websocket("");
            for _ in 0..40 {
                client.send(&frame(FIN | TEXT, b"x"));
            }
            leave(client);
            assert_eq!(script.end().0, 1006);
            server.wait_until_empty();
        }
    }
}

#[test]
fn a_client_that_stays_is_kept_and_pinged_while_the_app_has_no_room() {
    let script = Script::default();
    script.change(|words| words.full = true);
    let server = script.serve_with(|settings| {
        settings.websocket.ping_interval = Some(Duration::from_millis(500));
        settings.websocket.ping_timeout = Some(Duration::from_millis(500));
    });
    let mut client = server.websocket("");
    client.send(&frame(FIN | TEXT, b"x"));
    for _ in 0..6 {
        client.expect(FIN | PING, "");
    }
    assert!(script.words().ended.is_empty());
    script.change(|words| words.full = false);
    script.wait_until("the message", |words| words.heard == [text("x")]);
}

#[test]
fn an_app_is_asked_for_more_only_when_its_client_reads() {
    const MESSAGES: usize = 200;
    let script = Script::default();
    let server = script.serve();
    let mut client = server.websocket("");
    script.change(|words| {
        let message = Message::Binary(vec![7; 1 << 20].into());
        words.said.extend(std::iter::repeat_n(Outgoing::Message(message), MESSAGES));
    });
    script.wait_until("the first message", |words| words.said.len() < MESSAGES);
    // What the sockets hold was taken; the rest waits in the app.
    let waiting = loop {
        let before = script.words().said.len();
        std::thread::sleep(Duration::from_millis(200));
        if script.words().said.len() == before {
            break before;
        }
    };
    assert!(waiting > MESSAGES / 2, "only {waiting} messages wait");
    for _ in 0..MESSAGES {
        let (first, payload) = client.read_frame();
        assert!(first == FIN | BINARY && payload.len() == 1 << 20);
    }
}

#[test]
fn a_flood_of_pings_from_a_client_that_does_not_read_is_bounded_and_the_last_one_is_answered() {
    let script = Script::default();
    let server = script.serve();
    let mut client = server.websocket("");
    // The server's side of the connection is full.
    script.say(Outgoing::Message(Message::Binary(vec![7; 16 << 20].into())));
    script.wait_until("the message", |words| words.said.is_empty());
    let flood: Vec<u8> = (0..1000).flat_map(|_| frame(FIN | PING, &[b'p'; 125])).collect();
    for _ in 0..200 {
        client.send(&flood);
    }
    client.send(&frame(FIN | PING, b"last"));
    client.send(&frame(FIN | TEXT, b"behind them"));
    script.wait_until("the message behind the pings", |words| !words.heard.is_empty());
    assert_eq!(client.read_frame().1.len(), 16 << 20);
    let mut pongs = 0;
    while client.read_frame() != (FIN | PONG, b"last".to_vec()) {
        pongs += 1;
    }
    assert!(pongs < 2000, "{pongs} pongs were kept");
}

#[test]
fn a_client_that_does_not_read_is_given_up_on() {
    let script = Script::default();
    let server = script.serve_with(|settings| settings.deadlines.write = Duration::from_secs(1));
    let client = server.websocket("");
    script.say(Outgoing::Message(Message::Binary(vec![7; 16 << 20].into())));
    assert_eq!(script.end().0, 1006);
    server.wait_until_empty();
    drop(client);
}
