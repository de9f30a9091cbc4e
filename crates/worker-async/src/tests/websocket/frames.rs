//! Messages and frames: what is put together, answered and refused (RFC 6455 section 5).

use super::*;

/// Sends frames to an app that echoes, in as many pieces as there are bytes, and at once.
fn each_way(frames: &[Vec<u8>], look: impl Fn(&mut Client)) {
    let server = Script::echo().serve();
    let sent = frames.concat();
    for piece in [1, 3, sent.len()] {
        let mut client = server.websocket("");
        client.stream.set_nodelay(true).unwrap();
        for bytes in sent.chunks(piece) {
            client.send(bytes);
        }
        look(&mut client);
    }
}

#[test]
fn messages_come_back_whole_however_they_arrive() {
    let long = "x".repeat(300);
    each_way(
        &[
            frame(FIN | TEXT, "gr\u{fc}n".as_bytes()),
            frame(FIN | BINARY, &[0, 255, 1]),
            frame(FIN | TEXT, b""),
            frame(TEXT, &"\u{20ac}".as_bytes()[..1]),
            frame(FIN | PING, b"between"),
            frame(0, &"\u{20ac}".as_bytes()[1..]),
            frame(FIN, b""),
            frame(FIN | PONG, b"nobody asked"),
            frame(FIN | BINARY, long.as_bytes()),
        ],
        |client| {
            // A pong need not wait for answers of the app.
            let mut received: Vec<_> = (0..6).map(|_| client.read_frame()).collect();
            received.sort_by_key(|(first, _)| *first == FIN | PONG);
            let wanted = [
                (FIN | TEXT, "gr\u{fc}n".as_bytes()),
                (FIN | BINARY, &[0, 255, 1]),
                (FIN | TEXT, b""),
                (FIN | TEXT, "\u{20ac}".as_bytes()),
                (FIN | BINARY, long.as_bytes()),
                (FIN | PONG, b"between"),
            ];
            assert_eq!(received, wanted.map(|(first, payload)| (first, payload.to_vec())));
        },
    );
}

#[test]
fn large_messages_come_back_whole() {
    let server = Script::echo().serve();
    for length in [125, 126, 65_535, 65_536, 200_000, 3 << 20] {
        let payload: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        let mut client = server.websocket("");
        let mut writer = client.stream.try_clone().unwrap();
        let sent = frame(FIN | BINARY, &payload);
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent).unwrap());
        let (first, received) = client.read_frame();
        writing.join().unwrap();
        assert_eq!(first, FIN | BINARY);
        assert!(received == payload, "{length}");
    }
}

#[test]
fn a_thousand_pings_are_answered_in_their_order() {
    let server = Script::echo().serve();
    let mut client = server.websocket("");
    let pings: Vec<u8> = (0..1000).flat_map(|at| frame(FIN | PING, at.to_string().as_bytes())).collect();
    client.send(&pings);
    for at in 0..1000 {
        client.expect(FIN | PONG, at.to_string());
    }
}

#[test]
fn frames_that_break_a_rule_end_the_websocket_with_its_code() {
    let unmasked = [FIN | TEXT, 2, b'h', b'i'].to_vec();
    let negative = [&[FIN | BINARY, 0xff][..], &[0xff; 8], &[0; 4]].concat();
    let lone = frame(FIN | CLOSE, &[3]);
    let half = "\u{20ac}".as_bytes()[..2].to_vec();
    for (sent, code) in [
        (unmasked, 1002),
        (frame(FIN | RSV1 | TEXT, b"a"), 1002),
        (frame(FIN | 0x20 | TEXT, b"a"), 1002),
        (frame(FIN | 0x10 | PING, b"a"), 1002),
        (frame(FIN | 3, b"a"), 1002),
        (frame(FIN | 11, b"a"), 1002),
        (frame(PING, b"a"), 1002),
        (frame(FIN | PING, &[b'a'; 126]), 1002),
        (frame(FIN, b"a"), 1002),
        ([frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(), 1002),
        (negative, 1002),
        (lone, 1002),
        (close_frame(1005, ""), 1002),
        (close_frame(1006, ""), 1002),
        (close_frame(999, ""), 1002),
        (close_frame(1016, ""), 1002),
        (close_frame(5000, ""), 1002),
        (frame(FIN | CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(FIN | TEXT, b"a\xffb"), 1007),
        (frame(FIN | TEXT, &half), 1007),
        ([frame(TEXT, &half), frame(FIN, b"")].concat(), 1007),
        // It does not wait for the end of what cannot become text any more.
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(FIN | TEXT, b"\xf4\x90\x80\x80 and more")[..12].to_vec(), 1007),
    ] {
        let script = Script::echo();
        let server = script.serve();
        let mut client = server.websocket("");
        client.send(&[frame(FIN | TEXT, b"before"), sent.clone()].concat());
        client.expect(FIN | TEXT, "before");
        client.expect_close(code);
        assert_eq!(script.end().0, code, "{sent:?}");
        drop(client);
        server.wait_until_empty();
    }
}
