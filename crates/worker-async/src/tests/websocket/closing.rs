//! The closing handshake (RFC 6455 section 7), from either side, and connections that end without it.

use ferricorn_config::Settings;

use super::*;

fn quiet(settings: &mut Settings) {
    settings.websocket.ping_interval = None;
}

#[test]
fn the_clients_close_is_sent_back_and_told_to_the_app() {
    for (sent, back, told) in [
        (close_frame(1000, "bye"), &[0x03, 0xe8][..], (1000, "bye")),
        (close_frame(1014, ""), &[0x03, 0xf6], (1014, "")),
        (close_frame(4999, "\u{20ac}"), &[0x13, 0x87], (4999, "\u{20ac}")),
        (frame(FIN | CLOSE, b""), &[], (1005, "")),
    ] {
        let script = Script::echo();
        let server = script.serve_with(quiet);
        let mut client = server.websocket("");
        client.send(&[frame(FIN | TEXT, b"last"), sent, frame(FIN | TEXT, b"behind it")].concat());
        client.expect(FIN | TEXT, "last");
        assert_eq!(client.read_frame(), (FIN | CLOSE, back.to_vec()));
        assert_eq!(client.read_to_end(), "");
        assert_eq!(script.end(), (told.0, told.1.to_owned()));
        assert_eq!(script.words().heard.len(), 1);
        drop(client);
        server.wait_until_empty();
    }
}

#[test]
fn the_apps_close_waits_for_the_clients_whose_words_the_app_hears() {
    let script = Script::default();
    let server = script.serve();
    let mut client = server.websocket("");
    script.say(Outgoing::Message(text("first")));
    script.say(Outgoing::Close { code: 4001, reason: "enough".to_owned() });
    script.say(Outgoing::Message(text("never")));
    client.expect(FIN | TEXT, "first");
    client.expect(FIN | CLOSE, b"\x0f\xa1enough");
    assert!(script.words().ended.is_empty(), "the client has not answered yet");
    client.send(&[frame(FIN | TEXT, b"on its way"), close_frame(4001, "so be it")].concat());
    assert_eq!(client.read_to_end(), "");
    assert_eq!(script.end(), (4001, "so be it".to_owned()));
    assert!(script.words().heard.is_empty());
}

#[test]
fn an_app_that_goes_leaves_a_normal_closure_and_a_code_that_none_may_send_becomes_an_internal_error() {
    for (word, code) in [
        (Outgoing::Gone, 1000),
        (Outgoing::Close { code: 1006, reason: String::new() }, 1011),
        (Outgoing::Close { code: 3000, reason: "\u{e9}".repeat(100) }, 3000),
    ] {
        let script = Script::default();
        let server = script.serve();
        let mut client = server.websocket("");
        script.say(word);
        let (first, payload) = client.read_frame();
        assert_eq!((first, u16::from_be_bytes([payload[0], payload[1]])), (FIN | CLOSE, code));
        assert!(payload.len() <= 125 && std::str::from_utf8(&payload[2..]).is_ok());
        client.send(&close_frame(code, ""));
        assert_eq!(client.read_to_end(), "");
        assert_eq!(script.end().0, code);
    }
}

#[test]
fn a_client_that_just_leaves_is_told_with_1006() {
    let script = Script::echo();
    let server = script.serve();
    let mut client = server.websocket("");
    client.send(&frame(FIN | TEXT, b"hello")[..4]);
    drop(client);
    assert_eq!(script.end(), (1006, String::new()));
    server.wait_until_empty();
}

#[test]
fn a_client_that_leaves_before_its_answer_is_told_too() {
    let script = Script::default();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let (called, calls) = std::sync::mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let consenting = script.clone();
    let server = Server::new(TestApp::in_task(move |_| {
        called.send(()).unwrap();
        // The loop stands still until the client has left.
        gone.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        answer(head(200, &[]), consenting.consent())
    }));
    let mut client = server.client();
    client.send(request("").as_bytes());
    calls.recv_timeout(PATIENCE).unwrap();
    drop(client);
    go.send(()).unwrap();
    assert_eq!(script.end().0, 1006);
    server.wait_until_empty();
}

#[test]
fn a_panic_costs_one_websocket_and_ends_it_with_1011() {
    struct Panicking;
    impl Conversation for Panicking {
        fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
        fn receive(&mut self, _: Message) {
            panic!("as asked for");
        }
        fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Outgoing> {
            Poll::Pending
        }
        fn ended(&mut self, _: End) {
            panic!("called after a panic");
        }
    }
    let server = Server::new(TestApp::in_task(|_| {
        answer(head(200, &[]), ResponseBody::WebSocket(Box::new(Panicking)))
    }));
    for _ in 0..2 {
        let mut client = server.websocket("");
        client.send(&frame(FIN | TEXT, b"hello"));
        client.expect_close(1011);
    }
    server.wait_until_empty();
}
